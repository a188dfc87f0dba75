//! The access log: one line per request in the original's format, written behind the requests' backs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

/// Lines waiting for the writer; more are dropped and counted rather than slowing requests down.
const BACKLOG: usize = 8192;

/// What is known about a request when it ends.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Host header as received.
    pub host: String,
    /// When it arrived.
    pub started: DateTime<Utc>,
    /// `GET /path HTTP/1.1`.
    pub request_line: String,
    /// Status sent; absent when the client went before one was.
    pub status: Option<u16>,
    /// Body bytes sent.
    pub bytes: u64,
    /// `Referer`.
    pub referer: String,
    /// `User-Agent`.
    pub user_agent: String,
    /// Client address.
    pub remote: String,
    /// `X-Forwarded-For` as sent to the app.
    pub forwarded_for: String,
    /// `X-Vcap-Request-Id`.
    pub request_id: String,
    /// From arrival to the last byte; absent when the answer was broken off.
    pub took: Option<Duration>,
    /// App guid of the endpoint.
    pub app: Option<String>,
}

impl Record {
    /// The line, newline included.
    pub fn line(&self) -> String {
        let mut line = String::with_capacity(256);
        let stamp = self.started.format("%d/%m/%Y:%H:%M:%S %z");
        let status = self
            .status
            .map_or("MissingResponseStatusCode".into(), |status| {
                status.to_string()
            });
        let took = self.took.map_or("MissingFinishedAt".into(), |took| {
            format!("{:.9}", took.as_secs_f64())
        });
        // Writing to a string cannot fail.
        let _ = writeln!(
            line,
            "{} - [{stamp}] \"{}\" {status} {} \"{}\" \"{}\" {} x_forwarded_for:\"{}\" vcap_request_id:{} response_time:{took} app_id:{}",
            clean(&self.host),
            clean(&self.request_line),
            self.bytes,
            or_dash(&self.referer),
            or_dash(&self.user_agent),
            self.remote,
            or_dash(&self.forwarded_for),
            or_dash(&self.request_id),
            self.app
                .as_deref()
                .unwrap_or("MissingRouteEndpointApplicationId"),
        );
        line
    }

    /// The same as a JSON object, newline included; what is missing is `null`.
    pub fn json(&self) -> String {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let line = serde_json::json!({
            "time": self.started.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            "host": self.host,
            "request": self.request_line,
            "status": self.status,
            "bytes_sent": self.bytes,
            "referer": some(&self.referer),
            "user_agent": some(&self.user_agent),
            "remote": self.remote,
            "x_forwarded_for": some(&self.forwarded_for),
            "vcap_request_id": some(&self.request_id),
            "response_time_s": self.took.map(|took| took.as_secs_f64()),
            "app_id": self.app,
        });
        format!("{line}\n")
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() {
        "-".into()
    } else {
        clean(text)
    }
}

/// A client must not be able to end our line or our quotes.
fn clean(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c == '"' || c.is_control() {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As the original router writes it.
    Original,
    /// A JSON object.
    Json,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// Appended to a file.
    File(PathBuf),
}

/// Handle for those who log. Cheap to clone.
#[derive(Clone)]
pub struct AccessLog {
    lines: Option<mpsc::Sender<Record>>,
    dropped: Arc<AtomicU64>,
}

impl AccessLog {
    /// Opens the targets and starts the writer, which ends when the last handle is gone.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(
        targets: &[(Format, Target)],
    ) -> std::io::Result<(Self, Option<tokio::task::JoinHandle<()>>)> {
        let dropped = Arc::default();
        if targets.is_empty() {
            let lines = None;
            return Ok((Self { lines, dropped }, None));
        }
        let outs = targets
            .iter()
            .map(|(format, target)| Ok((*format, target.open()?)))
            .collect::<std::io::Result<Vec<_>>>()?;
        let (lines, records) = mpsc::channel(BACKLOG);
        let writer = tokio::task::spawn_blocking(move || write_all(records, outs));
        Ok((
            Self {
                lines: Some(lines),
                dropped,
            },
            Some(writer),
        ))
    }

    /// Queues a record; never waits.
    pub fn log(&self, record: Record) {
        if let Some(lines) = &self.lines
            && lines.try_send(record).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records lost because the writer could not keep up.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

type Out = Box<dyn std::io::Write + Send>;

impl Target {
    fn open(&self) -> std::io::Result<Out> {
        Ok(match self {
            Self::Stdout => Box::new(std::io::stdout()),
            Self::File(path) => {
                let mut options = std::fs::OpenOptions::new();
                Box::new(options.create(true).append(true).open(path)?)
            }
        })
    }
}

fn write_all(mut records: mpsc::Receiver<Record>, mut outs: Vec<(Format, Out)>) {
    let mut batch = Vec::new();
    while records.blocking_recv_many(&mut batch, 256) > 0 {
        for (format, out) in &mut outs {
            let line = match format {
                Format::Original => Record::line,
                Format::Json => Record::json,
            };
            let text: String = batch.iter().map(line).collect();
            if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                tracing::warn!(%error, "the access log cannot be written");
            }
        }
        batch.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            host: "dora.example.com".into(),
            started: DateTime::from_timestamp(1_422_740_381, 0).unwrap_or_default(),
            request_line: "GET /x?y=1 HTTP/1.1".into(),
            status: Some(200),
            bytes: 42,
            user_agent: "curl/7.35".into(),
            remote: "10.0.0.9:51123".into(),
            forwarded_for: "10.0.0.9".into(),
            request_id: "3f2a".into(),
            took: Some(Duration::from_nanos(12_345_678)),
            app: Some("2f3e".into()),
            ..Record::default()
        }
    }

    #[test]
    fn a_line_has_the_originals_shape() {
        let expected = "dora.example.com - [31/01/2015:21:39:41 +0000] \"GET /x?y=1 HTTP/1.1\" 200 42 \"-\" \"curl/7.35\" \
                        10.0.0.9:51123 x_forwarded_for:\"10.0.0.9\" vcap_request_id:3f2a response_time:0.012345678 app_id:2f3e\n";
        assert_eq!(record().line(), expected);
    }

    #[test]
    fn what_is_missing_is_named() {
        let line = Record {
            status: None,
            took: None,
            app: None,
            request_id: String::new(),
            ..record()
        }
        .line();
        for part in [
            "MissingResponseStatusCode",
            "response_time:MissingFinishedAt",
            "app_id:MissingRouteEndpointApplicationId",
            "vcap_request_id:- ",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    #[test]
    fn the_json_line_says_the_same() {
        let line = record().json();
        assert_eq!(line.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        assert_eq!(value["time"], "2015-01-31T21:39:41.000Z");
        assert_eq!(
            (&value["status"], &value["app_id"]),
            (&200.into(), &"2f3e".into())
        );
        assert!(value["referer"].is_null() && value["response_time_s"].is_number());
    }

    #[test]
    fn a_client_cannot_forge_a_line() {
        let line = Record {
            user_agent: "x\" 200\nforged".into(),
            ..record()
        }
        .line();
        assert_eq!(line.lines().count(), 1);
        assert!(line.contains("x\\\" 200\\nforged"), "{line}");
    }
}

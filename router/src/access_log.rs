//! The access log: one line per request in the original's format, written behind the requests' backs.

use std::borrow::Cow;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};

use crate::decimal;

/// Lines travel to the writer in batches of about this many bytes: a wake-up per line costs more than the line.
const BATCH: usize = 32 * 1024;
/// The oldest line of a batch waits no longer than this.
const WAIT: Duration = Duration::from_millis(100);
/// Batches waiting for the writer; more are dropped and counted rather than slowing requests down.
const BACKLOG: usize = 64;

/// What is known about a request when it ends.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Host as received.
    pub host: &'a [u8],
    /// When it arrived.
    pub started: SystemTime,
    /// `GET /path HTTP/1.1`, as received.
    pub request_line: &'a [u8],
    /// Status sent; absent when the client went before one was.
    pub status: Option<u16>,
    /// Body bytes sent.
    pub bytes: u64,
    /// `Referer`.
    pub referer: &'a [u8],
    /// `User-Agent`.
    pub user_agent: &'a [u8],
    /// Client address.
    pub remote: SocketAddr,
    /// `X-Forwarded-For` as sent to the app.
    pub forwarded_for: &'a [u8],
    /// `X-Vcap-Request-Id`.
    pub request_id: &'a [u8],
    /// From arrival to the last byte; absent when the answer was broken off.
    pub took: Option<Duration>,
    /// App guid of the endpoint.
    pub app: Option<&'a str>,
}

impl Record<'_> {
    /// Appends the line, newline included; `stamp` is its time in words.
    pub(crate) fn write_line(&self, stamp: &str, out: &mut Vec<u8>) {
        clean(self.host, out);
        for part in [" - [", stamp, "] \""] {
            out.extend_from_slice(part.as_bytes());
        }
        clean(self.request_line, out);
        out.extend_from_slice(b"\" ");
        match self.status {
            Some(status) => decimal::number(out, status.into()),
            None => out.extend_from_slice(b"MissingResponseStatusCode"),
        }
        out.push(b' ');
        decimal::number(out, self.bytes);
        out.extend_from_slice(b" \"");
        or_dash(self.referer, out);
        out.extend_from_slice(b"\" \"");
        or_dash(self.user_agent, out);
        out.extend_from_slice(b"\" ");
        decimal::socket(out, self.remote);
        out.extend_from_slice(b" x_forwarded_for:\"");
        or_dash(self.forwarded_for, out);
        out.extend_from_slice(b"\" vcap_request_id:");
        or_dash(self.request_id, out);
        out.extend_from_slice(b" response_time:");
        match self.took {
            Some(took) => decimal::seconds(out, took),
            None => out.extend_from_slice(b"MissingFinishedAt"),
        }
        out.extend_from_slice(b" app_id:");
        let app = self.app.unwrap_or("MissingRouteEndpointApplicationId");
        out.extend_from_slice(app.as_bytes());
        out.push(b'\n');
    }

    /// The same as a JSON object, newline included; what is missing is `null`.
    fn write_json(&self, out: &mut Vec<u8>) {
        let text = |bytes| String::from_utf8_lossy(bytes);
        let some = |bytes| Some(text(bytes)).filter(|text: &Cow<'_, str>| !text.is_empty());
        let started = DateTime::<Utc>::from(self.started);
        let line = serde_json::json!({
            "time": started.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            "host": text(self.host),
            "request": text(self.request_line),
            "status": self.status,
            "bytes_sent": self.bytes,
            "referer": some(self.referer),
            "user_agent": some(self.user_agent),
            "remote": self.remote,
            "x_forwarded_for": some(self.forwarded_for),
            "vcap_request_id": some(self.request_id),
            "response_time_s": self.took.map(|took| took.as_secs_f64()),
            "app_id": self.app,
        });
        let _ = writeln!(out, "{line}");
    }
}

fn or_dash(text: &[u8], out: &mut Vec<u8>) {
    match text.is_empty() {
        true => out.push(b'-'),
        false => clean(text, out),
    }
}

/// A client must not be able to end our line or our quotes. A backslash is escaped too: in front of an escaped quote it would take the
/// escape away.
fn clean(text: &[u8], out: &mut Vec<u8>) {
    let plain = |byte: &u8| (b' '..0x7f).contains(byte) && !b"\"\\".contains(byte);
    if text.iter().all(plain) {
        return out.extend_from_slice(text);
    }
    for c in String::from_utf8_lossy(text).chars() {
        // Writing to memory cannot fail.
        let _ = match ['"', '\\'].contains(&c) || c.is_control() {
            true => write!(out, "{}", c.escape_default()),
            false => write!(out, "{c}"),
        };
    }
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

/// Lines on their way to the writer.
struct Batch {
    /// Of the format it is in.
    format: Format,
    text: Vec<u8>,
    lines: u64,
}

/// Where lines go, for those who open and close it. Cheap to clone.
#[derive(Clone)]
pub struct AccessLog {
    batches: Option<SyncSender<Batch>>,
    formats: Vec<Format>,
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
        let log = |batches| Self {
            batches,
            formats: targets.iter().map(|(format, _)| *format).collect(),
            dropped: Arc::default(),
        };
        if targets.is_empty() {
            return Ok((log(None), None));
        }
        let outs = targets
            .iter()
            .map(|(format, target)| Ok((*format, target.open()?)))
            .collect::<std::io::Result<Vec<_>>>()?;
        let (batches, written) = sync_channel(BACKLOG);
        let writer = tokio::task::spawn_blocking(move || write_all(&written, outs));
        Ok((log(Some(batches)), Some(writer)))
    }

    /// Where one thread puts its lines.
    pub fn lines(&self) -> Lines {
        let batch = |format: &Format| Batch {
            format: *format,
            text: Vec::new(),
            lines: 0,
        };
        Lines {
            log: self.clone(),
            batches: self.formats.iter().map(batch).collect(),
            since: None,
            stamp: (0, String::new()),
        }
    }

    /// Lines lost because the writer could not keep up.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The lines of one thread, gathered until it is worth waking the writer.
pub struct Lines {
    log: AccessLog,
    batches: Vec<Batch>,
    /// When the oldest of them was written.
    since: Option<Instant>,
    /// A second and how the original writes it.
    stamp: (u64, String),
}

impl Lines {
    /// Adds a record; never waits.
    pub fn log(&mut self, record: &Record<'_>, now: Instant) {
        if self.batches.is_empty() {
            return;
        }
        self.since.get_or_insert(now);
        let since = record.started.duration_since(SystemTime::UNIX_EPOCH);
        let second = since.map_or(0, |since| since.as_secs());
        if self.stamp.0 != second {
            let time = DateTime::<Utc>::from(record.started);
            self.stamp = (second, time.format("%d/%m/%Y:%H:%M:%S %z").to_string());
        }
        for batch in &mut self.batches {
            match batch.format {
                Format::Original => record.write_line(&self.stamp.1, &mut batch.text),
                Format::Json => record.write_json(&mut batch.text),
            }
            batch.lines += 1;
        }
        if self.batches.iter().any(|batch| batch.text.len() >= BATCH) {
            self.ship();
        }
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.since.is_none()
    }

    /// Sends lines off that have waited long enough.
    pub fn tick(&mut self, now: Instant) {
        if self
            .since
            .is_some_and(|since| now.saturating_duration_since(since) >= WAIT)
        {
            self.ship();
        }
    }

    /// Sends off what there is.
    pub fn ship(&mut self) {
        self.since = None;
        let Some(writer) = &self.log.batches else {
            return;
        };
        for batch in self.batches.iter_mut().filter(|batch| batch.lines > 0) {
            let full = Batch {
                format: batch.format,
                text: std::mem::take(&mut batch.text),
                lines: std::mem::take(&mut batch.lines),
            };
            let lines = full.lines;
            if writer.try_send(full).is_err() {
                self.log.dropped.fetch_add(lines, Ordering::Relaxed);
            }
        }
    }
}

type Out = Box<dyn std::io::Write + Send>;

impl Target {
    fn open(&self) -> std::io::Result<Out> {
        Ok(match self {
            Self::Stdout => Box::new(std::io::stdout()),
            Self::File(path) => {
                // It says who asked for what.
                component::private::file(path)?;
                let mut options = std::fs::OpenOptions::new();
                options.create(true).append(true).mode(0o600);
                Box::new(options.open(path)?)
            }
        })
    }
}

fn write_all(batches: &Receiver<Batch>, mut outs: Vec<(Format, Out)>) {
    for batch in batches {
        for (_, out) in outs
            .iter_mut()
            .filter(|(format, _)| *format == batch.format)
        {
            if let Err(error) = out.write_all(&batch.text).and_then(|()| out.flush()) {
                tracing::warn!(%error, "the access log cannot be written");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record<'static> {
        Record {
            host: b"dora.example.com",
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_422_740_381),
            request_line: b"GET /x?y=1 HTTP/1.1",
            status: Some(200),
            bytes: 42,
            referer: b"",
            user_agent: b"curl/7.35",
            remote: SocketAddr::from(([10, 0, 0, 9], 51123)),
            forwarded_for: b"10.0.0.9",
            request_id: b"3f2a",
            took: Some(Duration::from_nanos(12_345_678)),
            app: Some("2f3e"),
        }
    }

    /// What a thread's lines come to, in both formats.
    fn written(record: &Record<'_>) -> (String, String) {
        let log = AccessLog {
            batches: None,
            formats: vec![Format::Original, Format::Json],
            dropped: Arc::default(),
        };
        let mut lines = log.lines();
        lines.log(record, Instant::now());
        let text = |at: usize| String::from_utf8_lossy(&lines.batches[at].text).into_owned();
        (text(0), text(1))
    }

    #[test]
    fn a_line_has_the_originals_shape() {
        let expected = "dora.example.com - [31/01/2015:21:39:41 +0000] \"GET /x?y=1 HTTP/1.1\" 200 42 \"-\" \"curl/7.35\" \
                        10.0.0.9:51123 x_forwarded_for:\"10.0.0.9\" vcap_request_id:3f2a response_time:0.012345678 app_id:2f3e\n";
        assert_eq!(written(&record()).0, expected);
    }

    #[test]
    fn what_is_missing_is_named() {
        let (line, _) = written(&Record {
            status: None,
            took: None,
            app: None,
            request_id: b"",
            ..record()
        });
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
        let (_, line) = written(&record());
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
        for (agent, expected) in [
            (&b"x\" 200\nforged"[..], r#""x\" 200\nforged""#),
            (b"x\\\" 200 forged", r#""x\\\" 200 forged""#),
            (b"x\\", r#""x\\" "#),
        ] {
            let (line, _) = written(&Record {
                user_agent: agent,
                ..record()
            });
            assert_eq!(line.lines().count(), 1);
            assert!(line.contains(expected), "{expected} in {line}");
        }
    }
}

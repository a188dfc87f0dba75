//! App logs: the stream over a websocket and the recent ones over HTTP, both as
//! dropsonde envelopes.

use futures_util::{SinkExt, Stream, StreamExt};
use prost::Message;

use crate::client::Client;
use crate::error::CfError;
use crate::socket::{self, Refused};

/// `events.Envelope`, the fields read here.
#[derive(Clone, PartialEq, Message)]
pub struct Envelope {
    /// Event type; 5 is a log message.
    #[prost(int32, tag = "2")]
    pub event_type: i32,
    /// The log message.
    #[prost(message, optional, tag = "8")]
    pub log_message: Option<LogMessage>,
}

/// `events.LogMessage`.
#[derive(Clone, PartialEq, Message)]
pub struct LogMessage {
    /// Text.
    #[prost(bytes = "vec", tag = "1")]
    pub message: Vec<u8>,
    /// 1 OUT, 2 ERR.
    #[prost(int32, tag = "2")]
    pub message_type: i32,
    /// Unix nanoseconds.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
    /// App guid.
    #[prost(string, tag = "4")]
    pub app_id: String,
    /// `App`, `STG`, …
    #[prost(string, tag = "5")]
    pub source_type: String,
    /// Index.
    #[prost(string, tag = "6")]
    pub source_instance: String,
}

impl LogMessage {
    /// `2026-01-31T21:39:41.00+0000 [App/0]      OUT text`, as the original prints it.
    pub fn line(&self) -> String {
        let at =
            chrono::DateTime::from_timestamp_nanos(self.timestamp).with_timezone(&chrono::Local);
        let source = format!("[{}/{}]", self.source_type, self.source_instance);
        let stream = if self.message_type == 2 { "ERR" } else { "OUT" };
        let text = String::from_utf8_lossy(&self.message);
        let hundredths = self.timestamp.rem_euclid(1_000_000_000) / 10_000_000;
        let (day, zone) = (at.format("%Y-%m-%dT%H:%M:%S"), at.format("%z"));
        format!(
            "{day}.{hundredths:02}{zone} {source:<12} {stream} {}",
            text.trim_end_matches(['\n', '\r'])
        )
    }

    /// The same as an object.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "timestamp": self.timestamp,
            "source_type": self.source_type,
            "source_instance": self.source_instance,
            "stream": if self.message_type == 2 { "ERR" } else { "OUT" },
            "message": String::from_utf8_lossy(&self.message),
        })
    }
}

/// Opens the stream of an app's log; an old token is refreshed once.
pub async fn stream(
    client: &mut Client,
    app_guid: &str,
) -> Result<impl Stream<Item = LogMessage> + Unpin + use<>, CfError> {
    let url = format!("{}/apps/{app_guid}/stream", client.config.doppler_end_point);
    let socket = match socket::open(&url, &client.config.access_token).await {
        Err(Refused::Token) => {
            client.refresh().await?;
            socket::open(&url, &client.config.access_token).await
        }
        other => other,
    };
    let unreachable = |refused: Refused| CfError::Unreachable {
        url: url.clone(),
        reason: refused.to_string(),
    };
    let (mut sink, messages) = socket.map_err(unreachable)?.split();
    // Pongs are queued by the reader and leave with the next flush.
    tokio::spawn(async move {
        let mut timer = tokio::time::interval(std::time::Duration::from_secs(20));
        loop {
            timer.tick().await;
            if sink.flush().await.is_err() {
                return;
            }
        }
    });
    let decoded = messages.filter_map(|frame| async move {
        let data = frame.ok()?.into_data();
        Envelope::decode(data.as_ref()).ok()?.log_message
    });
    Ok(Box::pin(decoded))
}

/// The app's recent lines, oldest first.
pub async fn recent(client: &mut Client, app_guid: &str) -> Result<Vec<LogMessage>, CfError> {
    let base = client.config.doppler_end_point.replacen("ws", "http", 1);
    let url = format!("{base}/apps/{app_guid}/recentlogs");
    // The token may be old: the log server does not say so in the controller's words.
    client.refresh().await?;
    let http = reqwest::Client::builder()
        .build()
        .map_err(|e| CfError::Other(e.to_string()))?;
    let answer = http
        .get(&url)
        .header("authorization", &client.config.access_token)
        .send()
        .await;
    let unreachable = |e: reqwest::Error| CfError::Unreachable {
        url: url.clone(),
        reason: e.without_url().to_string(),
    };
    let answer = answer.map_err(unreachable)?;
    let kind = answer
        .headers()
        .get("content-type")
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    if !answer.status().is_success() {
        let (status, body) = (
            answer.status().as_u16(),
            answer.text().await.unwrap_or_default(),
        );
        return Err(CfError::Other(format!(
            "recent logs: HTTP status {status}: {}",
            body.trim()
        )));
    }
    let body = answer.bytes().await.map_err(unreachable)?;
    let boundary = kind
        .split("boundary=")
        .nth(1)
        .ok_or_else(|| CfError::BadAnswer("recent logs: no boundary".into()))?;
    let mut lines: Vec<LogMessage> = parts(&body, boundary)
        .into_iter()
        .filter_map(|part| Envelope::decode(part).ok()?.log_message)
        .collect();
    lines.sort_by_key(|l| l.timestamp);
    Ok(lines)
}

/// The bodies of a multipart document, headers cut off.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let mark = format!("--{boundary}");
    let mut found = Vec::new();
    let mut rest = body;
    let mut inside = false;
    while let Some(at) = find(rest, mark.as_bytes()) {
        if inside {
            found.extend(part_body(&rest[..at]));
        }
        inside = true;
        rest = &rest[at + mark.len()..];
    }
    found
}

fn part_body(part: &[u8]) -> Option<&[u8]> {
    let start = find(part, b"\r\n\r\n")? + 4;
    let body = &part[start..];
    Some(body.strip_suffix(b"\r\n").unwrap_or(body))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_multipart_document_are_found_also_when_there_are_none() {
        let body = b"--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--";
        assert_eq!(parts(body, "b"), [b"one".as_slice(), b"two".as_slice()]);
        assert!(parts(b"--b--", "b").is_empty());
        assert!(parts(b"", "b").is_empty());
    }

    #[test]
    fn lines_are_printed_like_the_original_prints_them() {
        let message = LogMessage {
            message: b"hello\n".to_vec(),
            message_type: 2,
            timestamp: 0,
            app_id: "a".into(),
            source_type: "App".into(),
            source_instance: "0".into(),
        };
        assert!(
            message.line().ends_with("[App/0]      ERR hello"),
            "{}",
            message.line()
        );
    }
}

//! The two protobuf forms clients read: dropsonde envelopes and the bare message of the old loggregator.
//!
//! Field numbers are those of the originals. Numbers from 100 on are ours: unknown to old clients and skipped by them.

use bus::log::{LogLine, LogStream};
use prost::Message;

/// `Envelope.eventType` of a log message.
const EVENT_LOG_MESSAGE: i32 = 5;
/// `message_type` of standard output.
const OUT: i32 = 1;
/// `message_type` of standard error.
const ERR: i32 = 2;

/// `events.LogMessage`.
#[derive(Clone, PartialEq, Message)]
pub struct LogMessage {
    /// The text.
    #[prost(bytes = "vec", required, tag = "1")]
    pub message: Vec<u8>,
    /// 1 OUT, 2 ERR.
    #[prost(int32, required, tag = "2")]
    pub message_type: i32,
    /// Unix nanoseconds, plain varint.
    #[prost(int64, required, tag = "3")]
    pub timestamp: i64,
    /// App guid.
    #[prost(string, optional, tag = "4")]
    pub app_id: Option<String>,
    /// `App`, `STG`, …
    #[prost(string, optional, tag = "5")]
    pub source_type: Option<String>,
    /// Instance index.
    #[prost(string, optional, tag = "6")]
    pub source_instance: Option<String>,
    /// Ours: the instance the number belongs to.
    #[prost(string, optional, tag = "100")]
    pub instance_id: Option<String>,
    /// Ours: number of the line, from 1 without gaps.
    #[prost(uint64, optional, tag = "101")]
    pub seq: Option<u64>,
}

/// `events.Envelope`, as far as logs need it.
#[derive(Clone, PartialEq, Message)]
pub struct Envelope {
    /// Who sent it.
    #[prost(string, required, tag = "1")]
    pub origin: String,
    /// 5 for log messages.
    #[prost(int32, required, tag = "2")]
    pub event_type: i32,
    /// Unix nanoseconds.
    #[prost(int64, optional, tag = "6")]
    pub timestamp: Option<i64>,
    /// The line.
    #[prost(message, optional, tag = "8")]
    pub log_message: Option<LogMessage>,
}

/// `logmessage.LogMessage` of the old loggregator. Its timestamp is zig-zag encoded.
#[derive(Clone, PartialEq, Message)]
pub struct OldLogMessage {
    /// The text.
    #[prost(bytes = "vec", required, tag = "1")]
    pub message: Vec<u8>,
    /// 1 OUT, 2 ERR.
    #[prost(int32, required, tag = "2")]
    pub message_type: i32,
    /// Unix nanoseconds, zig-zag.
    #[prost(sint64, required, tag = "3")]
    pub timestamp: i64,
    /// App guid.
    #[prost(string, required, tag = "4")]
    pub app_id: String,
    /// Instance index.
    #[prost(string, optional, tag = "6")]
    pub source_id: Option<String>,
    /// Never set.
    #[prost(string, repeated, tag = "7")]
    pub drain_urls: Vec<String>,
    /// `App`, `STG`, …
    #[prost(string, optional, tag = "8")]
    pub source_name: Option<String>,
}

/// Which of the two forms a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `Envelope`.
    Dropsonde,
    /// The bare old message.
    Old,
}

/// Encodes a line.
pub fn encode(line: &LogLine, form: Form) -> Vec<u8> {
    match form {
        Form::Dropsonde => envelope(line).encode_to_vec(),
        Form::Old => old(line).encode_to_vec(),
    }
}

fn kind(line: &LogLine) -> i32 {
    if line.stream == LogStream::Err {
        ERR
    } else {
        OUT
    }
}

fn envelope(line: &LogLine) -> Envelope {
    let numbered = line.seq > 0;
    Envelope {
        origin: "bloomery".into(),
        event_type: EVENT_LOG_MESSAGE,
        timestamp: Some(line.timestamp_ns),
        log_message: Some(LogMessage {
            message: line.message.clone().into_bytes(),
            message_type: kind(line),
            timestamp: line.timestamp_ns,
            app_id: Some(line.app_id.clone()),
            source_type: Some(line.source_type.clone()),
            source_instance: Some(line.source_instance.clone()),
            instance_id: numbered.then(|| line.instance_id.clone()),
            seq: numbered.then_some(line.seq),
        }),
    }
}

fn old(line: &LogLine) -> OldLogMessage {
    OldLogMessage {
        message: line.message.clone().into_bytes(),
        message_type: kind(line),
        timestamp: line.timestamp_ns,
        app_id: line.app_id.clone(),
        source_id: Some(line.source_instance.clone()),
        drain_urls: Vec::new(),
        source_name: Some(line.source_type.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> LogLine {
        LogLine {
            app_id: "g".into(),
            source_type: "App".into(),
            source_instance: "0".into(),
            instance_id: "i".into(),
            seq: 0,
            timestamp_ns: 3,
            stream: LogStream::Err,
            message: "hi".into(),
        }
    }

    #[test]
    fn the_envelope_has_the_bytes_of_the_protocol() {
        // Typed by hand from the field table: origin=1, eventType=2, timestamp=6, logMessage=8.
        let mut expected = vec![0x0a, 8];
        expected.extend(b"bloomery");
        expected.extend([0x10, 5, 0x30, 3, 0x42, 19]);
        expected.extend([
            0x0a, 2, b'h', b'i', 0x10, 2, 0x18, 3, 0x22, 1, b'g', 0x2a, 3, b'A', b'p', b'p', 0x32,
            1, b'0',
        ]);
        assert_eq!(encode(&line(), Form::Dropsonde), expected);
    }

    #[test]
    fn the_old_timestamp_is_zig_zag() {
        let bytes = encode(&line(), Form::Old);
        // 3 becomes 6.
        assert_eq!(&bytes[..8], [0x0a, 2, b'h', b'i', 0x10, 2, 0x18, 6]);
    }
}

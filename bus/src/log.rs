//! App log lines on their way from a DEA (or the controller) to the
//! loggregator. They travel over HTTP with an acknowledgement, not over the bus;
//! the types live here because both ends share them. Every line carries the
//! instance id and a sequence number, so a loss can be counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Path of the intake; basic auth; answers 200 with a [`LogAnswer`].
pub const INTAKE_PATH: &str = "/internal/v1/logs";

/// Largest request of the intake, bytes.
pub const INTAKE_BYTES: usize = 8 * 1024 * 1024;
/// Largest request of a sender, bytes: below what the intake takes, so that no batch is refused for its size.
pub const BATCH_BYTES: usize = 1024 * 1024;
/// Longest message of one line, bytes; the rest is cut off, with [`CUT`] at the end.
pub const MESSAGE_BYTES: usize = 64 * 1024;
/// The end of a message that was cut.
pub const CUT: &str = " [cut]";
/// In JSON one byte of a message takes up to six (`\u0000`); the rest is for the names around it.
const ENCODED_LINE_BYTES: usize = 6 * MESSAGE_BYTES + 4096;

const _: () = assert!(ENCODED_LINE_BYTES <= BATCH_BYTES && 2 * BATCH_BYTES <= INTAKE_BYTES);

/// Cuts a message to [`MESSAGE_BYTES`] at the end of a character and marks it.
pub fn cut(message: &mut String) {
    if message.len() <= MESSAGE_BYTES {
        return;
    }
    let mut end = MESSAGE_BYTES - CUT.len();
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    message.push_str(CUT);
}

/// Lines of any number of apps, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LogBatch {
    /// Whether the sender keeps the lines of an app whose readers are slow and sends them again later. Senders of before
    /// do not say so, and are held back instead.
    #[serde(default)]
    pub may_defer: bool,
    /// The lines.
    pub lines: Vec<LogLine>,
}

/// What the intake made of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogAnswer {
    /// Lines that were new.
    #[serde(default)]
    pub accepted: usize,
    /// By app: how many of its last lines in the batch were not taken, because its readers have no room for them yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deferred: BTreeMap<String, usize>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// App guid.
    pub app_id: String,
    /// `App`, `STG`, `DEA`, `API`, `RTR`, `LGR`.
    pub source_type: String,
    /// Index of the instance, or of the component.
    pub source_instance: String,
    /// Instance or task id the sequence belongs to.
    pub instance_id: String,
    /// 1, 2, 3 … per `instance_id` and `source_type`; 0 = not numbered.
    pub seq: u64,
    /// Unix nanoseconds.
    pub timestamp_ns: i64,
    /// Stream.
    pub stream: LogStream,
    /// Text without newline; bytes that are not UTF-8 are replaced.
    pub message: String,
}

/// Which stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogStream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_beyond_its_limit_at_a_character_and_marked() {
        let cut_of = |text: String| {
            let mut text = text;
            cut(&mut text);
            text
        };
        let whole = "x".repeat(MESSAGE_BYTES);
        assert_eq!(cut_of(whole.clone()), whole);
        for long in [
            format!("{whole}x"),
            "é".repeat(MESSAGE_BYTES),
            "x".repeat(100 * MESSAGE_BYTES),
        ] {
            let short = cut_of(long);
            assert!(
                short.len() <= MESSAGE_BYTES && short.ends_with(CUT),
                "{}",
                short.len()
            );
            // Cut once more on the other side, it stays as it is.
            assert_eq!(cut_of(short.clone()), short);
        }
    }
}

//! App log lines on their way from a DEA (or the controller) to the
//! loggregator. They travel over HTTP with an acknowledgement, not over the bus;
//! the types live here because both ends share them. Every line carries the
//! instance id and a sequence number, so a loss can be counted.

use serde::{Deserialize, Serialize};

/// Path of the intake; basic auth; answers 200 `{"accepted":n}`.
pub const INTAKE_PATH: &str = "/internal/v1/logs";

/// Lines of any number of apps, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LogBatch {
    /// The lines.
    pub lines: Vec<LogLine>,
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

//! A line of output, a gap and a loss as lines of the log.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bus::log::{LogLine, LogStream};
use warden::{Output, Stream};

use super::Source;

/// How lines get lost on their way, other than by an app that writes faster than its ring on disk is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Lines of the DEA about an app whose queue is full.
    QueueFull,
    /// The loggregator refused them.
    Refused,
    /// Their origin ended, and nobody took them in time.
    TooLate,
}

impl Loss {
    pub(super) const KINDS: usize = 3;
    pub(super) const ALL: [Self; Self::KINDS] = [Self::QueueFull, Self::Refused, Self::TooLate];

    fn reason(self) -> &'static str {
        match self {
            Self::QueueFull => "more lines of this app were waiting than there is room for",
            Self::Refused => "the loggregator refused them",
            Self::TooLate => "the loggregator did not take them in time",
        }
    }
}

/// The line that counts a loss. Unnumbered: it stands for lines that have their own numbers.
pub(super) fn lost(source: &Arc<Source>, loss: Loss, count: u64) -> LogLine {
    let were = if count == 1 { "line was" } else { "lines were" };
    let text = format!("{count} log {were} lost: {}", loss.reason());
    by_the_dea(source, text)
}

fn by_the_dea(source: &Source, text: String) -> LogLine {
    let source = Source {
        kind: "DEA",
        ..source.clone()
    };
    line(&source, 0, now_ns(), LogStream::Err, text)
}

/// One item of a job's output.
pub(super) fn of_output(source: &Source, item: Output) -> LogLine {
    match item {
        Output::Line {
            seq,
            at_ns,
            stream,
            data,
        } => {
            let stream = match stream {
                Stream::Stdout => LogStream::Out,
                Stream::Stderr => LogStream::Err,
            };
            let text = String::from_utf8_lossy(&data).into_owned();
            line(source, seq, at_ns, stream, text)
        }
        Output::Gap { from, to } => by_the_dea(
            source,
            format!(
                "{} log lines were lost (number {from} to {to}): written faster than they could be read",
                to - from + 1
            ),
        ),
    }
}

/// Lines that an item stands for.
pub(super) fn count(item: &Output) -> u64 {
    match item {
        Output::Line { .. } => 1,
        Output::Gap { from, to } => to - from + 1,
    }
}

pub(super) fn line(
    source: &Source,
    seq: u64,
    timestamp_ns: i64,
    stream: LogStream,
    mut message: String,
) -> LogLine {
    bus::log::cut(&mut message);
    LogLine {
        app_id: source.app_id.clone(),
        source_type: source.kind.to_owned(),
        source_instance: source.instance.clone(),
        instance_id: source.instance_id.clone(),
        seq,
        timestamp_ns,
        stream,
        message,
    }
}

pub(super) fn now_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_becomes_a_line_that_counts_the_loss() {
        let source = Source {
            app_id: "a".into(),
            kind: "App",
            instance: "0".into(),
            instance_id: "i".into(),
        };
        let gap = Output::Gap { from: 3, to: 12 };
        assert_eq!(count(&gap), 10);
        let line = of_output(&source, gap);
        assert_eq!(line.source_type, "DEA");
        let counted = line.message.starts_with("10 log lines were lost");
        assert!(counted, "{}", line.message);
    }
}

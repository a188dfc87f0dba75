//! How an instance ended, in the original's words where it had any.

use serde::{Deserialize, Serialize};
use warden::{Exit, OomKill};

/// Status and description as published in `droplet.exited`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Process status; -1 when unknown.
    pub status: i64,
    /// Text for the user.
    pub description: String,
}

impl ExitRecord {
    /// The app's process ended; `events` are the container's.
    pub fn of_process(exit: Exit, events: &[String]) -> Self {
        let description = match events.first() {
            Some(event) => event.clone(),
            None => match exit.signal {
                Some(signal) => format!("app instance exited (killed by signal {signal})"),
                None => "app instance exited".into(),
            },
        };
        Self {
            status: i64::from(exit.code),
            description,
        }
    }

    /// The instance never got to run.
    pub fn never_ran(description: impl Into<String>) -> Self {
        Self {
            status: -1,
            description: description.into(),
        }
    }

    /// The container vanished while nobody looked.
    pub fn unknown() -> Self {
        Self::never_ran("cannot be determined")
    }
}

/// What the app's owner reads about a kill for want of memory.
pub fn out_of_memory_line(kill: &OomKill) -> String {
    let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
    let victim = match &kill.victim {
        Some(name) => format!("process {name} was ended"),
        None => "a process was ended".into(),
    };
    let more = match kill.kills {
        0 | 1 => String::new(),
        kills => format!(" (the last of {kills})"),
    };
    format!(
        "Out of memory: {victim}{more}; at its peak the instance used {} of the {} MB it may use. \
         Use less, or give it more with cf scale -m.",
        mib(kill.peak_bytes),
        mib(kill.limit_bytes),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_for_want_of_memory_tells_peak_limit_and_victim() {
        let mut kill = OomKill {
            peak_bytes: (64 << 20) - 4096,
            limit_bytes: 64 << 20,
            victim: Some("ruby".into()),
            kills: 1,
        };
        let line = out_of_memory_line(&kill);
        assert!(line.starts_with("Out of memory: process ruby was ended; "));
        assert!(line.contains("used 64 of the 64 MB"), "{line}");
        kill.victim = None;
        kill.kills = 3;
        let line = out_of_memory_line(&kill);
        assert!(
            line.contains("a process was ended (the last of 3);"),
            "{line}"
        );
    }

    #[test]
    fn an_event_of_the_container_is_the_description() {
        let exit = Exit {
            code: 137,
            signal: Some(9),
        };
        let oom = ExitRecord::of_process(exit, &["out of memory".into()]);
        assert_eq!(
            (oom.status, oom.description.as_str()),
            (137, "out of memory")
        );
        assert!(
            ExitRecord::of_process(exit, &[])
                .description
                .starts_with("app instance exited")
        );
    }
}

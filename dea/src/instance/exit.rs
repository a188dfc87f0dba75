//! How an instance ended, in the original's words where it had any.

use serde::{Deserialize, Serialize};
use warden::Exit;

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

#[cfg(test)]
mod tests {
    use super::*;

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

//! Why a staging failed: typed for the controller, worded for the user.

use bus::staging::{ErrorInfo, Reply};

use super::info::StagingFailure;
use crate::capture::CaptureError;
use crate::egress::BadRule;
use crate::transfer::TransferError;

/// A failed staging.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// A directory or file of the workspace.
    #[error("workspace: {0}")]
    Workspace(#[from] std::io::Error),
    /// The request has no such key.
    #[error("the staging request carries no {0}")]
    Missing(&'static str),
    /// Not enough room here.
    #[error("Not enough {0} resources available")]
    NoRoom(&'static str),
    /// The stack is not installed here.
    #[error("stack {0} is not installed on this DEA")]
    StackNotFound(String),
    /// A buildpack could not be had.
    #[error("buildpack {key}: {reason}")]
    Buildpack {
        /// Key.
        key: String,
        /// Why.
        reason: String,
    },
    /// A security-group rule.
    #[error(transparent)]
    Egress(#[from] BadRule),
    /// Package, droplet or cache could not be moved.
    #[error("{what}: {source}")]
    Transfer {
        /// Which one.
        what: &'static str,
        /// Why.
        #[source]
        source: TransferError,
    },
    /// The container failed.
    #[error("staging container: {0}")]
    Warden(#[from] warden::Error),
    /// A script in the container failed.
    #[error("{what}: {source}")]
    Script {
        /// Which one.
        what: &'static str,
        /// Why.
        #[source]
        source: CaptureError,
    },
    /// What is to leave the staging is too large.
    #[error(
        "the {what} is larger than {limit_mb} MB, the disk limit of this staging (holes in files count); remove what the app does not need, or push with a larger disk limit (-k)"
    )]
    TooLarge {
        /// `droplet` or `buildpack cache`.
        what: &'static str,
        /// The limit, MB.
        limit_mb: u64,
    },
    /// `staging_info.yml` is not one that a runner leaves.
    #[error("the result of the staging cannot be read: {0}")]
    BadResult(#[source] CaptureError),
    /// The buildpack runner named the failure.
    #[error("{}", .0.message)]
    Buildpacks(StagingFailure),
    /// The runner ended without a result.
    #[error("the buildpack runner ended with status {0} and left no result")]
    NoResult(i32),
    /// The limit is over.
    #[error("Staging in container timed out after {0} s")]
    TimedOut(u64),
    /// It failed, and connections were refused meanwhile.
    #[error("{cause}. {refusals}")]
    Refused {
        /// Why it failed.
        cause: Box<Self>,
        /// Which connections, and what permits them.
        refusals: String,
    },
    /// Somebody stopped it.
    #[error("Error staging: task stopped")]
    Stopped,
}

impl StagingError {
    /// The controller's error name, when there is a better one than StagingError.
    fn kind(&self) -> Option<&str> {
        match self {
            Self::Buildpacks(failure) => Some(&failure.kind),
            Self::TimedOut(_) => Some("StagingTimeExpired"),
            Self::Refused { cause, .. } => cause.kind(),
            Self::NoRoom(_) => Some("InsufficientResources"),
            _ => None,
        }
    }

    /// The reply that reports it.
    pub fn reply(&self, task_id: &str) -> Reply {
        let message = self.to_string();
        let error_info = self.kind().map(|kind| ErrorInfo {
            kind: kind.to_owned(),
            message: message.clone(),
        });
        Reply {
            task_id: task_id.into(),
            error: Some(message),
            error_info,
            ..Reply::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_failure_keeps_its_type_on_the_wire() {
        let failure = StagingFailure {
            kind: "NoAppDetectedError".into(),
            message: "none".into(),
        };
        let reply = StagingError::Buildpacks(failure).reply("t");
        assert_eq!(
            reply.error_info.map(|i| i.kind).as_deref(),
            Some("NoAppDetectedError")
        );
        let timeout = StagingError::TimedOut(5).reply("t");
        assert_eq!(
            timeout.error_info.map(|i| i.kind).as_deref(),
            Some("StagingTimeExpired")
        );
        assert_eq!(StagingError::Missing("x").reply("t").error_info, None);
    }
}

//! `droplet.exited`.

use serde::{Deserialize, Serialize};

use crate::Message;
use crate::message::null_default;

/// An instance ended without being asked to, or its DEA evacuates it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exited {
    /// Partition.
    #[serde(default, deserialize_with = "null_default")]
    pub cc_partition: String,
    /// Process guid.
    pub droplet: String,
    /// Version.
    #[serde(default, deserialize_with = "null_default")]
    pub version: String,
    /// Instance id.
    #[serde(default, deserialize_with = "null_default")]
    pub instance: String,
    /// Index.
    #[serde(default, deserialize_with = "null_default")]
    pub index: u32,
    /// `CRASHED` or `DEA_EVACUATION`; older originals also `STOPPED`, `DEA_SHUTDOWN`.
    #[serde(default, deserialize_with = "null_default")]
    pub reason: String,
    /// Process status; -1 when unknown.
    #[serde(default, deserialize_with = "null_default")]
    pub exit_status: i64,
    /// Text for the user, e.g. `out of memory`.
    #[serde(default, deserialize_with = "null_default")]
    pub exit_description: String,
    /// Unix seconds; only when the state is CRASHED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash_timestamp: Option<i64>,
}

impl Message for Exited {
    const SUBJECT: &'static str = "droplet.exited";
}

impl Exited {
    /// Whether this is a crash (any case, as the original controller compared).
    pub fn is_crash(&self) -> bool {
        self.reason.eq_ignore_ascii_case("crashed")
    }

    /// Whether the instance must be replaced elsewhere at once.
    pub fn is_evacuation(&self) -> bool {
        self.reason.eq_ignore_ascii_case("dea_evacuation")
            || self.reason.eq_ignore_ascii_case("dea_shutdown")
    }
}

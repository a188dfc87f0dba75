//! The health manager's requests.

use serde::{Deserialize, Serialize};

use crate::Message;

/// Queue group of the controllers on both subjects.
pub const CONTROLLER_QUEUE: &str = "cc";
/// Every DEA answers with a heartbeat when something is published here.
pub const HEARTBEAT_NOW: &str = "healthmanager.start";

/// `hm9000.start`: please start one index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Random id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Process guid.
    pub droplet: String,
    /// Version.
    pub version: String,
    /// Index.
    pub instance_index: u32,
    /// Epoch of the sender's lease (decision 12); originals send none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
}

impl Message for Start {
    const SUBJECT: &'static str = "hm9000.start";
}

/// `hm9000.stop`: please stop one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Random id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Process guid.
    pub droplet: String,
    /// Version.
    pub version: String,
    /// Instance id.
    pub instance_guid: String,
    /// Index.
    pub instance_index: u32,
    /// Another instance runs at the index.
    pub is_duplicate: bool,
    /// Epoch of the sender's lease; originals send none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
}

impl Message for Stop {
    const SUBJECT: &'static str = "hm9000.stop";
}

/// `POST /bulk_app_state` of the health manager: one app asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppStateQuery {
    /// Process guid.
    pub droplet: String,
    /// Version.
    pub version: String,
}

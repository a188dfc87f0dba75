//! `vcap.component.announce` and `vcap.component.discover`: how a metrics
//! collector finds the status endpoints.

use serde::{Deserialize, Serialize};

use crate::Message;
use crate::message::null_default;

/// Request subject; the payload is empty and every component answers.
pub const DISCOVER: &str = "vcap.component.discover";

/// Published once at boot, and the reply to [`DISCOVER`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announce {
    /// `DEA`, `Router`, `CloudController`, `HM9000`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Job index; collectors ignore messages without it.
    pub index: u32,
    /// `<index>-<uuid>`; for a DEA this is the DEA id.
    pub uuid: String,
    /// `ip:port` of the status endpoint.
    pub host: String,
    /// Basic-auth user and password for `/varz`.
    pub credentials: (String, String),
    /// `YYYY-MM-DD HH:MM:SS ±ZZZZ`.
    #[serde(default, deserialize_with = "null_default")]
    pub start: String,
    /// `Dd:Hh:Mm:Ss` without padding; Ruby components omit it in the first announce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<String>,
}

impl Message for Announce {
    const SUBJECT: &'static str = "vcap.component.announce";
}

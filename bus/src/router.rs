//! The `router.*` family.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Message;
use crate::message::null_default;

/// Request subject: a registrar asks routers for a [`Start`].
pub const GREET: &str = "router.greet";

/// `router.start`: sent at boot and after a reconnect, and the reply to
/// `router.greet`. Registrars publish everything at once, then every interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// `<index>-<uuid>`.
    pub id: String,
    /// The router's own address.
    #[serde(default, deserialize_with = "null_default")]
    pub hosts: Vec<String>,
    /// Seconds between registrations.
    #[serde(
        rename = "minimumRegisterIntervalInSeconds",
        default,
        deserialize_with = "null_default"
    )]
    pub minimum_register_interval: u64,
    /// Seconds until an unrefreshed endpoint is pruned.
    #[serde(
        rename = "pruneThresholdInSeconds",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub prune_threshold: Option<u64>,
}

impl Message for Start {
    const SUBJECT: &'static str = "router.start";
}

/// The body shared by `router.register` and `router.unregister`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// IPv4 address or name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Host names with an optional context path; empty = no effect.
    #[serde(default, deserialize_with = "null_default")]
    pub uris: Vec<String>,
    /// App guid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// DEA id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dea: Option<String>,
    /// Tags; `component` names the metrics group.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub tags: BTreeMap<String, String>,
    /// Sticky-session key and identity of the instance behind the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_instance_id: Option<String>,
    /// Instance index as text (later originals).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_instance_index: Option<String>,
    /// Own stale threshold in seconds, honoured when below the router's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_threshold_in_seconds: Option<u64>,
}

/// `router.register`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Register(pub Endpoint);

impl Message for Register {
    const SUBJECT: &'static str = "router.register";
}

/// `router.unregister`: matches on uri and host:port.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unregister(pub Endpoint);

impl Message for Unregister {
    const SUBJECT: &'static str = "router.unregister";
}

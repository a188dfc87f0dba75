//! The `dea.*` family.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Message;
use crate::message::null_default;

/// Request subject: every DEA publishes its advertisement now.
pub const LOCATE: &str = "dea.locate";
/// Request subject: every DEA answers with a [`Status`].
pub const STATUS: &str = "dea.status";

/// `dea.start`: a DEA's hello, once after it subscribed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// DEA id.
    pub id: String,
    /// Its address.
    pub ip: String,
    /// Protocol version text.
    pub version: String,
}

impl Message for Hello {
    const SUBJECT: &'static str = "dea.start";
}

/// Reply to `dea.status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The hello fields.
    #[serde(flatten)]
    pub hello: Hello,
    /// MB, capacity × overcommit.
    pub max_memory: i64,
    /// MB promised.
    pub reserved_memory: i64,
    /// MB measured.
    pub used_memory: i64,
    /// Always null in this generation.
    pub num_clients: Option<u64>,
}

/// `dea.advertise`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advertise {
    /// DEA id.
    pub id: String,
    /// Exact stack names.
    #[serde(default, deserialize_with = "null_default")]
    pub stacks: Vec<String>,
    /// MB; may be negative.
    #[serde(default, deserialize_with = "null_default")]
    pub available_memory: i64,
    /// MB; absent = enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_disk: Option<i64>,
    /// Entries per app, crashed and evacuating ones included.
    #[serde(default, deserialize_with = "null_default")]
    pub app_id_to_count: BTreeMap<String, u32>,
    /// Zone.
    #[serde(default, deserialize_with = "null_default")]
    pub placement_properties: PlacementProperties,
}

/// Where a DEA stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlacementProperties {
    /// Zone name, `default` unless configured.
    #[serde(default = "default_zone")]
    pub zone: String,
}

fn default_zone() -> String {
    "default".into()
}

impl Default for PlacementProperties {
    fn default() -> Self {
        Self {
            zone: default_zone(),
        }
    }
}

impl Message for Advertise {
    const SUBJECT: &'static str = "dea.advertise";
}

/// Limits of an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// MB.
    pub mem: u64,
    /// MB.
    pub disk: u64,
    /// File descriptors.
    pub fds: u64,
}

/// A service bound to an app, in the order the originals list its keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoundService {
    /// Credentials, any JSON.
    #[serde(default)]
    pub credentials: Value,
    /// `user-provided` or the service's label.
    pub label: String,
    /// Instance name.
    pub name: String,
    /// Everything else the controller sent (tags, plan, options, syslog_drain_url …).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One egress rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressRule {
    /// tcp, udp, icmp or all.
    pub protocol: String,
    /// IP, CIDR or range.
    pub destination: String,
    /// `"80"`, `"80,443"`, `"8000-9000"`; absent = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<String>,
    /// ICMP type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<i32>,
    /// ICMP code.
    #[serde(rename = "code", default, skip_serializing_if = "Option::is_none")]
    pub icmp_code: Option<i32>,
    /// Log matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<bool>,
}

/// `dea.<dea_id>.start`: start one instance. No reply of any kind: success is a
/// heartbeat with RUNNING, failure a `droplet.exited`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartInstance {
    /// Process guid (the app guid unless a rolling change is under way).
    pub droplet: String,
    /// App name.
    pub name: String,
    /// Routes; empty = no port check, no registration.
    #[serde(default, deserialize_with = "null_default")]
    pub uris: Vec<String>,
    /// Carried, unused.
    #[serde(default, deserialize_with = "null_default")]
    pub prod: bool,
    /// SHA-1 of the droplet; null inside a staging request.
    #[serde(default)]
    pub sha1: Option<String>,
    /// Always `deprecated`.
    #[serde(rename = "executableFile", default, deserialize_with = "null_default")]
    pub executable_file: String,
    /// Droplet download URL with credentials.
    #[serde(rename = "executableUri", default)]
    pub executable_uri: Option<String>,
    /// App version, echoed in heartbeats.
    pub version: String,
    /// Bound services.
    #[serde(default, deserialize_with = "null_default")]
    pub services: Vec<BoundService>,
    /// Limits.
    pub limits: Limits,
    /// `K=V` in order; split on the first `=`.
    #[serde(default, deserialize_with = "null_default")]
    pub env: Vec<String>,
    /// Partition name, `default`.
    pub cc_partition: String,
    /// Carried, unused.
    #[serde(default)]
    pub console: Option<bool>,
    /// Carried, unused.
    #[serde(default)]
    pub debug: Option<String>,
    /// Overrides the staged command.
    #[serde(default)]
    pub start_command: Option<String>,
    /// Seconds; null = the DEA's default.
    #[serde(default)]
    pub health_check_timeout: Option<u64>,
    /// Base of VCAP_APPLICATION.
    #[serde(default, deserialize_with = "null_default")]
    pub vcap_application: Map<String, Value>,
    /// Instance index.
    pub index: u32,
    /// Outbound rules.
    #[serde(default, deserialize_with = "null_default")]
    pub egress_network_rules: Vec<EgressRule>,
    /// Stack name (ours and later originals); absent = the DEA's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// App guid when `droplet` is a process guid of its own (decision 9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// `port`, `none`, `process` or `http`; absent = port when there are routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_type: Option<String>,
    /// Path that must answer 200 when the type is `http`; absent = `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_http_endpoint: Option<String>,
}

impl StartInstance {
    /// The subject of one DEA.
    pub fn subject(dea_id: &str) -> String {
        format!("dea.{dea_id}.start")
    }

    /// The app guid: `app`, else the process guid.
    pub fn app_guid(&self) -> &str {
        self.app.as_deref().unwrap_or(&self.droplet)
    }
}

/// `dea.stop`, and the filter half of `dea.find.droplet`: all given criteria must match.
/// An explicitly empty list matches nothing (the 2015 original: everything).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// Process guid.
    pub droplet: String,
    /// Exact version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Instance ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<Vec<String>>,
    /// Instance ids, the other name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_ids: Option<Vec<String>>,
    /// Indices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indices: Option<Vec<u32>>,
    /// State names, any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<Vec<String>>,
}

impl Message for Stop {
    const SUBJECT: &'static str = "dea.stop";
}

/// `dea.update`: the full list of uris of an app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// Process guid.
    pub droplet: String,
    /// Full replacement list.
    #[serde(default, deserialize_with = "null_default")]
    pub uris: Vec<String>,
    /// New version; absent = unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Message for Update {
    const SUBJECT: &'static str = "dea.update";
}

/// `dea.find.droplet`, answered by [`Found`] once per matching instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Find {
    /// Which instances.
    #[serde(flatten)]
    pub filter: Stop,
    /// Include `stats` of RUNNING instances.
    #[serde(
        default,
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "null_default"
    )]
    pub include_stats: bool,
    /// Path for `file_uri_v2`; the key's presence asks for the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Message for Find {
    const SUBJECT: &'static str = "dea.find.droplet";
}

/// One reply to `dea.find.droplet`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// DEA id.
    pub dea: String,
    /// Process guid.
    pub droplet: String,
    /// Version.
    pub version: String,
    /// Instance id.
    pub instance: String,
    /// Index.
    pub index: u32,
    /// State name.
    pub state: String,
    /// Unix seconds of entering the state.
    pub state_timestamp: f64,
    /// `/<instance id>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<String>,
    /// Signed URL of the directory server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_uri_v2: Option<String>,
    /// Measurements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<Stats>,
}

/// Measurements of a RUNNING instance; sizes in bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// App name.
    pub name: String,
    /// Routes.
    pub uris: Vec<String>,
    /// DEA address.
    pub host: String,
    /// Host port.
    pub port: u16,
    /// Seconds since STARTING.
    pub uptime: u64,
    /// Bytes.
    pub mem_quota: u64,
    /// Bytes.
    pub disk_quota: u64,
    /// Descriptors.
    pub fds_quota: u64,
    /// Usage.
    pub usage: Usage,
}

/// What an instance uses now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Time of the sample, text.
    pub time: String,
    /// Fraction of one core.
    pub cpu: f64,
    /// Bytes.
    pub mem: u64,
    /// Bytes.
    pub disk: u64,
}

/// `dea.heartbeat`: the complete list of a DEA's instances; not listed = gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// DEA id.
    pub dea: String,
    /// Instances in STARTING, RUNNING, CRASHED, EVACUATING.
    #[serde(default, deserialize_with = "null_default")]
    pub droplets: Vec<InstanceHeartbeat>,
}

/// One instance of a heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceHeartbeat {
    /// Partition.
    #[serde(default, deserialize_with = "null_default")]
    pub cc_partition: String,
    /// Process guid.
    pub droplet: String,
    /// Version.
    pub version: String,
    /// Instance id.
    pub instance: String,
    /// Index.
    pub index: u32,
    /// State.
    pub state: HeartbeatState,
    /// Unix seconds.
    #[serde(default, deserialize_with = "null_default")]
    pub state_timestamp: f64,
}

/// States that appear in heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HeartbeatState {
    /// On its way.
    Starting,
    /// Serving.
    Running,
    /// Ended by itself.
    Crashed,
    /// Serving until replaced.
    Evacuating,
}

impl Message for Heartbeat {
    const SUBJECT: &'static str = "dea.heartbeat";
}

/// `dea.shutdown`: the DEA takes no more work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shutdown {
    /// The hello fields.
    #[serde(flatten)]
    pub hello: Hello,
    /// Instances per app.
    #[serde(default, deserialize_with = "null_default")]
    pub app_id_to_count: BTreeMap<String, u32>,
}

impl Message for Shutdown {
    const SUBJECT: &'static str = "dea.shutdown";
}

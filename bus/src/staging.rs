//! The staging family.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Message;
use crate::dea::{BoundService, EgressRule, StartInstance};
use crate::message::null_default;

/// Request subject: every stager advertises now.
pub const LOCATE: &str = "staging.locate";

/// `staging.advertise`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advertise {
    /// DEA id.
    pub id: String,
    /// Stack names.
    #[serde(default, deserialize_with = "null_default")]
    pub stacks: Vec<String>,
    /// MB.
    #[serde(default, deserialize_with = "null_default")]
    pub available_memory: i64,
    /// MB; absent = enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_disk: Option<i64>,
}

impl Message for Advertise {
    const SUBJECT: &'static str = "staging.advertise";
}

/// `staging.<dea_id>.start`: stage one app. Two replies follow on the inbox:
/// [`Reply`] after the set-up, [`Reply`] after the uploads or any failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// App guid (a log id in v3 staging).
    pub app_id: String,
    /// 32 hex.
    pub task_id: String,
    /// Services, limits, environment, buildpack.
    pub properties: Properties,
    /// Package URL.
    #[serde(default)]
    pub download_uri: Option<String>,
    /// Droplet upload URL; carries the task id (decision 10).
    #[serde(default)]
    pub upload_uri: Option<String>,
    /// Null when no cache exists.
    #[serde(default)]
    pub buildpack_cache_download_uri: Option<String>,
    /// Cache upload URL.
    #[serde(default)]
    pub buildpack_cache_upload_uri: Option<String>,
    /// Instance 0, started by the stager itself after a good staging.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_message: Option<StartInstance>,
    /// Enabled buildpacks in the order of detection.
    #[serde(default, deserialize_with = "null_default")]
    pub admin_buildpacks: Vec<AdminBuildpack>,
    /// Staging rules.
    #[serde(default, deserialize_with = "null_default")]
    pub egress_network_rules: Vec<EgressRule>,
    /// Stack; absent = the DEA's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// CC part of VCAP_APPLICATION when there is no start message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcap_application: Option<Map<String, Value>>,
}

impl Start {
    /// The subject of one stager.
    pub fn subject(dea_id: &str) -> String {
        format!("staging.{dea_id}.start")
    }
}

/// What the stager needs to know of the app.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Properties {
    /// Bound services.
    #[serde(default, deserialize_with = "null_default")]
    pub services: Vec<BoundService>,
    /// Limits of the staging container.
    #[serde(default, deserialize_with = "null_default")]
    pub resources: Resources,
    /// `K=V`: staging group merged under the app's environment.
    #[serde(default, deserialize_with = "null_default")]
    pub environment: Vec<String>,
    /// Start command given by the user.
    #[serde(default, deserialize_with = "null_default")]
    pub meta: Meta,
    /// Key of an installed buildpack chosen by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buildpack_key: Option<String>,
    /// Git URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buildpack: Option<String>,
    /// Git URL, the newer name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buildpack_git_url: Option<String>,
}

/// Limits of a staging container, MB and descriptors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// MB.
    #[serde(default, deserialize_with = "null_default")]
    pub memory: u64,
    /// MB.
    #[serde(default, deserialize_with = "null_default")]
    pub disk: u64,
    /// Descriptors.
    #[serde(default, deserialize_with = "null_default")]
    pub fds: u64,
}

/// `properties.meta`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Start command, or null.
    #[serde(default)]
    pub command: Option<String>,
    /// Carried, unused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<bool>,
}

/// One installed buildpack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminBuildpack {
    /// Blob key, changes with the content.
    pub key: String,
    /// Zip download URL with credentials.
    pub url: String,
}

/// Both replies of a staging.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Task.
    pub task_id: String,
    /// Reply 1: where the staging log streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_streaming_log_url: Option<String>,
    /// Reply 2: what detect printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected_buildpack: Option<String>,
    /// Reply 2: the installed buildpack used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buildpack_key: Option<String>,
    /// Reply 2: SHA-1 of the droplet; non-null also says "index 0 is started".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub droplet_sha1: Option<String>,
    /// Reply 2: the staged start command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected_start_command: Option<String>,
    /// Failure in words.
    #[serde(default)]
    pub error: Option<String>,
    /// Typed failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_info: Option<ErrorInfo>,
}

/// A typed staging failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorInfo {
    /// `NoAppDetectedError`, `BuildpackCompileFailed`, `BuildpackReleaseFailed`,
    /// `StagingError`, `StagingTimeExpired`, `InsufficientResources`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Text.
    pub message: String,
}

/// `staging.stop`: every stager stops its tasks of this app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// App guid.
    pub app_id: String,
}

impl Message for Stop {
    const SUBJECT: &'static str = "staging.stop";
}

/// `buildpacks`: a bare list, so that stagers can fetch them ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Buildpacks(pub Vec<AdminBuildpack>);

impl Message for Buildpacks {
    const SUBJECT: &'static str = "buildpacks";
}

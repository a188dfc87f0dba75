//! Settings of the controller.

use std::path::PathBuf;

use bus::BusConfig;
use bus::times::Profile;
use component::{BasicAuth, DaemonConfig, StatusConfig};
use database::{Location, Options};
use serde::{Deserialize, Serialize};

/// Settings of the controller.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address of the API; port 0 takes a free one.
    pub listen: String,
    /// Address of the API as others know it, e.g. `https://api.example.com`. Only a fallback: URLs handed to a client are built
    /// from the address it used.
    pub external_url: Option<String>,
    /// Base URL DEAs reach this controller at, without credentials; default `http://<bound address>`.
    pub internal_url: Option<String>,
    /// SQLite file, or `postgres://USER@HOST[:PORT]/NAME` for several controllers. The address never holds a password.
    pub database: Location,
    /// How the database is used: password file, connections, waiting, group commit.
    pub database_options: Options,
    /// Directory of packages, droplets, buildpacks and caches, unless `blob_service` says otherwise.
    pub blobstore: PathBuf,
    /// What keeps the blobs: `directory`, `memory`, or `s3: {bucket: …}`. Several controllers need one they share.
    pub blob_service: BlobService,
    /// Directory for uploads in flight; default: `uploads` in the blobstore, so that they lie on a disk with room.
    pub temp_dir: Option<PathBuf>,
    /// File (mode 0600, made when missing) with the key that encrypts env values, service credentials and signing keys, and with the
    /// secrets that addresses are signed with; every controller of a platform reads the same.
    pub secrets_file: PathBuf,
    /// The message bus.
    pub bus: BusConfig,
    /// Time constants.
    pub profile: Profile,
    /// Status endpoint.
    pub status: StatusConfig,
    /// Job index.
    pub index: u32,
    /// Credentials for `/staging/…`, for original components that bring some. What is handed out on the bus are signed addresses, which
    /// need none.
    pub staging_auth: Auth,
    /// Credentials the health manager uses for `/bulk/…` and `/internal/v1/…`.
    pub bulk_auth: Auth,
    /// Credentials of the log intake.
    pub internal_auth: Auth,
    /// Shared domains made at start; the first is the default of `cf push`.
    pub domains: Vec<String>,
    /// Port the router serves apps on, told to clients in `/v2/info` so that they can print whole URLs; absent: not told.
    pub app_port: Option<u16>,
    /// Stacks known; the first is the default.
    pub stacks: Vec<StackConfig>,
    /// Buildpacks installed at start, in position order.
    pub install_buildpacks: Vec<BuildpackConfig>,
    /// First user, organization and space.
    pub seed: Option<SeedConfig>,
    /// Quota of organizations that name none.
    pub default_quota: QuotaConfig,
    /// Egress rules added for staging and running containers besides `public_networks` and `dns`: `CIDR` or `CIDR:PORTS`.
    pub allow_egress: Vec<String>,
    /// The API version announced; clients choose their behaviour by it.
    pub api_version: String,
    /// Limits of apps and uploads.
    pub limits: LimitsConfig,
    /// Staging.
    pub staging: StagingConfig,
    /// The token server, mounted here.
    pub uaa: uaa::Config,
    /// The log server, mounted here.
    pub loggregator: loggregator::Config,
    /// Seconds between looks for blobs that nobody refers to any more: packages, droplets, caches, files of apps.
    pub blob_sweep_seconds: u32,
    /// Seconds a blob stays at least after it was stored, referred to or not. A file that no package holds goes when it is that old
    /// and clients have not been told for as long that they need not send it; so no upload may take longer than this.
    pub blob_grace_seconds: u32,
    /// Droplets kept per app; the newest ones.
    pub kept_droplets: u32,
    /// Days events are kept.
    pub events_days: u32,
    /// Seconds an address handed to a DEA or stager is good for, beyond the time a staging may take.
    pub address_seconds: u32,
}

impl Config {
    /// Where uploads in flight are kept.
    pub fn uploads(&self) -> PathBuf {
        let default = || self.blobstore.join("uploads");
        self.temp_dir.clone().unwrap_or_else(default)
    }
}

/// What keeps the blobs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlobService {
    /// The directory `blobstore`.
    #[default]
    Directory,
    /// This process: everything is lost when it ends. For trials.
    Memory,
    /// A bucket of S3, or of a service that speaks its protocol.
    S3(S3Config),
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Config {
    /// Its name; it must exist.
    pub bucket: String,
    /// What the keys of our blobs begin with.
    #[serde(default)]
    pub prefix: String,
    /// Address of a service other than Amazon's, e.g. `https://minio.example:9000`.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Region.
    #[serde(default = "default_region")]
    pub region: String,
    /// File (mode 0600) with the access key's id and secret; absent: the environment (`AWS_ACCESS_KEY_ID` …) or the machine's role.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
    /// Send who fetches a package, droplet or cache to a signed address of the bucket, instead of passing the content through the
    /// controller. The bucket must then be reachable from DEAs. Not with a prefix.
    #[serde(default)]
    pub redirect: bool,
}

fn default_region() -> String {
    "us-east-1".into()
}

/// A user and a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// User.
    pub user: String,
    /// Password; empty refuses every request.
    pub password: String,
}

impl Auth {
    /// In the form checks want.
    pub fn basic(&self) -> BasicAuth {
        BasicAuth {
            user: self.user.clone(),
            password: self.password.clone(),
        }
    }
}

/// A stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackConfig {
    /// Name; DEAs advertise it.
    pub name: String,
    /// Shown by `cf stacks`.
    #[serde(default)]
    pub description: String,
}

/// A buildpack installed at start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildpackConfig {
    /// Name.
    pub name: String,
    /// A directory with `bin/`, or a zip of one.
    pub path: PathBuf,
}

/// The first user, organization and space; existing ones are left as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedConfig {
    /// Administrator's name.
    pub admin_user: String,
    /// File (mode 0600) with the administrator's password.
    pub admin_password_file: PathBuf,
    /// Organization made, if named.
    pub org: Option<String>,
    /// Space made in it, if named.
    pub space: Option<String>,
}

/// A quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuotaConfig {
    /// Name.
    pub name: String,
    /// MB of all started apps of an organization.
    pub memory_limit_mb: i64,
    /// Routes of an organization.
    pub total_routes: i64,
    /// Service instances of an organization.
    pub total_services: i64,
}

impl Default for QuotaConfig {
    fn default() -> QuotaConfig {
        QuotaConfig {
            name: "default".into(),
            memory_limit_mb: 10_240,
            total_routes: 1_000,
            total_services: 100,
        }
    }
}

/// Limits of apps and uploads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Memory of an app that names none, MB.
    pub default_app_memory_mb: i64,
    /// Disk of an app that names none, MB.
    pub default_app_disk_mb: i64,
    /// Most disk an app may ask for, MB.
    pub maximum_app_disk_mb: i64,
    /// Longest health check timeout, seconds.
    pub maximum_health_check_timeout: i64,
    /// Most instances an app may ask for (a bound of ours).
    pub maximum_instances: i64,
    /// Largest app package, bytes, unpacked.
    pub max_package_bytes: u64,
    /// Largest droplet or buildpack, bytes.
    pub max_droplet_bytes: u64,
    /// Files smaller than this (or equal) are not kept for resource matching, bytes.
    pub resource_minimum_bytes: u64,
    /// Files larger than this (or equal) are not kept for resource matching, bytes.
    pub resource_maximum_bytes: u64,
    /// Whether apps may name buildpacks by their address, besides the installed ones.
    pub custom_buildpacks: bool,
}

impl Default for LimitsConfig {
    fn default() -> LimitsConfig {
        LimitsConfig {
            default_app_memory_mb: 1_024,
            default_app_disk_mb: 1_024,
            maximum_app_disk_mb: 2_048,
            maximum_health_check_timeout: 180,
            maximum_instances: 10_000,
            max_package_bytes: 512 * 1024 * 1024,
            max_droplet_bytes: 2 * 1024 * 1024 * 1024,
            resource_minimum_bytes: 0,
            resource_maximum_bytes: 512 * 1024 * 1024,
            custom_buildpacks: true,
        }
    }
}

/// Staging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StagingConfig {
    /// Seconds a staging may take in all.
    pub timeout_seconds: u64,
    /// MB a staging container has at least.
    pub minimum_memory_mb: i64,
    /// MB of disk a staging container has at least.
    pub minimum_disk_mb: i64,
    /// Milliseconds to wait for an advertisement when no stager is known yet.
    pub locate_wait_ms: u64,
}

impl Default for StagingConfig {
    fn default() -> StagingConfig {
        StagingConfig {
            timeout_seconds: 900,
            minimum_memory_mb: 1_024,
            minimum_disk_mb: 4_096,
            locate_wait_ms: 1_500,
        }
    }
}

fn auth(user: &str) -> Auth {
    Auth {
        user: user.into(),
        password: String::new(),
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: "127.0.0.1:8181".into(),
            external_url: None,
            internal_url: None,
            database: "cloud-controller.db".into(),
            database_options: Options::default(),
            blobstore: "blobs".into(),
            blob_service: BlobService::default(),
            temp_dir: None,
            secrets_file: "shared-secrets.json".into(),
            bus: BusConfig::default(),
            profile: Profile::default(),
            status: StatusConfig::default(),
            index: 0,
            staging_auth: auth("staging"),
            bulk_auth: auth("bulk_api"),
            internal_auth: auth("internal"),
            domains: vec!["bloomery.localhost".into()],
            app_port: None,
            stacks: vec![StackConfig {
                name: "host".into(),
                description: "The host's own system, read-only".into(),
            }],
            install_buildpacks: Vec::new(),
            seed: None,
            default_quota: QuotaConfig::default(),
            allow_egress: Vec::new(),
            api_version: "2.37.0".into(),
            limits: LimitsConfig::default(),
            staging: StagingConfig::default(),
            uaa: uaa::Config::default(),
            loggregator: loggregator::Config::default(),
            blob_sweep_seconds: 3_600,
            blob_grace_seconds: 24 * 3_600,
            kept_droplets: 2,
            events_days: 31,
            address_seconds: 600,
        }
    }
}

impl DaemonConfig for Config {
    fn validate(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, text: &str| problems.push((key.to_owned(), text.to_owned()));
        for (key, auth) in [
            ("staging_auth", &self.staging_auth),
            ("bulk_auth", &self.bulk_auth),
            ("internal_auth", &self.internal_auth),
        ] {
            if auth.password.is_empty() {
                problem(
                    &format!("{key}.password"),
                    "must be set: it protects this controller's internal endpoints",
                );
            }
        }
        if self.stacks.is_empty() {
            problem("stacks", "must name at least one stack");
        }
        if self.domains.is_empty() {
            problem(
                "domains",
                "must name at least one shared domain, or cf push finds no default domain",
            );
        }
        for (at, rule) in self.allow_egress.iter().enumerate() {
            if crate::seed::egress_rule(rule).is_none() {
                problem(
                    &format!("allow_egress[{at}]"),
                    "is not CIDR or CIDR:PORTS, e.g. 10.1.0.0/16:443",
                );
            }
        }
        problems
    }
}

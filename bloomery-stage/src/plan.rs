//! What the DEA asks for: `plan.json`.

use serde::Deserialize;

use crate::egress::Rule;

/// The plan; the DEA's `staging::plan` writes it.
#[derive(Debug, Clone, Deserialize)]
pub struct Plan {
    /// The zip to unpack.
    pub package: String,
    /// The cache to restore, if any.
    pub cache_archive: Option<String>,
    /// Where the package is unpacked.
    pub source_dir: String,
    /// Where the droplet grows.
    pub dest_dir: String,
    /// The buildpack's cache directory.
    pub cache_dir: String,
    /// Installed buildpacks in order of detection.
    pub buildpack_dirs: Vec<String>,
    /// The one chosen by name.
    pub chosen_dir: Option<String>,
    /// A URL instead: a git repository or a zip archive.
    pub git_url: Option<String>,
    /// The user's start command.
    pub command: Option<String>,
    /// What the container may reach; none = unknown.
    #[serde(default)]
    pub egress: Option<Vec<Rule>>,
    /// Seconds for the buildpack.
    pub timeout_secs: u64,
}

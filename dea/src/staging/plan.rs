//! What the buildpack runner is told: `plan.json` in the workspace. The runner
//! (`bloomery-stage`) reads it inside the container with its own copy of these keys:
//! it shares no crate with us, so that it stays small.

use bus::dea::EgressRule;
use serde::{Deserialize, Serialize};

/// Paths inside the staging container.
pub mod inside {
    /// The workspace, read-only.
    pub const WORKSPACE: &str = "/tmp/bloomery/workspace";
    /// `bloomery-stage` and its companions, read-only.
    pub const TOOLS: &str = "/tmp/bloomery/tools";
    /// The installed buildpacks, read-only.
    pub const BUILDPACKS: &str = "/tmp/bloomery/buildpacks";
    /// The unpacked package.
    pub const UNSTAGED: &str = "/tmp/unstaged";
    /// The result.
    pub const STAGED: &str = "/tmp/staged";
    /// The buildpack cache.
    pub const CACHE: &str = "/tmp/cache";
}

/// Names in the workspace.
pub mod name {
    /// The app package.
    pub const PACKAGE: &str = "app.zip";
    /// The buildpack cache.
    pub const CACHE: &str = "buildpack_cache.tgz";
    /// The plan.
    pub const PLAN: &str = "plan.json";
}

/// The plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Directories of the installed buildpacks in order of detection.
    pub buildpack_dirs: Vec<String>,
    /// The one chosen by name.
    pub chosen_dir: Option<String>,
    /// A URL instead: a git repository or a zip archive.
    pub git_url: Option<String>,
    /// The user's start command.
    pub command: Option<String>,
    /// What the container may reach, for a better error than a refused connection.
    pub egress: Vec<EgressRule>,
    /// Seconds for the buildpack.
    pub timeout_secs: u64,
}

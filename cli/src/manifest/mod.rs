//! `manifest.yml`: from a file to one [`AppManifest`] per app. [`source`] reads within
//! bounds, [`node`] is the YAML with its lines, [`inherit`] follows `inherit`, [`merge`]
//! says which attribute wins and [`attributes`] gives them types.

pub mod attributes;
pub mod inherit;
pub mod merge;
pub mod node;
pub mod source;
pub mod words;

use std::path::{Path, PathBuf};

use crate::error::CfError;

/// Everything a manifest can say of one app.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AppManifest {
    /// Name.
    pub name: Option<String>,
    /// Directory or archive, relative to the manifest that says so.
    pub path: Option<PathBuf>,
    /// MB.
    pub memory: Option<u64>,
    /// MB.
    pub disk_quota: Option<u64>,
    /// Count.
    pub instances: Option<u64>,
    /// Buildpack name or URL.
    pub buildpack: Option<String>,
    /// Start command.
    pub command: Option<String>,
    /// Stack name.
    pub stack: Option<String>,
    /// Seconds until the app must accept connections.
    pub timeout: Option<u64>,
    /// `port`, `none`, `process`, `http`.
    pub health_check_type: Option<String>,
    /// Path asked for when the type is `http`.
    pub health_check_http_endpoint: Option<String>,
    /// Hosts.
    pub hosts: Vec<String>,
    /// Domains.
    pub domains: Vec<String>,
    /// The domain alone is the route.
    pub no_hostname: bool,
    /// No route at all.
    pub no_route: bool,
    /// A random host.
    pub random_route: bool,
    /// Full routes.
    pub routes: Vec<String>,
    /// Service instances to bind.
    pub services: Vec<String>,
    /// Environment, in order.
    pub env: Vec<(String, String)>,
    /// Ports the app listens on.
    pub app_ports: Vec<u64>,
}

/// Reads a manifest and what it inherits; returns its apps, shared attributes merged in.
pub fn read(path: &Path) -> Result<Vec<AppManifest>, CfError> {
    parse(path, &source::load(path)?)
}

/// The same from text; `path` is named in errors, and inherited files are found beside it.
pub fn parse(path: &Path, text: &str) -> Result<Vec<AppManifest>, CfError> {
    let document = inherit::resolve(path, text, &words::random())?;
    let apps = document.apps.into_iter();
    apps.map(|own| attributes::app(&merge::over(&document.shared, own), path))
        .collect()
}

/// An error in a manifest.
pub fn bad(path: &Path, line: usize, message: impl Into<String>) -> CfError {
    CfError::Manifest {
        path: path.into(),
        line,
        message: message.into(),
    }
}

#[cfg(test)]
mod tests;

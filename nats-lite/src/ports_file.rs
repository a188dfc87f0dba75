//! The file that tells a supervisor where the server listens, in `nats-server`'s format.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

#[derive(Serialize)]
struct Ports {
    nats: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    monitoring: Vec<String>,
}

/// The name before the process id: ours, or the original's where this program stands in its place.
fn program() -> &'static str {
    let called = std::env::args_os().next().map(std::path::PathBuf::from);
    match called.as_deref().and_then(Path::file_stem) {
        Some(name) if name == "nats-server" => "nats-server",
        _ => "nats-lite",
    }
}

/// Writes `<dir>/nats-lite_<pid>.ports` so that a reader never sees half of it; returns its path.
pub(crate) fn write(
    dir: &Path,
    client: std::net::SocketAddr,
    monitor: Option<std::net::SocketAddr>,
) -> io::Result<PathBuf> {
    let ports = Ports {
        nats: vec![format!("nats://{client}")],
        monitoring: monitor
            .iter()
            .map(|addr| format!("http://{addr}"))
            .collect(),
    };
    let path = dir.join(format!("{}_{}.ports", program(), std::process::id()));
    let unfinished = path.with_extension("ports.tmp");
    std::fs::write(&unfinished, serde_json::to_vec(&ports)?)?;
    std::fs::rename(&unfinished, &path)?;
    Ok(path)
}

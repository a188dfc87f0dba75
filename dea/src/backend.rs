//! The container backend that the configuration asks for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use warden::{Backend, Error};
use warden::{DnsConfig, LinuxBackend, LinuxConfig};
use warden::{ProcessBackend, ProcessConfig};

use crate::config::{BackendKind, Config};

/// Opens the backend on `<base_dir>/depot`, taking over the containers found there.
pub async fn open(config: &Config) -> Result<Arc<dyn Backend>, Error> {
    let (depot, wshd) = (config.base_dir.join("depot"), wshd(config));
    Ok(match config.warden.backend {
        BackendKind::Linux => Arc::new(LinuxBackend::open(linux(config, depot, wshd)).await?),
        BackendKind::Process => Arc::new(ProcessBackend::open(ProcessConfig {
            depot,
            wshd,
            ..ProcessConfig::default()
        })?),
    })
}

fn linux(config: &Config, depot: PathBuf, wshd: PathBuf) -> LinuxConfig {
    LinuxConfig {
        depot,
        wshd,
        subnet_pool: config.warden.subnet_pool.clone(),
        instance_ports: config.instance_ports,
        routers: config.routers.clone(),
        allow_host_ports: config.warden.allow_host_ports.clone(),
        dns: Some(DnsConfig {
            domains: config.warden.dns_domains.clone(),
            ..DnsConfig::default()
        }),
        // A freed port rests at least as long as a router may remember it (decision 17).
        port_rest_seconds: config.times().router_stale.as_secs().max(1),
        ..LinuxConfig::default()
    }
}

fn wshd(config: &Config) -> PathBuf {
    if !config.warden.wshd.as_os_str().is_empty() {
        return config.warden.wshd.clone();
    }
    let own = std::env::current_exe().ok();
    own.and_then(|p| p.parent().map(Path::to_path_buf))
        .unwrap_or_default()
        .join("wshd")
}

//! The programs of the platform, in a table: what is started, and how one knows
//! that it is ready.

use crate::settings::Settings;

/// One component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// `nats-lite`, `cloud-controller`, `router`, `health-manager`, `dea-0` …
    pub name: String,
    /// Its program.
    pub program: &'static str,
    /// What it offers to others, for `status`.
    pub addr: String,
    /// Answers 200 when ready.
    pub health_url: String,
}

/// Every component in the order of starting; the order does not matter to them.
pub fn all(settings: &Settings) -> Vec<Component> {
    let local = |port: u16| format!("127.0.0.1:{port}");
    let make = |name: String, program: &'static str, addr: String| {
        let port = settings.status_ports.get(&name).copied().unwrap_or(0);
        Component {
            health_url: format!("http://127.0.0.1:{port}/healthz"),
            name,
            program,
            addr,
        }
    };
    let mut list = vec![
        make("nats-lite".into(), "nats-lite", local(settings.bus_port)),
        make(
            "cloud-controller".into(),
            "cloud-controller",
            local(settings.api_port),
        ),
        make(
            "router".into(),
            "router",
            format!("0.0.0.0:{}", settings.router_port),
        ),
        make(
            "health-manager".into(),
            "health-manager",
            local(settings.health_port),
        ),
    ];
    if settings.bus_url.is_some() {
        list.retain(|component| component.name != "nats-lite");
    }
    list.extend((0..settings.deas).map(|n| {
        let name = format!("dea-{n}");
        let addr = local(settings.files_ports.get(&name).copied().unwrap_or(0));
        make(name, "dea", addr)
    }));
    list
}

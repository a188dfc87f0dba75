//! What is chosen at the first `up` and kept: ports, secrets, domain, number of
//! DEAs. `settings.json`, mode 0600.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::args::Up;
use crate::error::Error;
use crate::layout::Layout;

/// Internal ports are taken from here on: below the range that the kernel gives to
/// outgoing connections, so that a restart finds them free.
const INTERNAL_PORTS: u16 = 24_200;

/// The settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Domain of the apps.
    pub domain: String,
    /// Number of DEAs.
    pub deas: u32,
    /// Router.
    pub router_port: u16,
    /// API.
    pub api_port: u16,
    /// The embedded message bus.
    pub bus_port: u16,
    /// Another message bus in its place.
    #[serde(default)]
    pub bus_url: Option<String>,
    /// Health manager's API.
    pub health_port: u16,
    /// Status endpoints by component.
    pub status_ports: BTreeMap<String, u16>,
    /// Directory servers by component.
    pub files_ports: BTreeMap<String, u16>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, String>,
    /// Ids of the DEAs by component: each has a bus user that hears its own work only.
    #[serde(default)]
    pub dea_ids: BTreeMap<String, String>,
    /// Extra egress.
    pub allow: Vec<String>,
    /// MB promised to apps in all.
    pub memory_mb: u64,
    /// `linux` or `process`.
    pub backend: String,
    /// Time constants.
    pub profile: String,
    /// Directory of built stacks, when it is not the data directory's.
    #[serde(default)]
    pub stacks: Option<PathBuf>,
    /// Other names for built stacks, `NAME=STACK`.
    #[serde(default = "usual_aliases")]
    pub stack_aliases: Vec<String>,
    /// Runtimes of this host that apps may use, `LANGUAGE=DIR`.
    #[serde(default)]
    pub runtimes: Vec<String>,
}

/// What manifests of the original's time ask for.
fn usual_aliases() -> Vec<String> {
    vec!["cflinuxfs2=debian12".into()]
}

/// Names of the generated secrets.
const SECRETS: [&str; 9] = [
    "bus-controller",
    "bus-collector",
    "bus-router",
    "bus-health-manager",
    "staging",
    "bulk",
    "internal",
    "status",
    "health-api",
];

impl Settings {
    /// The kept settings, if this directory has been up before.
    pub fn load(layout: &Layout) -> Result<Option<Self>, Error> {
        let path = layout.settings();
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|e| Error::Damaged {
                    path,
                    reason: e.to_string(),
                }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::file("read", path)(e)),
        }
    }

    /// The kept settings with this `up`'s flags applied, or fresh ones.
    pub fn for_up(layout: &Layout, flags: &Up) -> Result<Self, Error> {
        let mut settings = match Self::load(layout)? {
            Some(kept) => kept,
            None => Self::fresh(flags)?,
        };
        if let Some(deas) = flags.deas {
            settings.deas = deas.max(1);
        }
        if let Some(domain) = &flags.domain {
            settings.domain.clone_from(domain);
        }
        if flags.bus.is_some() {
            settings.bus_url.clone_from(&flags.bus);
        }
        if let Some(profile) = &flags.profile {
            settings.profile.clone_from(profile);
        }
        if let Some(backend) = &flags.backend {
            settings.backend.clone_from(backend);
        }
        settings.memory_mb = flags.memory.unwrap_or(settings.memory_mb);
        for rule in &flags.allow {
            if !settings.allow.contains(rule) {
                settings.allow.push(rule.clone());
            }
        }
        settings.take_runtime_flags(flags)?;
        settings.assign_ports()?;
        settings.name_deas();
        settings.fill_secrets();
        settings.save(layout)?;
        Ok(settings)
    }

    /// Stacks, their other names, and runtimes; all are kept for later starts.
    fn take_runtime_flags(&mut self, flags: &Up) -> Result<(), Error> {
        if let Some(dir) = &flags.stacks {
            let dir = std::path::absolute(dir).map_err(Error::file("resolve", dir))?;
            self.stacks = Some(dir);
        }
        for (list, given, form) in [
            (
                &mut self.stack_aliases,
                &flags.stack_alias,
                "--stack-alias NAME=STACK",
            ),
            (&mut self.runtimes, &flags.runtime, "--runtime LANGUAGE=DIR"),
        ] {
            for pair in given {
                let good = pair
                    .split_once('=')
                    .is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
                if !good {
                    return Err(Error::Usage(format!("{pair:?} is not of the form {form}")));
                }
                if !list.contains(pair) {
                    list.push(pair.clone());
                }
            }
        }
        Ok(())
    }

    fn fresh(flags: &Up) -> Result<Self, Error> {
        let mut taken = Vec::new();
        let mut pick = |first: u16| free_port(first, &mut taken);
        Ok(Self {
            domain: flags
                .domain
                .clone()
                .unwrap_or_else(|| "bloomery.localhost".into()),
            deas: flags.deas.unwrap_or(1).max(1),
            router_port: pick(flags.router_port.unwrap_or(8080))?,
            api_port: pick(flags.api_port.unwrap_or(8181))?,
            bus_port: pick(INTERNAL_PORTS)?,
            bus_url: None,
            health_port: pick(INTERNAL_PORTS)?,
            status_ports: BTreeMap::new(),
            files_ports: BTreeMap::new(),
            secrets: BTreeMap::new(),
            allow: Vec::new(),
            memory_mb: host_memory_mb(),
            backend: if is_root() {
                "linux".into()
            } else {
                "process".into()
            },
            profile: "default".into(),
            dea_ids: BTreeMap::new(),
            stacks: None,
            stack_aliases: usual_aliases(),
            runtimes: Vec::new(),
        })
    }

    /// A directory made by an earlier version lacks what was added since; an empty secret would open a door.
    fn fill_secrets(&mut self) {
        for name in SECRETS {
            self.secrets.entry(name.to_owned()).or_insert_with(secret);
        }
    }

    /// An id and a password for every DEA that has none yet.
    fn name_deas(&mut self) {
        for n in 0..self.deas {
            let name = format!("dea-{n}");
            let id = || format!("{n}-{}", secret());
            self.dea_ids.entry(name.clone()).or_insert_with(id);
            self.secrets
                .entry(format!("bus-{name}"))
                .or_insert_with(secret);
        }
    }

    fn assign_ports(&mut self) -> Result<(), Error> {
        let mut taken: Vec<u16> = [
            self.router_port,
            self.api_port,
            self.bus_port,
            self.health_port,
        ]
        .to_vec();
        taken.extend(self.status_ports.values().chain(self.files_ports.values()));
        let deas: Vec<String> = (0..self.deas).map(|n| format!("dea-{n}")).collect();
        let daemons =
            ["nats-lite", "cloud-controller", "router", "health-manager"].map(str::to_owned);
        for name in daemons.iter().chain(&deas) {
            if !self.status_ports.contains_key(name) {
                self.status_ports
                    .insert(name.clone(), free_port(INTERNAL_PORTS, &mut taken)?);
            }
        }
        for name in &deas {
            if !self.files_ports.contains_key(name) {
                self.files_ports
                    .insert(name.clone(), free_port(INTERNAL_PORTS, &mut taken)?);
            }
        }
        Ok(())
    }

    fn save(&self, layout: &Layout) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self).map_err(|e| Error::Usage(e.to_string()))?;
        write_private(&layout.settings(), &text)
    }

    /// A generated secret.
    pub fn secret(&self, name: &str) -> &str {
        self.secrets.get(name).map_or("", String::as_str)
    }

    /// Address of the API.
    pub fn api(&self) -> String {
        format!("http://127.0.0.1:{}", self.api_port)
    }
}

/// Writes a file that only its owner can read: temporary file, rename.
pub fn write_private(path: &Path, text: &[u8]) -> Result<(), Error> {
    let partial = path.with_extension("partial");
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial);
    file.and_then(|mut f| f.write_all(text))
        .map_err(Error::file("write", &partial))?;
    std::fs::rename(&partial, path).map_err(Error::file("rename", path))
}

/// 32 hex digits from the system's generator.
pub fn secret() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// The first port from `first` on that nobody listens on and nobody else here has;
/// 0 leaves the choice to us.
fn free_port(first: u16, taken: &mut Vec<u16>) -> Result<u16, Error> {
    let first = if first == 0 { INTERNAL_PORTS } else { first };
    let is_free =
        |port: u16| !taken.contains(&port) && TcpListener::bind(("0.0.0.0", port)).is_ok();
    let last = first.saturating_add(2000);
    let port = (first..=last)
        .find(|p| is_free(*p))
        .ok_or(Error::NoPort(first))?;
    taken.push(port);
    Ok(port)
}

fn host_memory_mb() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kb = text.lines().find_map(|l| {
        l.strip_prefix("MemTotal:")?
            .trim()
            .split(' ')
            .next()?
            .parse::<u64>()
            .ok()
    });
    kb.map_or(4096, |kb| (kb / 1024).max(1024))
}

/// Whether this process is root.
pub fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .any(|l| l.starts_with("Uid:") && l.split_whitespace().nth(2) == Some("0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_real_ones_and_nobody_gets_the_same() {
        let mut taken = Vec::new();
        for first in [0, 0, INTERNAL_PORTS, 65535] {
            let had = taken.clone();
            let Ok(port) = free_port(first, &mut taken) else {
                assert_eq!(first, 65535, "somebody else may have the last one");
                continue;
            };
            assert!(port >= first && port != 0 && !had.contains(&port), "{port}");
            assert!(port >= INTERNAL_PORTS);
        }
    }
}

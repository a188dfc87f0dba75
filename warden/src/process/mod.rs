//! The `process` backend: plain child processes below a private directory. No
//! isolation at all; for machines without root and for development.
//!
//! With root, or where user namespaces are open, jobs see `/home/vcap` and
//! `/tmp` as the container's own through private mounts. Elsewhere only HOME
//! points there, and absolute paths are the host's. `/app` does not exist.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::depot::container::{Kept, Outside, host_sizes};
use crate::depot::record::Record;
use crate::depot::{self, Depot, client, starter};
use crate::sys::spawn::Spawned;
use crate::wire::{KeeperSpec, Request};
use crate::{
    Backend, Capacity, Container, ContainerSpec, DiskLimits, Error, NetOutRule, PortMapping, Result,
};

/// Configuration of a [`ProcessBackend`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessConfig {
    /// Directory for containers; made if missing. One backend at a time.
    pub depot: PathBuf,
    /// The `wshd` program.
    pub wshd: PathBuf,
    /// Ports given out by `net_in`, first and last.
    pub port_range: (u16, u16),
    /// Bytes of log kept per job.
    pub ring_bytes: u64,
}

impl Default for ProcessConfig {
    fn default() -> Self {
        Self {
            depot: "/var/vcap/data/warden/depot".into(),
            wshd: "/usr/local/bin/wshd".into(),
            port_range: (61_001, 65_000),
            ring_bytes: 4 << 20,
        }
    }
}

/// Containers without isolation.
#[derive(Debug)]
pub struct ProcessBackend {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ProcessConfig,
    depot: Depot,
    containers: Mutex<BTreeMap<String, Arc<Kept>>>,
    children: Mutex<BTreeMap<String, Spawned>>,
    ports: Arc<Ports>,
}

impl ProcessBackend {
    /// Opens the depot and takes over the containers that live in it. Says
    /// loudly that nothing is isolated.
    pub fn open(config: ProcessConfig) -> Result<Self> {
        tracing::warn!(
            depot = %config.depot.display(),
            "the process backend isolates NOTHING: apps run as this user, see its files and each other"
        );
        starter::check_program(&config.wshd)?;
        let depot = Depot::open(&config.depot)?;
        let ports = Arc::new(Ports::new(config.port_range));
        let inner = Inner {
            config,
            depot,
            containers: Mutex::default(),
            children: Mutex::default(),
            ports,
        };
        inner.adopt()?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

impl Inner {
    fn adopt(&self) -> Result<()> {
        self.depot.empty_trash()?;
        for handle in self.depot.handles() {
            let dir = self.depot.container(&handle);
            match Record::read(&dir) {
                Ok(record) if starter::is_alive(&dir) => self.keep(dir, record),
                _ => self.remove_files(&handle)?,
            }
        }
        Ok(())
    }

    fn keep(&self, dir: PathBuf, record: Record) {
        self.ports.mark(&record.ports);
        let handle = record.handle.clone();
        let kept = Arc::new(Kept::new(dir, record, self.ports.clone()));
        self.containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(handle, kept);
    }

    fn create(&self, spec: ContainerSpec) -> Result<Arc<Kept>> {
        let handle = spec.handle.clone().unwrap_or_else(depot::new_handle);
        depot::check_handle(&handle)?;
        spec.limits.check()?;
        if self.has_ended(&handle) {
            self.finish_destroy(&handle)?;
        }
        let dir = self.depot.make_container(&handle)?;
        match self.start(&handle, &dir, spec) {
            Ok(()) => self.find(&handle),
            Err(error) => {
                if let Err(also) = self.remove_files(&handle) {
                    tracing::error!(%handle, error = %also, "clean-up after a failed creation failed");
                }
                Err(error)
            }
        }
    }

    fn start(&self, handle: &str, dir: &Path, spec: ContainerSpec) -> Result<()> {
        let record = Record {
            handle: handle.to_owned(),
            properties: spec.properties,
            ports: Vec::new(),
            net_out: spec.net_out,
            slot: None,
            disk_image: false,
            project: None,
            created: true,
        };
        record.write(dir)?;
        let keeper = KeeperSpec {
            handle: handle.to_owned(),
            isolation: None,
            bind_mounts: spec.bind_mounts,
            limits: spec.limits,
            grace_time: spec.grace_time,
            ring_bytes: self.config.ring_bytes,
            fail_after: None,
        };
        let child = starter::start(&self.config.wshd, dir, &keeper, Vec::new(), None)?;
        self.children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(handle.to_owned(), child);
        self.keep(dir.to_owned(), record);
        Ok(())
    }

    /// Whether the keeper ended that container by itself; its files are still there.
    fn has_ended(&self, handle: &str) -> bool {
        let all = self
            .containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.get(handle).is_some_and(|kept| kept.has_ended())
    }

    fn find(&self, handle: &str) -> Result<Arc<Kept>> {
        let all = self
            .containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.get(handle)
            .filter(|kept| !kept.has_ended())
            .cloned()
            .ok_or_else(|| Error::UnknownHandle(handle.to_owned()))
    }

    /// What is left after the keeper was asked, or did not answer.
    fn finish_destroy(&self, handle: &str) -> Result<()> {
        starter::kill(&self.depot.container(handle));
        let kept = self
            .containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(handle);
        if let Some(kept) = kept {
            self.ports.free(&kept.record().ports);
        }
        let child = self
            .children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(handle);
        if let Some(child) = child {
            // Already dead; this only collects it.
            let _ = child.wait();
        }
        self.remove_files(handle)
    }

    fn remove_files(&self, handle: &str) -> Result<()> {
        use crate::sys::At;
        let trash = self.depot.discard(handle)?;
        std::fs::remove_dir_all(&trash).at(format!("remove {}", trash.display()))
    }
}

/// What the host offers to a depot.
pub(crate) fn capacity(config: &ProcessConfig, depot: &Path) -> Result<Capacity> {
    let (memory_bytes, disk_bytes) = host_sizes(depot)?;
    let (first, last) = config.port_range;
    Ok(Capacity {
        memory_bytes,
        disk_bytes,
        max_containers: u64::from(last.saturating_sub(first)) + 1,
        disk_limits: DiskLimits::None,
    })
}

#[async_trait]
impl Backend for ProcessBackend {
    fn name(&self) -> &'static str {
        "process"
    }

    async fn ping(&self) -> Result<()> {
        starter::check_program(&self.inner.config.wshd)
    }

    async fn capacity(&self) -> Result<Capacity> {
        capacity(&self.inner.config, self.inner.depot.root())
    }

    async fn create(&self, spec: ContainerSpec) -> Result<Arc<dyn Container>> {
        let inner = self.inner.clone();
        blocking("create", move || {
            Ok(inner.create(spec)? as Arc<dyn Container>)
        })
        .await
    }

    async fn list(&self, properties: &BTreeMap<String, String>) -> Result<Vec<String>> {
        let all = self
            .inner
            .containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(all
            .values()
            .filter(|kept| kept.has(properties) && !kept.has_ended())
            .map(|kept| kept.handle().to_owned())
            .collect())
    }

    async fn lookup(&self, handle: &str) -> Result<Arc<dyn Container>> {
        Ok(self.inner.find(handle)?)
    }

    async fn destroy(&self, handle: &str) -> Result<()> {
        self.inner.find(handle)?;
        let dir = self.inner.depot.container(handle);
        if let Err(error) = client::ask(&dir, &Request::Destroy, Vec::new()).await {
            tracing::warn!(handle, %error, "the keeper did not destroy its container; removing it from outside");
        }
        let (inner, handle) = (self.inner.clone(), handle.to_owned());
        blocking("destroy", move || inner.finish_destroy(&handle)).await
    }
}

/// Runs work that waits for files and processes off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    verb: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::step(verb, std::io::Error::other(e)))?
}

/// Ports of the host itself: there is no translation, so both numbers are equal.
#[derive(Debug)]
struct Ports {
    range: (u16, u16),
    used: Mutex<(u16, std::collections::BTreeSet<u16>)>,
}

impl Ports {
    fn new(range: (u16, u16)) -> Self {
        // Two depots start at different places, so that they seldom meet.
        let span = range.1.saturating_sub(range.0).max(1);
        let start = range.0 + rand::random::<u16>() % span;
        Self {
            range,
            used: Mutex::new((start, Default::default())),
        }
    }

    fn mark(&self, ports: &[PortMapping]) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.1.extend(ports.iter().map(|p| p.host_port));
    }

    fn free(&self, ports: &[PortMapping]) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        for port in ports {
            used.1.remove(&port.host_port);
        }
    }

    fn take(&self) -> Result<u16> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, last) = self.range;
        for _ in first..=last {
            let port = used.0;
            used.0 = if port >= last { first } else { port + 1 };
            if !used.1.contains(&port) && TcpListener::bind(("0.0.0.0", port)).is_ok() {
                used.1.insert(port);
                return Ok(port);
            }
        }
        Err(Error::Exhausted {
            what: "port",
            pool: format!("{first}-{last}"),
        })
    }
}

impl Outside for Ports {
    fn backend(&self) -> &'static str {
        "process"
    }

    fn net_in(&self, record: &mut Record, container_port: Option<u16>) -> Result<PortMapping> {
        let port = container_port.map_or_else(|| self.take(), Ok)?;
        let mapping = PortMapping {
            host_port: port,
            container_port: port,
        };
        record.ports.push(mapping);
        Ok(mapping)
    }

    fn net_out(&self, record: &mut Record, rules: &[NetOutRule]) -> Result<()> {
        record.net_out.extend_from_slice(rules);
        Ok(())
    }
}

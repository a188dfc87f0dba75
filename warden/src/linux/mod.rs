//! The `linux` backend: namespaces, cgroups, overlay and a network of its own
//! per container. This file is the verbs; each step has a module.

mod config;
mod create;
mod destroy;
mod disk;
mod features;
mod filter;
mod foreign;
mod links;
mod network;
mod nft;
mod orphans;
mod pools;
mod projects;
mod quotas;
mod reconcile;
mod refused;
mod register;
mod routers;
mod rules;
mod seen;
mod stack;
mod sweep;
mod sysctl;
mod teardown;
mod warm;

pub(crate) use config::Cidr;
pub use config::{DnsConfig, InstancePorts, LinuxConfig};
pub(crate) use routers::{Routers, is_network};
pub use teardown::{Report, teardown};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::Duration;

use async_trait::async_trait;

use crate::cgroup::{Cgroups, Layout};
use crate::depot::container::{Kept, host_sizes};
use crate::depot::{Depot, client, starter};
use crate::dns;
use crate::process::blocking;
use crate::sys::spawn::Spawned;
use crate::wire::Request;
use crate::{Backend, Capacity, Container, ContainerSpec, Error, Result};
use network::Network;

/// Isolated containers on this host. Needs root.
#[derive(Debug)]
pub struct LinuxBackend {
    inner: Arc<Inner>,
    _dns: Option<dns::Forwarder>,
}

/// What blocking work shares.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: LinuxConfig,
    pub(crate) depot: Depot,
    pub(crate) layout: Layout,
    pub(crate) network: Arc<Network>,
    pub(crate) ca_bundle: Option<PathBuf>,
    containers: Mutex<BTreeMap<String, Arc<Kept>>>,
    children: Mutex<HashMap<String, Spawned>>,
    /// Serialises the making of disk templates and skeletons.
    pub(crate) making: Mutex<()>,
    /// What is ready for the next containers.
    pub(crate) stock: warm::Stock,
    /// Handles whose containers are destroyed, but whose remains are not removed yet.
    endings: Mutex<BTreeSet<String>>,
    ended: Condvar,
    /// Held for reading by whatever makes or removes objects of the kernel, and
    /// for writing by the removal of orphans.
    pub(crate) work: RwLock<()>,
}

impl LinuxBackend {
    /// Opens the depot, takes over the containers that live in it, removes what
    /// belongs to this depot and to no container, and writes the packet filter.
    /// Must be called in a tokio runtime (the DNS forwarder runs there).
    pub async fn open(config: LinuxConfig) -> Result<Self> {
        let forwarder = match &config.dns {
            Some(dns) => Some(dns::Forwarder::start(dns, config.pool()?).await?),
            None => None,
        };
        let dns_port = forwarder.as_ref().map(dns::Forwarder::port);
        let inner = blocking("open", move || reconcile::open(config, dns_port)).await?;
        let every = Duration::from_secs(inner.config.reconcile_seconds.max(1));
        let weak = Arc::downgrade(&inner);
        tokio::spawn(repeat(weak.clone(), every, "sweep", sweep::round));
        tokio::spawn(repeat(
            weak,
            FOREIGN_EVERY,
            "opening foreign forward chains",
            |inner| foreign::open(inner.depot.tag()),
        ));
        Ok(Self {
            inner,
            _dns: forwarder,
        })
    }

    /// The six hex digits in the names of this depot's kernel objects.
    pub fn tag(&self) -> &str {
        self.inner.depot.tag()
    }
}

/// The end of a keeper with a full disk takes a while.
const LONGEST_END: Duration = Duration::from_secs(20);

/// How often chains of other programs are looked at.
const FOREIGN_EVERY: Duration = Duration::from_secs(10);

/// Repeats work on the depot for as long as its backend lives.
async fn repeat(
    inner: Weak<Inner>,
    every: Duration,
    what: &'static str,
    work: fn(&Arc<Inner>) -> Result<()>,
) {
    loop {
        tokio::time::sleep(every).await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        if let Err(error) = blocking(what, move || work(&inner)).await {
            tracing::warn!(%error, "{what} failed; it is tried again");
        }
    }
}

impl Inner {
    /// Path of a container's cgroups below every hierarchy.
    pub(crate) fn cgroup(&self, handle: &str) -> String {
        format!("bloomery/{}/{handle}", self.depot.tag())
    }

    /// A container's cgroups.
    pub(crate) fn cgroups(&self, handle: &str) -> Cgroups {
        Cgroups::new(self.layout.clone(), &self.cgroup(handle))
    }

    pub(crate) fn containers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Kept>>> {
        self.containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn children(&self) -> MutexGuard<'_, HashMap<String, Spawned>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn endings(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.endings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The container is gone, but its cgroups and files still are there.
    pub(crate) fn begin_end_of(&self, handle: &str) {
        self.endings().insert(handle.to_owned());
    }

    /// They are gone too.
    pub(crate) fn end_of(&self, handle: &str) {
        self.endings().remove(handle);
        self.ended.notify_all();
    }

    /// Waits until nothing of an earlier container of that handle is left.
    pub(crate) fn await_end_of(&self, handle: &str) {
        let all = self.endings();
        let still = |all: &mut BTreeSet<String>| all.contains(handle);
        // After that long the remains fail the creation with their own error.
        let waited = self.ended.wait_timeout_while(all, LONGEST_END, still);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Keeps orphans from being looked for while the value lives.
    pub(crate) fn at_work(&self) -> RwLockReadGuard<'_, ()> {
        self.work.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, handle: &str) -> Result<Arc<Kept>> {
        self.containers()
            .get(handle)
            .filter(|kept| !kept.has_ended())
            .cloned()
            .ok_or_else(|| Error::UnknownHandle(handle.to_owned()))
    }
}

/// Whether containers can be made with this configuration.
pub(crate) fn ping(config: &LinuxConfig) -> Result<()> {
    features::check()?;
    starter::check_program(&config.wshd)?;
    nft::check()
}

/// What the host offers to a depot.
pub(crate) fn capacity(config: &LinuxConfig, depot: &Path) -> Result<Capacity> {
    let (memory_bytes, disk_bytes) = host_sizes(depot)?;
    let blocks = config.pool()?.size() / 256;
    Ok(Capacity {
        memory_bytes,
        disk_bytes,
        max_containers: blocks * u64::from(register::SLOTS),
        disk_limits: disk::way(depot),
    })
}

#[async_trait]
impl Backend for LinuxBackend {
    fn name(&self) -> &'static str {
        "linux"
    }

    async fn ping(&self) -> Result<()> {
        ping(&self.inner.config)
    }

    async fn capacity(&self) -> Result<Capacity> {
        capacity(&self.inner.config, self.inner.depot.root())
    }

    async fn allow_routers(&self, routers: &BTreeSet<Ipv4Addr>) -> Result<()> {
        let (inner, routers) = (self.inner.clone(), routers.clone());
        blocking("allow routers", move || {
            inner.network.allow_routers(&routers)
        })
        .await
    }

    async fn allowed_routers(&self) -> BTreeSet<Ipv4Addr> {
        let routers = self.inner.network.let_in();
        routers.map(|routers| routers.learned).unwrap_or_default()
    }

    async fn create(&self, spec: ContainerSpec) -> Result<Arc<dyn Container>> {
        let inner = self.inner.clone();
        blocking("create", move || {
            Ok(create::create(&inner, spec)? as Arc<dyn Container>)
        })
        .await
    }

    async fn list(&self, properties: &BTreeMap<String, String>) -> Result<Vec<String>> {
        let all = self.inner.containers();
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
        let asked = client::ask(&dir, &Request::Destroy, Vec::new()).await;
        if let Err(error) = &asked {
            tracing::warn!(handle, %error, "the keeper did not destroy its container; removing it from outside");
        }
        let (inner, handle) = (self.inner.clone(), handle.to_owned());
        blocking("destroy", move || {
            destroy::after_keeper(&inner, &handle, asked.is_ok())
        })
        .await
    }
}

//! Looking into a depot that somebody else may serve: everything a keeper can
//! answer goes straight to its socket, so it needs no lock. What changes pools
//! or the packet filter is the serving process's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::depot::container::{Kept, Outside};
use crate::depot::record::Record;
use crate::depot::{self, starter};
use crate::{
    Backend, Capacity, Container, ContainerSpec, Error, Limits, LinuxConfig, NetOutRule,
    PortMapping, ProcessConfig, Result, linux, process,
};

/// Which kind of backend the depot is for.
#[derive(Debug)]
pub(crate) enum Kind {
    Linux(Box<LinuxConfig>),
    Process(ProcessConfig),
}

/// A backend that makes and removes nothing.
#[derive(Debug)]
pub(crate) struct Visitor {
    root: PathBuf,
    kind: Kind,
}

impl Visitor {
    /// Looks at the depot of a configuration. One that does not exist is empty.
    pub(crate) fn enter(kind: Kind) -> Self {
        let depot = match &kind {
            Kind::Linux(config) => &config.depot,
            Kind::Process(config) => &config.depot,
        };
        let root = depot.canonicalize().unwrap_or_else(|_| depot.clone());
        Self { root, kind }
    }

    fn read(&self, handle: &str) -> Result<Arc<Kept>> {
        depot::check_handle(handle)?;
        let dir = self.root.join("c").join(handle);
        if !dir.is_dir() {
            return Err(Error::UnknownHandle(handle.to_owned()));
        }
        let record = Record::read(&dir)?;
        let outside = Arc::new(Elsewhere(self.root.clone()));
        Ok(Arc::new(Kept::new(dir, record, outside)))
    }

    /// Containers with a live keeper.
    fn all(&self) -> Vec<Arc<Kept>> {
        depot::handles_in(&self.root)
            .iter()
            .filter(|handle| starter::is_alive(&self.root.join("c").join(handle)))
            // One that is being made or removed has no record.
            .filter_map(|handle| self.read(handle).ok())
            .collect()
    }
}

#[async_trait]
impl Backend for Visitor {
    fn name(&self) -> &'static str {
        "visited"
    }

    async fn ping(&self) -> Result<()> {
        match &self.kind {
            Kind::Linux(config) => linux::ping(config),
            Kind::Process(config) => starter::check_program(&config.wshd),
        }
    }

    async fn capacity(&self) -> Result<Capacity> {
        match &self.kind {
            Kind::Linux(config) => linux::capacity(config, &self.root),
            Kind::Process(config) => process::capacity(config, &self.root),
        }
    }

    async fn create(&self, _: ContainerSpec) -> Result<Arc<dyn Container>> {
        Err(served(&self.root, "create"))
    }

    async fn list(&self, properties: &BTreeMap<String, String>) -> Result<Vec<String>> {
        let all = self.all().into_iter().filter(|kept| kept.has(properties));
        Ok(all.map(|kept| kept.handle().to_owned()).collect())
    }

    async fn lookup(&self, handle: &str) -> Result<Arc<dyn Container>> {
        Ok(self.read(handle)?)
    }

    async fn destroy(&self, _: &str) -> Result<()> {
        Err(served(&self.root, "destroy"))
    }
}

fn served(root: &Path, verb: &'static str) -> Error {
    Error::Served {
        verb,
        depot: root.display().to_string(),
        holder: depot::holder(root),
    }
}

/// The outside belongs to the serving process.
#[derive(Debug)]
struct Elsewhere(PathBuf);

impl Outside for Elsewhere {
    fn backend(&self) -> &'static str {
        "visited"
    }

    fn net_in(&self, _: &mut Record, _: Option<u16>) -> Result<PortMapping> {
        Err(served(&self.0, "net-in"))
    }

    fn net_out(&self, _: &mut Record, _: &[NetOutRule]) -> Result<()> {
        Err(served(&self.0, "net-out"))
    }

    fn limit_disk(&self, _: &Record, _: &Limits) -> Result<()> {
        Err(served(&self.0, "limit of disk"))
    }
}

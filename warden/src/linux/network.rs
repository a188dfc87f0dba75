//! Pools, packet filter and disk quotas of one depot: the outside of its containers.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::config::LinuxConfig;
use super::disk::Size;
use super::filter::Filter;
use super::pools::{Now, Pools};
use super::quotas::Quotas;
use super::routers::Routers;
use super::{links, nft, refused, register, rules};
use crate::depot::container::{Outside, fixed_disk};
use crate::depot::record::{Record, Slot, read_json, write_json};
use crate::netlink::nfnl::Change;
use crate::{Error, Limits, NetOutRule, PortMapping, Refusal, Result};

/// The network side of a depot.
#[derive(Debug)]
pub(crate) struct Network {
    config: LinuxConfig,
    root: PathBuf,
    tag: String,
    forwarder: bool,
    /// Who reaches instances from outside of the host; `None`: anyone.
    routers: Option<Mutex<Routers>>,
    pools: Mutex<Pools>,
    /// The packet filter.
    pub(crate) filter: Filter,
    /// What limits disks; `None` where images do.
    pub(crate) quotas: Option<Quotas>,
}

const RESTING: &str = "resting-ports.json";

impl Network {
    /// Takes over the blocks this depot holds already.
    pub(crate) fn new(
        config: LinuxConfig,
        root: &Path,
        tag: &str,
        blocks: Vec<register::Block>,
        forwarder: bool,
        quotas: Option<Quotas>,
        routers: Option<Routers>,
    ) -> Self {
        let mut pools = Pools::new(blocks, config.port_rest());
        // Absent at the first start.
        pools.set_resting(read_json(&root.join(RESTING)).unwrap_or_default());
        Self {
            config,
            root: root.to_owned(),
            tag: tag.to_owned(),
            forwarder,
            routers: routers.map(Mutex::new),
            pools: Mutex::new(pools),
            filter: Filter::new(tag),
            quotas,
        }
    }

    fn pools(&self) -> MutexGuard<'_, Pools> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A subnet and uid range; claims another block when all are used.
    pub(crate) fn take_slot(&self) -> Result<Slot> {
        let mut pools = self.pools();
        if let Some(slot) = pools.take_slot(now()) {
            return Ok(slot);
        }
        self.grow(&mut pools)?;
        pools.take_slot(now()).ok_or_else(|| Error::Exhausted {
            what: "subnet",
            pool: self.config.subnet_pool.clone(),
        })
    }

    /// A slot to make ready ahead of need; never claims another block for it.
    pub(crate) fn spare_slot(&self) -> Option<Slot> {
        self.pools().take_slot(now())
    }

    /// Gives back a slot that no container had.
    pub(crate) fn return_slot(&self, slot: &Slot) {
        self.pools().free_slot(slot.number, now());
    }

    /// Slots and ports that are in use, also by what is being made right now.
    pub(crate) fn in_use(&self) -> (Vec<Slot>, Vec<u16>) {
        self.pools().in_use()
    }

    fn take_port(&self) -> Result<u16> {
        let mut pools = self.pools();
        if let Some(port) = pools.take_port(now()) {
            return Ok(port);
        }
        self.grow(&mut pools)?;
        let (first, last) = self.config.port_range;
        pools.take_port(now()).ok_or_else(|| Error::Exhausted {
            what: "port",
            pool: format!("{first}-{last}"),
        })
    }

    fn grow(&self, pools: &mut Pools) -> Result<()> {
        let wanted = register::Pools::of(&self.config)?;
        let block = register::with(&self.config.register, |register| {
            register.claim(&self.tag, &self.root, &wanted, &links::routes())
        })?;
        pools.add(block);
        Ok(())
    }

    fn routers(&self) -> Option<MutexGuard<'_, Routers>> {
        self.routers
            .as_ref()
            .map(|routers| routers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The routers that are let in now; `None`: anyone is.
    pub(crate) fn let_in(&self) -> Option<Routers> {
        self.routers().map(|routers| routers.clone())
    }

    /// Lets in these learned routers and no others. Connections that stand are not touched.
    pub(crate) fn allow_routers(&self, wanted: &BTreeSet<Ipv4Addr>) -> Result<()> {
        let Some(mut routers) = self.routers() else {
            return Ok(());
        };
        self.filter.allow_routers(wanted)?;
        for gone in routers.learned.difference(wanted) {
            self.filter.undo(&Change::ForgetRouter(*gone));
        }
        routers.learned.clone_from(wanted);
        routers.keep(&self.root)
    }

    /// Puts back what somebody took out of the packet filter.
    pub(crate) fn renew_routers(&self) -> Result<()> {
        match self.routers() {
            Some(routers) => self.filter.allow_routers(&routers.learned),
            None => Ok(()),
        }
    }

    /// Marks what an adopted container holds. False: it is not ours to hold.
    pub(crate) fn adopt(&self, record: &Record) -> bool {
        let mut pools = self.pools();
        let Some(slot) = &record.slot else {
            return false;
        };
        if !pools.adopt_slot(slot) {
            return false;
        }
        record
            .ports
            .iter()
            .for_each(|port| pools.adopt_port(port.host_port));
        if let (Some(quotas), Some(project)) = (&self.quotas, record.project) {
            quotas.adopt(project);
        }
        true
    }

    /// Gives a container's slot and ports back to rest, and its project.
    pub(crate) fn release(&self, record: &Record) {
        if let (Some(quotas), Some(project)) = (&self.quotas, record.project) {
            quotas.release(project);
        }
        let mut pools = self.pools();
        if let Some(slot) = &record.slot {
            pools.free_slot(slot.number, now());
        }
        record
            .ports
            .iter()
            .for_each(|port| pools.free_port(port.host_port, now()));
        if record.ports.is_empty() {
            return;
        }
        if let Err(error) = write_json(&self.root.join(RESTING), pools.resting()) {
            tracing::warn!(%error, "a restart now would forget which ports rest");
        }
    }

    /// Text of a container's `/etc/resolv.conf`.
    pub(crate) fn resolv_conf(&self, slot: &Slot) -> String {
        if self.forwarder {
            return format!("nameserver {}\n", slot.host_ip());
        }
        std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()
    }
}

impl Outside for Network {
    fn backend(&self) -> &'static str {
        "linux"
    }

    fn net_in(&self, record: &mut Record, container_port: Option<u16>) -> Result<PortMapping> {
        let slot = record.slot.ok_or_else(no_slot)?;
        let host_port = self.take_port()?;
        let mapping = PortMapping {
            host_port,
            container_port: container_port.unwrap_or(host_port),
        };
        if let Err(error) = self.filter.open(&slot, mapping) {
            self.pools().free_port(host_port, now());
            return Err(error);
        }
        record.ports.push(mapping);
        Ok(mapping)
    }

    fn net_out(&self, record: &mut Record, rules: &[NetOutRule]) -> Result<()> {
        let mut changed = record.clone();
        changed.net_out.extend_from_slice(rules);
        self.filter.replace(&self.config, &changed)?;
        *record = changed;
        Ok(())
    }

    fn limit_disk(&self, record: &Record, limits: &Limits) -> Result<()> {
        match (&self.quotas, record.project, Size::of(limits)) {
            (Some(quotas), Some(project), Some(size)) => quotas.change(project, size),
            _ => Err(fixed_disk("linux")),
        }
    }

    fn refused(&self, record: &Record) -> Result<Vec<Refusal>> {
        let Some(slot) = &record.slot else {
            return Ok(Vec::new());
        };
        let table = rules::table(&self.tag);
        let listing = nft::read(&["-j", "list", "set", "ip", &table, "refused"])?;
        Ok(refused::parse(&listing, slot.container_ip()))
    }
}

fn no_slot() -> Error {
    Error::Keeper {
        step: "open a port".into(),
        message: "the container has no network".into(),
    }
}

fn now() -> Now {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

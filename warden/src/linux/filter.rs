//! The depot's table while containers come and go. A known set of rules costs
//! one element by netlink; only a new set starts the `nft` program.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::config::LinuxConfig;
use super::{nft, rules};
use crate::depot::record::{Record, Slot};
use crate::netlink::nfnl::{self, Change};
use crate::{PortMapping, Result};

/// The table of one depot.
#[derive(Debug)]
pub(crate) struct Filter {
    tag: String,
    table: String,
    /// Chains of rule sets that are in the kernel.
    chains: Mutex<BTreeSet<String>>,
}

impl Filter {
    /// Names the table; touches nothing.
    pub(crate) fn new(tag: &str) -> Self {
        Self {
            tag: tag.to_owned(),
            table: rules::table(tag),
            chains: Mutex::default(),
        }
    }

    fn chains(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.chains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a container's rules are in the kernel already, so that
    /// [`Filter::admit`] takes microseconds.
    pub(crate) fn knows(&self, config: &LinuxConfig, record: &Record) -> bool {
        rules::chain(&self.tag, config, record)
            .is_ok_and(|chain| self.chains().contains(&chain.name))
    }

    /// Lets a container's traffic through the chain of its rules.
    pub(crate) fn admit(&self, config: &LinuxConfig, record: &Record) -> Result<()> {
        self.direct(config, record, false)
    }

    /// The same for a container that had other rules before.
    pub(crate) fn replace(&self, config: &LinuxConfig, record: &Record) -> Result<()> {
        self.direct(config, record, true)
    }

    fn direct(&self, config: &LinuxConfig, record: &Record, had_rules: bool) -> Result<()> {
        let Some(slot) = &record.slot else {
            return Ok(());
        };
        let chain = rules::chain(&self.tag, config, record)?;
        // Held until the element refers to the chain, so that nobody removes it between.
        let mut chains = self.chains();
        if !chains.contains(&chain.name) {
            nft::apply(&chain.script)?;
            chains.insert(chain.name.clone());
        }
        let (link, ip) = (slot.link(&self.tag), slot.container_ip());
        let mut changes = Vec::new();
        if had_rules {
            changes.push(Change::Expel(link.clone(), ip));
        }
        changes.push(Change::Admit(link, ip, chain.name));
        nfnl::apply_at(&self.table, &changes)
    }

    /// Opens a port into a container.
    pub(crate) fn open(&self, slot: &Slot, port: PortMapping) -> Result<()> {
        let open = Change::OpenPort(port.host_port, slot.container_ip(), port.container_port);
        nfnl::apply_at(&self.table, &[open])
    }

    /// Lets routers in; those that are in already stay in.
    pub(crate) fn allow_routers(&self, routers: &BTreeSet<Ipv4Addr>) -> Result<()> {
        let changes: Vec<Change> = routers.iter().copied().map(Change::AllowRouter).collect();
        match changes.is_empty() {
            true => Ok(()),
            false => nfnl::apply_at(&self.table, &changes),
        }
    }

    /// Takes a container out. Each element for itself: after a failed creation
    /// some never existed.
    pub(crate) fn remove(&self, slot: &Slot, ports: &[PortMapping]) {
        let expel = Change::Expel(slot.link(&self.tag), slot.container_ip());
        let close = ports.iter().map(|port| Change::ClosePort(port.host_port));
        for change in std::iter::once(expel).chain(close) {
            self.undo(&change);
        }
    }

    /// One change that may have happened before.
    pub(crate) fn undo(&self, change: &Change) {
        match nfnl::apply(&self.table, std::slice::from_ref(change)) {
            Err(e) if e.raw_os_error() != Some(libc::ENOENT) => {
                tracing::warn!(table = self.table, ?change, error = %e, "an element of the packet filter remains");
            }
            _ => {}
        }
    }

    /// Removes a chain, unless a container uses it (the kernel knows).
    pub(crate) fn forget(&self, chain: &str) {
        let mut chains = self.chains();
        chains.remove(chain);
        let script = format!("delete chain ip {} {chain}\n", self.table);
        if let Err(error) = nft::apply(&script) {
            tracing::debug!(chain, %error, "chain of a rule set stays");
        }
    }
}

//! Opening a depot: adopt what lives, remove what does not, write the packet
//! filter. Only objects of the depot's own tag are ever touched.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, RwLock};

use super::network::Network;
use super::quotas::Quotas;
use super::routers::Routers;
use super::warm::{self, Stock};
use super::{
    Inner, LinuxConfig, destroy, foreign, links, nft, register, rules, stack, sweep, sysctl,
};
use crate::cgroup::Layout;
use crate::depot::container::Kept;
use crate::depot::record::Record;
use crate::depot::{Depot, starter};
use crate::sys::files;
use crate::{Error, Result};

/// Opens the depot of `config`.
pub(crate) fn open(config: LinuxConfig, dns_port: Option<u16>) -> Result<Arc<Inner>> {
    if !files::is_root() {
        return Err(Error::Keeper {
            step: "open the linux backend".into(),
            message: "it needs root; the process backend does not".into(),
        });
    }
    super::ping(&config)?;
    let depot = Depot::open(&config.depot)?;
    let (blocks, others) = claim(&config, &depot)?;
    let quotas = Quotas::open(&depot, &others)?;
    let network = Network::new(
        config.clone(),
        depot.root(),
        depot.tag(),
        blocks,
        dns_port.is_some(),
        quotas,
        Routers::of(&config, depot.root())?,
    );
    let (stock, orders) = Stock::new();
    let inner = Inner {
        stock,
        work: RwLock::new(()),
        endings: Mutex::default(),
        ended: Condvar::new(),
        ca_bundle: config.ca_bundle.clone().or_else(stack::find_ca_bundle),
        layout: Layout::detect(),
        network: Arc::new(network),
        containers: Mutex::new(BTreeMap::new()),
        children: Mutex::new(HashMap::new()),
        making: Mutex::new(()),
        config,
        depot,
    };
    let records = adopt(&inner)?;
    sweep::empty_old_stock(&inner)?;
    nft::apply(&rules::whole(
        inner.depot.tag(),
        &inner.config,
        dns_port,
        inner.network.let_in().as_ref(),
        &records,
    )?)?;
    // After the table was written anew: what is found now is older than this backend.
    sweep::remove_all(&inner, &sweep::suspects(&inner)?);
    foreign::open(inner.depot.tag())?;
    let inner = Arc::new(inner);
    warm::start(&inner, orders);
    Ok(inner)
}

/// Takes blocks from the host-wide register, or the ones held before. Also the
/// tags of all depots there.
fn claim(config: &LinuxConfig, depot: &Depot) -> Result<(Vec<register::Block>, Vec<String>)> {
    let pools = register::Pools::of(config)?;
    register::with(&config.register, |register| {
        sysctl::enable(register, depot.root())?;
        let blocks = match register.owners.get(depot.tag()) {
            Some(owner) if owner.depot != depot.root() => Err(Error::Keeper {
                step: "claim a tag".into(),
                message: format!(
                    "{} and {} have the same tag {}; move one of them",
                    depot.root().display(),
                    owner.depot.display(),
                    depot.tag()
                ),
            }),
            Some(owner) if !owner.blocks.is_empty() => Ok(owner.blocks.clone()),
            _ => Ok(vec![register.claim(
                depot.tag(),
                depot.root(),
                &pools,
                &links::routes(),
            )?]),
        };
        Ok((blocks?, register.owners.keys().cloned().collect()))
    })
}

/// Takes over containers whose keeper lives; the others are destroyed.
fn adopt(inner: &Inner) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for handle in inner.depot.handles() {
        let dir = inner.depot.container(&handle);
        let record = Record::read(&dir);
        match record {
            Ok(record)
                if record.created && starter::is_alive(&dir) && inner.network.adopt(&record) =>
            {
                let kept = Kept::new(dir, record.clone(), inner.network.clone());
                inner.containers().insert(handle, Arc::new(kept));
                records.push(record);
            }
            other => {
                tracing::warn!(%handle, "container without a live keeper, or never finished: destroying what is left of it");
                let fallback = Record {
                    handle,
                    properties: BTreeMap::new(),
                    ports: Vec::new(),
                    net_out: Vec::new(),
                    slot: None,
                    disk_image: false,
                    project: None,
                    created: false,
                };
                destroy::remnants(inner, &other.unwrap_or(fallback))?;
            }
        }
    }
    Ok(records)
}

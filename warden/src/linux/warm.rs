//! Networks and disk images made ahead of need by one thread, so that creation
//! takes them instead of making them. Whatever is missing is made as before.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::disk::{self, Ready, Size};
use super::{Inner, create};
use crate::depot::record::Slot;
use crate::sys::At;
use crate::{Result, netlink};

/// A network namespace with a configured link. Dropping it removes both.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) slot: Slot,
    pub(crate) netns: OwnedFd,
}

/// Sizes of images kept in stock at the same time.
const SIZES: usize = 4;

/// What is ready.
#[derive(Debug)]
pub(crate) struct Stock {
    networks: Mutex<VecDeque<Network>>,
    images: Mutex<BTreeMap<Size, Vec<Ready>>>,
    orders: Sender<Order>,
}

/// Something to be made.
#[derive(Debug)]
pub(crate) enum Order {
    Networks,
    Images(Size),
}

impl Stock {
    /// An empty stock, and the orders for its thread.
    pub(crate) fn new() -> (Self, Receiver<Order>) {
        let (orders, incoming) = channel();
        let stock = Self {
            networks: Mutex::default(),
            images: Mutex::default(),
            orders,
        };
        (stock, incoming)
    }

    fn networks(&self) -> MutexGuard<'_, VecDeque<Network>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn images(&self) -> MutexGuard<'_, BTreeMap<Size, Vec<Ready>>> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ready network; the next one is ordered.
    pub(crate) fn take_network(&self) -> Option<Network> {
        let taken = self.networks().pop_front();
        self.order(Order::Networks);
        taken
    }

    /// A ready image; the next one is ordered.
    pub(crate) fn take_image(&self, size: Size) -> Option<Ready> {
        let taken = self.images().get_mut(&size).and_then(Vec::pop);
        self.order(Order::Images(size));
        taken
    }

    fn order(&self, order: Order) {
        // The thread may have ended with an error: then nothing is made ahead any more.
        let _ = self.orders.send(order);
    }
}

/// Starts the thread. It ends with the backend.
pub(crate) fn start(inner: &Arc<Inner>, orders: Receiver<Order>) {
    let weak = Arc::downgrade(inner);
    inner.stock.order(Order::Networks);
    let spawned = std::thread::Builder::new()
        .name("warm".into())
        .spawn(move || work(&weak, &orders));
    if let Err(error) = spawned {
        tracing::warn!(%error, "nothing is made ahead of need: creation is slower");
    }
}

fn work(inner: &Weak<Inner>, orders: &Receiver<Order>) {
    for order in orders {
        let Some(inner) = inner.upgrade() else {
            return;
        };
        if let Err(error) = fill(&inner, &order) {
            tracing::warn!(?order, %error, "could not be made ahead of need");
        }
    }
}

fn fill(inner: &Inner, order: &Order) -> Result<()> {
    match order {
        Order::Networks => {
            while inner.stock.networks().len() < inner.config.warm_networks {
                let Some(slot) = inner.network.spare_slot() else {
                    return Ok(());
                };
                make_network(inner, slot)?;
            }
        }
        Order::Images(size) => {
            while stocked(inner, *size) < inner.config.warm_images {
                make_image(inner, *size)?;
            }
        }
    }
    Ok(())
}

fn make_network(inner: &Inner, slot: Slot) -> Result<()> {
    match netlink::prepare(&create::link(inner, &slot)) {
        Ok(netns) => {
            inner.stock.networks().push_back(Network { slot, netns });
            Ok(())
        }
        Err(error) => {
            inner.network.return_slot(&slot);
            Err(error)
        }
    }
}

fn stocked(inner: &Inner, size: Size) -> usize {
    inner.stock.images().get(&size).map_or(0, Vec::len)
}

fn make_image(inner: &Inner, size: Size) -> Result<()> {
    let dir = inner.depot.root().join(disk::WARM);
    fs::create_dir_all(&dir).at("mkdir warm")?;
    let path = dir.join(format!("{:016x}.img", rand::random::<u64>()));
    let ready = disk::make_ready(inner, size, path)?;
    let mut images = inner.stock.images();
    images.entry(size).or_default().push(ready);
    while images.len() > SIZES {
        let Some(other) = images.keys().find(|other| **other != size).copied() else {
            break;
        };
        for ready in images.remove(&other).unwrap_or_default() {
            fs::remove_file(&ready.path).at(format!("remove {}", ready.path.display()))?;
        }
    }
    Ok(())
}

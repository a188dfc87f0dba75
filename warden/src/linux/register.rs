//! The register all depots of a host share: who owns which block of subnets,
//! uids and ports. A file under a lock, so that two DEAs or platforms never
//! collide. The choice itself is pure.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::config::{Cidr, LinuxConfig};
use crate::depot::record::write_json;
use crate::sys::{At, files};
use crate::{Error, Result};

/// Containers per block: a /24 in /30s.
pub(crate) const SLOTS: u32 = 64;
/// uids per container.
pub(crate) const UIDS: u32 = 65_536;
/// Ports per block.
pub(crate) const PORTS: u16 = 250;

/// What one claim gives a depot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Block {
    /// First address of a /24.
    pub(crate) subnet: u32,
    /// First of 64 × 65,536 uids.
    pub(crate) uid: u32,
    /// First and last port.
    pub(crate) ports: (u16, u16),
}

/// Whole content of the register.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Register {
    pub(crate) owners: BTreeMap<String, Owner>,
    /// Values of sysctls before the first depot changed them.
    pub(crate) sysctls: BTreeMap<String, String>,
}

/// One depot's claims.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) depot: PathBuf,
    pub(crate) blocks: Vec<Block>,
}

/// The pools of one configuration, as numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pools {
    pub(crate) subnets: Cidr,
    pub(crate) uid_base: u32,
    pub(crate) ports: (u16, u16),
}

impl Pools {
    pub(crate) fn of(config: &LinuxConfig) -> Result<Self> {
        Ok(Self {
            subnets: config.pool()?,
            uid_base: config.uid_base,
            ports: config.port_range,
        })
    }
}

impl Register {
    /// Gives `tag` one more block of things nobody holds. Depots of other
    /// configurations may cut their pools differently, so each resource is
    /// compared by its range.
    pub(crate) fn claim(&mut self, tag: &str, depot: &Path, pools: &Pools) -> Result<Block> {
        let held: Vec<Block> = self
            .owners
            .values()
            .flat_map(|o| o.blocks.clone())
            .collect();
        let subnet = free_subnet(pools, &held)?;
        let uid = free_uid(pools, &held)?;
        let ports = free_ports(pools, &held)?;
        let block = Block { subnet, uid, ports };
        let owner = self.owners.entry(tag.to_owned()).or_default();
        owner.depot = depot.to_owned();
        owner.blocks.push(block);
        Ok(block)
    }
}

fn free_subnet(pools: &Pools, held: &[Block]) -> Result<u32> {
    let blocks = (pools.subnets.size() / 256) as u32;
    (0..blocks)
        .map(|i| pools.subnets.base + i * 256)
        .find(|base| held.iter().all(|b| b.subnet & !0xff != base & !0xff))
        .ok_or_else(|| Error::Exhausted {
            what: "subnet",
            pool: format!(
                "{}/{}",
                std::net::Ipv4Addr::from(pools.subnets.base),
                pools.subnets.prefix
            ),
        })
}

fn free_uid(pools: &Pools, held: &[Block]) -> Result<u32> {
    let size = SLOTS * UIDS;
    let starts = (0..256u32).map_while(|i| i.checked_mul(size)?.checked_add(pools.uid_base));
    starts
        .into_iter()
        .take_while(|start| start.checked_add(size).is_some())
        .find(|start| held.iter().all(|b| b.uid.abs_diff(*start) >= size))
        .ok_or_else(|| Error::Exhausted {
            what: "uid range",
            pool: format!("from {}", pools.uid_base),
        })
}

fn free_ports(pools: &Pools, held: &[Block]) -> Result<(u16, u16)> {
    let (first, last) = pools.ports;
    let mut start = u32::from(first);
    while start + u32::from(PORTS) - 1 <= u32::from(last) {
        let range = (start as u16, (start + u32::from(PORTS) - 1) as u16);
        match held
            .iter()
            .find(|b| b.ports.0 <= range.1 && range.0 <= b.ports.1)
        {
            None => return Ok(range),
            Some(other) => start = u32::from(other.ports.1) + 1,
        }
    }
    Err(Error::Exhausted {
        what: "port",
        pool: format!("{first}-{last}"),
    })
}

/// Changes the register under its lock. Owners whose depot is gone are
/// forgotten on the way.
pub(crate) fn with<T>(dir: &Path, change: impl FnOnce(&mut Register) -> Result<T>) -> Result<T> {
    let _lock = lock(dir)?;
    let path = dir.join("register.json");
    let mut register = read(&path)?;
    register.owners.retain(|_, owner| owner.depot.is_dir());
    let value = change(&mut register)?;
    write_json(&path, &register)?;
    if register == Register::default() {
        // Still under the lock; whoever waits for it sees that it is unlinked.
        for name in ["register.json", LOCK] {
            fs::remove_file(dir.join(name)).at(format!("remove {name}"))?;
        }
        // Other files may be there.
        let _ = fs::remove_dir(dir);
    }
    Ok(value)
}

const LOCK: &str = "register.lock";

/// The register's lock. A lock file that was removed meanwhile does not count.
fn lock(dir: &Path) -> Result<File> {
    loop {
        fs::create_dir_all(dir).at(format!("mkdir {}", dir.display()))?;
        let path = dir.join(LOCK);
        let opened = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path);
        let file = match opened {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.at("open the register's lock")?,
        };
        files::lock(&file, true).at("lock the register")?;
        let ours = file.metadata().at("stat of the register's lock")?.ino();
        if fs::metadata(&path).is_ok_and(|now| now.ino() == ours) {
            return Ok(file);
        }
    }
}

fn read(path: &Path) -> Result<Register> {
    match fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Register::default()),
        Err(e) => Err(e).at(format!("read {}", path.display())),
        Ok(text) => serde_json::from_slice(&text).map_err(|e| Error::Keeper {
            step: format!("parse {}", path.display()),
            message: format!("{e}; stop all DEAs of this host and remove the file"),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pools() -> Pools {
        let subnets = Cidr::parse("10.254.0.0/20").unwrap();
        Pools {
            subnets,
            uid_base: 1 << 30,
            ports: (61_001, 65_000),
        }
    }

    fn overlap(a: &Block, b: &Block) -> bool {
        a.subnet == b.subnet
            || a.uid.abs_diff(b.uid) < SLOTS * UIDS
            || (a.ports.0 <= b.ports.1 && b.ports.0 <= a.ports.1)
    }

    #[test]
    fn no_two_claims_share_anything_and_the_pool_ends() {
        let mut register = Register::default();
        let blocks: Vec<Block> = (0..16)
            .map(|n| {
                register
                    .claim(&format!("t{}", n % 3), Path::new("/d"), &pools())
                    .unwrap()
            })
            .collect();
        for (i, a) in blocks.iter().enumerate() {
            assert!(blocks[i + 1..].iter().all(|b| !overlap(a, b)));
        }
        let full = register.claim("x", Path::new("/d"), &pools()).unwrap_err();
        assert!(
            matches!(full, Error::Exhausted { what: "subnet", .. }),
            "{full}"
        );
    }

    #[test]
    fn a_differently_cut_port_pool_does_not_collide() {
        let mut register = Register::default();
        let first = register.claim("a", Path::new("/d"), &pools()).unwrap();
        let other = Pools {
            ports: (61_100, 62_000),
            ..pools()
        };
        let second = register.claim("b", Path::new("/d"), &other).unwrap();
        assert!(!overlap(&first, &second), "{first:?} {second:?}");
    }

    #[test]
    fn owners_without_a_depot_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let claim =
            |tag: &str, depot: &Path| with(dir.path(), |r| r.claim(tag, depot, &pools())).unwrap();
        let gone = claim("a", Path::new("/no/such/depot"));
        assert_eq!(claim("b", dir.path()), gone);
        assert_ne!(claim("c", dir.path()), gone);
    }
}

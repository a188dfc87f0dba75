//! `record.json`: what the backend (not the keeper) knows of a container.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::sys::At;
use crate::{Error, NetOutRule, PortMapping, Result};

/// The backend's memory of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) handle: String,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) ports: Vec<PortMapping>,
    pub(crate) net_out: Vec<NetOutRule>,
    /// Place in the pools of subnets and uids; `None` without isolation.
    pub(crate) slot: Option<Slot>,
    /// Whether a disk image limits it.
    pub(crate) disk_image: bool,
    /// The project whose quota does, where the file system has them.
    #[serde(default)]
    pub(crate) project: Option<u32>,
    /// The creation was finished. A container without it is nobody's: whoever
    /// asked for it died before an answer.
    #[serde(default)]
    pub(crate) created: bool,
}

/// Subnet, uid range and link of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    /// Number within the depot; part of the link's name.
    pub(crate) number: u32,
    /// First address of the /30.
    pub(crate) subnet: Ipv4Addr,
    pub(crate) uid_base: u32,
}

impl Slot {
    /// The host's end.
    pub(crate) fn host_ip(&self) -> Ipv4Addr {
        (u32::from(self.subnet) + 1).into()
    }

    /// The container's end.
    pub(crate) fn container_ip(&self) -> Ipv4Addr {
        (u32::from(self.subnet) + 2).into()
    }

    /// Name of the host's link.
    pub(crate) fn link(&self, tag: &str) -> String {
        format!("b{tag}{}", self.number)
    }
}

impl Record {
    /// Host's and container's address; both are the host's own without isolation.
    pub(crate) fn addresses(&self) -> (Ipv4Addr, Ipv4Addr) {
        self.slot
            .map_or((Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST), |slot| {
                (slot.host_ip(), slot.container_ip())
            })
    }
}

const FILE: &str = "record.json";

impl Record {
    /// Reads the record of the container in `dir`.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        read_json(&dir.join(FILE))
    }

    /// Replaces the record.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        write_json(&dir.join(FILE), self)
    }
}

/// Reads a JSON file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).at(format!("read {}", path.display()))?;
    serde_json::from_slice(&text).map_err(|e| Error::Keeper {
        step: format!("parse {}", path.display()),
        message: e.to_string(),
    })
}

/// Writes a JSON file that is seen whole or not at all.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_vec_pretty(value).expect("own types serialize");
    let new = path.with_extension("new");
    fs::write(&new, text).at(format!("write {}", new.display()))?;
    fs::rename(&new, path).at(format!("rename {}", path.display()))
}

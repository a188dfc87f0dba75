//! The container's network namespace: taken from the backend's stock, or made
//! here together with init.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::{At, process};
use crate::wire::Link;
use crate::{Bandwidth, Result, netlink};

/// Where the namespace comes from.
#[derive(Debug)]
pub(super) struct Network {
    host: OwnedFd,
    /// Made ahead, with link, addresses and route.
    warm: Option<OwnedFd>,
}

impl Network {
    /// `warm` is the namespace made ahead, if there is one.
    pub(super) fn new(warm: Option<OwnedFd>) -> Result<Self> {
        let host = File::open("/proc/self/ns/net").at("open own network namespace")?;
        Ok(Self {
            host: host.into(),
            warm,
        })
    }

    /// Clones init into the right namespace: `clone` gets the flags for it.
    pub(super) fn around<T>(&self, clone: impl FnOnce(i32) -> Result<T>) -> Result<T> {
        match &self.warm {
            None => clone(libc::CLONE_NEWNET),
            Some(warm) => within(warm.as_fd(), self.host.as_fd(), || clone(0)),
        }
    }

    /// Links a new namespace to the host's, then limits the bandwidth.
    pub(super) fn finish(
        self,
        link: Option<&Link>,
        init_pid: i32,
        bandwidth: Option<Bandwidth>,
    ) -> Result<OwnedFd> {
        let inside = match self.warm {
            Some(warm) => warm,
            None => make_link(link, init_pid, self.host.as_fd())?,
        };
        if let (Some(link), Some(bandwidth)) = (link, bandwidth) {
            shape(link, &inside, bandwidth)?;
        }
        Ok(inside)
    }
}

fn make_link(link: Option<&Link>, init_pid: i32, host: BorrowedFd<'_>) -> Result<OwnedFd> {
    let inside: OwnedFd = File::open(format!("/proc/{init_pid}/ns/net"))
        .at("open container's network namespace")?
        .into();
    if let Some(link) = link {
        netlink::host_end(link, &inside)?;
    }
    within(inside.as_fd(), host, || netlink::container_end(link))?;
    Ok(inside)
}

/// Limits both ends of the link, each for what leaves through it.
pub(super) fn shape(link: &Link, inside: &OwnedFd, bandwidth: Bandwidth) -> Result<()> {
    let host = File::open("/proc/self/ns/net").at("open own network namespace")?;
    netlink::tbf::shape(&link.name, bandwidth)?;
    within(inside.as_fd(), host.as_fd(), || {
        netlink::tbf::shape(netlink::INSIDE, bandwidth)
    })
}

/// Does something inside a network namespace and returns to `home`.
fn within<T>(
    inside: BorrowedFd<'_>,
    home: BorrowedFd<'_>,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    process::setns(inside, libc::CLONE_NEWNET).at("enter container's network namespace")?;
    let done = work();
    process::setns(home, libc::CLONE_NEWNET).at("return to own network namespace")?;
    done
}

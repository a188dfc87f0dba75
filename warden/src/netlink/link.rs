//! A container's link: a pair of virtual Ethernet devices with addresses and a route.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
#[cfg(feature = "host")]
use std::os::fd::AsFd;
use std::os::fd::{AsRawFd, OwnedFd};

use super::{NESTED, NLM_CREATE, NLM_EXCL, Netlink, attr, cname, index_of};
use crate::Result;
use crate::sys::At;
#[cfg(feature = "host")]
use crate::sys::process;
use crate::wire::Link;

const NLM_CREATE_EXCL: u16 = NLM_CREATE | NLM_EXCL;
const RTM_NEWLINK: u16 = 16;
#[cfg(feature = "host")]
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const AF_INET: u8 = 2;
/// Name of the link inside.
pub(crate) const INSIDE: &str = "eth0";
/// All links are /30 networks.
const PREFIX: u8 = 30;

/// Makes the pair, the inner end in the namespace `inside`, and configures the
/// host's end.
pub(crate) fn host_end(link: &Link, inside: &OwnedFd) -> Result<()> {
    let mut netlink = Netlink::open().at("netlink socket")?;
    make_pair(&mut netlink, link, inside).at(format!("make link {}", link.name))?;
    let index = index_of(&link.name).at(format!("index of {}", link.name))?;
    // Lets 127.0.0.1:PORT of the host be translated to the container.
    let localnet = format!("/proc/sys/net/ipv4/conf/{}/route_localnet", link.name);
    switch_on(&localnet).at(format!("write 1 to {localnet}"))?;
    // Absent when the kernel has no IPv6: as good as disabled.
    let _ = fs::write(
        format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", link.name),
        "1",
    );
    netlink
        .add_address(index, link.host_ip)
        .at("address of the host's end")?;
    netlink.set_up(index).at("host's end up")
}

/// Writes `1` unless it is there: below docker sysctls can only be given from outside.
fn switch_on(path: &str) -> std::io::Result<()> {
    match fs::read_to_string(path)?.trim() {
        "1" => Ok(()),
        _ => fs::write(path, "1"),
    }
}

/// Configures the namespace the caller is in: lo, and the link when there is one.
pub(crate) fn container_end(link: Option<&Link>) -> Result<()> {
    let mut netlink = Netlink::open().at("netlink socket inside")?;
    let _ = fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
    // Ports below 1024 are the container's own.
    let _ = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    netlink
        .set_up(index_of("lo").at("index of lo")?)
        .at("lo up")?;
    let Some(link) = link else { return Ok(()) };
    let index = index_of(INSIDE).at("index of eth0")?;
    netlink
        .add_address(index, link.container_ip)
        .at("address of the container's end")?;
    netlink.set_up(index).at("container's end up")?;
    netlink
        .default_route(index, link.host_ip)
        .at("default route")
}

/// Removes a link; absent is fine.
#[cfg(feature = "host")]
pub(crate) fn delete(name: &str) -> Result<()> {
    let Ok(index) = index_of(name) else {
        return Ok(());
    };
    let mut netlink = Netlink::open().at("netlink socket")?;
    match netlink.request(RTM_DELLINK, 0, &link_head(index, 0)) {
        Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        other => other.at(format!("delete link {name}")),
    }
}

/// Makes a network namespace with a configured link ahead of need. The caller's
/// own namespace stays what it is: this happens on a thread of its own.
#[cfg(feature = "host")]
pub(crate) fn prepare(link: &Link) -> Result<OwnedFd> {
    std::thread::scope(|scope| {
        let made = scope.spawn(|| in_new_namespace(link));
        made.join().unwrap_or_else(|_| {
            Err(crate::Error::Keeper {
                step: "prepare a network".into(),
                message: "its thread panicked".into(),
            })
        })
    })
}

#[cfg(feature = "host")]
fn in_new_namespace(link: &Link) -> Result<OwnedFd> {
    let own =
        || fs::File::open("/proc/thread-self/ns/net").at("open the thread's network namespace");
    let enter = |fd: &OwnedFd| {
        process::setns(fd.as_fd(), libc::CLONE_NEWNET).at("setns to a network namespace")
    };
    let host = OwnedFd::from(own()?);
    process::unshare(libc::CLONE_NEWNET).at("unshare CLONE_NEWNET")?;
    let inside = OwnedFd::from(own()?);
    enter(&host)?;
    host_end(link, &inside)?;
    enter(&inside)?;
    container_end(Some(link))?;
    Ok(inside)
}

fn make_pair(netlink: &mut Netlink, link: &Link, inside: &OwnedFd) -> io::Result<()> {
    // The peer must not be up yet: its partner does not exist (ENOTCONN).
    let mut peer = link_head(0, 0);
    attr(&mut peer, IFLA_IFNAME, &cname(INSIDE));
    attr(&mut peer, IFLA_MTU, &link.mtu.to_ne_bytes());
    attr(&mut peer, IFLA_NET_NS_FD, &inside.as_raw_fd().to_ne_bytes());
    let mut data = Vec::new();
    attr(&mut data, NESTED | VETH_INFO_PEER, &peer);
    let mut info = Vec::new();
    attr(&mut info, IFLA_INFO_KIND, b"veth");
    attr(&mut info, NESTED | IFLA_INFO_DATA, &data);
    let mut body = link_head(0, 0);
    attr(&mut body, IFLA_IFNAME, &cname(&link.name));
    attr(&mut body, IFLA_MTU, &link.mtu.to_ne_bytes());
    attr(&mut body, NESTED | IFLA_LINKINFO, &info);
    netlink.request(RTM_NEWLINK, NLM_CREATE_EXCL, &body)
}

impl Netlink {
    fn set_up(&mut self, index: u32) -> io::Result<()> {
        self.request(RTM_NEWLINK, 0, &link_head(index, libc::IFF_UP as u32))
    }

    fn add_address(&mut self, index: u32, ip: Ipv4Addr) -> io::Result<()> {
        let mut body = vec![AF_INET, PREFIX, 0, 0];
        body.extend(index.to_ne_bytes());
        attr(&mut body, IFA_LOCAL, &ip.octets());
        attr(&mut body, IFA_ADDRESS, &ip.octets());
        self.request(RTM_NEWADDR, NLM_CREATE_EXCL, &body)
    }

    fn default_route(&mut self, index: u32, gateway: Ipv4Addr) -> io::Result<()> {
        const TABLE_MAIN: u8 = 254;
        const PROTO_BOOT: u8 = 3;
        const UNICAST: u8 = 1;
        let mut body = vec![
            AF_INET, 0, 0, 0, TABLE_MAIN, PROTO_BOOT, 0, UNICAST, 0, 0, 0, 0,
        ];
        attr(&mut body, RTA_GATEWAY, &gateway.octets());
        attr(&mut body, RTA_OIF, &index.to_ne_bytes());
        self.request(RTM_NEWROUTE, NLM_CREATE_EXCL, &body)
    }
}

/// `struct ifinfomsg` with flags to set.
fn link_head(index: u32, flags: u32) -> Vec<u8> {
    let mut head = vec![0u8; 4];
    head.extend(index.to_ne_bytes());
    head.extend(flags.to_ne_bytes());
    head.extend(flags.to_ne_bytes());
    head
}

/// Whether a link of that name exists in the caller's network namespace.
#[cfg(feature = "host")]
pub(crate) fn exists(name: &str) -> bool {
    index_of(name).is_ok()
}

//! Reaching what a container must not reach, and pretending to be somebody else.

use std::io;
use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

use super::{CAPS, IPCNS, NETNS, SECCOMP};
use crate::attacker::{fact, greeted_by};
use crate::outer;
use crate::row::{Row, row};
use crate::sys::call;
use crate::walls::Wall;

const FIREWALL: &[Wall] = &[Wall::Firewall];
const REFUSED: &str = "ECONNREFUSED";

pub(super) const ROWS: &[Row] = &[
    row(
        "bus",
        "connect to the bus on the gateway",
        REFUSED,
        FIREWALL,
        || greeted_by(&fact("BUS")?),
    ),
    row(
        "controller",
        "connect to the controller on the host's address",
        REFUSED,
        FIREWALL,
        || greeted_by(&fact("CONTROLLER")?),
    ),
    row(
        "gateway",
        "connect to another listener of the gateway",
        REFUSED,
        FIREWALL,
        || greeted_by(&fact("GATEWAY")?),
    ),
    row(
        "other_container",
        "connect to another container",
        REFUSED,
        FIREWALL,
        || greeted_by(&fact("OTHER")?),
    ),
    row(
        "metadata",
        "connect to 169.254.169.254",
        REFUSED,
        FIREWALL,
        || greeted_by(&fact("METADATA")?),
    ),
    row(
        "internet",
        "connect to an address no rule allows",
        REFUSED,
        FIREWALL,
        || greeted_by(&fact("INTERNET")?),
    ),
    row(
        "host_loopback",
        "connect to the host's 127.0.0.1",
        REFUSED,
        &[NETNS],
        || greeted_by(&fact("LOOPBACK")?),
    ),
    row(
        "abstract_socket",
        "connect to an abstract socket of the host",
        REFUSED,
        &[NETNS],
        abstract_socket,
    ),
    row(
        "host_segment",
        "open a System V segment of the host",
        "ENOENT",
        &[IPCNS],
        host_segment,
    ),
    row(
        "raw_socket",
        "send forged IP packets",
        "EPERM",
        &[CAPS],
        raw_socket,
    ),
    row(
        "packet_socket",
        "read and write whole frames",
        "EAFNOSUPPORT",
        &[SECCOMP, CAPS],
        packet_socket,
    ),
    // The kernel refuses the pair only after it has made the sockets: the foreign code has run.
    row(
        "packet_pair",
        "have a pair of packet sockets made, past the test of socket()",
        "EAFNOSUPPORT",
        &[SECCOMP, CAPS],
        packet_pair,
    )
    .succeeds("EOPNOTSUPP"),
    row(
        "arp_spoofing",
        "claim the gateway's address by ARP",
        "EAFNOSUPPORT",
        &[SECCOMP, CAPS],
        arp_spoofing,
    ),
    row(
        "second_address",
        "give the link a second address",
        "EPERM",
        &[CAPS],
        second_address,
    ),
];

fn abstract_socket() -> io::Result<()> {
    let address = SocketAddr::from_abstract_name(outer::ABSTRACT)?;
    UnixStream::connect_addr(&address).map(drop)
}

fn host_segment() -> io::Result<()> {
    call!(SYS_shmget, outer::SEGMENT, 0, 0).map(drop)
}

fn raw_socket() -> io::Result<()> {
    call!(SYS_socket, libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW).map(drop)
}

fn open_packet_socket() -> io::Result<i64> {
    call!(SYS_socket, libc::AF_PACKET, libc::SOCK_RAW, 0)
}

fn packet_socket() -> io::Result<()> {
    open_packet_socket().map(drop)
}

fn packet_pair() -> io::Result<()> {
    let mut pair = [0u8; 8];
    call!(
        SYS_socketpair,
        libc::AF_PACKET,
        libc::SOCK_RAW,
        0,
        &mut pair[..]
    )
    .map(drop)
}

fn arp_spoofing() -> io::Result<()> {
    let socket = open_packet_socket()?;
    let link = std::fs::read_to_string("/proc/net/route")?;
    let link = link
        .lines()
        .nth(1)
        .and_then(|line| line.split_whitespace().next());
    let link = std::ffi::CString::new(link.unwrap_or("lo"))?;
    // struct sockaddr_ll: family, protocol, index, …, length of the address.
    let mut to = [0u8; 20];
    to[..2].copy_from_slice(&(libc::AF_PACKET as u16).to_ne_bytes());
    to[4..8].copy_from_slice(&index_of(socket, &link)?.to_ne_bytes());
    to[11] = 6;
    to[12..18].fill(0xff);
    let frame = claim();
    call!(
        SYS_sendto,
        socket,
        &frame[..],
        frame.len(),
        0,
        &to,
        to.len()
    )
    .map(drop)
}

fn index_of(socket: i64, link: &std::ffi::CStr) -> io::Result<i32> {
    let mut request = [0u8; 40];
    let name = link.to_bytes();
    request[..name.len().min(15)].copy_from_slice(&name[..name.len().min(15)]);
    call!(SYS_ioctl, socket, libc::SIOCGIFINDEX, &mut request[..])?;
    Ok(i32::from_ne_bytes([
        request[16],
        request[17],
        request[18],
        request[19],
    ]))
}

/// "The gateway is at 02:00:00:00:00:01", to everybody.
fn claim() -> Vec<u8> {
    let gateway: Ipv4Addr = fact("GATEWAY")
        .ok()
        .and_then(|a| a.split(':').next()?.parse().ok())
        .unwrap_or(Ipv4Addr::LOCALHOST);
    let me = [2, 0, 0, 0, 0, 1];
    let mut frame = vec![0xff; 6];
    frame.extend(me);
    frame.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2]);
    frame.extend(me);
    frame.extend(gateway.octets());
    frame.extend([0xff; 6]);
    frame.extend(gateway.octets());
    frame
}

fn second_address() -> io::Result<()> {
    let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    // struct ifreq: the name, then a socket address.
    let mut request = [0u8; 40];
    request[..4].copy_from_slice(b"lo:1");
    request[16..18].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    request[20..24].copy_from_slice(&[127, 9, 9, 9]);
    call!(SYS_ioctl, socket, libc::SIOCSIFADDR, &request).map(drop)
}

//! Elements of the packet filter's maps, in one transaction of the kernel.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;

use super::{NESTED, NLM_ACK, NLM_CREATE, NLM_REQUEST, answers, attr, cname, message};
use crate::Result;
use crate::sys::{At, socket};

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const SUBSYSTEM: u16 = 10;
const NEW_ELEMENT: u16 = SUBSYSTEM << 8 | 12;
const DELETE_ELEMENT: u16 = SUBSYSTEM << 8 | 14;
const FAMILY_IP: u8 = 2;
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const JUMP: i32 = -3;
/// Seconds the kernel may take.
const PATIENCE: u64 = 10;

/// One change of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A port of the host leads to an address and port.
    OpenPort(u16, Ipv4Addr, u16),
    /// It leads nowhere any more.
    ClosePort(u16),
    /// Packets from this link and address go through a chain.
    Admit(String, Ipv4Addr, String),
    /// They do not any more.
    Expel(String, Ipv4Addr),
    /// A router is let in.
    AllowRouter(Ipv4Addr),
    /// It is not any more.
    ForgetRouter(Ipv4Addr),
}

/// Makes the changes in `table`, all or none.
pub(crate) fn apply(table: &str, changes: &[Change]) -> io::Result<()> {
    let mut file = File::from(socket::netlink(libc::NETLINK_NETFILTER)?);
    socket::set_patience(&file, PATIENCE)?;
    let mut text = message(BATCH_BEGIN, NLM_REQUEST, 0, &general(0, SUBSYSTEM));
    for (seq, change) in (1..).zip(changes) {
        text.extend(one(table, seq, change));
    }
    let last = changes.len() as u32;
    text.extend(message(
        BATCH_END,
        NLM_REQUEST,
        last + 1,
        &general(0, SUBSYSTEM),
    ));
    file.write_all(&text)?;
    await_answers(&mut file, last)
}

/// The same with the step of a verb in the error.
pub(crate) fn apply_at(table: &str, changes: &[Change]) -> Result<()> {
    apply(table, changes).at(format!("change table {table} of the packet filter"))
}

/// Every change is acknowledged; the first refusal is the answer.
fn await_answers(file: &mut File, last: u32) -> io::Result<()> {
    let mut buf = [0u8; 16 << 10];
    loop {
        let n = file.read(&mut buf)?;
        for (seq, errno) in answers(&buf[..n]) {
            if errno != 0 {
                return Err(io::Error::from_raw_os_error(errno));
            }
            if seq == last {
                return Ok(());
            }
        }
    }
}

/// `struct nfgenmsg`.
fn general(family: u8, resource: u16) -> Vec<u8> {
    let [high, low] = resource.to_be_bytes();
    vec![family, 0, high, low]
}

fn one(table: &str, seq: u32, change: &Change) -> Vec<u8> {
    let (kind, set, element) = match change {
        Change::OpenPort(port, to, inside) => {
            let target = [&to.octets()[..], &inside.to_be_bytes(), &[0; 2]].concat();
            let data = value(&target);
            (NEW_ELEMENT, "ports", element(&port_key(*port), Some(&data)))
        }
        Change::ClosePort(port) => (DELETE_ELEMENT, "ports", element(&port_key(*port), None)),
        Change::Admit(link, from, chain) => {
            let data = jump(chain);
            (
                NEW_ELEMENT,
                "egress",
                element(&link_key(link, *from), Some(&data)),
            )
        }
        Change::Expel(link, from) => (
            DELETE_ELEMENT,
            "egress",
            element(&link_key(link, *from), None),
        ),
        Change::AllowRouter(ip) => (NEW_ELEMENT, "routers", element(&ip.octets(), None)),
        Change::ForgetRouter(ip) => (DELETE_ELEMENT, "routers", element(&ip.octets(), None)),
    };
    let mut body = general(FAMILY_IP, 0);
    attr(&mut body, LIST_TABLE, &cname(table));
    attr(&mut body, LIST_SET, &cname(set));
    let mut list = Vec::new();
    attr(&mut list, NESTED | LIST_ELEMENT, &element);
    attr(&mut body, NESTED | LIST_ELEMENTS, &list);
    let create = if kind == NEW_ELEMENT { NLM_CREATE } else { 0 };
    message(kind, NLM_REQUEST | NLM_ACK | create, seq, &body)
}

fn element(key: &[u8], data: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    attr(&mut out, NESTED | ELEMENT_KEY, &value(key));
    if let Some(data) = data {
        attr(&mut out, NESTED | ELEMENT_DATA, data);
    }
    out
}

fn value(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    attr(&mut out, DATA_VALUE, bytes);
    out
}

fn jump(chain: &str) -> Vec<u8> {
    let mut verdict = Vec::new();
    attr(&mut verdict, VERDICT_CODE, &JUMP.to_be_bytes());
    attr(&mut verdict, VERDICT_CHAIN, &cname(chain));
    let mut out = Vec::new();
    attr(&mut out, NESTED | DATA_VERDICT, &verdict);
    out
}

fn port_key(port: u16) -> [u8; 2] {
    port.to_be_bytes()
}

/// A name fills 16 bytes; parts of a key start at multiples of four.
fn link_key(link: &str, from: Ipv4Addr) -> Vec<u8> {
    let mut key = link.as_bytes().to_vec();
    key.resize(16, 0);
    key.extend(from.octets());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_kernels_length() {
        assert_eq!(link_key("b1234567", Ipv4Addr::LOCALHOST).len(), 20);
        let change = Change::OpenPort(61_001, Ipv4Addr::LOCALHOST, 80);
        let text = one("bloomery_abcdef", 1, &change);
        assert_eq!(
            text.len() as u32,
            u32::from_ne_bytes([text[0], text[1], text[2], text[3]])
        );
        assert!(text.len().is_multiple_of(4));
    }
}

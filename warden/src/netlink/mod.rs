//! The few netlink messages containers need: links, bandwidth, elements of the
//! packet filter. No program is started, so each costs well below a millisecond.

mod link;
#[cfg(feature = "host")]
pub(crate) mod nfnl;
pub(crate) mod tbf;

pub(crate) use link::{INSIDE, container_end, host_end};
#[cfg(feature = "host")]
pub(crate) use link::{delete, exists, prepare};

use std::fs::File;
use std::io::{self, Read, Write};

use crate::sys::socket;

const NLM_REQUEST: u16 = 0x1;
const NLM_ACK: u16 = 0x4;
const NLM_REPLACE: u16 = 0x100;
const NLM_EXCL: u16 = 0x200;
const NLM_CREATE: u16 = 0x400;
/// Marks an attribute that holds attributes.
const NESTED: u16 = 0x8000;
/// Length of a message's head.
const HEAD: usize = 16;

/// A route-netlink socket.
struct Netlink {
    file: File,
    seq: u32,
}

impl Netlink {
    fn open() -> io::Result<Self> {
        Ok(Self {
            file: File::from(socket::netlink(libc::NETLINK_ROUTE)?),
            seq: 0,
        })
    }

    /// Sends one request and reads its acknowledgement.
    fn request(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.seq += 1;
        let text = message(kind, flags | NLM_REQUEST | NLM_ACK, self.seq, body);
        self.file.write_all(&text)?;
        let mut answer = [0u8; 4096];
        let n = self.file.read(&mut answer)?;
        match answers(&answer[..n]).next() {
            Some((_, 0)) => Ok(()),
            Some((_, errno)) => Err(io::Error::from_raw_os_error(errno)),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "netlink answered without an acknowledgement",
            )),
        }
    }
}

/// One message with its head.
fn message(kind: u16, flags: u16, seq: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + body.len());
    out.extend((HEAD as u32 + body.len() as u32).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(seq.to_ne_bytes());
    out.extend([0; 4]);
    out.extend(body);
    out
}

/// Sequence number and errno (0 = done) of every acknowledgement in an answer.
fn answers(buf: &[u8]) -> impl Iterator<Item = (u32, i32)> + '_ {
    const ERROR: u16 = 2;
    let mut rest = buf;
    std::iter::from_fn(move || {
        loop {
            let number = |at: usize| Some(u32::from_ne_bytes(*rest.get(at..)?.first_chunk()?));
            let len = (number(0)? as usize).clamp(HEAD, rest.len().max(HEAD));
            let kind = u16::from_ne_bytes(*rest.get(4..)?.first_chunk()?);
            let (seq, code) = (number(8)?, number(HEAD));
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
            if let (ERROR, Some(code)) = (kind, code) {
                return Some((seq, (code as i32).saturating_neg()));
            }
        }
    })
}

fn attr(out: &mut Vec<u8>, kind: u16, data: &[u8]) {
    out.extend((4 + data.len() as u16).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(data);
    while !out.len().is_multiple_of(4) {
        out.push(0);
    }
}

fn cname(name: &str) -> Vec<u8> {
    [name.as_bytes(), b"\0"].concat()
}

fn index_of(name: &str) -> io::Result<u32> {
    socket::interface_index(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_acknowledgement_of_an_answer_is_read() {
        let ack = |seq, code: i32| message(2, 0, seq, &code.to_ne_bytes());
        let buf = [
            ack(1, 0),
            message(9, 0, 2, b"noise"),
            vec![0; 3],
            ack(3, -17),
        ]
        .concat();
        assert_eq!(answers(&buf).collect::<Vec<_>>(), [(1, 0), (3, 17)]);
        assert_eq!(answers(&buf[..10]).count(), 0);
        assert_eq!(answers(&[0; 40]).count(), 0);
    }
}

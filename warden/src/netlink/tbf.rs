//! Bandwidth by a token bucket on one end of a link.
//!
//! Each end limits what leaves through it: the host's end what the container
//! receives, the container's end what it sends.

use std::io;

use super::{NESTED, NLM_CREATE, NLM_REPLACE, Netlink, attr, cname, index_of};
use crate::sys::At;
use crate::{Bandwidth, Result};

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TBF_PARMS: u16 = 1;
const TBF_RATE64: u16 = 4;
const TBF_BURST: u16 = 6;
/// The root of a device, in the place of a class.
const ROOT: u32 = u32::MAX;
/// Our number among the device's queues.
const NUMBER: u32 = 1 << 16;
/// Packets wait this long at most, milliseconds (as in the original).
const LATENCY_MS: u64 = 25;
/// Rates are counted per frame of an Ethernet.
const LINKLAYER_ETHERNET: u8 = 1;

/// Puts the limit on a device of the network namespace the caller is in, in the
/// place of an earlier one. A rate of 0 removes it.
pub(crate) fn shape(device: &str, limit: Bandwidth) -> Result<()> {
    let step = || format!("bandwidth of {device}");
    let index = index_of(device).at(step())?;
    let mut netlink = Netlink::open().at(step())?;
    if limit.rate_bytes == 0 {
        return match netlink.request(RTM_DELQDISC, 0, &head(index)) {
            // There was none.
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => Ok(()),
            other => other.at(step()),
        };
    }
    let flags = NLM_CREATE | NLM_REPLACE;
    netlink
        .request(RTM_NEWQDISC, flags, &body(index, limit))
        .map_err(explain)
        .at(step())
}

/// The kernel's word for a queue it does not know is "no such file".
fn explain(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::EOPNOTSUPP) => {
            io::Error::other("this kernel lacks the token bucket (sch_tbf)")
        }
        _ => error,
    }
}

/// `struct tcmsg`.
fn head(index: u32) -> Vec<u8> {
    let mut head = vec![0u8; 4];
    head.extend(index.to_ne_bytes());
    head.extend(NUMBER.to_ne_bytes());
    head.extend(ROOT.to_ne_bytes());
    head.extend([0; 4]);
    head
}

fn body(index: u32, limit: Bandwidth) -> Vec<u8> {
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let mut parms = rate(small(limit.rate_bytes));
    parms.extend(rate(0));
    let queue = limit.burst_bytes + limit.rate_bytes.saturating_mul(LATENCY_MS) / 1000;
    parms.extend(small(queue).to_ne_bytes());
    // Burst in ticks and frame size: both replaced by TBF_BURST.
    parms.extend([0; 8]);
    let mut options = Vec::new();
    attr(&mut options, TBF_PARMS, &parms);
    attr(
        &mut options,
        TBF_BURST,
        &small(limit.burst_bytes).to_ne_bytes(),
    );
    if limit.rate_bytes > u64::from(u32::MAX) {
        attr(&mut options, TBF_RATE64, &limit.rate_bytes.to_ne_bytes());
    }
    let mut body = head(index);
    attr(&mut body, TCA_KIND, &cname("tbf"));
    attr(&mut body, NESTED | TCA_OPTIONS, &options);
    body
}

/// `struct tc_ratespec`.
fn rate(bytes: u32) -> Vec<u8> {
    let mut spec = vec![0, LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0];
    spec.extend(bytes.to_ne_bytes());
    spec
}

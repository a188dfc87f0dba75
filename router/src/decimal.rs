//! Numbers and addresses in text without the machinery of formatting: a request's head and its
//! log line hold a dozen of them, and formatting was a fifth of what we did ourselves.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

/// A number in decimal digits.
pub(crate) fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Seconds and nine digits behind the point.
pub(crate) fn seconds(out: &mut Vec<u8>, time: std::time::Duration) {
    number(out, time.as_secs());
    // The one in front keeps the zeros that follow, and becomes the point.
    let at = out.len();
    number(out, 1_000_000_000 + u64::from(time.subsec_nanos()));
    out[at] = b'.';
}

/// An address without a port.
pub(crate) fn address(out: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(v4) = address else {
        // Writing to memory cannot fail.
        let _ = write!(out, "{address}");
        return;
    };
    for (at, octet) in v4.octets().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        number(out, octet.into());
    }
}

/// An address with its port.
pub(crate) fn socket(out: &mut Vec<u8>, socket: SocketAddr) {
    match socket {
        SocketAddr::V4(v4) => address(out, IpAddr::V4(*v4.ip())),
        // Writing to memory cannot fail.
        SocketAddr::V6(_) => return drop(write!(out, "{socket}")),
    }
    out.push(b':');
    number(out, socket.port().into());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn addresses_read_as_the_library_writes_them() {
        for given in ["10.0.0.9:51123", "255.255.255.255:0", "[2001:db8::1]:443"] {
            let parsed: SocketAddr = given.parse().unwrap();
            assert_eq!(text(|out| socket(out, parsed)), given);
            assert_eq!(
                text(|out| address(out, parsed.ip())),
                parsed.ip().to_string()
            );
        }
    }

    #[test]
    fn seconds_keep_their_zeros() {
        for (nanos, expected) in [(12_345_678, "0.012345678"), (3_000_000_001, "3.000000001")] {
            let time = Duration::from_nanos(nanos);
            assert_eq!(text(|out| seconds(out, time)), expected);
        }
    }
}

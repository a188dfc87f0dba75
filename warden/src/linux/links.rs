//! Virtual Ethernet links of the host, seen and removed.

use std::time::{Duration, Instant};

use super::config::Cidr;
use crate::{Result, netlink};

/// Links whose names start with `b<tag>`.
pub(crate) fn of_tag(tag: &str) -> Vec<String> {
    let prefix = format!("b{tag}");
    let entries = std::fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.map(|e| e.file_name().to_string_lossy().into_owned());
    // Followed by digits only: another name may share the beginning.
    names
        .filter(|n| {
            n.strip_prefix(&prefix)
                .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()))
        })
        .collect()
}

/// Removes a link and waits until it is gone.
pub(crate) fn delete(name: &str) -> Result<()> {
    netlink::delete(name)?;
    await_gone(name, Duration::from_secs(5));
    Ok(())
}

/// The kernel removes a link together with its network namespace, many at once,
/// which is cheaper than asking for each. What stays is removed by request.
pub(crate) fn outlive(name: &str) -> Result<()> {
    if await_gone(name, Duration::from_secs(2)) {
        return Ok(());
    }
    delete(name)
}

fn await_gone(name: &str, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while netlink::exists(name) {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Networks the host has routes to, except the default route.
pub(crate) fn routes() -> Vec<Cidr> {
    parse_routes(&std::fs::read_to_string("/proc/net/route").unwrap_or_default())
}

/// Reads `/proc/net/route`: addresses are hexadecimal in the host's byte order.
fn parse_routes(text: &str) -> Vec<Cidr> {
    let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::from_be);
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (base, mask) = (number(fields.get(1)?)?, number(fields.get(7)?)?);
        Some(Cidr {
            base,
            prefix: mask.count_ones() as u8,
        })
    };
    text.lines()
        .skip(1)
        .filter_map(line)
        .filter(|cidr| cidr.prefix > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_without_the_default() {
        let text = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\n\
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\n";
        assert_eq!(
            parse_routes(text),
            [Cidr {
                base: 0xc000_0200,
                prefix: 24
            }]
        );
    }
}

//! Virtual Ethernet links of the host, seen and removed.

use std::time::{Duration, Instant};

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

/// Removes a link and waits until it is gone: the kernel may be removing it
/// itself, together with the container's network namespace.
pub(crate) fn delete(name: &str) -> Result<()> {
    netlink::delete(name)?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while netlink::exists(name) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

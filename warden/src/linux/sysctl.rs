//! Sysctls of the host. The value before the first change is kept in the
//! host-wide register and put back when the last depot leaves.

use std::fs;
use std::path::Path;

use super::register::Register;
use crate::Result;
use crate::depot::record::write_json;
use crate::sys::At;

const IP_FORWARD: &str = "net/ipv4/ip_forward";

/// Turns on what containers need.
pub(crate) fn enable(register: &mut Register, depot: &Path) -> Result<()> {
    let old = read(IP_FORWARD)?;
    if old == "1" {
        return Ok(());
    }
    register.sysctls.entry(IP_FORWARD.into()).or_insert(old);
    // For people who look into the depot; the register is what counts.
    write_json(&depot.join("sysctls.json"), &register.sysctls)?;
    write(IP_FORWARD, "1")
}

/// Puts back what was changed, if nobody needs it any more. Names of those put back.
pub(crate) fn restore(register: &mut Register) -> Result<Vec<String>> {
    if !register.owners.is_empty() {
        return Ok(Vec::new());
    }
    let changed = std::mem::take(&mut register.sysctls);
    for (name, old) in &changed {
        write(name, old)?;
    }
    Ok(changed.into_keys().collect())
}

fn read(name: &str) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/sys/{name}")).at(format!("read sysctl {name}"))?;
    Ok(text.trim().to_owned())
}

fn write(name: &str, value: &str) -> Result<()> {
    fs::write(format!("/proc/sys/{name}"), value).at(format!("write sysctl {name}"))
}

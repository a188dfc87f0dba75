//! What the kernel holds of a depot, collected from `/proc`, `/sys` and the
//! packet filter.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::orphans::Thing;
use super::quotas::Quotas;
use super::{Inner, links, nft, rules};
use crate::{Result, cgroup, procfs};

/// Everything of the depot's tag or below its directory.
pub(crate) fn collect(inner: &Inner) -> Result<Vec<Thing>> {
    let (tag, root) = (inner.depot.tag(), inner.depot.root());
    let mut seen = Vec::new();
    let handles = cgroup::handles_below(&inner.layout, &format!("bloomery/{tag}"));
    seen.extend(handles.into_iter().map(Thing::Cgroup));
    seen.extend(links::of_tag(tag).into_iter().map(Thing::Link));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    seen.extend(mounts_below(&mounts, root).into_iter().map(Thing::Mount));
    seen.extend(loops_below(root));
    seen.extend(keepers_below(root));
    let projects = inner.network.quotas.iter().flat_map(Quotas::limited);
    seen.extend(projects.map(Thing::Project));
    let listing = nft::read(&["-j", "list", "table", "ip", &rules::table(tag)])?;
    seen.extend(elements(&listing));
    Ok(seen)
}

/// Mount points in a `mountinfo` text; the kernel writes a blank as `\040`.
fn mounts_below(mountinfo: &str, root: &Path) -> Vec<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    points
        .map(|point| PathBuf::from(point.replace("\\040", " ")))
        .filter(|point| point.starts_with(root))
        .collect()
}

fn loops_below(root: &Path) -> Vec<Thing> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    devices
        .filter_map(|device| {
            let text = fs::read_to_string(device.path().join("loop/backing_file")).ok()?;
            let file = PathBuf::from(text.trim_end().trim_end_matches(" (deleted)"));
            file.starts_with(root).then(|| Thing::Loop {
                device: Path::new("/dev").join(device.file_name()),
                file,
            })
        })
        .collect()
}

fn keepers_below(root: &Path) -> Vec<Thing> {
    procfs::pids()
        .into_iter()
        .filter_map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let dir = keeper_dir(&line)?;
            dir.starts_with(root).then_some(Thing::Keeper { pid, dir })
        })
        .collect()
}

/// The container directory in a keeper's command line (init shares it).
fn keeper_dir(cmdline: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let mut words = cmdline.split(|byte| *byte == 0);
    let program = Path::new(std::ffi::OsStr::from_bytes(words.next()?));
    let dir = std::ffi::OsStr::from_bytes(words.next()?);
    (program.file_name()? == "wshd").then(|| dir.into())
}

/// Elements and chains in the listing of the table as JSON.
fn elements(listing: &str) -> Vec<Thing> {
    let whole: Value = serde_json::from_str(listing).unwrap_or_default();
    let mut seen = Vec::new();
    for object in whole["nftables"].as_array().into_iter().flatten() {
        let map = &object["map"];
        let list = map["elem"].as_array().into_iter().flatten();
        match map["name"].as_str() {
            Some("ports") => seen.extend(list.filter_map(port)),
            Some("egress") => seen.extend(list.filter_map(egress)),
            _ => {}
        }
        let chain = object["chain"]["name"].as_str();
        let chain = chain.filter(|name| name.starts_with(rules::CHAIN));
        seen.extend(chain.map(|name| Thing::Chain(name.to_owned())));
    }
    seen
}

fn port(element: &Value) -> Option<Thing> {
    Some(Thing::Port(element[0].as_u64()?.try_into().ok()?))
}

fn egress(element: &Value) -> Option<Thing> {
    let key = &element[0]["concat"];
    Some(Thing::Egress {
        link: key[0].as_str()?.to_owned(),
        ip: key[1].as_str()?.parse().ok()?,
        chain: element[1]["jump"]["target"].as_str()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn elements_and_chains_are_read_from_the_listing() {
        let listing = r#"{"nftables": [{"metainfo": {}},
            {"map": {"name": "ports", "elem": [[61001, {"concat": ["10.254.0.2", 80]}]]}},
            {"map": {"name": "egress", "elem": [[{"concat": ["b1234560", "10.254.0.2"]}, {"jump": {"target": "rules_1"}}]]}},
            {"chain": {"name": "rules_1"}}, {"chain": {"name": "input"}}]}"#;
        let want = [
            Thing::Port(61_001),
            Thing::Egress {
                link: "b1234560".into(),
                ip: "10.254.0.2".parse().unwrap(),
                chain: "rules_1".into(),
            },
            Thing::Chain("rules_1".into()),
        ];
        assert_eq!(elements(listing), want);
        assert_eq!(elements("nonsense"), []);
    }

    #[test]
    fn only_keepers_are_taken_for_keepers() {
        let dir = |line: &[u8]| keeper_dir(line);
        assert_eq!(dir(b"/bin/wshd\0/d/c/web\0"), Some("/d/c/web".into()));
        assert_eq!(dir(b"vi\0/d/c/web\0"), None);
        assert_eq!(dir(b""), None);
    }

    #[test]
    fn mounts_outside_are_not_ours() {
        let text = "1 0 0:1 / /d/c/a\\040b rw - x x\n2 0 0:1 / /dd rw - x x";
        assert_eq!(
            mounts_below(text, Path::new("/d")),
            [PathBuf::from("/d/c/a b")]
        );
    }
}

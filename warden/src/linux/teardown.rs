//! Removing everything of a depot with no daemon alive.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{foreign, links, nft, quotas, register, routers, rules, sysctl};
use crate::Result;
use crate::cgroup::{self, Cgroups, Layout};
use crate::depot::{Depot, starter};
use crate::sys::At;

/// What a teardown removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Tag of the depot.
    pub tag: String,
    /// Handles of containers.
    pub containers: Vec<String>,
    /// Links of the host.
    pub links: Vec<String>,
    /// Whether the packet filter's table existed.
    pub table: bool,
    /// Sysctls put back to their old values; only by the last depot of the host.
    pub sysctls: Vec<String>,
}

/// Removes every kernel object of the depot's tag (containers, cgroups, links,
/// packet filter), its claims in the register and its files. Fails when a
/// backend serves the depot. Blocks for as long as it takes; safe to repeat.
/// A depot that does not exist is an empty report.
pub fn teardown(depot: &Path, register_dir: Option<PathBuf>) -> Result<Report> {
    if !depot.is_dir() {
        return Ok(Report::default());
    }
    let register_dir = register_dir.unwrap_or_else(|| "/run/bloomery".into());
    let depot = Depot::open(depot)?;
    let mut report = Report {
        tag: depot.tag().to_owned(),
        ..Report::default()
    };
    let layout = Layout::detect();
    report.containers = containers(&depot, &layout)?;
    for link in links::of_tag(depot.tag()) {
        links::delete(&link)?;
        report.links.push(link);
    }
    report.table = table(depot.tag())?;
    report.sysctls = register::with(&register_dir, |register| {
        register.owners.remove(depot.tag());
        sysctl::restore(register)
    })?;
    files(&depot)?;
    Ok(report)
}

fn containers(depot: &Depot, layout: &Layout) -> Result<Vec<String>> {
    let mut handles = depot.handles();
    for handle in &handles {
        starter::kill(&depot.container(handle));
    }
    let tag_path = format!("bloomery/{}", depot.tag());
    handles.extend(cgroup::handles_below(layout, &tag_path));
    handles.sort();
    handles.dedup();
    for handle in &handles {
        Cgroups::new(layout.clone(), &format!("{tag_path}/{handle}")).purge()?;
    }
    cgroup::remove_tag(layout, &tag_path);
    Ok(handles)
}

fn table(tag: &str) -> Result<bool> {
    foreign::close(tag)?;
    let name = rules::table(tag);
    let exists = nft::read(&["list", "tables"])?
        .lines()
        .any(|line| line == format!("table ip {name}"));
    nft::apply(&format!("add table ip {name}\ndelete table ip {name}\n"))?;
    Ok(exists)
}

fn files(depot: &Depot) -> Result<()> {
    let stock = [super::disk::WARM, quotas::TRIAL];
    for name in ["c", "trash", "stacks", "templates"]
        .into_iter()
        .chain(stock)
    {
        let path = depot.root().join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).at(format!("remove {}", path.display()))?;
        }
    }
    quotas::forget(depot.root())?;
    for name in ["sysctls.json", "resting-ports.json", routers::FILE, "lock"] {
        // Not every depot has all of them.
        let _ = std::fs::remove_file(depot.root().join(name));
    }
    // Other people's files stay, and with them the directory.
    let _ = std::fs::remove_dir(depot.root());
    Ok(())
}

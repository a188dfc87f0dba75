//! The contract and the walls, kept by the linux backend. Needs root; on a
//! machine without it the tests say so, and fail when CI=true.

#![allow(clippy::unwrap_used)]

#[path = "linux/adoption.rs"]
mod adoption;
#[path = "linux/bandwidth.rs"]
mod bandwidth;
#[path = "linux/cleanup.rs"]
mod cleanup;
mod contract;
#[path = "linux/density.rs"]
mod density;
#[path = "linux/doors.rs"]
mod doors;
#[path = "linux/faults.rs"]
mod faults;
#[path = "linux/inside.rs"]
mod inside;
#[path = "linux/limits.rs"]
mod limits;
#[path = "linux/network.rs"]
mod network;
#[path = "linux/quotas.rs"]
mod quotas;
#[path = "linux/reconciler.rs"]
mod reconciler;
#[path = "linux/refusals.rs"]
mod refusals;
#[path = "linux/visitor.rs"]
mod visitor;
#[path = "linux/walls.rs"]
mod walls;

use std::path::PathBuf;

use warden::{Backend, LinuxBackend, LinuxConfig};

struct Fixture {
    backend: Box<dyn Backend>,
    dir: Scratch,
}

impl Fixture {
    fn end(self) {}
}

/// A place for one depot; whatever a test leaves there is torn down, also
/// when the test fails.
struct Scratch(
    tempfile::TempDir,
    #[expect(dead_code, reason = "unmounted when dropped")] Option<quotas::Ground>,
);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir_in("/var/tmp").unwrap(), None)
    }

    /// On a file system with project quotas; `None` where the kernel has none.
    fn on_quotas() -> Option<Self> {
        Self::on(quotas::Ground::with_quotas())
    }

    fn on(ground: Option<quotas::Ground>) -> Option<Self> {
        let ground = ground?;
        let dir = tempfile::tempdir_in(ground.path()).unwrap();
        Some(Self(dir, Some(ground)))
    }

    fn depot(&self) -> PathBuf {
        self.0.path().join("depot")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.0.path()).unwrap().flatten() {
            end_depot(&entry.path());
        }
    }
}

/// Background work of a dropped backend may still hold the depot's lock.
fn end_depot(depot: &std::path::Path) -> warden::Report {
    for _ in 0..1000 {
        match warden::teardown(depot, None) {
            Ok(report) => return report,
            Err(e) => {
                eprintln!("teardown of {}: {e}", depot.display());
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }
    std::process::abort()
}

fn config(depot: PathBuf) -> LinuxConfig {
    LinuxConfig {
        depot,
        wshd: env!("CARGO_BIN_EXE_wshd").into(),
        ..LinuxConfig::default()
    }
}

fn may_run() -> bool {
    let root =
        std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    let nft = std::process::Command::new("nft")
        .arg("--version")
        .output()
        .is_ok();
    if root && nft {
        return true;
    }
    let why = if root {
        "the nft program is missing"
    } else {
        "not root"
    };
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "CI=true, but {why}"
    );
    eprintln!("SKIPPED: {why}");
    false
}

async fn linux() -> Option<Fixture> {
    let (dir, backend) = opened(|_| ()).await?;
    Some(Fixture {
        backend: Box::new(backend),
        dir,
    })
}

/// A backend whose configuration differs from the usual one. Its depot is torn
/// down after it when both are dropped.
async fn opened(change: impl FnOnce(&mut LinuxConfig)) -> Option<(Scratch, LinuxBackend)> {
    if !may_run() {
        return None;
    }
    let dir = Scratch::new();
    let mut config = config(dir.depot());
    change(&mut config);
    Some((dir, LinuxBackend::open(config).await.unwrap()))
}

contract_tests!(linux);

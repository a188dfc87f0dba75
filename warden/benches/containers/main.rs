//! What a container costs, alternated with runc in one run. Root only.
//!
//! `containers [--rounds N] [--idle N] [--disks N] [--adopt N] [--wshd PATH] [--dir PATH]`
//!
//! `--dir /dev/shm` keeps a busy disk out of the figures, ours and runc's alike.

#![allow(clippy::unwrap_used)]

mod idle;
mod rounds;
mod runc;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use warden::{ContainerSpec, Error, Limits, LinuxBackend, LinuxConfig, ProcessSpec, Rootfs};

/// How much is measured.
struct Size {
    rounds: usize,
    idle: usize,
    disks: usize,
    adopt: usize,
    wshd: PathBuf,
    dir: PathBuf,
}

fn main() {
    let size = arguments();
    let dir = tempfile::tempdir_in(&size.dir).unwrap();
    let depot = Depot(dir.path().join("depot"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = config(depot.0.clone(), size.wshd.clone());
    println!("keeper: {}", size.wshd.display());
    runtime.block_on(async {
        rounds::run(&config, dir.path(), size.rounds).await;
        idle::run(&config, "idle", size.idle, None).await;
        idle::run(
            &config,
            "idle with a disk image",
            size.disks,
            Some(64 << 20),
        )
        .await;
        idle::adopt(&config, size.adopt).await;
    });
}

fn arguments() -> Size {
    let mut given = BTreeMap::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        // cargo adds this one.
        if word != "--bench" {
            given.insert(word, words.next().unwrap_or_default());
        }
    }
    let number = |name: &str, usual: usize| {
        let text = given.get(name);
        text.map_or(usual, |text| text.parse().expect("a number is expected"))
    };
    let path = |name: &str, usual: &str| {
        let given = given.get(name).map_or(usual, String::as_str);
        PathBuf::from(given)
    };
    Size {
        rounds: number("--rounds", 60),
        idle: number("--idle", 1000),
        disks: number("--disks", 100),
        adopt: number("--adopt", 200),
        wshd: path("--wshd", env!("CARGO_BIN_EXE_wshd")),
        dir: path("--dir", "/var/tmp"),
    }
}

/// Room for a thousand containers beside whatever else runs on the host.
fn config(depot: PathBuf, wshd: PathBuf) -> LinuxConfig {
    LinuxConfig {
        depot,
        wshd,
        subnet_pool: "10.252.0.0/16".into(),
        port_range: (20_000, 31_999),
        ..LinuxConfig::default()
    }
}

/// Opens the depot; background work of the backend before may still hold it.
async fn open(config: &LinuxConfig) -> LinuxBackend {
    loop {
        match LinuxBackend::open(config.clone()).await {
            Err(Error::Served { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
            opened => return opened.unwrap(),
        }
    }
}

/// Torn down when dropped, also after a panic.
struct Depot(PathBuf);

impl Drop for Depot {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(error) = warden::teardown(&self.0, None) {
            if Instant::now() > deadline {
                eprintln!("teardown of {}: {error}", self.0.display());
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The container of the comparison; `disk` in bytes.
fn spec(disk: Option<u64>) -> ContainerSpec {
    ContainerSpec {
        handle: None,
        rootfs: Rootfs::Host,
        bind_mounts: Vec::new(),
        limits: Limits {
            memory_bytes: Some(256 << 20),
            cpu_shares: Some(512),
            pids: Some(512),
            disk_bytes: disk,
            ..Limits::default()
        },
        net_out: Vec::new(),
        properties: BTreeMap::new(),
        grace_time: None,
    }
}

/// A job of one system call.
fn quick_job() -> ProcessSpec {
    let mut spec = ProcessSpec::script("");
    spec.argv = vec!["/bin/true".into()];
    spec
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

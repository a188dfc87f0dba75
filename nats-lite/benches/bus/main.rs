//! `./x bench bus`: nats-lite against Debian's nats-server, alternated in one run, one core each.
//!
//! Both servers run on core 0 from the same configuration file (users with permissions), the
//! driver with raw sockets on core 1. Every case visits the servers in the order A B B A. CPU is the scheduler's run time
//! of all threads of a server, of the visit that was disturbed least. Wall figures fall with every neighbour on the machine; the ratios within one run are what counts.

mod cases;
mod pump;
mod report;
mod servers;
mod wire;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use report::Report;
use servers::Pair;

/// The core of the driver; the servers have core 0.
const DRIVER_CORE: usize = 1;

fn main() -> Result<()> {
    // `cargo test --benches` and its like only want to know whether this starts.
    if !std::env::args().any(|word| word == "--bench") {
        return Ok(());
    }
    pin_driver()?;
    let descriptors = raise_descriptor_limit();
    let mut report = Report::begin();
    let idle = Pair::start()?;
    cases::idle_memory(&idle, &mut report)?;
    cases::idle_connections(&idle, descriptors, &mut report)?;
    drop(idle);
    let pair = Pair::start()?;
    for case in &cases::FLOWS {
        cases::flow(&pair, case, &mut report)?;
    }
    cases::round_trips(&pair, &mut report)?;
    cases::memory_after_bursts(&pair, &mut report)?;
    drop(pair);
    cases::stuck_consumer(&mut report)?;
    report.end();
    Ok(())
}

fn pin_driver() -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(DRIVER_CORE);
    sched_setaffinity(None, &cores).context("the driver wants the second core for itself")
}

/// Takes all the descriptors this shell allows; the servers inherit that.
fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, all) {
        Ok(()) => limit.maximum.unwrap_or(1 << 20),
        Err(_) => limit.current.unwrap_or(1024),
    }
}

//! One life after the other: ours, ours with everything, runc's.

use std::path::Path;
use std::time::{Duration, Instant};

use warden::{Backend, LinuxBackend, LinuxConfig, Pipes};

use crate::{milliseconds, open, quick_job, runc, spec};

/// Bytes of the disk image of a full instance.
const DISK: u64 = 1 << 30;

/// Everybody pays in turn for what the one before left to the kernel.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [2, 0, 1],
    [2, 1, 0],
    [1, 2, 0],
    [1, 0, 2],
];

/// Times of one kind of life.
#[derive(Default)]
struct Times {
    create: Vec<Duration>,
    job: Vec<Duration>,
    destroy: Vec<Duration>,
    total: Vec<Duration>,
}

/// Runs the rounds and prints the table.
pub(crate) async fn run(config: &LinuxConfig, dir: &Path, rounds: usize) {
    let backend = open(config).await;
    let (mut plain, mut full) = (Times::default(), Times::default());
    life(&backend, None, &mut Times::default()).await;
    life(&backend, Some(DISK), &mut Times::default()).await;
    let bundle = runc::Bundle::prepare(&config.depot, dir);
    let mut peer = Vec::new();
    for round in 0..rounds {
        for turn in ORDERS[round % ORDERS.len()] {
            match turn {
                0 => life(&backend, None, &mut plain).await,
                1 => life(&backend, Some(DISK), &mut full).await,
                _ => peer.extend(bundle.as_ref().map(|bundle| bundle.life(round))),
            }
        }
    }
    println!("\n{rounds} rounds, alternated; milliseconds, median (p90)");
    println!(
        "{:<44} {:>14} {:>14} {:>14} {:>14}",
        "", "create", "job", "destroy", "total"
    );
    row("warden: network, limits, overlay", &plain);
    row("warden: the same + port + 1 GiB image", &full);
    println!(
        "{:<44} {:>14} {:>14} {:>14} {:>14}",
        "runc run: no network, overlay",
        "",
        "",
        "",
        both(&peer)
    );
    let ratio = |times: &Times| middle(&times.total) / middle(&peer);
    println!(
        "warden / runc: {:.2}, with port and image {:.2}",
        ratio(&plain),
        ratio(&full)
    );
    ready_job(&backend, rounds).await;
}

async fn life(backend: &LinuxBackend, disk: Option<u64>, times: &mut Times) {
    let began = Instant::now();
    let container = backend.create(spec(disk)).await.unwrap();
    if disk.is_some() {
        container.net_in(None).await.unwrap();
    }
    let created = Instant::now();
    let job = container.run(quick_job(), Pipes::default()).await.unwrap();
    assert_eq!(container.wait(&job).await.unwrap().code, 0);
    let ran = Instant::now();
    backend.destroy(container.handle()).await.unwrap();
    let ended = Instant::now();
    times.create.push(created - began);
    times.job.push(ran - created);
    times.destroy.push(ended - ran);
    times.total.push(ended - began);
}

/// Jobs in a container that has been there for a while.
async fn ready_job(backend: &LinuxBackend, rounds: usize) {
    let container = backend.create(spec(None)).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        let job = container.run(quick_job(), Pipes::default()).await.unwrap();
        container.wait(&job).await.unwrap();
        times.push(began.elapsed());
    }
    println!("job on a ready container: {}", both(&times));
    backend.destroy(container.handle()).await.unwrap();
}

fn row(name: &str, times: &Times) {
    let [create, job, destroy, total] =
        [&times.create, &times.job, &times.destroy, &times.total].map(|t| both(t));
    println!("{name:<44} {create:>14} {job:>14} {destroy:>14} {total:>14}");
}

fn both(times: &[Duration]) -> String {
    format!("{:.1} ({:.1})", middle(times), quantile(times, 0.9))
}

fn middle(times: &[Duration]) -> f64 {
    quantile(times, 0.5)
}

fn quantile(times: &[Duration], part: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort();
    let index = ((sorted.len() as f64 - 1.0) * part).round();
    sorted
        .get(index as usize)
        .map_or(f64::NAN, |t| milliseconds(*t))
}

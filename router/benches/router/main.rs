//! `./x bench router`: ours beside nginx and haproxy, in one run, alternated A B C C B A.
//!
//! Each proxy has core 0 for itself; the driver (wrk) and the backend share core 1. The
//! figure that counts is CPU time per request: run time of all the proxy's threads as the
//! scheduler saw it, divided by the requests that wrk counted. Throughput is bounded by the driver.
//! All three write an access log; ours also has 10,000 routes and does a platform's duties.
#![allow(clippy::unwrap_used, missing_docs)]

mod backend;
mod peers;
mod process;
mod steady;
mod table;
mod wrk;

use peers::{Kind, Proxy};
use table::Row;

/// Connections and body sizes measured.
const CASES: [(usize, &str); 4] = [(50, "/1k"), (500, "/1k"), (50, "/100k"), (500, "/100k")];
const ORDER: [Kind; 6] = [
    Kind::Nginx,
    Kind::Haproxy,
    Kind::Ours,
    Kind::Ours,
    Kind::Haproxy,
    Kind::Nginx,
];

/// Registrations a second while requests pass.
const REGISTRATIONS: usize = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize| arguments[at].parse::<u64>().unwrap();
    match arguments.get(1).map(String::as_str) {
        Some("--backend") => backend::serve(),
        Some("--steady") => steady::drive(number(2) as u16, number(3), number(4)),
        _ => measure(),
    }
}

fn measure() {
    let seconds = std::env::var("BENCH_SECONDS").map_or(3, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut backend = process::pinned_self(1, &["--backend"]);
    let port = backend.first_line().parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    let proxies: Vec<Proxy> = [Kind::Nginx, Kind::Haproxy, Kind::Ours]
        .into_iter()
        .map(|kind| Proxy::start(kind, dir.path(), port, &runtime))
        .collect();
    let find = |kind| proxies.iter().find(|proxy| proxy.kind == kind).unwrap();
    let mut rows = Vec::new();
    for (connections, path) in CASES {
        for kind in ORDER {
            rows.push(row(find(kind), connections, path, seconds));
            eprint!(".");
        }
    }
    eprintln!();
    table::print(&rows);
    let half = table::best_rate(&rows, Kind::Nginx) as u64 / 2;
    for kind in [Kind::Nginx, Kind::Ours, Kind::Ours, Kind::Nginx] {
        let latency = steady::measure(find(kind).port, half, seconds);
        table::print_latency(kind, half, latency);
    }
    let ours = find(Kind::Ours);
    peers::idle_connections(ours);
    runtime.block_on(ours.time_updates());
    runtime.block_on(ours.learn_many_routes());
    let still = row(ours, 50, "/1k", seconds);
    let busy = std::thread::scope(|scope| {
        let measured = scope.spawn(|| row(ours, 50, "/1k", seconds));
        let finished = async {
            while !measured.is_finished() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        runtime.block_on(async {
            tokio::select! {
                () = ours.registrar().repeat(REGISTRATIONS) => {}
                () = finished => {}
            }
        });
        measured.join().unwrap()
    });
    println!("with 100,000 routes, then under {REGISTRATIONS} registrations a second as well:");
    table::print(&[still, busy]);
    table::print_ratios(&rows, &CASES);
}

/// One proxy, one case, warmed up.
fn row(proxy: &Proxy, connections: usize, path: &'static str, seconds: u64) -> Row {
    wrk::run(proxy.port, connections, path, 1);
    let before = proxy.process.cpu();
    let result = wrk::run(proxy.port, connections, path, seconds);
    let cpu = proxy.process.cpu() - before;
    Row {
        kind: proxy.kind,
        connections,
        path,
        cpu_us: cpu.as_secs_f64() * 1e6 / result.requests as f64,
        per_second: result.per_second,
        p50: result.p50,
        p99: result.p99,
        rss_mb: proxy.process.rss_kb() as f64 / 1024.0,
    }
}

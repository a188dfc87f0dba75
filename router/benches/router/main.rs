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

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|word| word == "--backend") {
        Some(at) => backend::serve(arguments[at + 1].parse().unwrap()),
        None => measure(),
    }
}

fn measure() {
    let seconds = std::env::var("BENCH_SECONDS").map_or(3, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut backend = process::pinned_self(1, &["--backend", "0"]);
    let port = backend.says_its_port();
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
            let proxy = find(kind);
            wrk::run(proxy.port, connections, path, 1);
            let before = proxy.process.cpu();
            let result = wrk::run(proxy.port, connections, path, seconds);
            let cpu = proxy.process.cpu() - before;
            rows.push(Row {
                kind,
                connections,
                path,
                cpu_us: cpu.as_secs_f64() * 1e6 / result.requests as f64,
                per_second: result.per_second,
                p50: result.p50,
                p99: result.p99,
                rss_mb: proxy.process.rss_kb() as f64 / 1024.0,
            });
            eprint!(".");
        }
    }
    eprintln!();
    table::print(&rows);
    peers::idle_connections(find(Kind::Ours));
    table::print_ratios(&rows, &CASES);
}

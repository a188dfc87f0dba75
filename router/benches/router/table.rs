//! What is printed.

use crate::peers::Kind;
use crate::steady::Latency;

/// One run of one proxy.
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) connections: usize,
    pub(crate) path: &'static str,
    pub(crate) cpu_us: f64,
    pub(crate) per_second: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) rss_mb: f64,
}

pub(crate) fn print(rows: &[Row]) {
    println!(
        "{:<9} {:>5} {:>6} {:>9} {:>9} {:>8} {:>8} {:>7}",
        "proxy", "conn", "body", "CPU us", "req/s", "p50 ms", "p99 ms", "RSS MB"
    );
    for row in rows {
        println!(
            "{:<9} {:>5} {:>6} {:>9.1} {:>9.0} {:>8.2} {:>8.2} {:>7.1}",
            format!("{:?}", row.kind).to_lowercase(),
            row.connections,
            &row.path[1..],
            row.cpu_us,
            row.per_second,
            row.p50,
            row.p99,
            row.rss_mb
        );
    }
}

/// Requests a second of the first case, the better of its runs.
pub(crate) fn best_rate(rows: &[Row], kind: Kind) -> f64 {
    let first = |row: &&Row| row.kind == kind && row.connections == rows[0].connections;
    let small = rows
        .iter()
        .filter(first)
        .filter(|row| row.path == rows[0].path);
    small.map(|row| row.per_second).fold(0.0, f64::max)
}

pub(crate) fn print_latency(kind: Kind, rate: u64, latency: Latency) {
    let name = format!("{kind:?}").to_lowercase();
    let Latency { p50, p99 } = latency;
    println!("{name:<9} 1 KB at {rate} requests/s: p50 {p50:.2} ms, p99 {p99:.2} ms");
}

/// The last line: what ours costs beside nginx, case by case.
pub(crate) fn print_ratios(rows: &[Row], cases: &[(usize, &'static str)]) {
    let mean = |kind: Kind, case: (usize, &str)| {
        let of = |row: &&Row| row.kind == kind && (row.connections, row.path) == case;
        let costs: Vec<f64> = rows.iter().filter(of).map(|row| row.cpu_us).collect();
        costs.iter().sum::<f64>() / costs.len() as f64
    };
    let ratio = |case: &(usize, &'static str)| {
        let ratio = mean(Kind::Ours, *case) / mean(Kind::Nginx, *case);
        format!(
            "{}/{} {ratio:.2}",
            case.1[1..].to_uppercase().replace('K', "KB"),
            case.0
        )
    };
    let ratios: Vec<String> = cases.iter().map(ratio).collect();
    println!("router/nginx cpu ratio: {}", ratios.join(", "));
}

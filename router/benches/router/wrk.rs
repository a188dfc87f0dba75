//! The driver.

use std::process::Command;

/// What wrk counted.
pub(crate) struct Result {
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Drives a proxy; panics over answers other than 200.
pub(crate) fn run(port: u16, connections: usize, path: &str, seconds: u64) -> Result {
    let output = Command::new("taskset")
        .args(["-c", "1", "wrk", "-t1", "--latency"])
        .args([format!("-c{connections}"), format!("-d{seconds}s")])
        .args(["-H", "Host: app-4711.example.com"])
        .arg(format!("http://127.0.0.1:{port}{path}"))
        .output()
        .expect("wrk can be run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("Non-2xx"), "{text}");
    let word = |key: &str, at: usize| {
        let line = text.lines().find(|line| line.trim_start().starts_with(key));
        line.and_then(|line| line.split_whitespace().nth(at))
            .unwrap_or_else(|| panic!("no {key} in {text}"))
            .to_owned()
    };
    let count = text.lines().find(|line| line.contains(" requests in "));
    let requests = count.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Result {
        requests: requests.unwrap_or_else(|| panic!("no count in {text}")),
        per_second: word("Requests/sec:", 1).parse().unwrap(),
        p50: milliseconds(&word("50%", 1)),
        p99: milliseconds(&word("99%", 1)),
    }
}

fn milliseconds(text: &str) -> f64 {
    let (number, factor) = if let Some(number) = text.strip_suffix("us") {
        (number, 0.001)
    } else if let Some(number) = text.strip_suffix("ms") {
        (number, 1.0)
    } else {
        (text.trim_end_matches('s'), 1000.0)
    };
    number.parse::<f64>().unwrap() * factor
}

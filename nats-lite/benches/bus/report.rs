//! The table, and its last line for machines.

use std::process::Command;

use serde_json::{Map, Value, json};

/// What was measured so far.
pub(crate) struct Report {
    commit: String,
    rows: Map<String, Value>,
}

impl Report {
    /// Prints the head.
    pub(crate) fn begin() -> Self {
        let commit = Command::new("git")
            .args(["rev-parse", "--short", "HEAD"])
            .output();
        let commit = commit.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        );
        println!(
            "bus: nats-lite against nats-server, one core each, order A B B A; commit {commit}"
        );
        println!(
            "both with users and permissions; clients log in with headers and no-responders on"
        );
        println!();
        Self {
            commit,
            rows: Map::new(),
        }
    }

    /// A row of the same figure for both servers; `wanted` is the ratio to hold.
    pub(crate) fn compare(
        &mut self,
        what: &str,
        unit: &str,
        ours: f64,
        theirs: f64,
        wanted: Option<f64>,
    ) {
        let ratio = ours / theirs;
        let verdict = match wanted {
            Some(wanted) if ratio <= wanted => format!("wanted {wanted:.2}: held"),
            Some(wanted) => format!("wanted {wanted:.2}: MISSED"),
            None => String::new(),
        };
        println!("{what:<46} {ours:>10.3} {theirs:>10.3} {unit:<10} ratio {ratio:.2}  {verdict}");
        self.rows.insert(what.to_owned(), json!({"unit": unit, "nats_lite": round(ours), "nats_server": round(theirs), "ratio": round(ratio), "wanted": wanted}));
    }

    /// A row with an absolute bar for nats-lite.
    pub(crate) fn bound(&mut self, what: &str, unit: &str, ours: f64, theirs: f64, wanted: f64) {
        let verdict = if ours <= wanted { "held" } else { "MISSED" };
        println!("{what:<46} {ours:>10.3} {theirs:>10.3} {unit:<10} wanted {wanted}: {verdict}");
        self.rows.insert(what.to_owned(), json!({"unit": unit, "nats_lite": round(ours), "nats_server": round(theirs), "wanted_at_most": wanted}));
    }

    /// A line of prose in the middle of the table.
    pub(crate) fn note(&self, text: &str) {
        println!("  {text}");
    }

    /// The line for machines.
    pub(crate) fn end(self) {
        println!();
        println!(
            "{}",
            json!({"bench": "bus", "commit": self.commit, "rows": self.rows})
        );
    }
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

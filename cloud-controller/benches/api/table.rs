//! The figures as a table.

use std::time::Duration;

use crate::load::Times;
use crate::process::Controller;

pub(crate) const HEAD: &str = "| database | requests | count | p50 ms | p99 ms | errors | CPU µs each | RSS MB |\n|---|---|--:|--:|--:|--:|--:|--:|";

/// One line.
pub(crate) struct Row {
    database: String,
    name: String,
    times: Times,
    cpu: Duration,
    resident: u64,
}

impl Row {
    pub(crate) fn new(database: &str, name: &str, times: Times, cpu: Duration) -> Row {
        Row {
            database: database.to_owned(),
            name: name.to_owned(),
            times,
            cpu,
            resident: 0,
        }
    }

    /// With the memory the controller has by now.
    pub(crate) fn at(mut self, controller: &Controller) -> Row {
        self.resident = controller.resident();
        self
    }

    fn line(&self) -> String {
        let count = self.times.took.len();
        format!(
            "| {} | {} | {count} | {:.1} | {:.1} | {} | {} | {} |",
            self.database,
            self.name,
            self.times.percentile(0.5),
            self.times.percentile(0.99),
            self.times.errors,
            self.cpu.as_micros() / count as u128,
            self.resident,
        )
    }
}

pub(crate) fn of(rows: &[Row]) -> String {
    let lines: Vec<String> = rows.iter().map(Row::line).collect();
    lines.join("\n")
}

//! What should run, as the controller said last.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A process at a version: what the health manager reasons about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// Process guid, `droplet` on the bus.
    pub guid: String,
    /// Version.
    pub version: String,
}

/// One row of the bulk API. Unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Process guid.
    pub id: String,
    /// Version.
    pub version: String,
    /// Instances wanted.
    #[serde(default)]
    pub instances: u32,
    /// `STARTED` or `STOPPED`.
    #[serde(default)]
    pub state: String,
    /// `PENDING`, `STAGED` or `FAILED`.
    #[serde(default)]
    pub package_state: String,
}

impl Row {
    fn counts(&self) -> bool {
        self.state == "STARTED" && matches!(self.package_state.as_str(), "STAGED" | "PENDING")
    }

    /// True when there is a droplet to start.
    pub fn is_staged(&self) -> bool {
        self.package_state == "STAGED"
    }
}

/// The last complete picture and its age.
#[derive(Debug, Clone)]
pub struct Desired {
    ttl: Duration,
    rows: BTreeMap<String, Row>,
    fetched: Option<Instant>,
}

impl Desired {
    /// Nothing known yet.
    pub fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            rows: BTreeMap::new(),
            fetched: None,
        }
    }

    /// Replaces the picture after a complete fetch. Only STARTED processes that are staged, or being staged, count.
    pub fn replace(&mut self, rows: Vec<Row>, now: Instant) {
        self.rows = rows
            .into_iter()
            .filter(Row::counts)
            .map(|row| (row.id.clone(), row))
            .collect();
        self.fetched = Some(now);
    }

    /// True while the last complete fetch is recent enough to act upon.
    pub fn is_fresh(&self, now: Instant) -> bool {
        self.fetched
            .is_some_and(|at| now.saturating_duration_since(at) <= self.ttl)
    }

    /// The row of exactly this version.
    pub fn get(&self, process: &Process) -> Option<&Row> {
        self.rows
            .get(&process.guid)
            .filter(|row| row.version == process.version)
    }

    /// The version wanted of this process, whatever it is.
    pub fn current(&self, guid: &str) -> Option<&Row> {
        self.rows.get(guid)
    }

    /// All rows that count.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, state: &str, package_state: &str) -> Row {
        Row {
            id: id.into(),
            version: "v".into(),
            instances: 1,
            state: state.into(),
            package_state: package_state.into(),
        }
    }

    #[test]
    fn only_started_processes_with_hope_for_a_droplet_count() {
        let mut desired = Desired::new(Duration::from_secs(120));
        let rows = vec![
            row("a", "STARTED", "STAGED"),
            row("b", "STARTED", "PENDING"),
            row("c", "STARTED", "FAILED"),
            row("d", "STOPPED", "STAGED"),
        ];
        desired.replace(rows, Instant::now());
        assert_eq!(
            desired
                .rows()
                .map(|row| row.id.as_str())
                .collect::<Vec<_>>(),
            ["a", "b"]
        );
    }

    #[test]
    fn goes_stale_without_a_fetch() {
        let start = Instant::now();
        let mut desired = Desired::new(Duration::from_secs(120));
        assert!(!desired.is_fresh(start));
        desired.replace(vec![], start);
        assert!(desired.is_fresh(start + Duration::from_secs(120)));
        assert!(!desired.is_fresh(start + Duration::from_secs(121)));
    }
}

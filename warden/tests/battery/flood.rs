//! A job that prints more than anybody keeps.

use std::fs;
use std::path::Path;

use warden::{Backend, LinuxBackend, LinuxConfig, Output, Pipes, ProcessSpec, Rootfs};

use crate::lab::{self, Lab};

const LINES: u64 = 60_000;
const RING: u64 = 1 << 20;

/// A job prints far more than is kept: the disk holds what the ring allows, and
/// each line is either delivered or in a gap record. The control is a large ring.
pub(crate) fn log_flood(lab: &mut Lab, wrong: &mut Vec<String>) {
    for (ring, small) in [(RING, true), (256 << 20, false)] {
        let (bytes, accounted) = flood(lab, ring);
        println!(
            "log_flood          ring {ring}: {bytes} bytes on disk, {accounted} of {LINES} lines accounted for"
        );
        if (bytes <= 2 * RING) != small || accounted != LINES {
            wrong.push(format!(
                "log_flood: ring {ring}, {bytes} bytes, {accounted} lines"
            ));
        }
    }
}

fn flood(lab: &mut Lab, ring: u64) -> (u64, u64) {
    let base = lab.scratch.path().join(format!("flood-{ring}"));
    fs::create_dir(&base).unwrap();
    let config = LinuxConfig {
        depot: base.join("depot"),
        ring_bytes: ring,
        ..lab::config(lab.scratch.path())
    };
    let depot = config.depot.clone();
    let found = lab.runtime.block_on(async {
        let backend = LinuxBackend::open(config).await.unwrap();
        let mut spec = lab::bare_spec("flood-0".into(), Rootfs::Host);
        spec.limits.memory_bytes = Some(96 << 20);
        let container = backend.create(spec).await.unwrap();
        let script = format!(
            "for ((i = 0; i < {LINES}; i++)); do echo {}; done",
            "x".repeat(100)
        );
        let job = container
            .run(ProcessSpec::script(script), Pipes::default())
            .await
            .unwrap();
        container.wait(&job).await.unwrap();
        let bytes = size(&depot.join("c/flood-0/jobs"));
        let mut output = container.attach(&job, 1).await.unwrap();
        let mut accounted = 0;
        while let Some(item) = output.recv().await {
            accounted += match item {
                Output::Line { .. } => 1,
                Output::Gap { from, to } => to - from + 1,
            };
        }
        backend.destroy("flood-0").await.unwrap();
        (bytes, accounted)
    });
    lab::tear_down(&depot, lab.scratch.path());
    found
}

fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size(&entry.path()),
            _ => entry.metadata().map_or(0, |m| m.len()),
        })
        .sum()
}

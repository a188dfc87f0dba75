//! What an idle container costs its host and the process that serves it.

use std::path::Path;

use warden::{Pipes, ProcessSpec};

use crate::contract::plain_spec;
use crate::linux;

const CONTAINERS: usize = 12;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Kilobytes that keeper and init of a container share with nobody.
fn private_memory(container: &Path) -> u64 {
    let text = std::fs::read(container.join("state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&text).unwrap();
    ["keeper_pid", "init_pid"]
        .iter()
        .map(|name| {
            let path = format!("/proc/{}/smaps_rollup", state[name]);
            let text = std::fs::read_to_string(path).unwrap();
            let private = text.lines().filter(|line| line.starts_with("Private_"));
            private
                .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
                .sum::<u64>()
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_container_costs_at_most_four_descriptors_and_350_kilobytes() {
    let Some(fixture) = linux().await else { return };
    let mut sleeper = ProcessSpec::script("");
    sleeper.argv = vec!["/bin/sleep".into(), "100000".into()];
    let before = descriptors();
    let mut watched = Vec::new();
    for _ in 0..CONTAINERS {
        let container = fixture.backend.create(plain_spec()).await.unwrap();
        let job = container
            .run(sleeper.clone(), Pipes::default())
            .await
            .unwrap();
        let output = container.attach(&job, 1).await.unwrap();
        let end = tokio::spawn({
            let container = container.clone();
            async move { container.wait(&job).await }
        });
        watched.push((container, output, end));
    }
    let each = (descriptors() - before) as f64 / CONTAINERS as f64;
    assert!(each <= 4.0, "{each} descriptors per container");
    let depot = fixture.dir.depot();
    for (container, _, _) in &watched {
        let kilobytes = private_memory(&depot.join("c").join(container.handle()));
        assert!((1..=350).contains(&kilobytes), "{kilobytes} kB");
    }
    for (container, _, end) in watched {
        fixture.backend.destroy(container.handle()).await.unwrap();
        assert_eq!(end.await.unwrap().unwrap().code, 137);
    }
    fixture.end();
}

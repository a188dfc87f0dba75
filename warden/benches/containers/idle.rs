//! Many containers at rest, and taking them over.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use warden::{Backend, Container, LinuxBackend, LinuxConfig, Pipes, ProcessSpec};

use crate::{milliseconds, open, spec};

/// Containers made at the same time.
const AT_ONCE: usize = 4;
/// How long rest is watched.
const REST: Duration = Duration::from_secs(10);

/// Makes `count` containers with a sleeping job and looks at what they cost.
pub(crate) async fn run(config: &LinuxConfig, name: &str, count: usize, disk: Option<u64>) {
    if count == 0 {
        return;
    }
    let backend = Arc::new(open(config).await);
    let (fds, available) = (descriptors(), available_memory());
    let began = Instant::now();
    let watched = make(&backend, count, disk).await;
    println!("\n{count} containers, {name}");
    println!("  made in {:.1} s", began.elapsed().as_secs_f64());
    let each = |total: f64| total / count as f64;
    println!(
        "  descriptors here per container: {:.2}",
        each(descriptors() as f64 - fds as f64)
    );
    let private = private_memory(&config.depot);
    println!(
        "  private memory of keeper and init: {:.0} kB each",
        each(private as f64)
    );
    let lost = available.saturating_sub(available_memory());
    println!(
        "  the machine's available memory: -{:.0} kB each",
        each(lost as f64)
    );
    let before = cpu_ticks(&config.depot);
    tokio::time::sleep(REST).await;
    let used = (cpu_ticks(&config.depot) - before) as f64 / 100.0 / REST.as_secs_f64();
    println!(
        "  CPU at rest: {:.2} % of one, {} threads here",
        used * 100.0,
        threads()
    );
    let began = Instant::now();
    destroy_all(&backend).await;
    println!("  destroyed in {:.1} s", began.elapsed().as_secs_f64());
    watched.into_iter().for_each(|task| task.abort());
}

/// Opens a depot with `count` live containers, as after the death of a DEA.
pub(crate) async fn adopt(config: &LinuxConfig, count: usize) {
    if count == 0 {
        return;
    }
    let backend = Arc::new(open(config).await);
    make(&backend, count, None)
        .await
        .into_iter()
        .for_each(|task| task.abort());
    drop(backend);
    let began = Instant::now();
    let backend = Arc::new(open(config).await);
    let handles = backend.list(&Default::default()).await.unwrap();
    for handle in &handles {
        backend.lookup(handle).await.unwrap().info().await.unwrap();
    }
    println!(
        "\nre-adoption of {} containers with Info of each: {:.0} ms",
        handles.len(),
        milliseconds(began.elapsed())
    );
    assert_eq!(handles.len(), count);
    destroy_all(&backend).await;
}

type Watch = tokio::task::JoinHandle<()>;

async fn make(backend: &Arc<LinuxBackend>, count: usize, disk: Option<u64>) -> Vec<Watch> {
    let makers: Vec<_> = (0..AT_ONCE)
        .map(|maker| {
            let backend = backend.clone();
            let share = count / AT_ONCE + usize::from(maker < count % AT_ONCE);
            tokio::spawn(async move {
                let mut watched = Vec::new();
                for _ in 0..share {
                    let container = backend.create(spec(disk)).await.unwrap();
                    watched.push(watch(container).await);
                }
                watched
            })
        })
        .collect();
    let mut all = Vec::new();
    for maker in makers {
        all.extend(maker.await.unwrap());
    }
    all
}

/// What a DEA does with an instance: it follows output and end of one job.
async fn watch(container: Arc<dyn Container>) -> Watch {
    let mut sleeper = ProcessSpec::script("");
    sleeper.argv = vec!["/bin/sleep".into(), "100000".into()];
    let job = container.run(sleeper, Pipes::default()).await.unwrap();
    let mut output = container.attach(&job, 1).await.unwrap();
    tokio::spawn(async move {
        // The end is an error when the container is destroyed.
        let _ = tokio::join!(container.wait(&job), async {
            while output.recv().await.is_some() {}
        });
    })
}

async fn destroy_all(backend: &Arc<LinuxBackend>) {
    let handles = backend.list(&Default::default()).await.unwrap();
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|n| {
            let (backend, handles) = (backend.clone(), handles.clone());
            tokio::spawn(async move {
                for handle in handles.iter().skip(n).step_by(AT_ONCE) {
                    backend.destroy(handle).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

fn available_memory() -> u64 {
    field(
        &fs::read_to_string("/proc/meminfo").unwrap(),
        "MemAvailable:",
    )
}

/// Keepers and inits of the depot.
fn pids(depot: &Path) -> Vec<i64> {
    let containers = fs::read_dir(depot.join("c")).unwrap().flatten();
    containers
        .filter_map(|c| fs::read(c.path().join("state.json")).ok())
        .filter_map(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
        .flat_map(|state| [state["keeper_pid"].as_i64(), state["init_pid"].as_i64()])
        .flatten()
        .collect()
}

fn private_memory(depot: &Path) -> u64 {
    pids(depot)
        .iter()
        .map(|pid| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default())
        .map(|text| field(&text, "Private_Clean:") + field(&text, "Private_Dirty:"))
        .sum()
}

/// CPU time of this process, keepers and inits, in hundredths of a second.
fn cpu_ticks(depot: &Path) -> u64 {
    let own = i64::from(std::process::id());
    let all = pids(depot).into_iter().chain([own]);
    all.filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<u64> = stat
            .rsplit_once(')')?
            .1
            .split_whitespace()
            .map(|f| f.parse().unwrap_or(0))
            .collect();
        Some(fields[11] + fields[12])
    })
    .sum()
}

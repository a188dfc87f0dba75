//! A creation that is cut off at any step, in any way, leaves nothing: an
//! outside snapshot before and after must be equal.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use warden::{Backend, BindMount, Fault, FaultKind, LinuxBackend, LinuxConfig, Step};

use crate::cleanup::{config, elements, traces};
use crate::contract::{plain_spec, until};
use crate::{Scratch, may_run};

/// Who does a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doer {
    Backend,
    Keeper,
    Init,
}

fn doer(step: Step) -> Doer {
    match step {
        Step::Allocate | Step::Directory | Step::DiskImage | Step::Firewall | Step::Ready => {
            Doer::Backend
        }
        Step::InitMounts | Step::InitLock => Doer::Init,
        _ => Doer::Keeper,
    }
}

/// Everything outside that a creation touches: mounts, loops, cgroups of all
/// controllers, links, processes and tables (by tag or path), elements of the
/// packet filter, quotas, files of the depot, and of this process its descriptors
/// (network namespaces among them) and its dead children.
fn snapshot(tag: &str, depot: &Path) -> Vec<String> {
    let mut found = traces(tag, depot);
    found.push(format!("elements {}", elements(tag)));
    found.extend(crate::quotas::known(depot));
    for dir in ["c", "trash"] {
        files(&depot.join(dir), &mut found);
    }
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let mut kinds: Vec<String> = descriptors
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|target| kind_of(&target.to_string_lossy()))
        .collect();
    kinds.sort();
    found.extend(kinds);
    found.push(format!("zombies {}", zombies()));
    found
}

/// `socket:[123]` → `socket:`; numbers differ from run to run.
fn kind_of(target: &str) -> String {
    format!("fd {}", target.split('[').next().unwrap_or_default())
}

fn files(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        found.push(format!("file {}", entry.path().display()));
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files(&entry.path(), found);
        }
    }
}

/// Children of this process that nobody waited for.
fn zombies() -> usize {
    let own = std::process::id().to_string();
    let stats = std::fs::read_dir("/proc").unwrap().flatten();
    stats
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .filter_map(|stat| Some(stat.rsplit_once(") ")?.1.to_owned()))
        .filter(|rest| rest.starts_with(&format!("Z {own} ")))
        .count()
}

/// A container that needs every step.
async fn create_victim(backend: &LinuxBackend) -> warden::Result<()> {
    let mut spec = plain_spec();
    spec.handle = Some("victim".into());
    spec.limits.disk_bytes = Some(16 << 20);
    spec.limits.memory_bytes = Some(64 << 20);
    spec.bind_mounts = vec![BindMount {
        src: "/usr/share".into(),
        dst: "/shared".into(),
        writable: false,
    }];
    backend.create(spec).await.map(drop)
}

fn with_fault(depot: &Path, after: Step, kind: FaultKind) -> LinuxConfig {
    LinuxConfig {
        fail_after: Some(Fault { after, kind }),
        ..config(depot.to_owned())
    }
}

async fn nothing_is_left(case: &str, tag: &str, depot: &Path, before: &[String]) {
    let mut now = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        now = snapshot(tag, depot);
        if now == before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let new: Vec<&String> = now.iter().filter(|t| !before.contains(t)).collect();
    let gone: Vec<&String> = before.iter().filter(|t| !now.contains(t)).collect();
    panic!("{case} left {new:?} (and took {gone:?}): {now:?}");
}

/// One depot for all cases, with what the first creation leaves for later ones
/// (stack, disk template).
async fn seasoned(dir: &Scratch) -> std::path::PathBuf {
    let depot = dir.depot();
    let backend = open(config(depot.clone())).await;
    create_victim(&backend).await.unwrap();
    backend.destroy("victim").await.unwrap();
    until("the files are gone", async || {
        std::fs::read_dir(depot.join("trash")).unwrap().count() == 0
    })
    .await;
    depot
}

/// Opens a depot whose last backend may still be letting go of it.
async fn open(config: LinuxConfig) -> LinuxBackend {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match LinuxBackend::open(config.clone()).await {
            Ok(backend) => return backend,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The step reports a failure, or its process dies (keeper or init).
#[tokio::test]
async fn a_failure_after_any_step_leaves_nothing() {
    if !may_run() {
        return;
    }
    cut_off(&Scratch::new(), failures()).await;
}

#[tokio::test]
async fn a_failure_leaves_no_quota_of_a_project() {
    if !may_run() {
        return;
    }
    let Some(dir) = Scratch::on_quotas() else {
        return;
    };
    let around = failures().filter(|(step, _)| AROUND_QUOTA.contains(step));
    cut_off(&dir, around).await;
}

/// Steps after which a quota is, or should be, there.
const AROUND_QUOTA: [Step; 4] = [Step::Directory, Step::DiskImage, Step::Overlay, Step::Ready];

async fn cut_off(dir: &Scratch, failures: impl Iterator<Item = (Step, FaultKind)>) {
    let depot = seasoned(dir).await;
    for (step, kind) in failures {
        let backend = open(with_fault(&depot, step, kind)).await;
        let tag = backend.tag().to_owned();
        let before = snapshot(&tag, &depot);
        let error = create_victim(&backend).await.unwrap_err().to_string();
        if kind == FaultKind::Fail {
            let injected = format!("{step:?}: failure injected");
            assert!(error.starts_with(&injected), "{error}");
        }
        nothing_is_left(&format!("{kind:?} after {step:?}"), &tag, &depot, &before).await;
        assert_eq!(traces(&tag, &depot).len(), 1, "only the table: {before:?}");
    }
}

/// Every step fails; every process but the backend's, which is this test, dies.
fn failures() -> impl Iterator<Item = (Step, FaultKind)> {
    let fail = Step::ALL.map(|step| (step, FaultKind::Fail));
    let others = Step::ALL
        .into_iter()
        .filter(|step| doer(*step) != Doer::Backend);
    fail.into_iter()
        .chain(others.map(|step| (step, FaultKind::Die)))
}

/// Creates a container until it is killed.
#[tokio::test]
#[ignore = "started by another test, in a process of its own"]
async fn helper_that_dies_while_creating() {
    let Some(depot) = std::env::var_os("WARDEN_TEST_DEPOT") else {
        return;
    };
    let fault = std::env::var("WARDEN_TEST_FAULT").unwrap();
    let fault: Fault = serde_json::from_str(&fault).unwrap();
    let backend = open(with_fault(Path::new(&depot), fault.after, fault.kind)).await;
    create_victim(&backend).await.unwrap();
}

/// `kill -9` of the backend while it, or the keeper, is at any step; the next
/// backend finds nothing, or removes what it finds.
#[tokio::test]
async fn a_backend_killed_at_any_step_leaves_nothing_for_the_next() {
    if !may_run() {
        return;
    }
    kill_at(&Scratch::new(), &Step::ALL).await;
}

#[tokio::test]
async fn a_killed_backend_leaves_no_quota_for_the_next() {
    if !may_run() {
        return;
    }
    let Some(dir) = Scratch::on_quotas() else {
        return;
    };
    kill_at(&dir, &AROUND_QUOTA).await;
}

async fn kill_at(dir: &Scratch, steps: &[Step]) {
    let depot = seasoned(dir).await;
    for step in steps.iter().copied() {
        let kind = match doer(step) {
            Doer::Backend => FaultKind::Die,
            Doer::Keeper => FaultKind::KillParent,
            // Init cannot see the backend.
            Doer::Init => continue,
        };
        let backend = open(config(depot.clone())).await;
        let tag = backend.tag().to_owned();
        let before = snapshot(&tag, &depot);
        drop(backend);
        kill_a_creator(&depot, Fault { after: step, kind });
        let backend = open(config(depot.clone())).await;
        nothing_is_left(&format!("{kind:?} after {step:?}"), &tag, &depot, &before).await;
        let list = backend.list(&Default::default()).await.unwrap();
        assert!(list.is_empty(), "{step:?}");
    }
}

fn kill_a_creator(depot: &Path, fault: Fault) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "faults::helper_that_dies_while_creating",
            "--ignored",
        ])
        .env("WARDEN_TEST_DEPOT", depot)
        .env("WARDEN_TEST_FAULT", serde_json::to_string(&fault).unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.signal(), Some(9), "{fault:?}: {output:?}");
}

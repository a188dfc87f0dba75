//! Nothing is left: an outside snapshot before and after, restricted to what
//! carries the depot's tag or path.

use std::path::Path;
use std::process::Command;

use warden::{Backend, LinuxBackend, Pipes, ProcessSpec};

use crate::contract::{plain_spec, script, until};
use crate::{Scratch, end_depot, linux, may_run};

/// Nothing is made ahead: the snapshots compare the links of the host.
pub(crate) fn config(depot: std::path::PathBuf) -> warden::LinuxConfig {
    warden::LinuxConfig {
        warm_networks: 0,
        warm_images: 0,
        ..crate::config(depot)
    }
}

/// Every trace of a depot outside of its directory.
pub(crate) fn traces(tag: &str, depot: &Path) -> Vec<String> {
    let depot = depot.to_string_lossy().into_owned();
    let mut found = Vec::new();
    let mut add = |kind: &str, text: String| found.push(format!("{kind} {text}"));
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    read("/proc/self/mountinfo")
        .lines()
        .filter(|l| l.contains(&depot))
        .for_each(|l| add("mount", l.into()));
    let names = |dir: &str| -> Vec<String> {
        std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect()
    };
    names("/sys/class/net")
        .into_iter()
        .filter(|n| n.starts_with(&format!("b{tag}")))
        .for_each(|n| add("link", n));
    let hierarchies = names("/sys/fs/cgroup");
    // The empty name is for a host whose one hierarchy is the directory itself.
    for hierarchy in hierarchies.iter().map(String::as_str).chain([""]) {
        let dir = format!("/sys/fs/cgroup/{hierarchy}/bloomery/{tag}");
        names(&dir)
            .into_iter()
            .filter(|n| Path::new(&dir).join(n).is_dir())
            .for_each(|n| add("cgroup", format!("{dir}/{n}")));
    }
    for device in names("/sys/block")
        .into_iter()
        .filter(|n| n.starts_with("loop"))
    {
        let file = read(&format!("/sys/block/{device}/loop/backing_file"));
        if file.contains(&depot) {
            add("loop", file);
        }
    }
    for pid in names("/proc")
        .into_iter()
        .filter(|n| n.parse::<u32>().is_ok())
    {
        let dir = format!("/proc/{pid}");
        let command = read(&format!("{dir}/cmdline")).replace('\0', " ");
        if command.contains("wshd") && command.contains(&depot) {
            add("process", command);
        }
    }
    let nft = Command::new("nft")
        .args(["list", "tables"])
        .output()
        .unwrap();
    let nft = String::from_utf8_lossy(&nft.stdout).into_owned();
    nft.lines()
        .filter(|l| l.contains(&format!("bloomery_{tag}")))
        .for_each(|l| add("table", l.into()));
    found
}

pub(crate) fn elements(tag: &str) -> usize {
    let list = |map: &str| {
        let out = Command::new("nft")
            .args(["list", "map", "ip", &format!("bloomery_{tag}"), map])
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).matches(" : ").count()
    };
    // The type line of a map has one colon of its own.
    list("ports") + list("egress") - 2
}

#[tokio::test]
async fn destroy_leaves_nothing_of_a_container() {
    if !may_run() {
        return;
    }
    let dir = Scratch::new();
    let depot = dir.depot();
    let backend = LinuxBackend::open(config(depot.clone())).await.unwrap();
    let tag = backend.tag().to_owned();
    let before = traces(&tag, &depot);
    let mut spec = plain_spec();
    spec.limits.disk_bytes = Some(16 << 20);
    let container = backend.create(spec).await.unwrap();
    container.net_in(None).await.unwrap();
    script(&container, "echo x > file; sleep 1000 & disown").await;
    let during = traces(&tag, &depot);
    for kind in ["link", "cgroup", "loop", "process"] {
        assert!(
            during.iter().any(|t| t.starts_with(kind)),
            "the snapshot sees a {kind}: {during:?}"
        );
    }
    assert!(
        !during.iter().any(|t| t.starts_with("mount")),
        "mounts stay in the keeper's namespace"
    );
    assert_eq!(elements(&tag), 2);
    backend.destroy(container.handle()).await.unwrap();
    until("everything is gone", async || {
        traces(&tag, &depot) == before && elements(&tag) == 0
    })
    .await;
    until("the files are gone", async || {
        std::fs::read_dir(depot.join("trash")).unwrap().count() == 0
    })
    .await;
    drop(backend);
    end_depot(&depot);
    assert_eq!(traces(&tag, &depot), Vec::<String>::new());
    assert!(!depot.exists());
}

#[tokio::test]
async fn teardown_works_with_no_backend_alive() {
    if !may_run() {
        return;
    }
    let dir = Scratch::new();
    let depot = dir.depot();
    let backend = LinuxBackend::open(config(depot.clone())).await.unwrap();
    let tag = backend.tag().to_owned();
    for _ in 0..2 {
        let mut spec = plain_spec();
        spec.limits.disk_bytes = Some(16 << 20);
        let container = backend.create(spec).await.unwrap();
        container.net_in(None).await.unwrap();
        container
            .run(ProcessSpec::script("sleep 1000"), Pipes::default())
            .await
            .unwrap();
    }
    assert!(
        warden::teardown(&depot, None).is_err(),
        "a served depot is refused"
    );
    drop(backend);
    let report = end_depot(&depot);
    assert_eq!(
        (report.containers.len(), report.table),
        (2, true),
        "{report:?}"
    );
    until("everything is gone", async || {
        traces(&tag, &depot).is_empty()
    })
    .await;
    assert!(!depot.exists());
    assert_eq!(
        warden::teardown(&depot, None).unwrap(),
        warden::Report::default()
    );
}

#[tokio::test]
async fn two_depots_do_not_touch_each_other() {
    let Some(one) = linux().await else { return };
    let kept = one.backend.create(plain_spec()).await.unwrap();
    kept.net_in(None).await.unwrap();
    let two = linux().await.unwrap();
    let other = two.backend.create(plain_spec()).await.unwrap();
    let (a, b) = (kept.info().await.unwrap(), other.info().await.unwrap());
    assert_ne!(a.container_ip, b.container_ip);
    assert_ne!(
        a.ports[0].host_port,
        other.net_in(None).await.unwrap().host_port
    );
    two.end();
    let (exit, _) = script(&kept, "true").await;
    assert_eq!(exit.code, 0);
    assert_eq!(
        one.backend.list(&Default::default()).await.unwrap(),
        [kept.handle()]
    );
    one.backend.destroy(kept.handle()).await.unwrap();
    one.end();
}

#[tokio::test]
async fn opening_a_depot_removes_what_belongs_to_no_container() {
    if !may_run() {
        return;
    }
    let dir = Scratch::new();
    let depot = dir.depot();
    let backend = LinuxBackend::open(config(depot.clone())).await.unwrap();
    let tag = backend.tag().to_owned();
    drop(backend);
    let unified = Path::new("/sys/fs/cgroup/unified");
    let top = if unified.exists() {
        unified
    } else {
        Path::new("/sys/fs/cgroup")
    };
    let group = top.join(format!("bloomery/{tag}/ghost/j"));
    std::fs::create_dir_all(&group).unwrap();
    std::fs::create_dir_all(depot.join("c/dead")).unwrap();
    let link = format!("b{tag}4711");
    let made = Command::new("ip")
        .args(["link", "add", &link, "type", "veth"])
        .status()
        .unwrap();
    assert!(made.success());
    let backend = LinuxBackend::open(config(depot.clone())).await.unwrap();
    assert!(!group.exists() && !depot.join("c/dead").exists());
    assert!(!Path::new("/sys/class/net").join(&link).exists());
    drop(backend);
    end_depot(&depot);
}

//! Orphans of every kind are found while a container runs, and nothing else is touched.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use warden::{Backend, LinuxBackend, Pipes, ProcessSpec};

use crate::contract::{fetch, plain_spec, script, until};
use crate::{Scratch, opened};

/// A backend that looks for orphans every second. Its depot is torn down in the end.
async fn eager() -> Option<(Scratch, LinuxBackend)> {
    opened(|config| config.reconcile_seconds = 1).await
}

fn succeeds(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// Things of the depot's tag that belong to no container.
struct Planted {
    cgroup: PathBuf,
    link: PathBuf,
    mount: PathBuf,
    image: PathBuf,
    keeper: Child,
    table: String,
}

impl Planted {
    fn plant(tag: &str, depot: &Path) -> Self {
        let cgroup = PathBuf::from(format!("/sys/fs/cgroup/memory/bloomery/{tag}/ghost/j"));
        let root = cgroup.ancestors().nth(4).unwrap();
        let cgroup = if root.is_dir() {
            cgroup
        } else {
            format!("/sys/fs/cgroup/bloomery/{tag}/ghost/j").into()
        };
        std::fs::create_dir_all(&cgroup).unwrap();
        let link = format!("b{tag}4711");
        succeeds("ip", &["link", "add", &link, "type", "veth"]);
        let trash = depot.join("trash/old");
        let mount = trash.join("mnt");
        std::fs::create_dir_all(&mount).unwrap();
        succeeds("mount", &["-t", "tmpfs", "ghost", mount.to_str().unwrap()]);
        let image = trash.join("disk.img");
        std::fs::File::create(&image)
            .unwrap()
            .set_len(1 << 20)
            .unwrap();
        succeeds("losetup", &["-f", image.to_str().unwrap()]);
        let table = format!("bloomery_{tag}");
        let elements = format!(
            "add chain ip {table} rules_ghost
add element ip {table} ports {{ 9 : 10.0.0.1 . 9 }}
add element ip {table} egress {{ \"{link}\" . 10.0.0.1 : jump rules_ghost }}"
        );
        succeeds("nft", &[&elements]);
        Self {
            keeper: ghost(depot),
            cgroup,
            link: Path::new("/sys/class/net").join(link),
            mount,
            image,
            table,
        }
    }

    /// Names of those that are still there.
    fn left(&mut self) -> Vec<&'static str> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let loops = succeeds("losetup", &["-j", self.image.to_str().unwrap()]);
        let table = succeeds("nft", &["list", "table", "ip", &self.table]);
        let all = [
            ("cgroup", self.cgroup.exists()),
            ("link", self.link.exists()),
            ("mount", mounts.contains(self.mount.to_str().unwrap())),
            ("loop", !loops.is_empty()),
            ("keeper", self.keeper.try_wait().unwrap().is_none()),
            ("port", table.contains("10.0.0.1 . 9")),
            ("chain or element", table.contains("rules_ghost")),
        ];
        all.iter()
            .filter(|(_, there)| *there)
            .map(|(name, _)| *name)
            .collect()
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        // Only after a failure is anything still there.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        let _ = Command::new("umount").arg("-l").arg(&self.mount).output();
    }
}

/// A process that looks like the keeper of a container that is not there.
fn ghost(depot: &Path) -> Child {
    let code = depot.parent().unwrap().join("ghost");
    std::fs::create_dir_all(&code).unwrap();
    std::fs::write(code.join("__main__.py"), "import time\ntime.sleep(10000)\n").unwrap();
    let dir = depot.join("c/ghost");
    std::os::unix::fs::symlink(&code, &dir).unwrap();
    let child = Command::new("/usr/bin/python3")
        .arg0("/opt/wshd")
        .arg(&dir)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    // It read its code; without the directory it has no owner.
    let started = |pid: u32| {
        std::fs::read_to_string(format!("/proc/{pid}/wchan")).is_ok_and(|w| w.contains("sleep"))
            || std::fs::read_to_string(format!("/proc/{pid}/syscall"))
                .is_ok_and(|s| s.starts_with("230 ") || s.starts_with("23 "))
    };
    for _ in 0..2000 {
        if started(child.id()) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    std::fs::remove_file(&dir).unwrap();
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_of_every_kind_go_and_a_running_container_stays() {
    let Some((dir, backend)) = eager().await else {
        return;
    };
    let mut spec = plain_spec();
    spec.limits.disk_bytes = Some(16 << 20);
    let container = backend.create(spec).await.unwrap();
    let port = container.net_in(None).await.unwrap();
    let server = crate::network::serve_on(&container, port).await;
    let mut planted = Planted::plant(backend.tag(), &dir.depot());
    assert!(!planted.left().is_empty(), "they were planted");
    until("every orphan is gone", async || {
        let left = planted.left();
        if !left.is_empty() {
            eprintln!("left: {left:?}");
        }
        left.is_empty()
    })
    .await;
    assert_eq!(fetch("127.0.0.1", port.host_port).await, "hello");
    assert!(container.info().await.unwrap().jobs.contains(&server));
    let (exit, lines) = script(&container, "echo x > file && cat file").await;
    assert_eq!((exit.code, lines), (0, vec!["x".to_owned()]));
    // The stock made ahead is not an orphan either.
    let second = backend.create(plain_spec()).await.unwrap();
    second.net_out(&[everything()]).await.unwrap();
    for container in [container, second] {
        backend.destroy(container.handle()).await.unwrap();
    }
}

fn everything() -> warden::NetOutRule {
    warden::NetOutRule {
        protocol: warden::Protocol::All,
        destination: "192.0.2.0/24".into(),
        ports: vec![],
        icmp_type: None,
        icmp_code: None,
        log: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_nobody_uses_any_more_goes() {
    let Some((_dir, backend)) = eager().await else {
        return;
    };
    let table = format!("bloomery_{}", backend.tag());
    let chains = || {
        let text = succeeds("nft", &["list", "table", "ip", &table]);
        text.matches("chain rules_").count()
    };
    let container = backend.create(plain_spec()).await.unwrap();
    container.net_out(&[everything()]).await.unwrap();
    until("only the chain in use is left", async || chains() == 1).await;
    // It can come back at any time.
    let again = backend.create(plain_spec()).await.unwrap();
    assert_eq!(chains(), 2);
    for container in [container, again] {
        backend.destroy(container.handle()).await.unwrap();
    }
    until("no chain is left", async || chains() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_come_and_go_while_orphans_are_looked_for() {
    let Some((_dir, backend)) = eager().await else {
        return;
    };
    for _ in 0..40 {
        let mut spec = plain_spec();
        // The same handle at once: nothing of the old one may be left to it.
        spec.handle = Some("again".into());
        let container = backend.create(spec).await.unwrap();
        let (exit, lines) = script(&container, "echo fine").await;
        assert_eq!((exit.code, lines), (0, vec!["fine".to_owned()]));
        backend.destroy("again").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_without_a_client_ends_after_its_grace_time() {
    let Some((dir, backend)) = eager().await else {
        return;
    };
    let mut spec = plain_spec();
    spec.handle = Some("short".into());
    spec.grace_time = Some(std::time::Duration::from_millis(300));
    let container = backend.create(spec.clone()).await.unwrap();
    until("it is not found any more", async || {
        backend.lookup("short").await.is_err()
    })
    .await;
    until("its directory is gone", async || {
        !dir.depot().join("c/short").exists()
    })
    .await;
    drop(container);
    // With a client it stays, however short its time is.
    spec.grace_time = None;
    let container = backend.create(spec).await.unwrap();
    let job = container
        .run(ProcessSpec::script("sleep 1000"), Pipes::default())
        .await
        .unwrap();
    let reader = container.attach(&job, 1).await.unwrap();
    let moment = std::time::Duration::from_millis(1);
    container.set_grace_time(Some(moment)).await.unwrap();
    assert_eq!(container.info().await.unwrap().grace_time, Some(moment));
    container.set_grace_time(None).await.unwrap();
    assert_eq!(container.info().await.unwrap().grace_time, None);
    backend.destroy("short").await.unwrap();
    drop(reader);
}

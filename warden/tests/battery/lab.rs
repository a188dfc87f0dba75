//! Containers with walls down, and running attempts in them.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use warden::{
    Backend, BindMount, Container, ContainerSpec, Exit, LinuxBackend, LinuxConfig, Output, Pipes,
    ProcessSpec, Rootfs, User,
};

use crate::attacker::{FACT, RESULT};
use crate::outer;
use crate::row::{Row, is_one_of};
use crate::walls::{Down, KEEPER, Wall};

/// Longer than any attempt takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Lab {
    pub(crate) runtime: Runtime,
    backend: Option<LinuxBackend>,
    containers: HashMap<Down, Arc<dyn Container>>,
    victim: Child,
    serial: u32,
    firewall_is_down: bool,
    facts: Vec<(String, String)>,
    pub(crate) scratch: tempfile::TempDir,
}

/// Whether the battery can run here; skipping is for laptops.
fn may_run() -> bool {
    let root =
        fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    if !root {
        let is_ci = std::env::var("CI").as_deref() == Ok("true");
        assert!(!is_ci, "CI=true, but not root");
        eprintln!("SKIPPED: not root");
    }
    root
}

impl Lab {
    /// The surroundings, ready for attempts.
    pub(crate) fn new() -> Option<Self> {
        if !may_run() {
            return None;
        }
        outer::enter();
        let scratch = tempfile::tempdir_in("/var/tmp").unwrap();
        furnish(scratch.path());
        let runtime = Runtime::new().unwrap();
        let config = config(scratch.path());
        let backend = runtime.block_on(LinuxBackend::open(config)).unwrap();
        let victim = Command::new(tool(scratch.path()))
            .args(["attack", "sleep"])
            .spawn()
            .unwrap();
        let mut lab = Self {
            facts: facts(scratch.path(), &victim),
            runtime,
            backend: Some(backend),
            containers: HashMap::new(),
            victim,
            serial: 0,
            firewall_is_down: false,
            scratch,
        };
        lab.start_other_container();
        Some(lab)
    }

    /// The backend that makes the containers.
    pub(crate) fn backend(&self) -> &LinuxBackend {
        self.backend.as_ref().unwrap()
    }

    /// What attempts are told about the surroundings.
    pub(crate) fn facts(&self) -> &[(String, String)] {
        &self.facts
    }

    /// A new container with these walls down.
    pub(crate) fn create(
        &mut self,
        down: Down,
        change: impl FnOnce(&mut ContainerSpec),
    ) -> Arc<dyn Container> {
        self.serial += 1;
        let mut spec = spec(self.scratch.path(), down, down.handle(self.serial));
        change(&mut spec);
        let made = self.runtime.block_on(self.backend().create(spec));
        made.unwrap_or_else(|error| panic!("a container with {down:?}: {error}"))
    }

    fn start_other_container(&mut self) {
        const PORT: &str = "7000";
        let other = self.create(Down::default(), |_| {});
        let (address, said) = self.runtime.block_on(async {
            let job = ProcessSpec {
                argv: ["/battery/attacker", "attack", "serve", PORT]
                    .map(String::from)
                    .to_vec(),
                ..ProcessSpec::script("")
            };
            let job = other.run(job, Pipes::default()).await.unwrap();
            let said = other.attach(&job, 1).await.unwrap().recv().await;
            (other.info().await.unwrap().container_ip, said)
        });
        assert!(said.is_some(), "the other container serves");
        self.facts
            .push((format!("{FACT}OTHER"), format!("{address}:{PORT}")));
    }

    /// One attempt; its outcome as a word.
    pub(crate) fn attempt(&mut self, row: &Row, user: User, down: Down) -> String {
        if down.contains(Wall::Container) {
            return self.outside(row);
        }
        if down.contains(Wall::Firewall) && !self.firewall_is_down {
            self.take_firewall_down();
        }
        let container = match self.containers.get(&down) {
            Some(container) => container.clone(),
            None => self.create(down, |_| {}),
        };
        self.containers.insert(down, container.clone());
        let outcome = self.inside(&container, row, user, down);
        // Whoever got through may have changed anything.
        if is_one_of(&outcome, row.succeeds) {
            self.containers.remove(&down);
            // It may be broken in any way; the depot's teardown is the last word.
            let destroyed = self.backend().destroy(container.handle());
            let _ = self.runtime.block_on(destroyed);
        }
        outcome
    }

    fn inside(&self, container: &Arc<dyn Container>, row: &Row, user: User, down: Down) -> String {
        let mut job = ProcessSpec::script("");
        let program = if row.as_self {
            "/proc/self/exe"
        } else {
            "/battery/attacker"
        };
        job.argv = [program, "attack", row.name].map(String::from).to_vec();
        job.dir = Some("/tmp".into());
        job.user = user;
        job.env = self.facts.clone();
        self.runtime.block_on(async {
            job.env.extend(self.facts_of(container, down).await);
            match tokio::time::timeout(PATIENCE, run(container, job)).await {
                Ok(Ok((exit, lines))) => judge(exit, &lines),
                Ok(Err(error)) => format!("not run: {error}"),
                Err(_) => "no end".into(),
            }
        })
    }

    async fn facts_of(&self, container: &Arc<dyn Container>, down: Down) -> Vec<(String, String)> {
        let gateway = container.info().await.unwrap().host_ip;
        let state = self
            .scratch
            .path()
            .join("depot/c")
            .join(container.handle())
            .join("state.json");
        let state: serde_json::Value = serde_json::from_slice(&fs::read(state).unwrap()).unwrap();
        let mut facts = vec![
            (format!("{FACT}BUS"), format!("{gateway}:{}", outer::BUS)),
            (
                format!("{FACT}GATEWAY"),
                format!("{gateway}:{}", outer::OTHER_DAEMON),
            ),
            (format!("{FACT}KEEPER"), state["keeper_pid"].to_string()),
        ];
        if down.contains(Wall::Reaper) {
            facts.push((format!("{FACT}LAZY_REAPER"), "1".into()));
        }
        facts
    }

    /// The same program with no container around it.
    fn outside(&self, row: &Row) -> String {
        let mut command = Command::new(tool(self.scratch.path()));
        command.args(["attack", row.name]).envs(self.facts.clone());
        let output = command.output().unwrap();
        let lines: Vec<String> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(Into::into)
            .collect();
        judge(
            Exit {
                code: 0,
                signal: None,
            },
            &lines,
        )
    }

    /// Empties the two chains that judge; translation goes on.
    fn take_firewall_down(&mut self) {
        self.firewall_is_down = true;
        let table = format!("bloomery_{}", self.backend().tag());
        for chain in ["input", "forward"] {
            let status = Command::new("nft")
                .args(["flush", "chain", "ip", &table, chain])
                .status();
            assert!(
                status.unwrap().success(),
                "nft flush chain ip {table} {chain}"
            );
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
        self.containers.clear();
        self.backend = None;
        tear_down(&self.scratch.path().join("depot"), self.scratch.path());
    }
}

/// Removes all of a depot. Background work of its backend may still hold the lock.
pub(crate) fn tear_down(depot: &Path, scratch: &Path) {
    let mut last = None;
    for _ in 0..1000 {
        match warden::teardown(depot, Some(scratch.join("register"))) {
            Ok(_) => return,
            Err(error) => last = Some(error),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    eprintln!("left behind: {} ({last:?})", depot.display());
}

/// Runs a job to its end; exit and lines.
pub(crate) async fn run(
    container: &Arc<dyn Container>,
    job: ProcessSpec,
) -> warden::Result<(Exit, Vec<String>)> {
    let job = container.run(job, Pipes::default()).await?;
    let mut output = container.attach(&job, 1).await?;
    let mut lines = Vec::new();
    while let Some(item) = output.recv().await {
        if let Output::Line { data, .. } = item {
            lines.push(String::from_utf8_lossy(&data).into_owned());
        }
    }
    Ok((container.wait(&job).await?, lines))
}

fn judge(exit: Exit, lines: &[String]) -> String {
    if let Some(outcome) = lines
        .iter()
        .rev()
        .find_map(|line| line.strip_prefix(RESULT))
    {
        return outcome.to_owned();
    }
    match exit.signal {
        Some(libc::SIGKILL) => "SIGKILL".into(),
        Some(libc::SIGSYS) => "SIGSYS".into(),
        _ => format!("{exit:?} after {lines:?}"),
    }
}

/// The attacker's program on the host.
pub(crate) fn tool(scratch: &Path) -> PathBuf {
    scratch.join("tools/attacker")
}

/// Files the attempts need.
fn furnish(scratch: &Path) {
    for name in ["tools", "bound"] {
        fs::create_dir(scratch.join(name)).unwrap();
    }
    let own = std::env::current_exe().unwrap();
    for (name, mode) in [("attacker", 0o755), ("setuid", 0o4755)] {
        let copy = scratch.join("tools").join(name);
        fs::copy(&own, &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(mode)).unwrap();
    }
    symlink(own, scratch.join(KEEPER)).unwrap();
    fs::write(scratch.join("canary"), "of the host").unwrap();
}

pub(crate) fn config(scratch: &Path) -> LinuxConfig {
    LinuxConfig {
        depot: scratch.join("depot"),
        wshd: scratch.join(KEEPER),
        // Its sysctls are those of the outer namespace, not the host's.
        register: scratch.join("register"),
        dns: None,
        // Networks made ahead belong to the first user namespace and hold better
        // than those made on demand; the weaker kind is the one to try.
        warm_networks: 0,
        warm_images: 0,
        // Nobody is to put the packet filter up again.
        reconcile_seconds: 3600,
        uid_base: 0x5000_0000,
        ..LinuxConfig::default()
    }
}

fn spec(scratch: &Path, down: Down, handle: String) -> ContainerSpec {
    let bind = |src: &str, dst: &str, writable| BindMount {
        src: scratch.join(src),
        dst: dst.into(),
        writable,
    };
    let mut spec = bare_spec(handle, Rootfs::Host);
    spec.limits = down.limits();
    spec.bind_mounts = vec![
        bind("tools", "/battery", false),
        bind("bound", "/bound", down.contains(Wall::ReadOnlyBind)),
    ];
    spec
}

/// A container with nothing special.
pub(crate) fn bare_spec(handle: String, rootfs: Rootfs) -> ContainerSpec {
    ContainerSpec {
        handle: Some(handle),
        rootfs,
        bind_mounts: vec![],
        limits: Default::default(),
        net_out: vec![],
        properties: Default::default(),
        grace_time: None,
    }
}

fn facts(scratch: &Path, victim: &Child) -> Vec<(String, String)> {
    let fact = |name: &str, value: String| (format!("{FACT}{name}"), value);
    vec![
        fact("VICTIM", victim.id().to_string()),
        fact("CANARY", scratch.join("canary").display().to_string()),
        fact(
            "CONTROLLER",
            format!("{}:{}", outer::HOST, outer::CONTROLLER),
        ),
        fact("METADATA", format!("{}:80", outer::METADATA)),
        fact("INTERNET", format!("{}:80", outer::STRANGER)),
        fact("LOOPBACK", format!("127.0.0.1:{}", outer::BUS)),
    ]
}

//! The two servers under test, each pinned to core 0, and what the kernel knows about them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The core both servers run on.
const SERVER_CORE: &str = "0";

/// Both servers read this: two users, each with permissions.
const CONFIG: &str = r#"host: "127.0.0.1"
port: -1
max_connections: 60000
max_payload: 1mb
authorization {
  users = [
    { user: pub, password: "p-secret", permissions: { publish: { allow: ["bench.>", "_INBOX.>"], deny: ["bench.never.>"] }, subscribe: ["_INBOX.>"] } }
    { user: sub, password: "s-secret", permissions: { publish: ["_INBOX.>"], subscribe: { allow: ["bench.>"], deny: ["bench.never"] } } }
  ]
}
"#;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Lite,
    Original,
}

/// Both servers, running at once; the one that is not visited sleeps.
pub(crate) struct Pair {
    lite: Server,
    original: Server,
}

impl Pair {
    pub(crate) fn start() -> Result<Self> {
        Ok(Self {
            lite: Server::start(Side::Lite)?,
            original: Server::start(Side::Original)?,
        })
    }

    pub(crate) fn get(&self, side: Side) -> &Server {
        match side {
            Side::Lite => &self.lite,
            Side::Original => &self.original,
        }
    }
}

/// A running server program, ended on drop.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start(side: Side) -> Result<Self> {
        let program = program(side)?;
        let dir = tempfile::tempdir()?;
        let config = dir.path().join("bus.conf");
        std::fs::write(&config, CONFIG)?;
        let child = Command::new("taskset")
            .args(["-c", SERVER_CORE])
            .arg(&program)
            .arg("-c")
            .arg(&config)
            .arg("--ports_file_dir")
            .arg(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run taskset; install util-linux")?;
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let ports = dir.path().join(format!("{name}_{}.ports", child.id()));
        let mut server = Self {
            child,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            _dir: dir,
        };
        server.addr = server.wait_for_port(&ports)?;
        Ok(server)
    }

    fn wait_for_port(&mut self, ports: &Path) -> Result<SocketAddr> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("a server ended at once with {status}");
            }
            if let Some(addr) = read_port(ports) {
                return Ok(addr);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("a server did not say its port in {}", ports.display())
    }

    /// Run time of all its threads in nanoseconds, from the scheduler.
    pub(crate) fn cpu(&self) -> Result<u64> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()))?;
        let mut sum = 0;
        for task in tasks {
            // A thread may end while the list is read.
            let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            let first = text.split(' ').next().unwrap_or_default();
            sum += first.parse::<u64>().unwrap_or(0);
        }
        Ok(sum)
    }

    /// Resident memory in bytes.
    pub(crate) fn rss(&self) -> Result<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages = statm.split(' ').nth(1).context("statm without pages")?;
        Ok(pages.parse::<u64>()? * 4096)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(side: Side) -> Result<PathBuf> {
    if side == Side::Lite {
        return Ok(env!("CARGO_BIN_EXE_nats-lite").into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join("nats-server"))
        .find(|file| file.is_file())
        .context("there is no nats-server to compare with; install the Debian package nats-server")
}

fn read_port(ports: &Path) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(ports).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    let url = value["nats"][0].as_str()?;
    url.strip_prefix("nats://")?.parse().ok()
}

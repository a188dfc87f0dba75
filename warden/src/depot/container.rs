//! A container that has a keeper.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::client::{self, Connection};
use super::record::{Record, read_json};
use crate::inside;
use crate::sys::{At, files, socket};
use crate::wire::{KeeperInfo, Reply, Request, names};
use crate::{
    Container, Error, Exit, Info, Inside, JobId, Limits, NetOutRule, Output, Pipes, PortMapping,
    ProcessSpec, Refusal, Result, WindowSize,
};

/// Lines buffered between a keeper and a reader; each may have 64 KiB, and a daemon has a reader per instance.
const BACKLOG: usize = 16;

/// The user of an app, inside.
const VCAP: u32 = 2000;

/// The part of a container that differs between backends.
pub(crate) trait Outside: Send + Sync + std::fmt::Debug {
    /// `linux` or `process`.
    fn backend(&self) -> &'static str;
    /// Opens a port and writes it into the record. May block.
    fn net_in(&self, record: &mut Record, container_port: Option<u16>) -> Result<PortMapping>;
    /// Puts the record's rules plus `rules` in force. May block.
    fn net_out(&self, record: &mut Record, rules: &[NetOutRule]) -> Result<()>;
    /// Changes the limits of a disk, all of which are given. May block.
    fn limit_disk(&self, record: &Record, limits: &Limits) -> Result<()> {
        let _ = (record, limits);
        Err(fixed_disk(self.backend()))
    }
    /// Refused connections. May block.
    fn refused(&self, record: &Record) -> Result<Vec<Refusal>> {
        let _ = record;
        Ok(Vec::new())
    }
}

/// A container in a depot.
#[derive(Debug)]
pub(crate) struct Kept {
    handle: String,
    dir: PathBuf,
    outside: Arc<dyn Outside>,
    record: Arc<Mutex<Record>>,
}

impl Kept {
    pub(crate) fn new(dir: PathBuf, record: Record, outside: Arc<dyn Outside>) -> Self {
        Self {
            handle: record.handle.clone(),
            dir,
            outside,
            record: Arc::new(Mutex::new(record)),
        }
    }

    /// A copy of the record.
    pub(crate) fn record(&self) -> Record {
        self.record
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether it carries all of `wanted`.
    pub(crate) fn has(&self, wanted: &BTreeMap<String, String>) -> bool {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        wanted
            .iter()
            .all(|(name, value)| record.properties.get(name) == Some(value))
    }

    /// Changes the record on a thread that may block, and stores it.
    async fn change<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Outside, &mut Record) -> Result<T> + Send + 'static,
    {
        let (record, outside, dir) = (self.record.clone(), self.outside.clone(), self.dir.clone());
        let done = tokio::task::spawn_blocking(move || {
            let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
            let value = change(outside.as_ref(), &mut record)?;
            record.write(&dir)?;
            Ok(value)
        });
        done.await
            .map_err(|e| Error::step("change the container", std::io::Error::other(e)))?
    }

    /// Whether the keeper ended the container by itself.
    pub(crate) fn has_ended(&self) -> bool {
        self.dir.join(names::ENDED).exists()
    }

    async fn start(&self, request: &Request, fds: Vec<OwnedFd>) -> Result<JobId> {
        match client::ask(&self.dir, request, fds).await? {
            Reply::Started { job } => Ok(job),
            other => Err(unexpected("run", &other)),
        }
    }

    async fn ask(&self, request: &Request) -> Result<Reply> {
        client::ask(&self.dir, request, Vec::new()).await
    }

    async fn keeper_info(&self) -> Result<KeeperInfo> {
        match self.ask(&Request::Info).await? {
            Reply::Info { info } => Ok(*info),
            other => Err(unexpected("info", &other)),
        }
    }

    fn unknown(&self, job: &JobId) -> Error {
        Error::UnknownJob {
            handle: self.handle.clone(),
            job: job.0.clone(),
        }
    }

    /// Without a keeper the exit record on disk still tells.
    fn recorded_exit(&self, job: &JobId) -> Option<Exit> {
        let plain = job.0.chars().all(|c| c.is_ascii_alphanumeric());
        let path = self.dir.join(names::JOBS).join(&job.0).join("exit.json");
        plain.then(|| read_json(&path).ok()).flatten()
    }
}

#[async_trait]
impl Container for Kept {
    fn handle(&self) -> &str {
        &self.handle
    }

    async fn info(&self) -> Result<Info> {
        let keeper = self.keeper_info().await?;
        let record = self.record();
        let (host_ip, container_ip) = record.addresses();
        let path = match record.slot {
            Some(_) => through_keeper(&self.dir, keeper.keeper_pid),
            None => self.dir.join(names::ROOT),
        };
        let (disk_bytes, disk_inodes) = match keeper.disk {
            Some(measured) => measured,
            None => walk(written(&self.dir)).await,
        };
        Ok(Info {
            state: keeper.state,
            events: keeper.events,
            host_ip,
            container_ip,
            container_path: path,
            memory_bytes: keeper.memory_bytes,
            cpu_ns: keeper.cpu_ns,
            disk_bytes,
            disk_inodes,
            ports: record.ports,
            jobs: keeper.jobs,
            processes: keeper.processes,
            limits: keeper.limits,
            oom: keeper.oom,
            grace_time: keeper.grace_time,
            properties: record.properties,
            isolation: keeper.isolation,
        })
    }

    async fn run(&self, spec: ProcessSpec, pipes: Pipes) -> Result<JobId> {
        let request = Request::Run {
            spec,
            stdin: pipes.stdin.is_some(),
            stdout: pipes.stdout.is_some(),
            tty: None,
        };
        let fds = pipes.stdin.into_iter().chain(pipes.stdout).collect();
        self.start(&request, fds).await
    }

    async fn run_on_terminal(
        &self,
        spec: ProcessSpec,
        size: WindowSize,
    ) -> Result<(JobId, OwnedFd)> {
        let (ours, theirs) = socket::seqpacket_pair().at("socketpair")?;
        let request = Request::Run {
            spec,
            stdin: true,
            stdout: false,
            tty: Some(size),
        };
        let job = self.start(&request, vec![theirs]).await?;
        // It was sent before the program started.
        let (_, fds) = socket::recv(ours.as_fd(), &mut [0]).at("receive the terminal")?;
        let terminal = fds.into_iter().next();
        let terminal = terminal.ok_or_else(|| Error::Keeper {
            step: "receive the terminal".into(),
            message: "the job started without one".into(),
        })?;
        Ok((job, terminal))
    }

    async fn attach(&self, job: &JobId, from: u64) -> Result<mpsc::Receiver<Output>> {
        // An empty job never says anything until it ends: ask first.
        let known = Request::Attach {
            job: job.clone(),
            from,
        };
        let mut connection = Connection::open(&self.dir, &known, Vec::new()).await?;
        let (sender, receiver) = mpsc::channel(BACKLOG);
        if !self.dir.join(names::JOBS).join(&job.0).is_dir()
            && connection.first_is_unknown().await?.is_some()
        {
            return Err(self.unknown(job));
        }
        let handle = self.handle.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.relay(sender).await {
                tracing::warn!(%handle, %error, "output of a job ended early");
            }
        });
        Ok(receiver)
    }

    async fn wait(&self, job: &JobId) -> Result<Exit> {
        match self.ask(&Request::Wait { job: job.clone() }).await {
            Ok(Reply::Exited { exit }) => Ok(exit),
            Ok(Reply::UnknownJob { .. }) => Err(self.unknown(job)),
            Ok(other) => Err(unexpected("wait", &other)),
            Err(error) => self.recorded_exit(job).ok_or(error),
        }
    }

    async fn net_in(&self, container_port: Option<u16>) -> Result<PortMapping> {
        self.change(move |outside, record| outside.net_in(record, container_port))
            .await
    }

    async fn net_out(&self, rules: &[NetOutRule]) -> Result<()> {
        let rules = rules.to_vec();
        self.change(move |outside, record| outside.net_out(record, &rules))
            .await
    }

    async fn look(&self, path: &str, most: usize) -> Result<Inside> {
        let record = self.record();
        let root = match record.slot {
            Some(_) => through_keeper(&self.dir, self.keeper_info().await?.keeper_pid),
            None => self.dir.join(names::ROOT),
        };
        // Without isolation jobs run as ourselves.
        let id = record.slot.map(|slot| slot.uid_base + VCAP);
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || inside::look(&root, &path, id, most))
            .await
            .map_err(|e| Error::step("look into a container", std::io::Error::other(e)))?
    }

    async fn refused(&self) -> Result<Vec<Refusal>> {
        let (record, outside) = (self.record(), self.outside.clone());
        tokio::task::spawn_blocking(move || outside.refused(&record))
            .await
            .map_err(|e| Error::step("list refusals", std::io::Error::other(e)))?
    }

    async fn limit(&self, limits: &Limits) -> Result<()> {
        limits.check()?;
        let disk = limits.disk_bytes.is_some() || limits.disk_inodes.is_some();
        if disk {
            let all = self.keeper_info().await?.limits.updated(limits);
            self.change(move |outside, record| outside.limit_disk(record, &all))
                .await?;
        }
        self.ask(&Request::Limit {
            limits: limits.clone(),
        })
        .await
        .map(drop)
    }

    async fn set_grace_time(&self, time: Option<Duration>) -> Result<()> {
        self.ask(&Request::Grace { time }).await.map(drop)
    }

    async fn set_property(&self, name: &str, value: Option<String>) -> Result<()> {
        let name = name.to_owned();
        self.change(move |_, record| {
            match value {
                Some(value) => record.properties.insert(name, value),
                None => record.properties.remove(&name),
            };
            Ok(())
        })
        .await
    }

    async fn stop(&self, kill: bool) -> Result<()> {
        self.ask(&Request::Stop { kill }).await.map(drop)
    }
}

/// The disk has a size that nothing changes.
pub(crate) fn fixed_disk(backend: &'static str) -> Error {
    Error::Unsupported {
        verb: "limit of disk",
        backend,
        why: "the disk's size is fixed at creation; give it in the ContainerSpec".into(),
    }
}

fn unexpected(verb: &str, reply: &Reply) -> Error {
    Error::Keeper {
        step: verb.into(),
        message: format!("unexpected reply {reply:?}"),
    }
}

/// The root as the keeper sees it: its mounts exist nowhere else.
fn through_keeper(dir: &Path, keeper_pid: i32) -> PathBuf {
    let inside = dir.join(names::ROOT);
    let relative = inside.strip_prefix("/").unwrap_or(&inside);
    Path::new("/proc")
        .join(keeper_pid.to_string())
        .join("root")
        .join(relative)
}

/// Where writes land when there is no image.
fn written(dir: &Path) -> PathBuf {
    let upper = dir.join("upper");
    if upper.is_dir() {
        upper
    } else {
        dir.join(names::ROOT)
    }
}

/// Bytes and files below a directory, links not followed.
async fn walk(dir: PathBuf) -> (u64, u64) {
    tokio::task::spawn_blocking(move || measure(&dir))
        .await
        .unwrap_or((0, 0))
}

fn measure(dir: &Path) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    let (mut bytes, mut inodes) = (0, 0);
    let mut queue = vec![dir.to_owned()];
    while let Some(dir) = queue.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            bytes += meta.blocks() * 512;
            inodes += 1;
            if meta.is_dir() {
                queue.push(entry.path());
            }
        }
    }
    (bytes, inodes)
}

/// The size of the depot's file system and of the host's memory.
pub(crate) fn host_sizes(depot: &Path) -> Result<(u64, u64)> {
    let disk = files::fs_use(depot).at("statvfs of the depot")?.total_bytes;
    let meminfo = fs::read_to_string("/proc/meminfo").at("read /proc/meminfo")?;
    let kib = meminfo.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?
            .trim()
            .strip_suffix(" kB")?
            .trim()
            .parse::<u64>()
            .ok()
    });
    Ok((kib.unwrap_or(0) * 1024, disk))
}

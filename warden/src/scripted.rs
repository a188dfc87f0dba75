//! The `scripted` backend: no process runs. A script says how verbs behave, so
//! that a daemon's tests see every failure at will, without root.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use crate::{
    Backend, Capacity, Container, ContainerSpec, DiskLimits, Error, Exit, Info, Inside, JobId,
    Limits, NetOutRule, OomKill, Output, Pipes, PortMapping, ProcessSpec, Result, State, Stream,
};

/// A verb that can be made to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScriptedVerb {
    /// `Backend::create`.
    Create,
    /// `Backend::destroy`.
    Destroy,
    /// `Container::info`.
    Info,
    /// `Container::run`.
    Run,
    /// `Container::wait`.
    Wait,
    /// `Container::net_in`.
    NetIn,
    /// `Container::net_out`.
    NetOut,
    /// `Container::limit`.
    Limit,
    /// `Container::stop`.
    Stop,
}

/// What a call does instead of succeeding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misbehave {
    /// Fails with this message.
    Fail(String),
    /// Never returns.
    Hang,
}

/// What a job does. Jobs whose `argv` joined by blanks contains `when` use it;
/// the first match wins, and an empty `when` matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScriptedJob {
    /// Part of the command line.
    pub when: String,
    /// Lines, printed at once.
    pub lines: Vec<(Stream, String)>,
    /// How it ends; `None` runs until stopped or destroyed.
    pub exit: Option<Exit>,
    /// How long it runs before that (tokio's clock, so tests may pause it).
    pub after: Duration,
    /// An event of the container at its end, e.g. `out of memory`.
    pub event: Option<String>,
    /// What `Info` tells of a kill for want of memory from then on.
    pub oom: Option<OomKill>,
}

/// How the backend behaves. May be changed while it runs, see
/// [`ScriptedBackend::script`].
#[derive(Debug, Default)]
pub struct Script {
    /// Jobs; one that matches nothing exits with 0 at once.
    pub jobs: Vec<ScriptedJob>,
    /// The n-th call (1 = first) of a verb misbehaves.
    pub misbehaviour: BTreeMap<(ScriptedVerb, u32), Misbehave>,
    /// Directory shown as `container_path`.
    pub container_path: PathBuf,
}

/// The backend; clones share everything.
#[derive(Debug, Clone, Default)]
pub struct ScriptedBackend {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    script: Mutex<Script>,
    calls: Mutex<BTreeMap<ScriptedVerb, u32>>,
    containers: Mutex<BTreeMap<String, Arc<Scripted>>>,
    next: Mutex<u16>,
    routers: Mutex<BTreeSet<Ipv4Addr>>,
}

impl ScriptedBackend {
    /// A backend that follows `script`.
    pub fn new(script: Script) -> Self {
        let backend = Self::default();
        *lock(&backend.shared.script) = script;
        backend
    }

    /// The script, to read or change.
    pub fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.shared.script)
    }

    /// How often a verb was called.
    pub fn calls(&self, verb: ScriptedVerb) -> u32 {
        lock(&self.shared.calls).get(&verb).copied().unwrap_or(0)
    }
}

impl Shared {
    /// Counts the call and misbehaves if the script says so.
    async fn enter(&self, verb: ScriptedVerb) -> Result<()> {
        let call = {
            let mut calls = lock(&self.calls);
            let call = calls.entry(verb).or_insert(0);
            *call += 1;
            *call
        };
        let planned = lock(&self.script).misbehaviour.get(&(verb, call)).cloned();
        match planned {
            None => Ok(()),
            Some(Misbehave::Hang) => std::future::pending().await,
            Some(Misbehave::Fail(message)) => Err(Error::Keeper {
                step: format!("{verb:?}"),
                message,
            }),
        }
    }

    fn number(&self) -> u16 {
        let mut next = lock(&self.next);
        *next += 1;
        *next
    }

    fn job(&self, command: &str) -> ScriptedJob {
        let script = lock(&self.script);
        let found = script
            .jobs
            .iter()
            .find(|job| command.contains(&job.when))
            .cloned();
        found.unwrap_or_else(|| ScriptedJob {
            exit: Some(Exit {
                code: 0,
                signal: None,
            }),
            ..ScriptedJob::default()
        })
    }
}

/// One scripted container.
#[derive(Debug)]
struct Scripted {
    handle: String,
    shared: Arc<Shared>,
    spec: ContainerSpec,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    jobs: BTreeMap<JobId, Job>,
    ports: Vec<PortMapping>,
    events: Vec<String>,
    oom: Option<OomKill>,
    stopped: bool,
}

#[derive(Debug)]
struct Job {
    lines: Vec<(Stream, String)>,
    exit: watch::Sender<Option<Exit>>,
}

impl Scripted {
    fn end_all(&self, exit: Exit) {
        for job in lock(&self.inner).jobs.values() {
            job.exit
                .send_if_modified(|now| now.is_none() && now.replace(exit).is_none());
        }
    }

    fn watch(&self, job: &JobId) -> Result<watch::Receiver<Option<Exit>>> {
        let inner = lock(&self.inner);
        let found = inner.jobs.get(job).map(|job| job.exit.subscribe());
        found.ok_or_else(|| Error::UnknownJob {
            handle: self.handle.clone(),
            job: job.0.clone(),
        })
    }

    /// Ends a job after its time, unless something else ended it.
    async fn play(self: Arc<Self>, id: JobId, plan: ScriptedJob) {
        let Some(exit) = plan.exit else { return };
        tokio::time::sleep(plan.after).await;
        let mut inner = lock(&self.inner);
        let Some(job) = inner.jobs.get(&id) else {
            return;
        };
        let ended = job
            .exit
            .send_if_modified(|now| now.is_none() && now.replace(exit).is_none());
        if ended {
            inner.events.extend(plan.event);
            inner.oom = plan.oom;
        }
    }
}

#[async_trait]
impl Backend for ScriptedBackend {
    fn name(&self) -> &'static str {
        "scripted"
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn capacity(&self) -> Result<Capacity> {
        Ok(Capacity {
            memory_bytes: 1 << 34,
            disk_bytes: 1 << 36,
            max_containers: 1000,
            disk_limits: DiskLimits::None,
        })
    }

    async fn allow_routers(&self, routers: &BTreeSet<Ipv4Addr>) -> Result<()> {
        lock(&self.shared.routers).clone_from(routers);
        Ok(())
    }

    async fn allowed_routers(&self) -> BTreeSet<Ipv4Addr> {
        lock(&self.shared.routers).clone()
    }

    async fn create(&self, spec: ContainerSpec) -> Result<Arc<dyn Container>> {
        self.shared.enter(ScriptedVerb::Create).await?;
        let handle = spec
            .handle
            .clone()
            .unwrap_or_else(|| format!("scripted-{}", self.shared.number()));
        let mut all = lock(&self.shared.containers);
        if all.contains_key(&handle) {
            return Err(Error::HandleTaken(handle));
        }
        let container = Arc::new(Scripted {
            handle: handle.clone(),
            shared: self.shared.clone(),
            spec,
            inner: Mutex::default(),
        });
        all.insert(handle, container.clone());
        Ok(Arc::new(Handle(container)))
    }

    async fn list(&self, properties: &BTreeMap<String, String>) -> Result<Vec<String>> {
        let all = lock(&self.shared.containers);
        let has = |c: &Scripted| {
            properties
                .iter()
                .all(|(k, v)| c.spec.properties.get(k) == Some(v))
        };
        Ok(all
            .values()
            .filter(|c| has(c))
            .map(|c| c.handle.clone())
            .collect())
    }

    async fn lookup(&self, handle: &str) -> Result<Arc<dyn Container>> {
        let found = lock(&self.shared.containers).get(handle).cloned();
        let found = found.ok_or_else(|| Error::UnknownHandle(handle.to_owned()))?;
        Ok(Arc::new(Handle(found)))
    }

    async fn destroy(&self, handle: &str) -> Result<()> {
        self.shared.enter(ScriptedVerb::Destroy).await?;
        let removed = lock(&self.shared.containers).remove(handle);
        let removed = removed.ok_or_else(|| Error::UnknownHandle(handle.to_owned()))?;
        removed.end_all(KILLED);
        Ok(())
    }
}

const KILLED: Exit = Exit {
    code: 137,
    signal: Some(9),
};

/// The trait needs the `Arc` to start a job's clock.
#[derive(Debug)]
struct Handle(Arc<Scripted>);

#[async_trait]
impl Container for Handle {
    fn handle(&self) -> &str {
        &self.0.handle
    }

    async fn info(&self) -> Result<Info> {
        self.0.shared.enter(ScriptedVerb::Info).await?;
        let container_path = lock(&self.0.shared.script).container_path.clone();
        let inner = lock(&self.0.inner);
        let running = inner
            .jobs
            .iter()
            .filter(|(_, job)| job.exit.borrow().is_none());
        Ok(Info {
            state: if inner.stopped {
                State::Stopped
            } else {
                State::Active
            },
            events: inner.events.clone(),
            host_ip: Ipv4Addr::LOCALHOST,
            container_ip: Ipv4Addr::LOCALHOST,
            container_path,
            memory_bytes: 1 << 20,
            cpu_ns: 1_000_000,
            disk_bytes: 1 << 20,
            disk_inodes: 10,
            ports: inner.ports.clone(),
            jobs: running.map(|(id, _)| id.clone()).collect(),
            processes: Vec::new(),
            limits: self.0.spec.limits.clone(),
            oom: inner.oom.clone(),
            grace_time: self.0.spec.grace_time,
            properties: self.0.spec.properties.clone(),
            isolation: Vec::new(),
        })
    }

    async fn run(&self, spec: ProcessSpec, _pipes: Pipes) -> Result<JobId> {
        self.0.shared.enter(ScriptedVerb::Run).await?;
        let plan = self.0.shared.job(&spec.argv.join(" "));
        let id = JobId(format!("j{}", self.0.shared.number()));
        let job = Job {
            lines: plan.lines.clone(),
            exit: watch::Sender::new(None),
        };
        lock(&self.0.inner).jobs.insert(id.clone(), job);
        tokio::spawn(self.0.clone().play(id.clone(), plan));
        Ok(id)
    }

    async fn attach(&self, job: &JobId, from: u64) -> Result<mpsc::Receiver<Output>> {
        let mut exit = self.0.watch(job)?;
        let lines = lock(&self.0.inner)
            .jobs
            .get(job)
            .map(|job| job.lines.clone())
            .unwrap_or_default();
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            for (seq, (stream, text)) in (1..).zip(lines).filter(|(seq, _)| *seq >= from) {
                let item = Output::Line {
                    seq,
                    at_ns: 0,
                    stream,
                    data: text.into_bytes(),
                };
                if sender.send(item).await.is_err() {
                    return;
                }
            }
            // Keeps the channel open until the job ends, or the container goes.
            let _ = exit.wait_for(Option::is_some).await;
        });
        Ok(receiver)
    }

    async fn wait(&self, job: &JobId) -> Result<Exit> {
        let mut exit = self.0.watch(job)?;
        self.0.shared.enter(ScriptedVerb::Wait).await?;
        let ended = exit.wait_for(Option::is_some).await.map(|exit| *exit);
        Ok(ended.ok().flatten().unwrap_or(KILLED))
    }

    async fn net_in(&self, container_port: Option<u16>) -> Result<PortMapping> {
        self.0.shared.enter(ScriptedVerb::NetIn).await?;
        let host_port = 61_000 + self.0.shared.number() % 4000;
        let mapping = PortMapping {
            host_port,
            container_port: container_port.unwrap_or(host_port),
        };
        lock(&self.0.inner).ports.push(mapping);
        Ok(mapping)
    }

    async fn net_out(&self, _rules: &[NetOutRule]) -> Result<()> {
        self.0.shared.enter(ScriptedVerb::NetOut).await
    }

    /// Below the script's `container_path`.
    async fn look(&self, path: &str, most: usize) -> Result<Inside> {
        let root = lock(&self.0.shared.script).container_path.clone();
        crate::inside::look(&root, path, None, most)
    }

    async fn limit(&self, _limits: &Limits) -> Result<()> {
        self.0.shared.enter(ScriptedVerb::Limit).await
    }

    async fn stop(&self, kill: bool) -> Result<()> {
        self.0.shared.enter(ScriptedVerb::Stop).await?;
        let signal = if kill { 9 } else { 15 };
        self.0.end_all(Exit {
            code: 128 + signal,
            signal: Some(signal),
        });
        lock(&self.0.inner).stopped = true;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The keeper's loop: control connections on one side, init and the jobs'
//! pipes on the other.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::build::{Built, InitHandle};
use super::clients::{Client, Waiting};
use super::jobs::{self, Job};
use super::log;
use super::msg::{self, FromInit, ToInit};
use super::oom::OomWatch;
use crate::cgroup::Cgroups;
use crate::step::Step;
use crate::sys::At;
use crate::sys::socket::{self, PollFd};
use crate::wire::{KeeperSpec, KeeperState, Reply, names};
use crate::{JobId, Limits, OomKill, Result, State, Stream};

/// Between two rounds of KILL for processes that fork faster than one reaches.
const KILL_AGAIN: Duration = Duration::from_millis(100);

/// One container's keeper.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) spec: KeeperSpec,
    pub(super) dir: PathBuf,
    pub(super) init: InitHandle,
    pub(super) init_alive: bool,
    pub(super) cgroups: Option<Cgroups>,
    pub(super) isolation: Vec<String>,
    pub(super) jobs: BTreeMap<JobId, Job>,
    pub(super) next_job: u64,
    pub(super) state: State,
    pub(super) events: Vec<String>,
    pub(super) oom_kill: Option<OomKill>,
    /// Limits in force.
    pub(super) limits: Limits,
    /// The container's network namespace.
    pub(super) netns: Option<OwnedFd>,
    pub(super) ending: Option<Ending>,
    /// The container was destroyed; the loop ends.
    pub(super) destroyed: bool,
    clients: Vec<Client>,
    listener: UnixListener,
    oom: Option<OomWatch>,
    last_client: Instant,
}

/// All processes are being ended.
#[derive(Debug)]
pub(super) struct Ending {
    /// When KILL goes out (again).
    pub(super) kill_at: Instant,
    /// It was asked for with `stop`, so the state changes.
    pub(super) stop: bool,
}

/// What a watched descriptor belongs to.
enum Source {
    Listener,
    Init,
    Oom,
    Pipe(JobId, Stream),
    Client(usize),
}

impl Keeper {
    /// The last steps of creation: control socket and state file.
    pub(super) fn new(spec: KeeperSpec, dir: PathBuf, built: Built) -> Result<Self> {
        let listener = bind(&dir)?;
        Step::ControlSocket.inject(spec.fail_after)?;
        let oom = match &built.cgroups {
            Some(cgroups) => OomWatch::start(cgroups)?,
            None => None,
        };
        fs::create_dir_all(dir.join(names::JOBS)).at("mkdir jobs")?;
        write_state(&dir, built.init.pid)?;
        Step::State.inject(spec.fail_after)?;
        Ok(Self {
            limits: spec.limits.clone(),
            oom_kill: None,
            netns: built.netns,
            spec,
            dir,
            init: built.init,
            init_alive: true,
            cgroups: built.cgroups,
            isolation: built.isolation,
            jobs: BTreeMap::new(),
            next_job: 1,
            state: State::Active,
            events: Vec::new(),
            ending: None,
            destroyed: false,
            clients: Vec::new(),
            listener,
            oom,
            last_client: Instant::now(),
        })
    }

    /// Init's pid in the host's pid namespace.
    pub(super) fn init_pid(&self) -> i32 {
        self.init.pid
    }

    /// Serves until the container is destroyed.
    pub(super) fn serve(&mut self) -> Result<()> {
        let mut more = false;
        while !self.destroyed {
            let (mut fds, sources) = self.watched();
            let timeout = if more { 0 } else { self.timeout_ms() };
            socket::poll(&mut fds, timeout).at("poll")?;
            for (fd, source) in fds.iter().zip(sources) {
                if fd.revents != 0 {
                    self.dispatch(source);
                }
            }
            self.tick(Instant::now());
            more = self.advance_clients();
        }
        self.clients.iter_mut().for_each(Client::write_all_soon);
        Ok(())
    }

    fn watched(&self) -> (Vec<PollFd>, Vec<Source>) {
        let mut all = vec![(
            socket::readable(self.listener.as_raw_fd()),
            Source::Listener,
        )];
        if self.init_alive {
            all.push((socket::readable(self.init.sock.as_raw_fd()), Source::Init));
        }
        if let Some(oom) = &self.oom {
            all.push((oom.poll_fd(), Source::Oom));
        }
        for job in self.jobs.values() {
            let pipes = job.sources();
            all.extend(
                pipes.map(|(s, fd)| (socket::readable(fd), Source::Pipe(job.id.clone(), s))),
            );
        }
        let clients = self.clients.iter().enumerate();
        all.extend(clients.map(|(i, client)| (client.poll_fd(), Source::Client(i))));
        all.into_iter().unzip()
    }

    fn timeout_ms(&self) -> i32 {
        let grace = self.grace_ends();
        let now = Instant::now();
        let look = self.oom.as_ref().and_then(|oom| oom.next_look(now));
        let kill = self.ending.as_ref().map(|e| e.kill_at);
        let next = [kill, grace, look].into_iter().flatten().min();
        next.map_or(-1, |at| {
            at.saturating_duration_since(Instant::now()).as_millis() as i32 + 1
        })
    }

    fn grace_ends(&self) -> Option<Instant> {
        let unused = self.clients.is_empty();
        self.spec
            .grace_time
            .filter(|_| unused)
            .map(|grace| self.last_client + grace)
    }

    fn dispatch(&mut self, source: Source) {
        let done = match source {
            Source::Listener => self.accept(),
            Source::Init => self.hear_init(),
            Source::Oom => {
                self.hear_oom();
                Ok(())
            }
            Source::Pipe(id, stream) => self.read_pipe(&id, stream),
            Source::Client(index) => {
                self.hear_client(index);
                Ok(())
            }
        };
        if let Err(error) = done {
            log(&error.to_string());
        }
    }

    fn accept(&mut self) -> Result<()> {
        let (sock, _) = self.listener.accept().at("accept")?;
        self.clients.push(Client::new(sock).at("accept")?);
        Ok(())
    }

    fn read_pipe(&mut self, id: &JobId, stream: Stream) -> Result<()> {
        let Some(job) = self.jobs.get_mut(id) else {
            return Ok(());
        };
        job.read(stream).at("store output")
    }

    fn hear_client(&mut self, index: usize) {
        if let Some((request, fds)) = self.clients[index].read() {
            // Taken out, so that the verb may use the keeper as a whole.
            let mut client = self.clients.swap_remove(index);
            self.answer(&mut client, request, fds);
            self.clients.push(client);
            let last = self.clients.len() - 1;
            self.clients.swap(index, last);
        }
        self.last_client = Instant::now();
    }

    fn hear_oom(&mut self) {
        if let Some(oom) = &mut self.oom {
            oom.woken(Instant::now());
        }
    }

    /// The kernel ended one process; half an app is of no use, so the rest goes too.
    fn look_for_victims(&mut self, now: Instant) -> Result<()> {
        let (Some(oom), Some(cgroups)) = (&mut self.oom, &self.cgroups) else {
            return Ok(());
        };
        if !oom.confirm(cgroups, now) {
            return Ok(());
        }
        self.oom_kill = Some(oom.report(cgroups));
        self.event("out of memory");
        self.signal_jobs(libc::SIGKILL)?;
        self.ending.get_or_insert(Ending {
            kill_at: now + KILL_AGAIN,
            stop: false,
        });
        Ok(())
    }

    fn hear_init(&mut self) -> Result<()> {
        match msg::recv::<FromInit>(&self.init.sock)? {
            Some((message, _)) => self.take_word(message),
            None => {
                self.event("init died");
                self.init_alive = false;
                self.end_all_jobs();
                Ok(())
            }
        }
    }

    /// A message of init that is not the answer to a start.
    pub(super) fn take_word(&mut self, message: FromInit) -> Result<()> {
        match message {
            FromInit::Exited { pid, status } => {
                let job = self
                    .jobs
                    .values_mut()
                    .find(|job| job.pid == pid && job.exit.is_none());
                // Others are orphans that init adopted.
                job.map_or(Ok(()), |job| job.finish(jobs::exit_of(status)))
            }
            FromInit::Quiet => {
                if self.ending.take().is_some_and(|ending| ending.stop) {
                    self.state = State::Stopped;
                }
                Ok(())
            }
            other => Err(msg::protocol(format!("unexpected {other:?}"))),
        }
    }

    pub(super) fn signal_jobs(&self, signal: i32) -> Result<()> {
        msg::send(&self.init.sock, &ToInit::Signal(signal), &[])
    }

    /// The container's processes are gone; records must say so.
    pub(super) fn end_all_jobs(&mut self) {
        self.ending = None;
        for job in self.jobs.values_mut().filter(|job| job.exit.is_none()) {
            if let Err(error) = job.finish(jobs::KILLED) {
                log(&error.to_string());
            }
        }
    }

    fn event(&mut self, text: &str) {
        if !self.events.iter().any(|known| known == text) {
            self.events.push(text.to_owned());
        }
    }

    fn tick(&mut self, now: Instant) {
        if let Err(error) = self.look_for_victims(now) {
            log(&error.to_string());
        }
        if let Some(ending) = &mut self.ending
            && now >= ending.kill_at
        {
            ending.kill_at = now + KILL_AGAIN;
            if let Err(error) = self.signal_jobs(libc::SIGKILL) {
                log(&error.to_string());
            }
        }
        if self.grace_ends().is_some_and(|end| now >= end) {
            log("no client within the grace time");
            if let Err(error) = self.destroy().and_then(|()| self.say_ended("grace time")) {
                log(&error.to_string());
            }
        }
    }

    /// Tells the backend that nobody asked for this end.
    fn say_ended(&self, why: &str) -> Result<()> {
        fs::write(self.dir.join(names::ENDED), why).at("write ended")
    }

    /// Gives every client what became available. True: some want more at once.
    fn advance_clients(&mut self) -> bool {
        let quiet = self.ending.is_none();
        let mut more = false;
        for client in &mut self.clients {
            advance(client, &self.jobs, quiet);
            client.write();
            if let Waiting::Output(id, cursor) = &client.waiting {
                let behind = self
                    .jobs
                    .get(id)
                    .is_some_and(|job| cursor.next < job.ring.next());
                more |= behind && client.idle();
            }
        }
        self.clients.retain(|client| !client.finished());
        more
    }
}

fn advance(client: &mut Client, jobs: &BTreeMap<JobId, Job>, quiet: bool) {
    match &client.waiting {
        Waiting::Exit(id) => {
            if let Some(exit) = jobs.get(id).and_then(|job| job.exit) {
                client.last(&Reply::Exited { exit });
            }
        }
        Waiting::Output(id, _) => {
            let Some(job) = jobs.get(id) else {
                return client.last(&Reply::End);
            };
            if let Err(error) = client.pump(job) {
                let message = error.to_string();
                client.last(&Reply::Failed {
                    step: "read the job's log".into(),
                    message,
                });
            }
        }
        Waiting::Quiet if quiet => client.last(&Reply::Done),
        Waiting::Quiet | Waiting::Request | Waiting::Flush => {}
    }
}

fn bind(dir: &Path) -> Result<UnixListener> {
    // Relative, because socket addresses are limited to 107 bytes.
    std::env::set_current_dir(dir).at(format!("chdir {}", dir.display()))?;
    let listener = UnixListener::bind(names::SOCKET).at("bind control socket")?;
    fs::set_permissions(names::SOCKET, fs::Permissions::from_mode(0o600))
        .at("chmod control socket")?;
    listener.set_nonblocking(true).at("fcntl O_NONBLOCK")?;
    Ok(listener)
}

fn write_state(dir: &Path, init_pid: i32) -> Result<()> {
    let pid = std::process::id() as i32;
    let state = KeeperState {
        keeper_pid: pid,
        keeper_started: crate::procfs::start_time(pid).unwrap_or(0),
        init_pid,
    };
    let text = serde_json::to_vec_pretty(&state).expect("a state serializes");
    let new = dir.join("state.new");
    fs::write(&new, text).at("write state.json")?;
    fs::rename(&new, dir.join(names::STATE)).at("rename state.json")
}

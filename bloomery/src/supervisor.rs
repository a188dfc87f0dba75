//! Starts every component, adopts those that a previous supervisor left, starts
//! again what ends, with back-off.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::sync::watch;

use crate::components::{self, Component};
use crate::error::Error;
use crate::identity::Identity;
use crate::layout::Layout;
use crate::settings::Settings;
use crate::state::{Running, State};

/// First pause before a restart.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// Longest pause before a restart.
const BACKOFF_MOST: Duration = Duration::from_secs(5);
/// A component that ran this long is forgiven its earlier ends.
const FORGIVEN_AFTER: Duration = Duration::from_secs(30);
/// How often an adopted process, which is not our child, is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// A platform under supervision.
pub struct Supervisor {
    layout: Layout,
    state: Arc<Mutex<State>>,
    stop: watch::Sender<bool>,
    keepers: Vec<tokio::task::JoinHandle<()>>,
}

impl Supervisor {
    /// Starts or adopts every component and keeps them running.
    pub fn start(layout: &Layout, settings: &Settings) -> Result<Self, Error> {
        let mut state = State::load(layout)?;
        if let Some(other) = state
            .live_supervisor()
            .filter(|id| id.pid != std::process::id())
        {
            return Err(Error::AlreadyUp {
                data_dir: layout.root.clone(),
                pid: other.pid,
            });
        }
        let own =
            std::env::current_exe().map_err(Error::file("find own program", "/proc/self/exe"))?;
        // Figures of an earlier run would be taken for this one's.
        for running in state.components.values_mut() {
            running.ready_ms = None;
        }
        state.supervisor = Identity::of(std::process::id(), &own);
        let state = Arc::new(Mutex::new(state));
        let (stop, _) = watch::channel(false);
        let mut supervisor = Self {
            layout: layout.clone(),
            state,
            stop,
            keepers: Vec::new(),
        };
        for component in components::all(settings) {
            let program = layout.program(component.program)?;
            supervisor.keep(component, program);
        }
        supervisor.save();
        Ok(supervisor)
    }

    fn keep(&mut self, component: Component, program: PathBuf) {
        let keeper = Keeper {
            layout: self.layout.clone(),
            state: Arc::clone(&self.state),
            stop: self.stop.subscribe(),
            component,
            program,
        };
        self.keepers.push(tokio::spawn(keeper.run()));
    }

    fn save(&self) {
        save(&self.layout, &self.state);
    }

    /// Stops supervising; the components go on.
    pub async fn let_go(self) {
        let _ = self.stop.send(true);
        for keeper in self.keepers {
            let _ = keeper.await;
        }
    }
}

fn save(layout: &Layout, state: &Mutex<State>) {
    let state = state.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Err(error) = state.save(layout) {
        eprintln!("bloomery: {error}");
    }
}

struct Keeper {
    layout: Layout,
    state: Arc<Mutex<State>>,
    stop: watch::Receiver<bool>,
    component: Component,
    program: PathBuf,
}

impl Keeper {
    async fn run(mut self) {
        let mut backoff = BACKOFF_FIRST;
        let mut adopted = self.adoptable();
        loop {
            let began = Instant::now();
            let ended = match adopted.take() {
                Some(process) => self.watch_adopted(process).await,
                None => self.run_once().await,
            };
            if !ended {
                return;
            }
            if began.elapsed() > FORGIVEN_AFTER {
                backoff = BACKOFF_FIRST;
            }
            if self.stopped_within(backoff).await {
                return;
            }
            backoff = (backoff * 2).min(BACKOFF_MOST);
            self.update(|r| r.restarts += 1);
        }
    }

    fn update(&self, change: impl FnOnce(&mut Running)) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            change(
                state
                    .components
                    .entry(self.component.name.clone())
                    .or_default(),
            );
        }
        save(&self.layout, &self.state);
    }

    fn adoptable(&self) -> Option<Identity> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let process = state
            .components
            .get(&self.component.name)?
            .process
            .clone()?;
        process.is_alive().then_some(process)
    }

    /// Waits for the end of a process that is not our child; false when told to stop.
    async fn watch_adopted(&mut self, process: Identity) -> bool {
        self.update(|r| r.adopted = true);
        self.note_ready(Instant::now());
        while process.is_alive() {
            if self.stopped_within(LOOK).await {
                return false;
            }
        }
        true
    }

    /// Runs the program to its end; false when told to stop.
    async fn run_once(&mut self) -> bool {
        let began = Instant::now();
        let mut child = match self.spawn() {
            Ok(child) => child,
            Err(error) => {
                eprintln!("bloomery: {error}");
                return true;
            }
        };
        let process = self.identify(&mut child).await;
        self.update(|r| {
            r.process = process;
            r.ready_ms = None;
            r.adopted = false;
        });
        self.note_ready(began);
        tokio::select! {
            status = child.wait() => {
                let shown = status.map_or_else(|e| e.to_string(), |s| s.to_string());
                eprintln!("bloomery: {} ended: {shown}; starting it again", self.component.name);
                true
            }
            _ = self.stop.changed() => false,
        }
    }

    /// `setsid` needs a moment to become the program, longer on a busy machine. Only
    /// the end of the child ends the wait: a process that nobody knows of would
    /// outlive `down`.
    async fn identify(&self, child: &mut tokio::process::Child) -> Option<Identity> {
        let pid = child.id()?;
        loop {
            if let Some(found) = Identity::of(pid, &self.program) {
                return Some(found);
            }
            if !matches!(child.try_wait(), Ok(None)) {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// A session of its own: neither our terminal nor our end reaches it.
    fn spawn(&self) -> Result<tokio::process::Child, Error> {
        let log = self.layout.log(&self.component.name);
        let file = File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&log)
            .map_err(Error::file("open", &log))?;
        let errors = file.try_clone().map_err(Error::file("open", &log))?;
        let mut command = std::process::Command::new("setsid");
        command
            .arg(&self.program)
            .arg("--config")
            .arg(self.layout.config(&self.component.name))
            .current_dir(&self.layout.root)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors);
        // Two worker threads and few malloc arenas keep a small platform small.
        command
            .env("MALLOC_ARENA_MAX", "2")
            .env("TOKIO_WORKER_THREADS", "2");
        // Big buffers (password hashing) go back to the system when freed; glibc
        // would raise its threshold after the first one and keep them.
        command
            .env("MALLOC_MMAP_THRESHOLD_", "131072")
            .env("MALLOC_TRIM_THRESHOLD_", "131072");
        command.env_remove("RUST_LOG");
        Command::from(command)
            .kill_on_drop(false)
            .spawn()
            .map_err(|e| Error::Program {
                program: self.program.display().to_string(),
                reason: e.to_string(),
            })
    }

    /// Asks the health endpoint until it answers, in the background.
    fn note_ready(&self, began: Instant) {
        let (layout, state) = (self.layout.clone(), Arc::clone(&self.state));
        let (name, url) = (
            self.component.name.clone(),
            self.component.health_url.clone(),
        );
        tokio::spawn(async move {
            let Ok(http) = reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(2))
                .build()
            else {
                return;
            };
            for _ in 0..600 {
                if http
                    .get(&url)
                    .send()
                    .await
                    .is_ok_and(|r| r.status().is_success())
                {
                    let took = began.elapsed().as_millis() as u64;
                    if let Some(running) = state
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .components
                        .get_mut(&name)
                    {
                        running.ready_ms.get_or_insert(took);
                    }
                    return save(&layout, &state);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }

    /// Waits; true when told to stop meanwhile.
    async fn stopped_within(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.stop.changed())
            .await
            .is_ok()
    }
}

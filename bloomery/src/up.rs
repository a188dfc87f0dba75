//! `bloomery up`: prepare, start, wait until everything answers, log `cf` in, say
//! what to type next.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::args::Up;
use crate::components::{self, Component};
use crate::error::Error;
use crate::layout::Layout;
use crate::settings::{Settings, secret, write_private};
use crate::state::State;
use crate::supervisor::Supervisor;
use crate::{configs, down};

/// How long one component may take to its first healthy answer.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Brings the platform up. In the foreground it stays and ends the platform on a
/// signal; detached it returns when everything answers.
pub async fn run(flags: &Up) -> Result<(), Error> {
    let layout = Layout::new(&flags.place.data_dir)?;
    layout.make_root()?;
    if let Some(other) = State::load(&layout)?.live_supervisor() {
        return Err(Error::AlreadyUp {
            data_dir: layout.root.clone(),
            pid: other.pid,
        });
    }
    let settings = Settings::for_up(&layout, flags)?;
    let new_password = prepare(&layout, &settings)?;
    let began = Instant::now();
    say!("Bringing Bloomery up in {}", layout.root.display());
    let supervisor = if flags.detach {
        detach(&layout)?;
        None
    } else {
        Some(Supervisor::start(&layout, &settings)?)
    };
    wait_ready(&layout, &settings).await?;
    let logged_in = log_in(&layout, &settings);
    welcome(
        &layout,
        &settings,
        began,
        new_password.as_deref(),
        logged_in,
    );
    match supervisor {
        None => Ok(()),
        Some(supervisor) => stay(layout, settings, supervisor).await,
    }
}

/// The supervisor process of a detached platform.
pub async fn supervise(data_dir: &Path) -> Result<(), Error> {
    let layout = Layout::new(data_dir)?;
    let settings = Settings::load(&layout)?.ok_or_else(|| Error::NotUp(layout.root.clone()))?;
    let supervisor = Supervisor::start(&layout, &settings)?;
    wait_for_signal().await;
    supervisor.let_go().await;
    Ok(())
}

async fn stay(layout: Layout, settings: Settings, supervisor: Supervisor) -> Result<(), Error> {
    say!("\nPress Ctrl-C to end the platform.");
    wait_for_signal().await;
    say!("\nEnding the platform...");
    supervisor.let_go().await;
    let _ = settings;
    down::end_everything(&layout).await.map(|_| ())
}

async fn wait_for_signal() {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Writes configurations and, the first time, the administrator's password.
fn prepare(layout: &Layout, settings: &Settings) -> Result<Option<String>, Error> {
    configs::write_all(layout, settings)?;
    let path = layout.admin_password();
    if path.exists() {
        return Ok(None);
    }
    let password = secret();
    write_private(&path, password.as_bytes())?;
    Ok(Some(password))
}

fn detach(layout: &Layout) -> Result<(), Error> {
    let own = std::env::current_exe().map_err(Error::file("find own program", "/proc/self/exe"))?;
    let log = layout.log("bloomery");
    let file = std::fs::File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&log)
        .map_err(Error::file("open", &log))?;
    let errors = file.try_clone().map_err(Error::file("open", &log))?;
    let mut command = std::process::Command::new("setsid");
    command
        .arg(own)
        .args(["supervise", "--data-dir"])
        .arg(&layout.root);
    command.env("MALLOC_ARENA_MAX", "2");
    let spawned = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn();
    spawned.map(|_| ()).map_err(|e| Error::Program {
        program: "setsid".into(),
        reason: e.to_string(),
    })
}

/// One line per component as it becomes ready.
async fn wait_ready(layout: &Layout, settings: &Settings) -> Result<(), Error> {
    let began = Instant::now();
    let mut waiting = components::all(settings);
    while !waiting.is_empty() {
        // The file may not be there yet, or be in the middle of a rename.
        let state = State::load(layout).unwrap_or_default();
        if state.live_supervisor().is_some() {
            waiting.retain(|component| !print_if_ready(&state, component));
        }
        if began.elapsed() > READY_LIMIT {
            return Err(not_ready(layout, &waiting));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn print_if_ready(state: &State, component: &Component) -> bool {
    let Some(running) = state.components.get(&component.name) else {
        return false;
    };
    let alive = running.process.as_ref().is_some_and(|p| p.is_alive());
    let (true, Some(ms)) = (alive, running.ready_ms) else {
        return false;
    };
    let how = if running.adopted {
        "adopted".to_owned()
    } else {
        format!("{ms} ms")
    };
    say!("  {:<18} {:<22} {how}", component.name, component.addr);
    true
}

fn not_ready(layout: &Layout, waiting: &[Component]) -> Error {
    let component = &waiting[0];
    let log = layout.log(&component.name);
    Error::NotReady {
        name: component.name.clone(),
        seconds: READY_LIMIT.as_secs(),
        why: format!("{} does not answer 200", component.health_url),
        tail: crate::logs::tail(&log, 10),
        log,
    }
}

/// Targets and logs in the `cf` beside us, with the password in its environment.
fn log_in(layout: &Layout, settings: &Settings) -> bool {
    let (Ok(cf), Ok(password)) = (
        layout.program("cf"),
        std::fs::read_to_string(layout.admin_password()),
    ) else {
        return false;
    };
    let mut command = std::process::Command::new(cf);
    command.args([
        "login",
        "-a",
        &settings.api(),
        "-u",
        "admin",
        "-o",
        "demo",
        "-s",
        "dev",
    ]);
    command
        .env("CF_PASSWORD", password.trim())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .stdin(Stdio::null());
    command.status().is_ok_and(|s| s.success())
}

fn welcome(
    layout: &Layout,
    settings: &Settings,
    began: Instant,
    password: Option<&str>,
    logged_in: bool,
) {
    say!("Up in {:.1} s.", began.elapsed().as_secs_f64());
    say!("\n  API      {}", settings.api());
    say!(
        "  Apps     http://NAME.{}:{}",
        settings.domain,
        settings.router_port
    );
    if let Some(password) = password {
        say!(
            "  Admin    admin / {password}   (kept in {})",
            layout.admin_password().display()
        );
    }
    if settings.backend == "process" {
        say!(
            "\n  WARNING: containers are plain processes here; apps are not isolated from this machine."
        );
    }
    say!("\nNext:");
    let cf = layout.programs.join("cf");
    if !logged_in {
        say!("  {} login -a {} -u admin", cf.display(), settings.api());
    }
    say!("  {} push NAME -p DIRECTORY", cf.display());
    say!(
        "  {} status --data-dir {}",
        layout.programs.join("bloomery").display(),
        layout.root.display()
    );
}

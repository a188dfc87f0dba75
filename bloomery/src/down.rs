//! `bloomery down`: ends the supervisor, then the daemons, then whatever the
//! containers left in the kernel. Works with no supervisor alive.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::identity::Identity;
use crate::layout::Layout;
use crate::state::State;

/// How long daemons may drain.
const DRAIN: Duration = Duration::from_secs(20);

/// Runs the command.
pub async fn run(data_dir: &Path, purge: bool) -> Result<(), Error> {
    let layout = Layout::new(data_dir)?;
    if !layout.settings().exists() {
        return Err(Error::NotUp(layout.root));
    }
    let began = Instant::now();
    let ended = end_everything(&layout).await?;
    say!(
        "Down: {ended} processes ended in {:.1} s.",
        began.elapsed().as_secs_f64()
    );
    if purge {
        std::fs::remove_dir_all(&layout.root).map_err(Error::file("remove", &layout.root))?;
        say!("Removed {}.", layout.root.display());
    } else {
        say!(
            "Apps and database stay in {}; `bloomery up` brings them back, `bloomery down --purge` removes them.",
            layout.root.display()
        );
    }
    Ok(())
}

/// Ends every process of the platform and removes what its containers left.
/// Returns how many processes were ended.
pub async fn end_everything(layout: &Layout) -> Result<usize, Error> {
    let state = State::load(layout)?;
    if let Some(supervisor) = state
        .live_supervisor()
        .filter(|s| s.pid != std::process::id())
    {
        end(std::slice::from_ref(supervisor)).await;
    }
    // Read again: the supervisor may have restarted something until its end.
    let state = State::load(layout)?;
    let mut ended = 0;
    for wave in waves(&state) {
        ended += wave.len();
        end(&wave).await;
    }
    for depot in layout.depots() {
        teardown(layout, &depot)?;
    }
    State::default().save(layout)?;
    Ok(ended)
}

/// DEAs first, while bus, controller and router can still hear them; the bus last.
fn waves(state: &State) -> Vec<Vec<Identity>> {
    let rank = |name: &str| match name {
        n if n.starts_with("dea-") => 1,
        "nats-lite" => 3,
        // The health manager would ask for the stopped instances again.
        "health-manager" => 0,
        _ => 2,
    };
    let of = |wanted: u8| {
        state
            .live()
            .into_iter()
            .filter(|(n, _)| rank(n) == wanted)
            .map(|(_, id)| id.clone())
            .collect()
    };
    (0..=3).map(of).collect()
}

/// TERM, and KILL after the drain time.
async fn end(processes: &[Identity]) {
    for process in processes {
        process.signal("TERM");
    }
    let deadline = Instant::now() + DRAIN;
    while Instant::now() < deadline && processes.iter().any(Identity::is_alive) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for process in processes {
        process.signal("KILL");
    }
    while processes.iter().any(Identity::is_alive) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Removes every kernel object of a depot and restores the sysctls it changed.
fn teardown(layout: &Layout, depot: &Path) -> Result<(), Error> {
    let wardenctl = layout.program("wardenctl")?;
    let failed = |reason: String| Error::Program {
        program: "wardenctl teardown".into(),
        reason,
    };
    let output = std::process::Command::new(wardenctl)
        .arg("--depot")
        .arg(depot)
        .arg("teardown")
        .output();
    let output = output.map_err(|e| failed(e.to_string()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        )),
    }
}

//! What the `dea` program does beside the library: the choice of a container
//! backend and the signals USR1 (stop advertising), USR2 (evacuate), HUP (leave for a restart) and QUIT (as TERM).

use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::{Deps, Handle, Running, StartError};

/// Opens the configured backend and starts the DEA.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let config = config.resolved().map_err(|source| StartError::Bind {
        what: "ip: no address of this host leads to local_route".into(),
        source,
    })?;
    let backend = crate::backend::open(&config).await?;
    let running = crate::start(config, Deps { backend }).await?;
    listen_for_signals(&running);
    Ok(running)
}

/// Carries out what signals ask for, until the process ends. TERM and INT are for whoever runs the daemon.
pub fn listen_for_signals(running: &Running) {
    let handle = running.handle();
    tokio::spawn(async move {
        let (Ok(mut usr1), Ok(mut usr2), Ok(mut hup), Ok(mut quit)) = (
            signal(SignalKind::user_defined1()),
            signal(SignalKind::user_defined2()),
            signal(SignalKind::hangup()),
            signal(SignalKind::quit()),
        ) else {
            return;
        };
        loop {
            tokio::select! {
                _ = usr1.recv() => handle.stop_advertising().await,
                _ = usr2.recv() => { tokio::spawn(evacuate(handle.clone())); }
                _ = hup.recv() => {
                    handle.leave();
                    end().await;
                }
                _ = quit.recv() => end().await,
            }
        }
    });
}

/// The DEA ends by itself once its instances run elsewhere.
async fn evacuate(handle: Handle) {
    handle.evacuate().await;
    end().await;
}

/// By the signal that an operator would send.
async fn end() {
    let pid = std::process::id().to_string();
    let _ = tokio::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .await;
}

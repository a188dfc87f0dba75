//! What the `dea` program does beside the library: the choice of a container
//! backend and the signals USR1 (stop advertising) and USR2 (evacuate).

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use warden::Backend;

use crate::config::{BackendKind, Config};
use crate::{Deps, Running, StartError};

/// Opens the configured backend and starts the DEA.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let backend = open_backend(&config).await?;
    let running = crate::start(config, Deps { backend }).await?;
    listen_for_signals(&running);
    Ok(running)
}

async fn open_backend(config: &Config) -> Result<Arc<dyn Backend>, StartError> {
    crate::backend::open(config).await.map_err(StartError::Warden)
}

fn listen_for_signals(running: &Running) {
    let handle = running.handle();
    tokio::spawn(async move {
        let (Ok(mut usr1), Ok(mut usr2)) = (signal(SignalKind::user_defined1()), signal(SignalKind::user_defined2()))
        else {
            return;
        };
        loop {
            tokio::select! {
                _ = usr1.recv() => handle.stop_advertising().await,
                _ = usr2.recv() => handle.evacuate_and_exit(),
            }
        }
    });
}

//! The stop sequence: STOPPING, TERM … KILL, STOPPED.

use std::sync::Arc;

use bus::log::LogStream;

use super::Instance;
use super::state::State;
use crate::host::Host;

/// Stops one instance and forgets it. Safe to call again on one that hangs in STOPPING.
pub async fn run(host: Arc<Host>, instance: Arc<Instance>) {
    if instance.state() == State::Born && host.change(&instance, State::Stopped).is_ok() {
        return;
    }
    let was_routed = instance.state().is_routed();
    if host.change(&instance, State::Stopping).is_err() {
        return;
    }
    host.tell(
        &instance,
        LogStream::Out,
        &format!("Stopping app instance (index {})", instance.message.index),
    );
    if was_routed {
        // Routers have just been told; what they had sent before may still be answered.
        tokio::time::sleep(host.config.instance.drain()).await;
    }
    instance.cancel.cancel();
    // A start that is still in the middle of something notices the cancellation first.
    let _working = instance.work.lock().await;
    end_processes(&host, &instance).await;
    if host.change(&instance, State::Stopped).is_ok() {
        host.tell(
            &instance,
            LogStream::Out,
            &format!("Stopped app instance (index {})", instance.message.index),
        );
    }
}

async fn end_processes(host: &Host, instance: &Instance) {
    let Some(handle) = instance.standing().handle.clone() else {
        return;
    };
    let Ok(container) = host.backend.lookup(&handle).await else {
        return;
    };
    if let Err(error) = container.stop(false).await {
        // The container is destroyed next, which ends its processes in any case.
        tracing::warn!(instance = %instance.id, %error, "stopping the container failed");
    }
}

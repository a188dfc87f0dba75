//! Picking up the instances of the previous process from the snapshot.

use std::sync::Arc;

use crate::host::Host;
use crate::instance::exit::ExitRecord;
use crate::instance::state::State;
use crate::instance::{Instance, start, stop};
use crate::snapshot::{Saved, Snapshot};

/// Restores every instance: the ones that ran are adopted with handle, port and
/// log position; one that was on its way has crashed, one that was stopping is
/// stopped again.
pub async fn run(host: &Arc<Host>, snapshot: Snapshot) {
    for saved in snapshot.instances {
        one(host, saved).await;
    }
}

async fn one(host: &Arc<Host>, saved: Saved) {
    let was = saved.standing.state;
    let mut standing = saved.standing;
    standing.state = if was == State::Crashed {
        State::Crashed
    } else {
        State::Resuming
    };
    let instance = Instance::from_parts(
        saved.instance_id,
        saved.private_instance_id,
        saved.message,
        standing,
        saved.log_cursor,
    );
    let instance = Arc::new(instance);
    host.instances.insert(Arc::clone(&instance));
    match was {
        State::Crashed => {}
        State::Running | State::Evacuating => adopt(host, &instance).await,
        State::Stopping => host
            .tasks
            .spawn_graceful(stop::run(Arc::clone(host), instance)),
        _ => crash(
            host,
            &instance,
            "the DEA was restarted while the instance was starting",
        ),
    }
}

async fn adopt(host: &Arc<Host>, instance: &Arc<Instance>) {
    let handle = instance.standing().handle.clone().unwrap_or_default();
    let container = match host.backend.lookup(&handle).await {
        Ok(container) => container,
        Err(error) => return crash(host, instance, &format!("its container is gone: {error}")),
    };
    if let Err(error) = start::follow(host, instance, &container).await {
        return crash(
            host,
            instance,
            &format!("its container does not answer: {error}"),
        );
    }
    // The exit watch may have been quicker: then this change is refused, rightly.
    let _ = host.change(instance, State::Running);
}

fn crash(host: &Arc<Host>, instance: &Arc<Instance>, why: &str) {
    tracing::warn!(instance = %instance.id, app = %instance.message.droplet, why, "not adopted");
    instance.standing().exit = Some(ExitRecord::unknown());
    let _ = host.change(instance, State::Crashed);
}

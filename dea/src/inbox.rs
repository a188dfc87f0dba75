//! Subscriptions: decode, look up, hand over. No decisions here.

use std::sync::Arc;

use bus::dea::{Find, Hello, LOCATE, STATUS, StartInstance, Status, Stop, Update};
use bus::{Anything, BusError, health, staging};

use crate::host::Host;
use crate::instance::exit::ExitRecord;
use crate::instance::state::State;
use crate::instance::{Instance, start, stop};
use crate::{announce, find, registrar};

/// Subscribes to everything; called once, before the DEA says hello.
pub async fn start(host: &Arc<Host>) -> Result<(), BusError> {
    orders(host).await?;
    on::<Find, _>(host, "dea.find.droplet", |host, m, reply| {
        answer_find(host, m, reply)
    })
    .await?;
    on::<Anything, _>(host, STATUS, |host, _, reply| answer_status(host, reply)).await?;
    on::<Anything, _>(host, LOCATE, |host, _, _| host.nudge.advertise.notify_one()).await?;
    on::<Anything, _>(host, health::HEARTBEAT_NOW, |host, _, _| {
        host.nudge.heartbeat.notify_one()
    })
    .await?;
    if host.config.staging.enabled {
        on::<Anything, _>(host, staging::LOCATE, |host, _, _| {
            host.nudge.advertise.notify_one()
        })
        .await?;
    }
    Ok(())
}

/// Stops and starts. A controller that restarts an app sends a stop and a start
/// right after each other, on two subjects. One task takes both, stops first: a
/// stop that arrived before a start is then carried out before it, and cannot hit
/// what the start begins.
async fn orders(host: &Arc<Host>) -> Result<(), BusError> {
    let mut stops = host.bus.subscribe::<Stop>().await?;
    let mut staging_stops = host.bus.subscribe::<staging::Stop>().await?;
    let mut starts = host
        .bus
        .subscribe_to::<StartInstance>(&StartInstance::subject(&host.id))
        .await?;
    let mut stagings = host
        .bus
        .subscribe_to::<staging::Start>(&staging::Start::subject(&host.id))
        .await?;
    let mut updates = host.bus.subscribe::<Update>().await?;
    let host_ = Arc::clone(host);
    host.tasks.spawn("orders", async move {
        loop {
            tokio::select! {
                biased;
                m = stops.next() => stop_matching(&host_, &m.body),
                m = staging_stops.next() => crate::staging::stop(&host_, &m.body.app_id),
                m = starts.next() => accept(&host_, m.body),
                m = stagings.next() => crate::staging::accept(&host_, m.body, m.reply),
                m = updates.next() => update_later(&host_, m.body),
            }
        }
    });
    Ok(())
}

async fn on<M, F>(host: &Arc<Host>, subject: &str, handle: F) -> Result<(), BusError>
where
    M: serde::de::DeserializeOwned + Send + 'static,
    F: Fn(&Arc<Host>, M, Option<String>) + Send + 'static,
{
    let mut messages = host.bus.subscribe_to::<M>(subject).await?;
    let host_ = Arc::clone(host);
    host.tasks.spawn("inbox", async move {
        loop {
            let delivery = messages.next().await;
            handle(&host_, delivery.body, delivery.reply);
        }
    });
    Ok(())
}

/// Admits an instance: reserves its resources or lets it crash with the shortage named.
pub fn accept(host: &Arc<Host>, message: StartInstance) {
    if !host.is_open() {
        tracing::info!(app = %message.droplet, "start refused: this DEA takes no more work");
        return;
    }
    // A repeated start is the controller's retry, not a wish for a second one.
    if host
        .instances
        .has_live(&message.droplet, &message.version, message.index)
    {
        tracing::info!(app = %message.droplet, index = message.index, "start ignored: the instance is here already");
        return;
    }
    let shortage =
        host.config
            .resources
            .shortage(host.reserved(), message.limits.mem, message.limits.disk);
    let instance = Arc::new(Instance::new(message));
    host.instances.insert(Arc::clone(&instance));
    if let Some(short) = shortage {
        instance.standing().exit = Some(ExitRecord::never_ran(short.exit_description()));
        let _ = host.change(&instance, State::Crashed);
        return;
    }
    host.nudge.advertise.notify_one();
    host.tasks
        .spawn_graceful(start::run(Arc::clone(host), instance));
}

fn stop_matching(host: &Arc<Host>, filter: &Stop) {
    if let Some(bad) = filter
        .states
        .iter()
        .flatten()
        .find(|s| State::parse(s).is_none())
    {
        tracing::warn!(state = %bad, "dea.stop ignored: it names an unknown state");
        return;
    }
    for instance in host.instances.all() {
        if instance.state().is_stoppable() && find::selects(filter, &instance) {
            host.tasks
                .spawn_graceful(stop::run(Arc::clone(host), instance));
        }
    }
}

fn update_later(host: &Arc<Host>, message: Update) {
    let host_ = Arc::clone(host);
    host.tasks
        .spawn_job("dea.update", async move { update(&host_, message).await });
}

/// Full replacement list of routes; idempotent. Only what changed is registered or unregistered.
async fn update(host: &Arc<Host>, message: Update) {
    let mut changed = false;
    for instance in host.instances.all() {
        let known = instance.message.droplet == message.droplet;
        if !known || !(instance.state().is_routed() || instance.state() == State::Starting) {
            continue;
        }
        let (added, removed) = {
            let mut standing = instance.standing();
            let added: Vec<String> = message
                .uris
                .iter()
                .filter(|u| !standing.uris.contains(u))
                .cloned()
                .collect();
            let removed: Vec<String> = standing
                .uris
                .iter()
                .filter(|u| !message.uris.contains(u))
                .cloned()
                .collect();
            standing.uris = message.uris.clone();
            let version = message
                .version
                .clone()
                .unwrap_or_else(|| standing.version.clone());
            changed |= version != standing.version || !added.is_empty() || !removed.is_empty();
            standing.version = version;
            (added, removed)
        };
        if instance.state().is_routed() {
            registrar::register(host, &instance, added).await;
            registrar::unregister(host, &instance, removed).await;
        }
    }
    if changed {
        host.nudge.heartbeat.notify_one();
        host.snapshot();
    }
}

fn answer_find(host: &Arc<Host>, request: Find, reply: Option<String>) {
    let Some(inbox) = reply else { return };
    let host_ = Arc::clone(host);
    host.tasks.spawn_job("dea.find.droplet", async move {
        for instance in host_.instances.all() {
            if find::selects(&request.filter, &instance) {
                let _ = host_
                    .bus
                    .publish_to(&inbox, &find::found(&host_, &request, &instance))
                    .await;
            }
        }
    });
}

fn answer_status(host: &Arc<Host>, reply: Option<String>) {
    let Some(inbox) = reply else { return };
    let status = status(host);
    let host_ = Arc::clone(host);
    host.tasks.spawn_job("dea.status", async move {
        let _ = host_.bus.publish_to(&inbox, &status).await;
    });
}

fn status(host: &Host) -> Status {
    const MB: u64 = 1024 * 1024;
    let used: u64 = host
        .instances
        .all()
        .iter()
        .map(|i| i.standing().samples.memory())
        .sum();
    let hello: Hello = announce::hello(host);
    Status {
        hello,
        max_memory: host.config.resources.memory_capacity(),
        reserved_memory: host.reserved().memory_mb as i64,
        used_memory: (used / MB) as i64,
        num_clients: None,
    }
}

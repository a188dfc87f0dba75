//! The bus's news: advertisements, heartbeats, exits; and who is asked to carry out what.

use std::time::Instant;

use bus::dea::{Advertise, Heartbeat, Shutdown};
use bus::droplet::Exited;
use bus::health::{CONTROLLER_QUEUE, Start, Stop};
use bus::{Message, Subscription};
use serde_json::json;

use crate::controller::Ctl;
use crate::failure::Outcome;
use crate::messages::PARTITION;
use crate::placement::Offer;
use crate::store::NewEvent;
use crate::wishes;

/// Queue group in which one controller records each crash.
const CRASH_QUEUE: &str = "crash_event_registration";

/// Subscribes to everything the controller listens to.
pub(crate) async fn listen(ctl: &Ctl) -> Result<(), bus::BusError> {
    let bus = &ctl.bus;
    each(
        ctl,
        "dea.advertise",
        bus.subscribe::<Advertise>().await?,
        |ctl, m| async move { dea_advertised(&ctl, m) },
    );
    each(
        ctl,
        "staging.advertise",
        bus.subscribe::<bus::staging::Advertise>().await?,
        |ctl, m| async move {
            stager_advertised(&ctl, m).await;
        },
    );
    each(
        ctl,
        "dea.shutdown",
        bus.subscribe::<Shutdown>().await?,
        |ctl, m: Shutdown| async move { ctl.deas().remove(&m.hello.id) },
    );
    each(
        ctl,
        "dea.heartbeat",
        bus.subscribe::<Heartbeat>().await?,
        |ctl, m| async move { heartbeat(&ctl, m).await },
    );
    each(
        ctl,
        "droplet.exited",
        bus.subscribe::<Exited>().await?,
        |ctl, m: Exited| async move {
            ctl.live().exited(&m, Instant::now());
        },
    );
    each(
        ctl,
        "crash events",
        bus.queue_subscribe::<Exited>(CRASH_QUEUE).await?,
        |ctl, m| async move {
            log_failure("crash event", record_crash(&ctl, m).await);
        },
    );
    each(
        ctl,
        "hm9000.start",
        bus.queue_subscribe::<Start>(CONTROLLER_QUEUE).await?,
        |ctl, m| async move {
            log_failure("hm9000.start", wishes::start(&ctl, m).await);
        },
    );
    each(
        ctl,
        "hm9000.stop",
        bus.queue_subscribe::<Stop>(CONTROLLER_QUEUE).await?,
        |ctl, m| async move {
            log_failure("hm9000.stop", wishes::stop(&ctl, m).await);
        },
    );
    answer_credentials(ctl).await?;
    locate_on_connect(ctl);
    Ok(())
}

fn each<M, F, Fut>(ctl: &Ctl, name: &'static str, mut news: Subscription<M>, handle: F)
where
    M: Message,
    F: Fn(Ctl, M) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let shared = ctl.clone();
    ctl.tasks.spawn(name, async move {
        loop {
            let delivery = news.next().await;
            handle(shared.clone(), delivery.body).await;
        }
    });
}

fn log_failure(what: &str, outcome: Outcome<()>) {
    if let Err(failure) = outcome {
        tracing::warn!(error = %failure.0, "{what} not carried out");
    }
}

fn dea_advertised(ctl: &Ctl, message: Advertise) {
    let offer = Offer {
        id: message.id,
        stacks: message.stacks,
        available_memory: message.available_memory,
        available_disk: message.available_disk,
        app_counts: message.app_id_to_count,
        zone: message.placement_properties.zone,
    };
    ctl.deas().advertise(offer, Instant::now());
    ctl.advertised.notify_waiters();
}

async fn stager_advertised(ctl: &Ctl, message: bus::staging::Advertise) {
    let now = Instant::now();
    let is_new = !ctl
        .stagers()
        .live(now)
        .iter()
        .any(|offer| offer.id == message.id);
    let offer = Offer {
        id: message.id,
        stacks: message.stacks,
        available_memory: message.available_memory,
        available_disk: message.available_disk,
        app_counts: Default::default(),
        zone: String::new(),
    };
    ctl.stagers().advertise(offer, now);
    ctl.advertised.notify_waiters();
    if is_new {
        // An optimisation: new stagers fetch the buildpacks before they need them.
        if let Ok(list) = crate::stager::admin_buildpacks(ctl).await {
            let _ = ctl.bus.publish(&bus::staging::Buildpacks(list)).await;
        }
    }
}

/// Notes a heartbeat. A DEA heard of for the first time may have missed route changes: it is told the routes.
async fn heartbeat(ctl: &Ctl, beat: Heartbeat) {
    let mut places: Vec<(String, String)> = beat
        .droplets
        .iter()
        .map(|i| (i.droplet.clone(), i.version.clone()))
        .collect();
    places.sort();
    places.dedup();
    let is_new = ctl.live().heartbeat(beat, Instant::now());
    if !is_new {
        return;
    }
    for (process, version) in places {
        if let Ok(Some(app)) = ctl.store.app(&process).await
            && app.version == version
        {
            log_failure("route update", ctl.announce_routes(&app).await);
        }
    }
}

async fn record_crash(ctl: &Ctl, exit: Exited) -> Outcome<()> {
    if !exit.is_crash() {
        return Ok(());
    }
    let guid = ctl
        .store
        .app_of_process(&exit.droplet)
        .await?
        .unwrap_or_else(|| exit.droplet.clone());
    let Some(app) = ctl.store.app(&guid).await? else {
        return Ok(());
    };
    let event = NewEvent {
        kind: "app.crash",
        actor: (guid.clone(), "app", Some(app.name.clone())),
        actee: (guid.clone(), "app", app.name.clone()),
        metadata: json!({
            "instance": exit.instance, "index": exit.index, "exit_status": exit.exit_status,
            "exit_description": exit.exit_description, "reason": exit.reason,
        }),
        organization_guid: ctl.store.org_of_space(&app.space_guid).await?,
        space_guid: Some(app.space_guid.clone()),
    };
    let mut tx = ctl.store.begin().await?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    ctl.say(
        &guid,
        "API",
        format!(
            "App instance {} exited: {} (status {})",
            exit.index, exit.exit_description, exit.exit_status
        ),
    );
    Ok(())
}

/// `cloudcontroller.bulk.credentials.<partition>`: older health managers ask for them here.
async fn answer_credentials(ctl: &Ctl) -> Result<(), bus::BusError> {
    let subject = format!("cloudcontroller.bulk.credentials.{PARTITION}");
    let mut asked = ctl.bus.subscribe_to::<bus::Anything>(&subject).await?;
    let shared = ctl.clone();
    ctl.tasks.spawn("bulk credentials", async move {
        loop {
            let delivery = asked.next().await;
            let auth = &shared.config.bulk_auth;
            if let Some(inbox) = delivery.reply {
                let _ = shared
                    .bus
                    .publish_to(
                        &inbox,
                        &json!({"user": auth.user, "password": auth.password}),
                    )
                    .await;
            }
        }
    });
    Ok(())
}

/// Asks for advertisements whenever the bus connection comes up.
fn locate_on_connect(ctl: &Ctl) {
    let shared = ctl.clone();
    ctl.tasks.spawn("locate", async move {
        let mut changes = shared.bus.connection_changes();
        loop {
            shared.bus.wait_connected().await;
            let _ = shared.bus.publish_empty(bus::dea::LOCATE, None).await;
            let _ = shared.bus.publish_empty(bus::staging::LOCATE, None).await;
            if changes.changed().await.is_err() {
                return;
            }
        }
    });
}

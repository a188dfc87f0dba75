//! The voices to controllers and health managers: hello, advertisements,
//! heartbeats, exits, farewell.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bus::dea::{Advertise, Heartbeat, Hello, PlacementProperties, Shutdown};
use bus::droplet::Exited;
use bus::staging;

use crate::host::Host;
use crate::instance::Instance;
use crate::instance::exit::ExitRecord;

/// What this DEA calls its protocol version.
pub const VERSION: &str = "0.0.1";

/// The hello fields.
pub fn hello(host: &Host) -> Hello {
    Hello {
        id: host.id.clone(),
        ip: host.config.ip.to_string(),
        version: VERSION.into(),
    }
}

/// Starts heartbeats and advertisements.
pub fn start(host: &Arc<Host>) {
    let times = host.config.times();
    let host_ = Arc::clone(host);
    host.tasks.spawn("heartbeat", async move {
        loop {
            heartbeat(&host_).await;
            wait(times.heartbeat, &host_.nudge.heartbeat).await;
        }
    });
    let host_ = Arc::clone(host);
    host.tasks.spawn("advertise", async move {
        host_.bus.wait_connected().await;
        let _ = host_.bus.publish(&hello(&host_)).await;
        loop {
            advertise(&host_).await;
            wait(times.advertise, &host_.nudge.advertise).await;
        }
    });
}

async fn wait(period: Duration, nudge: &tokio::sync::Notify) {
    tokio::select! {
        () = tokio::time::sleep(period) => {}
        () = nudge.notified() => {}
    }
}

/// The complete list of instances, also when it is empty.
pub async fn heartbeat(host: &Host) {
    let droplets = host
        .instances
        .all()
        .iter()
        .filter_map(|i| i.heartbeat())
        .collect();
    let _ = host
        .bus
        .publish(&Heartbeat {
            dea: host.id.clone(),
            droplets,
        })
        .await;
}

/// What is left to promise; silent once the DEA takes no more work.
pub async fn advertise(host: &Host) {
    if !host.is_open() {
        return;
    }
    let (memory, disk) = host.config.resources.remaining(host.reserved());
    let there = host.config.stacks.iter().filter(|s| s.is_there());
    let stacks: Vec<String> = there.map(|s| s.name.clone()).collect();
    let advert = Advertise {
        id: host.id.clone(),
        stacks: stacks.clone(),
        available_memory: memory,
        available_disk: Some(disk),
        app_id_to_count: host.instances.count_by_app(),
        placement_properties: PlacementProperties {
            zone: host.config.zone.clone(),
        },
    };
    let _ = host.bus.publish(&advert).await;
    if host.config.staging.enabled {
        let advert = staging::Advertise {
            id: host.id.clone(),
            stacks,
            available_memory: memory,
            available_disk: Some(disk),
        };
        let _ = host.bus.publish(&advert).await;
    }
}

/// `droplet.exited`, in the background.
pub fn exited_soon(host: &Arc<Host>, instance: &Arc<Instance>, reason: &'static str) {
    let (host_, message) = (Arc::clone(host), exited(instance, reason));
    host.tasks.spawn_graceful(async move {
        let _ = host_.bus.publish(&message).await;
    });
}

fn exited(instance: &Instance, reason: &str) -> Exited {
    let standing = instance.standing();
    let exit = standing
        .exit
        .clone()
        .unwrap_or_else(|| ExitRecord::never_ran(""));
    Exited {
        cc_partition: instance.message.cc_partition.clone(),
        droplet: instance.message.droplet.clone(),
        version: standing.version.clone(),
        instance: instance.id.clone(),
        index: instance.message.index,
        reason: reason.into(),
        exit_status: exit.status,
        exit_description: exit.description,
        crash_timestamp: (reason == "CRASHED").then_some(standing.since as i64),
    }
}

/// `dea.shutdown`: no more work is taken or advertised.
pub async fn farewell(host: &Host) {
    host.open.store(false, Ordering::Release);
    let message = Shutdown {
        hello: hello(host),
        app_id_to_count: host.instances.count_by_app(),
    };
    let _ = host.bus.publish(&message).await;
}

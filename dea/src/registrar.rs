//! The voice to the routers: register on RUNNING, on a change of routes, on
//! `router.start` and periodically; unregister before an instance ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus::router::{Endpoint, Register, Unregister};

use crate::host::Host;
use crate::instance::Instance;

/// The registration of an instance for `uris`; `None` without port or uris.
fn endpoint(host: &Host, instance: &Instance, uris: Vec<String>) -> Option<Endpoint> {
    let port = instance.standing().port?;
    if uris.is_empty() {
        return None;
    }
    Some(Endpoint {
        host: host.config.ip.to_string(),
        port: port.host_port,
        uris,
        app: Some(instance.message.app_guid().to_owned()),
        dea: Some(host.id.clone()),
        tags: BTreeMap::from([("component".to_owned(), format!("dea-{}", host.config.index))]),
        private_instance_id: Some(instance.private_id.clone()),
        private_instance_index: Some(instance.message.index.to_string()),
        stale_threshold_in_seconds: None,
    })
}

/// Registers some uris of an instance.
pub async fn register(host: &Host, instance: &Instance, uris: Vec<String>) {
    if let Some(endpoint) = endpoint(host, instance, uris) {
        let _ = host.bus.publish(&Register(endpoint)).await;
    }
}

/// Unregisters some uris of an instance.
pub async fn unregister(host: &Host, instance: &Instance, uris: Vec<String>) {
    if let Some(endpoint) = endpoint(host, instance, uris) {
        let _ = host.bus.publish(&Unregister(endpoint)).await;
    }
}

/// Registers everything an instance has, in the background.
pub fn register_soon(host: &Arc<Host>, instance: &Arc<Instance>) {
    let (host_, instance) = (Arc::clone(host), Arc::clone(instance));
    let uris = instance.standing().uris.clone();
    host.tasks
        .spawn_graceful(async move { register(&host_, &instance, uris).await });
}

/// Unregisters everything an instance has, in the background, also while the DEA stops.
pub fn unregister_soon(host: &Arc<Host>, instance: &Arc<Instance>) {
    let (host_, instance) = (Arc::clone(host), Arc::clone(instance));
    let uris = instance.standing().uris.clone();
    host.tasks
        .spawn_graceful(async move { unregister(&host_, &instance, uris).await });
}

/// Registers every routed instance and the directory server.
pub async fn register_all(host: &Host) {
    for instance in host.instances.all() {
        if instance.state().is_routed() {
            let uris = instance.standing().uris.clone();
            register(host, &instance, uris).await;
        }
    }
}

/// Periodic registration; nudges come between, among them those of routers that start (`routers`).
pub fn start(host: &Arc<Host>) {
    let host_ = Arc::clone(host);
    host.tasks.spawn("registrar", async move {
        let period = host_.config.times().router_register;
        loop {
            tokio::select! {
                () = tokio::time::sleep(period) => {}
                () = host_.nudge.register.notified() => {}
            }
            register_all(&host_).await;
        }
    });
}

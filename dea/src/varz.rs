//! The DEA's own `/varz` keys, as the collector reads them. Attributes that carry
//! secrets (services, environment, droplet URL) are left out.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::host::Host;
use crate::instance::Instance;

/// The keys.
pub fn of(host: &Arc<Host>) -> Map<String, Value> {
    let resources = &host.config.resources;
    let (memory, disk) = resources.remaining(host.reserved());
    let staging = &host.config.staging;
    let stagers = (memory / staging.memory_limit_mb.max(1) as i64)
        .min(disk / staging.disk_limit_mb.max(1) as i64)
        .max(0);
    let mut map = Map::new();
    map.insert(
        "stacks".into(),
        host.config.stacks.iter().map(|s| s.name.clone()).collect(),
    );
    map.insert(
        "can_stage".into(),
        u8::from(staging.enabled && stagers > 0).into(),
    );
    map.insert("reservable_stagers".into(), stagers.into());
    map.insert(
        "available_memory_ratio".into(),
        ratio(memory, resources.memory_capacity()),
    );
    map.insert(
        "available_disk_ratio".into(),
        ratio(disk, resources.disk_capacity()),
    );
    map.insert("instance_registry".into(), registry(host));
    map.insert("warden_backend".into(), host.backend.name().into());
    map
}

fn ratio(left: i64, capacity: i64) -> Value {
    json!(left as f64 / capacity.max(1) as f64)
}

fn registry(host: &Host) -> Value {
    let mut apps: Map<String, Value> = Map::new();
    for instance in host.instances.all() {
        let app = apps
            .entry(instance.message.droplet.clone())
            .or_insert_with(|| json!({}));
        if let Value::Object(map) = app {
            map.insert(instance.id.clone(), attributes(&instance));
        }
    }
    Value::Object(apps)
}

fn attributes(instance: &Instance) -> Value {
    let standing = instance.standing();
    let usage = standing.samples.usage(crate::instance::unix_now());
    json!({
        "application_id": instance.message.droplet,
        "application_name": instance.message.name,
        "application_version": standing.version,
        "application_uris": standing.uris,
        "instance_index": instance.message.index,
        "instance_id": instance.id,
        "state": standing.state,
        "state_timestamp": standing.since,
        "limits": instance.message.limits,
        "warden_handle": standing.handle,
        "instance_host_port": standing.port.map(|p| p.host_port),
        "droplet_sha1": instance.message.sha1,
        "used_memory_in_bytes": usage.mem,
        "used_disk_in_bytes": usage.disk,
        "computed_pcpu": usage.cpu,
    })
}

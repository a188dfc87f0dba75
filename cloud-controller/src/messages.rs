//! Bus messages from rows. Pure.

use bus::dea::{BoundService, EgressRule, Limits, StartInstance};
use bus::staging;
use serde_json::{Map, Value, json};

use crate::addresses::Addresses;
use crate::store::{AppRow, SecurityGroupRow};

/// Open files an app may have.
const FILE_DESCRIPTORS: u64 = 16_384;
/// The partition name every component uses by default.
pub(crate) const PARTITION: &str = "default";

/// What a message needs besides the row.
pub(crate) struct Surroundings {
    /// Name of the app's space.
    pub(crate) space_name: String,
    /// Name of the app's stack.
    pub(crate) stack_name: String,
    /// Addresses of the app's routes.
    pub(crate) uris: Vec<String>,
    /// The app's own variables.
    pub(crate) environment: Map<String, Value>,
    /// Variables all running apps get.
    pub(crate) running_env: Map<String, Value>,
    /// Variables all stagings get.
    pub(crate) staging_env: Map<String, Value>,
    /// Egress rules of running containers.
    pub(crate) running_rules: Vec<EgressRule>,
    /// Egress rules of staging containers.
    pub(crate) staging_rules: Vec<EgressRule>,
    /// Service instances the app is bound to.
    pub(crate) services: Vec<BoundService>,
    /// What DEAs and stagers may fetch and send.
    pub(crate) addresses: Addresses,
}

/// One binding as DEAs are told it. `drain` is absent when none was ever set.
pub(crate) fn bound_service(
    name: &str,
    tags: Value,
    credentials: Map<String, Value>,
    drain: Option<String>,
) -> BoundService {
    let mut rest = Map::new();
    rest.insert("tags".into(), tags);
    if let Some(drain) = drain {
        rest.insert("syslog_drain_url".into(), drain.into());
    }
    BoundService {
        credentials: Value::Object(credentials),
        label: "user-provided".into(),
        name: name.to_owned(),
        rest,
    }
}

/// `VCAP_SERVICES` as an app will see it: bindings by label, keys in the originals' order.
pub(crate) fn vcap_services(services: &[BoundService]) -> Map<String, Value> {
    let mut all = Map::new();
    for service in services {
        let mut shown = Map::new();
        shown.insert("name".into(), service.name.clone().into());
        shown.insert("label".into(), service.label.clone().into());
        for key in ["tags", "plan"] {
            copy(&service.rest, key, &mut shown);
        }
        shown.insert("credentials".into(), service.credentials.clone());
        copy(&service.rest, "syslog_drain_url", &mut shown);
        let list = all
            .entry(service.label.clone())
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.push(Value::Object(shown));
        }
    }
    all
}

fn copy(from: &Map<String, Value>, key: &str, to: &mut Map<String, Value>) {
    if let Some(value) = from.get(key).filter(|value| !value.is_null()) {
        to.insert(key.to_owned(), value.clone());
    }
}

/// `VCAP_APPLICATION` as the controller knows it.
pub(crate) fn vcap_application(app: &AppRow, around: &Surroundings) -> Map<String, Value> {
    let value = json!({
        "limits": {"mem": app.memory, "disk": app.disk_quota, "fds": FILE_DESCRIPTORS},
        "application_id": app.guid,
        "application_version": app.version,
        "application_name": app.name,
        "application_uris": around.uris,
        "version": app.version,
        "name": app.name,
        "space_name": around.space_name,
        "space_id": app.space_guid,
        "uris": around.uris,
        "users": null,
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// `dea.<id>.start` for one index.
pub(crate) fn start_instance(app: &AppRow, around: &Surroundings, index: u32) -> StartInstance {
    StartInstance {
        droplet: app.guid.clone(),
        name: app.name.clone(),
        uris: around.uris.clone(),
        prod: app.production,
        sha1: app.droplet_hash.clone(),
        executable_file: "deprecated".into(),
        executable_uri: Some(around.addresses.droplet(&app.guid)),
        version: app.version.clone(),
        services: around.services.clone(),
        limits: limits(app),
        env: env_list(&around.running_env, &around.environment),
        cc_partition: PARTITION.into(),
        console: Some(false),
        debug: None,
        start_command: app.command.clone().filter(|c| !c.is_empty()),
        health_check_timeout: app.health_check_timeout.and_then(|t| u64::try_from(t).ok()),
        vcap_application: vcap_application(app, around),
        index,
        egress_network_rules: around.running_rules.clone(),
        stack: Some(around.stack_name.clone()),
        app: Some(app.guid.clone()),
        health_check_type: Some(app.health_check_type.clone()),
        health_check_http_endpoint: app.health_check_http_endpoint.clone(),
    }
}

/// How the buildpack of a staging is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BuildpackChoice {
    /// Try the admin buildpacks in order.
    Detect,
    /// This admin buildpack.
    Admin(String),
    /// This URL.
    Url(String),
}

/// `staging.<id>.start`. `with_start` adds the message with which the DEA starts index 0 itself.
pub(crate) fn staging_request(
    app: &AppRow,
    around: &Surroundings,
    task_id: &str,
    choice: &BuildpackChoice,
    admin_buildpacks: Vec<staging::AdminBuildpack>,
    need: (i64, i64),
    has_cache: bool,
) -> staging::Start {
    let addresses = &around.addresses;
    let guid = &app.guid;
    let url = match choice {
        BuildpackChoice::Url(url) => Some(url.clone()),
        _ => None,
    };
    let start_message = StartInstance {
        sha1: None,
        ..start_instance(app, around, 0)
    };
    staging::Start {
        app_id: guid.clone(),
        task_id: task_id.to_owned(),
        properties: staging::Properties {
            services: around.services.clone(),
            resources: staging::Resources {
                memory: unsigned(need.0),
                disk: unsigned(need.1),
                fds: FILE_DESCRIPTORS,
            },
            environment: env_list(&around.staging_env, &around.environment),
            meta: staging::Meta {
                command: app.command.clone().filter(|c| !c.is_empty()),
                console: Some(false),
            },
            buildpack_key: match choice {
                BuildpackChoice::Admin(key) => Some(key.clone()),
                _ => None,
            },
            buildpack: url.clone(),
            buildpack_git_url: url,
        },
        download_uri: Some(addresses.package(guid)),
        upload_uri: Some(addresses.droplet_upload(guid, task_id)),
        buildpack_cache_download_uri: has_cache.then(|| addresses.cache(guid)),
        buildpack_cache_upload_uri: Some(addresses.cache_upload(guid, task_id)),
        start_message: Some(start_message),
        admin_buildpacks,
        egress_network_rules: around.staging_rules.clone(),
        stack: Some(around.stack_name.clone()),
        vcap_application: Some(vcap_application(app, around)),
    }
}

/// Rules of groups, unreadable ones left out (they are checked when written).
pub(crate) fn egress_rules(groups: &[SecurityGroupRow]) -> Vec<EgressRule> {
    groups
        .iter()
        .flat_map(|group| serde_json::from_str::<Vec<EgressRule>>(&group.rules).unwrap_or_default())
        .collect()
}

fn limits(app: &AppRow) -> Limits {
    Limits {
        mem: unsigned(app.memory),
        disk: unsigned(app.disk_quota),
        fds: FILE_DESCRIPTORS,
    }
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// `K=V` of a group with the app's own variables over it.
fn env_list(group: &Map<String, Value>, own: &Map<String, Value>) -> Vec<String> {
    let mut merged = group.clone();
    for (key, value) in own {
        merged.insert(key.clone(), value.clone());
    }
    merged
        .iter()
        .map(|(key, value)| format!("{key}={}", plain(value)))
        .collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn keys() -> std::sync::Arc<crate::signing::KeyRing> {
        std::sync::Arc::new(crate::signing::KeyRing::new(b"secret", &[]))
    }

    /// An address is this path, signed for this method.
    fn is_signed(address: &str, method: &str, path: &str) -> bool {
        let rest = address.strip_prefix("http://127.0.0.1:1").unwrap();
        let (found, query) = rest.split_once('?').unwrap();
        found == path && keys().check(method, found, query, 6).is_ok()
    }

    fn around() -> Surroundings {
        let map = |value: Value| value.as_object().unwrap().clone();
        Surroundings {
            space_name: "dev".into(),
            stack_name: "host".into(),
            uris: vec!["dora.example.com".into()],
            environment: map(json!({"A": "own", "N": 7})),
            running_env: map(json!({"A": "group", "B": "b"})),
            staging_env: Map::new(),
            running_rules: vec![],
            staging_rules: vec![],
            services: vec![bound_service(
                "db",
                json!(["sql"]),
                map(json!({"uri": "postgres://h/d"})),
                Some("syslog://logs:514".into()),
            )],
            addresses: Addresses::new("http://127.0.0.1:1/", &keys(), 7),
        }
    }

    #[test]
    fn the_apps_own_variables_win_over_the_group() {
        let app = crate::runner::tests::app("STARTED", "STAGED", 1);
        let message = start_instance(&app, &around(), 2);
        assert_eq!(message.env, ["A=own", "B=b", "N=7"]);
        assert_eq!((message.index, message.sha1.as_deref()), (2, Some("d")));
        let droplet = message.executable_uri.unwrap();
        assert!(
            is_signed(&droplet, "GET", "/staging/droplets/g/download"),
            "{droplet}"
        );
    }

    #[test]
    fn bound_services_are_told_and_shown_under_their_label_in_the_originals_order() {
        let app = crate::runner::tests::app("STARTED", "STAGED", 1);
        let around = around();
        let told = start_instance(&app, &around, 0).services;
        assert_eq!(
            serde_json::to_value(&told).unwrap(),
            json!([{"name": "db", "label": "user-provided", "tags": ["sql"], "credentials": {"uri": "postgres://h/d"},
                    "syslog_drain_url": "syslog://logs:514"}])
        );
        let shown = Value::Object(vcap_services(&told)).to_string();
        assert_eq!(
            shown,
            r#"{"user-provided":[{"name":"db","label":"user-provided","tags":["sql"],"credentials":{"uri":"postgres://h/d"},"syslog_drain_url":"syslog://logs:514"}]}"#
        );
        let choice = BuildpackChoice::Detect;
        let request = staging_request(&app, &around, "t", &choice, vec![], (1, 1), false);
        assert_eq!(request.properties.services, told);
        assert_eq!(request.start_message.unwrap().services, told);
    }

    #[test]
    fn a_staging_request_carries_its_task_in_the_addresses_it_uploads_to() {
        let app = crate::runner::tests::app("STARTED", "PENDING", 1);
        let choice = BuildpackChoice::Url("https://example.com/bp.git".into());
        let request = staging_request(&app, &around(), "t1", &choice, vec![], (1024, 4096), false);
        let package = request.download_uri.unwrap();
        assert!(is_signed(&package, "GET", "/staging/apps/g"), "{package}");
        for (address, path) in [
            (request.upload_uri, "/staging/droplets/g/upload"),
            (
                request.buildpack_cache_upload_uri,
                "/staging/buildpack_cache/g/upload",
            ),
        ] {
            let address = address.unwrap();
            assert!(is_signed(&address, "POST", path), "{address}");
            assert!(address.contains("?task=t1&"), "{address}");
        }
        assert_eq!(
            request.properties.buildpack,
            request.properties.buildpack_git_url
        );
        assert_eq!(request.properties.buildpack_key, None);
        assert_eq!(request.buildpack_cache_download_uri, None);
        let start = request.start_message.unwrap();
        assert_eq!((start.index, start.sha1), (0, None));
    }
}

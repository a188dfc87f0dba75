//! What a push wants, from flags and manifest. Flags win. Pure.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::push_flags::Push;
use super::route::full_path;
use crate::error::CfError;
use crate::manifest::AppManifest;
use crate::size::parse_mb;

/// One app to push.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// Name.
    pub(super) name: String,
    /// Directory or archive.
    pub(super) path: PathBuf,
    /// Attributes for POST or PUT, only those that were given.
    pub(super) attributes: Map<String, Value>,
    /// Environment to merge.
    pub(super) env: Vec<(String, String)>,
    /// Hosts; empty = the app's name.
    pub(super) hosts: Vec<String>,
    /// Domains; empty = the default one.
    pub(super) domains: Vec<String>,
    /// Full routes.
    pub(super) routes: Vec<String>,
    /// No route.
    pub(super) no_route: bool,
    /// The domain alone.
    pub(super) no_hostname: bool,
    /// Path of the routes that are made of hosts and domains.
    pub(super) route_path: String,
    /// Service instances to bind.
    pub(super) services: Vec<String>,
    /// Random host.
    pub(super) random_route: bool,
    /// Stack name.
    pub(super) stack: Option<String>,
    /// Do not start.
    pub(super) no_start: bool,
}

/// Combines one app of a manifest with the flags.
pub(super) fn plan(flags: &Push, manifest: AppManifest) -> Result<Plan, CfError> {
    let name = flags.app.clone().or(manifest.name.clone());
    let name = name.ok_or_else(|| {
        CfError::Usage(
            "the app has no name: give one (cf push NAME) or put `name:` into manifest.yml".into(),
        )
    })?;
    let attributes = attributes(flags, &manifest)?;
    Ok(Plan {
        name,
        path: flags
            .path
            .clone()
            .or(manifest.path)
            .unwrap_or_else(|| PathBuf::from(".")),
        attributes,
        env: manifest.env,
        hosts: flags.host.clone().map_or(manifest.hosts, |h| vec![h]),
        domains: flags.domain.clone().map_or(manifest.domains, |d| vec![d]),
        routes: manifest.routes,
        no_route: flags.no_route || manifest.no_route,
        no_hostname: flags.no_hostname || manifest.no_hostname,
        route_path: full_path(flags.route_path.as_deref()),
        services: manifest.services,
        random_route: flags.random_route || manifest.random_route,
        stack: flags.stack.clone().or(manifest.stack),
        no_start: flags.no_start,
    })
}

fn attributes(flags: &Push, manifest: &AppManifest) -> Result<Map<String, Value>, CfError> {
    let mut map = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            map.insert(key.into(), value);
        }
    };
    let size = |flag: &Option<String>, file: Option<u64>| {
        let typed = flag.as_deref().map(parse_mb).transpose();
        let typed = typed.map_err(CfError::Usage)?;
        Ok::<_, CfError>(typed.or(file).map(Value::from))
    };
    put("memory", size(&flags.memory, manifest.memory)?);
    put("disk_quota", size(&flags.disk, manifest.disk_quota)?);
    put(
        "instances",
        flags.instances.or(manifest.instances).map(Value::from),
    );
    let word = |flag: &Option<String>, file: &Option<String>| {
        flag.clone().or_else(|| file.clone()).map(or_reset)
    };
    put("buildpack", word(&flags.buildpack, &manifest.buildpack));
    put("command", word(&flags.command, &manifest.command));
    put(
        "health_check_timeout",
        flags.timeout.or(manifest.timeout).map(Value::from),
    );
    let check = flags
        .health_check_type
        .clone()
        .or_else(|| manifest.health_check_type.clone());
    put("health_check_type", check.map(Value::from));
    let endpoint = manifest.health_check_http_endpoint.clone();
    put("health_check_http_endpoint", endpoint.map(Value::from));
    let ports = manifest.app_ports.clone();
    put("ports", (!ports.is_empty()).then(|| ports.into()));
    Ok(map)
}

/// `null` and `default` reset an attribute.
fn or_reset(text: String) -> Value {
    match text.as_str() {
        "null" | "default" => Value::String(String::new()),
        _ => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(app: Option<&str>) -> Push {
        Push {
            app: app.map(Into::into),
            ..Push::default()
        }
    }

    #[test]
    fn flags_beat_the_manifest_and_only_given_attributes_are_sent() {
        let manifest = AppManifest {
            name: Some("m".into()),
            memory: Some(64),
            instances: Some(3),
            ..Default::default()
        };
        let wanted = plan(
            &Push {
                memory: Some("1G".into()),
                ..flags(None)
            },
            manifest,
        )
        .expect("good");
        assert_eq!(wanted.name, "m");
        assert_eq!(wanted.attributes["memory"], 1024);
        assert_eq!(wanted.attributes["instances"], 3);
        assert!(!wanted.attributes.contains_key("command"));
    }

    #[test]
    fn null_resets_the_command() {
        let wanted = plan(
            &Push {
                command: Some("null".into()),
                ..flags(Some("a"))
            },
            AppManifest::default(),
        )
        .expect("good");
        assert_eq!(wanted.attributes["command"], "");
    }

    #[test]
    fn a_push_without_a_name_says_where_to_put_one() {
        let error = plan(&flags(None), AppManifest::default()).expect_err("refused");
        assert!(error.to_string().contains("manifest.yml"), "{error}");
    }
}

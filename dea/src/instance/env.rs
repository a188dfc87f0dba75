//! The environment of an app instance and of a staging task: names, values and
//! order as the original exported them. System values are expanded here and user
//! values are literal: the original let the shell interpret `$` and backticks in
//! them, which silently damaged passwords (docs/decisions/0002).

use bus::dea::{BoundService, StartInstance};
use bus::staging;
use serde_json::{Map, Value, json};

/// What only the DEA knows of an instance.
#[derive(Debug, Clone)]
pub struct Placement<'a> {
    /// 32 hex.
    pub instance_id: &'a str,
    /// Address of this host.
    pub ip: String,
    /// Port inside the container.
    pub container_port: u16,
    /// Port of the host.
    pub host_port: u16,
    /// Unix seconds of entering STARTING.
    pub started_at: i64,
}

/// Environment in order; a later entry of the same name wins.
pub type Environment = Vec<(String, String)>;

/// The environment of an instance: system variables, then the user's.
pub fn of_instance(start: &StartInstance, at: &Placement<'_>) -> Environment {
    let mut env = Environment::new();
    let mut put = |name: &str, value: String| env.push((name.to_owned(), value));
    put(
        "VCAP_APPLICATION",
        Value::Object(vcap_application(start, at)).to_string(),
    );
    put(
        "VCAP_SERVICES",
        Value::Object(vcap_services(&start.services)).to_string(),
    );
    put("MEMORY_LIMIT", format!("{}m", start.limits.mem));
    if let Some(url) = database_url(&start.services) {
        put("DATABASE_URL", url);
    }
    put("HOME", "/home/vcap/app".into());
    put("TMPDIR", "/home/vcap/tmp".into());
    put("VCAP_APP_HOST", "0.0.0.0".into());
    put("VCAP_APP_PORT", at.container_port.to_string());
    put("PORT", at.container_port.to_string());
    put("CF_INSTANCE_INDEX", start.index.to_string());
    put("CF_INSTANCE_IP", at.ip.clone());
    put("CF_INSTANCE_PORT", at.host_port.to_string());
    put("CF_INSTANCE_ADDR", format!("{}:{}", at.ip, at.host_port));
    let ports = json!([{"external": at.host_port, "internal": at.container_port}]);
    put("CF_INSTANCE_PORTS", ports.to_string());
    env.extend(user_variables(&start.env));
    env
}

/// The environment of a staging task.
pub fn of_staging(
    request: &staging::Start,
    memory_mb: u64,
    timeout_secs: u64,
    stack: &str,
) -> Environment {
    let mut env = Environment::new();
    let mut put = |name: &str, value: String| env.push((name.to_owned(), value));
    let base = request
        .start_message
        .as_ref()
        .map(|s| s.vcap_application.clone());
    let application = base
        .or_else(|| request.vcap_application.clone())
        .unwrap_or_default();
    put("VCAP_APPLICATION", Value::Object(application).to_string());
    put(
        "VCAP_SERVICES",
        Value::Object(vcap_services(&request.properties.services)).to_string(),
    );
    put("MEMORY_LIMIT", format!("{memory_mb}m"));
    if let Some(url) = database_url(&request.properties.services) {
        put("DATABASE_URL", url);
    }
    put("STAGING_TIMEOUT", format!("{timeout_secs}.0"));
    env.extend(user_variables(&request.properties.environment));
    env.push(("CF_STACK".into(), stack.into()));
    env
}

fn user_variables(list: &[String]) -> impl Iterator<Item = (String, String)> + '_ {
    list.iter().map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.to_owned())
    })
}

fn vcap_application(start: &StartInstance, at: &Placement<'_>) -> Map<String, Value> {
    let mut map = start.vcap_application.clone();
    let when = chrono::DateTime::from_timestamp(at.started_at, 0).unwrap_or_default();
    let text = when.format("%Y-%m-%d %H:%M:%S %z").to_string();
    for (key, value) in [
        ("application_id", json!(start.app_guid())),
        ("instance_id", json!(at.instance_id)),
        ("instance_index", json!(start.index)),
        ("host", json!("0.0.0.0")),
        ("port", json!(at.container_port)),
        ("started_at", json!(text)),
        ("started_at_timestamp", json!(at.started_at)),
        ("start", json!(text)),
        ("state_timestamp", json!(at.started_at)),
    ] {
        map.insert(key.into(), value);
    }
    map
}

/// Keys of one binding in VCAP_SERVICES, in this order, when non-null.
const SERVICE_KEYS: [&str; 7] = [
    "name",
    "label",
    "tags",
    "plan",
    "plan_option",
    "credentials",
    "syslog_drain_url",
];

/// VCAP_SERVICES: label → bindings.
pub fn vcap_services(services: &[BoundService]) -> Map<String, Value> {
    let mut all = Map::new();
    for service in services {
        let whole = serde_json::to_value(service).unwrap_or_default();
        let mut shown = Map::new();
        for key in SERVICE_KEYS {
            match whole.get(key) {
                Some(value) if !value.is_null() => shown.insert(key.into(), value.clone()),
                _ => None,
            };
        }
        let list = all
            .entry(service.label.clone())
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.push(Value::Object(shown));
        }
    }
    all
}

/// DATABASE_URL: `None` without services; empty when none of them is a known database.
fn database_url(services: &[BoundService]) -> Option<String> {
    if services.is_empty() {
        return None;
    }
    let urls = services
        .iter()
        .filter_map(|s| s.credentials.get("uri")?.as_str());
    Some(
        urls.filter_map(rewritten_database)
            .next()
            .unwrap_or_default(),
    )
}

fn rewritten_database(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    let scheme = match scheme {
        "mysql" | "mysql2" => "mysql2",
        "postgres" | "postgresql" => "postgres",
        "db2" | "informix" => "ibmdb",
        _ => return None,
    };
    Some(format!("{scheme}:{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(label: &str, name: &str, credentials: Value) -> BoundService {
        let rest =
            json!({"plan": "free", "tags": ["t"], "provider": "core", "syslog_drain_url": null});
        BoundService {
            credentials,
            label: label.into(),
            name: name.into(),
            rest: rest.as_object().cloned().unwrap_or_default(),
        }
    }

    fn start() -> StartInstance {
        let golden = include_str!("../../../bus/golden/dea.ID.start.json");
        serde_json::from_str(golden).expect("golden file")
    }

    fn placement() -> Placement<'static> {
        Placement {
            instance_id: "0123456789abcdef0123456789abcdef",
            ip: "10.0.1.7".into(),
            container_port: 61857,
            host_port: 61857,
            started_at: 1_376_265_929,
        }
    }

    /// The table of the reference, in its order.
    const NAMES: [&str; 14] = [
        "VCAP_APPLICATION",
        "VCAP_SERVICES",
        "MEMORY_LIMIT",
        "DATABASE_URL",
        "HOME",
        "TMPDIR",
        "VCAP_APP_HOST",
        "VCAP_APP_PORT",
        "PORT",
        "CF_INSTANCE_INDEX",
        "CF_INSTANCE_IP",
        "CF_INSTANCE_PORT",
        "CF_INSTANCE_ADDR",
        "CF_INSTANCE_PORTS",
    ];

    #[test]
    fn names_and_order_are_those_of_the_original_with_user_variables_last() {
        let mut message = start();
        message.env = vec!["PORT=1".into(), "EMPTY=".into(), "EQ=a=b".into()];
        let env = of_instance(&message, &placement());
        let names: Vec<&str> = env.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names[..NAMES.len()], NAMES);
        assert_eq!(names[NAMES.len()..], ["PORT", "EMPTY", "EQ"]);
        assert_eq!(env.last(), Some(&("EQ".to_owned(), "a=b".to_owned())));
    }

    #[test]
    fn values_are_those_of_the_original() {
        let env = of_instance(&start(), &placement());
        let get = |name: &str| {
            env.iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.as_str())
                .unwrap_or("missing")
        };
        assert_eq!(get("MEMORY_LIMIT"), "256m");
        assert_eq!(get("DATABASE_URL"), "mysql2://u:p@db/x");
        assert_eq!(get("CF_INSTANCE_ADDR"), "10.0.1.7:61857");
        assert_eq!(
            get("CF_INSTANCE_PORTS"),
            r#"[{"external":61857,"internal":61857}]"#
        );
        let app: Value = serde_json::from_str(get("VCAP_APPLICATION")).expect("json");
        let keys: Vec<&String> = app.as_object().expect("object").keys().collect();
        assert_eq!(
            keys,
            [
                "limits",
                "application_version",
                "application_name",
                "application_uris",
                "version",
                "name",
                "space_name",
                "space_id",
                "uris",
                "users",
                "application_id",
                "instance_id",
                "instance_index",
                "host",
                "port",
                "started_at",
                "started_at_timestamp",
                "start",
                "state_timestamp"
            ]
        );
        assert_eq!(app["started_at"], "2013-08-12 00:05:29 +0000");
        assert_eq!(app["port"], 61857);
    }

    #[test]
    fn a_dollar_in_a_user_value_stays_a_dollar() {
        let mut message = start();
        message.env = vec!["SECRET=pa$$w`rd\\\"'".into()];
        let env = of_instance(&message, &placement());
        assert_eq!(env.last().map(|(_, v)| v.as_str()), Some("pa$$w`rd\\\"'"));
    }

    #[test]
    fn services_are_grouped_by_label_with_keys_in_order_and_without_nulls() {
        let list = [
            service("db", "a", json!({"uri": "redis://x"})),
            service("db", "b", Value::Null),
        ];
        let all = vcap_services(&list);
        let first = all["db"][0].as_object().expect("object");
        assert_eq!(
            first.keys().collect::<Vec<_>>(),
            ["name", "label", "tags", "plan", "credentials"]
        );
        assert_eq!(all["db"][1].get("credentials"), None);
    }

    #[test]
    fn database_url_is_absent_without_services_and_empty_without_a_database() {
        assert_eq!(database_url(&[]), None);
        assert_eq!(
            database_url(&[service("x", "a", json!({"uri": "redis://h"}))]),
            Some(String::new())
        );
        let pg = service("x", "a", json!({"uri": "postgresql://u:p@h/d?x=1"}));
        assert_eq!(database_url(&[pg]), Some("postgres://u:p@h/d?x=1".into()));
    }

    #[test]
    fn staging_gets_its_own_table() {
        let golden = include_str!("../../../bus/golden/staging.ID.start.json");
        let request: staging::Start = serde_json::from_str(golden).expect("golden file");
        let env = of_staging(&request, 1024, 900, "host");
        let names: Vec<&str> = env.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(
            names,
            [
                "VCAP_APPLICATION",
                "VCAP_SERVICES",
                "MEMORY_LIMIT",
                "STAGING_TIMEOUT",
                "FOO",
                "CF_STACK"
            ]
        );
        assert_eq!(env[3].1, "900.0");
    }
}

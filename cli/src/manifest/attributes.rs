//! Attributes with types. Each error names the file, the line, the app and what is
//! accepted.

use std::path::Path;

use super::merge::Attributes;
use super::node::{Kind, Node};
use super::{AppManifest, bad};
use crate::error::CfError;
use crate::size::parse_mb;

/// Key of an app's name.
pub const NAME: &str = "name";
/// Keys that an app may have, and that all apps may share.
pub const APP_KEYS: [&str; 22] = [
    NAME,
    "app-ports",
    "buildpack",
    "command",
    "disk_quota",
    "domain",
    "domains",
    "env",
    "health-check-http-endpoint",
    "health-check-type",
    "host",
    "hosts",
    "instances",
    "memory",
    "no-hostname",
    "no-route",
    "path",
    "random-route",
    "routes",
    "services",
    "stack",
    "timeout",
];
const HEALTH_CHECKS: [&str; 4] = ["port", "process", "http", "none"];

/// One app; `path` is named in errors about what no file says.
pub fn app(attributes: &Attributes, path: &Path) -> Result<AppManifest, CfError> {
    let reader = Reader { attributes, path };
    let app = AppManifest {
        name: reader.text(NAME)?,
        path: reader.path("path")?,
        memory: reader.size("memory")?,
        disk_quota: reader.size("disk_quota")?,
        instances: reader.number("instances")?,
        buildpack: reader.text("buildpack")?,
        command: reader.text("command")?,
        stack: reader.text("stack")?,
        timeout: reader.number("timeout")?,
        health_check_type: reader.text("health-check-type")?,
        health_check_http_endpoint: reader.text("health-check-http-endpoint")?,
        hosts: reader.texts("host", "hosts")?,
        domains: reader.texts("domain", "domains")?,
        no_hostname: reader.flag("no-hostname")?,
        no_route: reader.flag("no-route")?,
        random_route: reader.flag("random-route")?,
        routes: reader.routes()?,
        services: reader.texts("", "services")?,
        env: reader.env()?,
        app_ports: reader.ports()?,
    };
    reader.check(&app)?;
    Ok(app)
}

struct Reader<'a> {
    attributes: &'a Attributes,
    path: &'a Path,
}

impl Reader<'_> {
    /// What is said under a key; `null` is as good as nothing.
    fn said(&self, key: &str) -> Option<&Node> {
        let node = &self.attributes.get(key)?.node;
        (node.value != Kind::Null).then_some(node)
    }

    fn bad(&self, key: &str, line: usize, wanted: &str) -> CfError {
        let file = self.attributes.get(key);
        let file = file.map_or(self.path, |a| a.file.as_path());
        let app = match self.said(NAME).map(|n| &n.value) {
            Some(Kind::Text(name)) => format!("app {name}: "),
            _ => String::new(),
        };
        bad(file, line, format!("{app}`{key}` {wanted}"))
    }

    fn text(&self, key: &str) -> Result<Option<String>, CfError> {
        let Some(node) = self.said(key) else {
            return Ok(None);
        };
        scalar(node).map(Some).ok_or_else(|| {
            let wanted = format!("must be text, not {}", node.value.what());
            self.bad(key, node.line, &wanted)
        })
    }

    /// A path relative to the file that says it.
    fn path(&self, key: &str) -> Result<Option<std::path::PathBuf>, CfError> {
        let file = self.attributes.get(key).map(|a| a.file.clone());
        let dir = file.as_deref().and_then(|f| f.parent());
        let text = self.text(key)?;
        Ok(text.map(|p| dir.unwrap_or(Path::new(".")).join(p)))
    }

    fn size(&self, key: &str) -> Result<Option<u64>, CfError> {
        let (Some(text), Some(node)) = (self.text(key)?, self.said(key)) else {
            return Ok(None);
        };
        let wanted = |said: String| self.bad(key, node.line, &format!("has an {said}"));
        parse_mb(&text).map(Some).map_err(wanted)
    }

    fn number(&self, key: &str) -> Result<Option<u64>, CfError> {
        let Some(node) = self.said(key) else {
            return Ok(None);
        };
        let parsed = scalar(node).and_then(|text| text.parse().ok());
        let wanted = "must be a whole number, 0 or more";
        parsed
            .map(Some)
            .ok_or_else(|| self.bad(key, node.line, wanted))
    }

    fn flag(&self, key: &str) -> Result<bool, CfError> {
        match self.said(key) {
            None => Ok(false),
            Some(node) => match &node.value {
                Kind::Bool(value) => Ok(*value),
                _ => Err(self.bad(key, node.line, "must be true or false")),
            },
        }
    }

    /// The items of a list; none when the key is missing.
    fn list(&self, key: &str, wanted: &str) -> Result<&[Node], CfError> {
        match self.said(key).map(|n| (&n.value, n.line)) {
            None => Ok(&[]),
            Some((Kind::List(items), _)) => Ok(items),
            Some((_, line)) => Err(self.bad(key, line, wanted)),
        }
    }

    /// Texts under a key for one and a key for many.
    fn texts(&self, one: &str, many: &str) -> Result<Vec<String>, CfError> {
        let mut all: Vec<String> = self.text(one)?.into_iter().collect();
        let wanted = "must be a list of names";
        for item in self.list(many, wanted)? {
            let name = scalar(item).filter(|n| !n.is_empty());
            let name = name.ok_or_else(|| self.bad(many, item.line, wanted))?;
            if !all.contains(&name) {
                all.push(name);
            }
        }
        Ok(all)
    }

    fn routes(&self) -> Result<Vec<String>, CfError> {
        let wanted = "must be a list of `- route: HOST.DOMAIN/PATH`";
        let one = |item: &Node| {
            let route = match &item.value {
                Kind::Map(entries) => match entries.as_slice() {
                    [(key, node)] if key == "route" => scalar(node),
                    _ => None,
                },
                _ => None,
            };
            route.ok_or_else(|| self.bad("routes", item.line, wanted))
        };
        self.list("routes", wanted)?.iter().map(one).collect()
    }

    fn ports(&self) -> Result<Vec<u64>, CfError> {
        let wanted = "must be a list of ports from 1 to 65535";
        let one = |item: &Node| {
            let port = scalar(item).and_then(|text| text.parse().ok());
            port.filter(|p| (1..=65535).contains(p))
                .ok_or_else(|| self.bad("app-ports", item.line, wanted))
        };
        self.list("app-ports", wanted)?.iter().map(one).collect()
    }

    /// Values become text: numbers and booleans as written, the rest as JSON.
    fn env(&self) -> Result<Vec<(String, String)>, CfError> {
        let Some(node) = self.said("env") else {
            return Ok(Vec::new());
        };
        let Kind::Map(entries) = &node.value else {
            return Err(self.bad("env", node.line, "must be a map of names to values"));
        };
        let one = |(name, value): &(String, Node)| match &value.value {
            Kind::Null => {
                let wanted = format!("variable `{name}` has no value; write \"\" for an empty one");
                Err(self.bad("env", value.line, &wanted))
            }
            _ => Ok((
                name.clone(),
                scalar(value).unwrap_or_else(|| as_json(value).to_string()),
            )),
        };
        entries.iter().map(one).collect()
    }

    /// What no attribute can say alone.
    fn check(&self, app: &AppManifest) -> Result<(), CfError> {
        let line = |key: &str| self.said(key).map_or(1, |n| n.line);
        if let Some(kind) = &app.health_check_type
            && !HEALTH_CHECKS.contains(&kind.as_str())
        {
            let key = "health-check-type";
            let wanted = format!("must be one of {}, not {kind:?}", HEALTH_CHECKS.join(", "));
            return Err(self.bad(key, line(key), &wanted));
        }
        let parts = !app.hosts.is_empty() || !app.domains.is_empty() || app.no_hostname;
        if !app.routes.is_empty() && parts {
            let wanted =
                "cannot be given together with host, hosts, domain, domains or no-hostname";
            return Err(self.bad("routes", line("routes"), wanted));
        }
        if app.no_route && (!app.routes.is_empty() || app.random_route) {
            let wanted = "cannot be given together with routes or random-route";
            return Err(self.bad("no-route", line("no-route"), wanted));
        }
        Ok(())
    }
}

fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Kind::Text(text) => Some(text.clone()),
        Kind::Number(number) => Some(number.to_string()),
        Kind::Bool(value) => Some(value.to_string()),
        Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    }
}

fn as_json(node: &Node) -> serde_json::Value {
    match &node.value {
        Kind::Null => serde_json::Value::Null,
        Kind::Bool(value) => (*value).into(),
        Kind::Number(number) => number.clone().into(),
        Kind::Text(text) => text.clone().into(),
        Kind::List(items) => items.iter().map(as_json).collect(),
        Kind::Map(entries) => {
            let pairs = entries.iter().map(|(k, v)| (k.clone(), as_json(v)));
            serde_json::Value::Object(pairs.collect())
        }
    }
}

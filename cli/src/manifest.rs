//! `manifest.yml`: one app or several, attributes at the top level shared by all.
//! Unknown keys are refused with their line, since a misspelt one would otherwise
//! be ignored in silence.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::CfError;

/// Everything a manifest can say of one app.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AppManifest {
    /// Name.
    pub name: Option<String>,
    /// Directory or archive, relative to the manifest.
    pub path: Option<PathBuf>,
    /// `256M`.
    pub memory: Option<String>,
    /// `1G`.
    pub disk_quota: Option<String>,
    /// Count.
    pub instances: Option<u64>,
    /// Buildpack name or URL.
    pub buildpack: Option<String>,
    /// Start command.
    pub command: Option<String>,
    /// Stack name.
    pub stack: Option<String>,
    /// Seconds until the app must accept connections.
    pub timeout: Option<u64>,
    /// `port`, `none`, `process`.
    pub health_check_type: Option<String>,
    /// Hosts.
    pub hosts: Vec<String>,
    /// Domains.
    pub domains: Vec<String>,
    /// No route at all.
    pub no_route: bool,
    /// A random host.
    pub random_route: bool,
    /// Full routes.
    pub routes: Vec<String>,
    /// Environment, in order.
    pub env: Vec<(String, String)>,
}

const APP_KEYS: [&str; 19] = [
    "name",
    "path",
    "memory",
    "disk_quota",
    "instances",
    "buildpack",
    "command",
    "stack",
    "timeout",
    "health-check-type",
    "host",
    "hosts",
    "domain",
    "domains",
    "no-route",
    "random-route",
    "routes",
    "env",
    "services",
];

/// Reads a manifest and returns its apps, defaults merged in.
pub fn read(path: &Path) -> Result<Vec<AppManifest>, CfError> {
    let text = std::fs::read_to_string(path).map_err(CfError::file(path))?;
    parse(path, &text)
}

/// The same from text; `path` is named in errors.
pub fn parse(path: &Path, text: &str) -> Result<Vec<AppManifest>, CfError> {
    let bad = |line: usize, message: String| CfError::Manifest {
        path: path.into(),
        line,
        message,
    };
    let options = serde_saphyr::options! { strict_booleans: true };
    let tree: Value = serde_saphyr::from_str_with_options(text, options).map_err(|e| {
        bad(
            e.location().map_or(1, |l| l.line() as usize),
            format!("not readable as YAML: {e}"),
        )
    })?;
    let Value::Object(mut top) = tree else {
        return Err(bad(
            1,
            "a manifest is a map with the key `applications`".into(),
        ));
    };
    let apps = match top.remove("applications") {
        Some(Value::Array(apps)) => apps,
        Some(_) => {
            return Err(bad(
                line_of(text, "applications"),
                "`applications` must be a list".into(),
            ));
        }
        None => vec![Value::Object(Map::new())],
    };
    let reader = Reader { path, text };
    reader.check_keys(&top)?;
    let mut list = Vec::new();
    for app in apps {
        let Value::Object(own) = app else {
            return Err(bad(
                line_of(text, "applications"),
                "every item of `applications` must be a map".into(),
            ));
        };
        reader.check_keys(&own)?;
        list.push(reader.app(&merged(&top, own))?);
    }
    Ok(list)
}

/// The app's own keys beat the shared ones; `env` is merged.
fn merged(shared: &Map<String, Value>, own: Map<String, Value>) -> Map<String, Value> {
    let mut all = shared.clone();
    for (key, value) in own {
        match (all.get_mut(&key), value) {
            (Some(Value::Object(base)), Value::Object(over)) if key == "env" => base.extend(over),
            (_, value) => {
                all.insert(key, value);
            }
        }
    }
    all
}

/// The 1-based line of a key; 1 when it cannot be found (flow style).
fn line_of(text: &str, key: &str) -> usize {
    let is_key = |line: &str| {
        let line = line
            .trim_start()
            .trim_start_matches("- ")
            .trim_start()
            .trim_start_matches(['"', '\'']);
        line.strip_prefix(key).is_some_and(|rest| {
            rest.trim_start_matches(['"', '\''])
                .trim_start()
                .starts_with(':')
        })
    };
    text.lines().position(is_key).map_or(1, |n| n + 1)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn bad(&self, key: &str, message: &str) -> CfError {
        CfError::Manifest {
            path: self.path.into(),
            line: line_of(self.text, key),
            message: message.into(),
        }
    }

    fn check_keys(&self, map: &Map<String, Value>) -> Result<(), CfError> {
        match map.keys().find(|k| !APP_KEYS.contains(&k.as_str())) {
            None => Ok(()),
            Some(key) => {
                let known = APP_KEYS.join(", ");
                Err(self.bad(key, &format!("unknown key `{key}` (known: {known})")))
            }
        }
    }

    fn app(&self, map: &Map<String, Value>) -> Result<AppManifest, CfError> {
        if map
            .get("services")
            .is_some_and(|s| s.as_array().is_some_and(|l| !l.is_empty()))
        {
            return Err(self.bad(
                "services",
                "`services` is not supported yet; bind nothing or remove the key",
            ));
        }
        let dir = self.path.parent().unwrap_or(Path::new("."));
        Ok(AppManifest {
            name: self.text(map, "name")?,
            path: self.text(map, "path")?.map(|p| dir.join(p)),
            memory: self.text(map, "memory")?,
            disk_quota: self.text(map, "disk_quota")?,
            instances: self.number(map, "instances")?,
            buildpack: self.text(map, "buildpack")?,
            command: self.text(map, "command")?.filter(|c| c != "null"),
            stack: self.text(map, "stack")?,
            timeout: self.number(map, "timeout")?,
            health_check_type: self.text(map, "health-check-type")?,
            hosts: self.list(map, "host", "hosts")?,
            domains: self.list(map, "domain", "domains")?,
            no_route: self.flag(map, "no-route")?,
            random_route: self.flag(map, "random-route")?,
            routes: self.routes(map)?,
            env: self.env(map)?,
        })
    }

    fn text(&self, map: &Map<String, Value>, key: &str) -> Result<Option<String>, CfError> {
        match map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(s)) => Ok(Some(s.clone())),
            Some(v @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(v.to_string())),
            Some(_) => Err(self.bad(key, &format!("`{key}` must be text"))),
        }
    }

    fn number(&self, map: &Map<String, Value>, key: &str) -> Result<Option<u64>, CfError> {
        match map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(v) => {
                let parsed = v
                    .as_u64()
                    .or_else(|| v.as_str().and_then(|s| s.parse().ok()));
                parsed
                    .map(Some)
                    .ok_or_else(|| self.bad(key, &format!("`{key}` must be a whole number")))
            }
        }
    }

    fn flag(&self, map: &Map<String, Value>, key: &str) -> Result<bool, CfError> {
        match map.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(b)) => Ok(*b),
            Some(_) => Err(self.bad(key, &format!("`{key}` must be true or false"))),
        }
    }

    fn list(
        &self,
        map: &Map<String, Value>,
        one: &str,
        many: &str,
    ) -> Result<Vec<String>, CfError> {
        let mut all: Vec<String> = self.text(map, one)?.into_iter().collect();
        match map.get(many) {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) => {
                for item in items {
                    let text = item.as_str().ok_or_else(|| {
                        self.bad(many, &format!("`{many}` must be a list of names"))
                    })?;
                    all.push(text.to_owned());
                }
            }
            Some(_) => return Err(self.bad(many, &format!("`{many}` must be a list"))),
        }
        Ok(all)
    }

    fn routes(&self, map: &Map<String, Value>) -> Result<Vec<String>, CfError> {
        let Some(value) = map.get("routes").filter(|v| !v.is_null()) else {
            return Ok(Vec::new());
        };
        let items = value.as_array().ok_or_else(|| {
            self.bad(
                "routes",
                "`routes` must be a list of `- route: HOST.DOMAIN`",
            )
        })?;
        let one = |item: &Value| item["route"].as_str().map(str::to_owned);
        let parsed: Option<Vec<String>> = items.iter().map(one).collect();
        parsed.ok_or_else(|| {
            self.bad(
                "routes",
                "every item of `routes` must be `- route: HOST.DOMAIN`",
            )
        })
    }

    fn env(&self, map: &Map<String, Value>) -> Result<Vec<(String, String)>, CfError> {
        let env = match map.get("env") {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Object(env)) => env,
            Some(_) => return Err(self.bad("env", "`env` must be a map")),
        };
        env.iter()
            .map(|(name, value)| match value {
                Value::String(s) => Ok((name.clone(), s.clone())),
                Value::Null => Err(self.bad(
                    name,
                    &format!("env variable `{name}` has no value; write \"\" for an empty one"),
                )),
                Value::Number(_) | Value::Bool(_) => Ok((name.clone(), value.to_string())),
                _ => Ok((name.clone(), value.to_string())),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<AppManifest>, CfError> {
        parse(Path::new("dir/manifest.yml"), text)
    }

    #[test]
    fn shared_attributes_are_inherited_and_env_is_merged() {
        let apps = parsed(
            "memory: 64M\nenv: {A: 1, B: x}\napplications:\n- name: one\n  env: {B: y}\n- name: two\n  memory: 1G\n  instances: 2\n",
        )
        .expect("good");
        assert_eq!(apps[0].memory.as_deref(), Some("64M"));
        assert_eq!(
            apps[0].env,
            [("A".into(), "1".into()), ("B".into(), "y".into())]
        );
        assert_eq!(
            (apps[1].memory.as_deref(), apps[1].instances),
            (Some("1G"), Some(2))
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = parsed("applications:\n- name: a\n  memmory: 1G\n").expect_err("refused");
        let text = error.to_string();
        assert!(
            text.starts_with("dir/manifest.yml:3:") && text.contains("`memmory`"),
            "{text}"
        );
    }

    #[test]
    fn wrong_types_are_named_with_their_line() {
        for (text, line) in [
            ("applications:\n- name: a\n  instances: many\n", 3),
            ("applications:\n- name: a\n  env: [1]\n", 3),
            ("applications: 5\n", 1),
            ("applications:\n- name: [x]\n", 2),
        ] {
            let error = parsed(text).expect_err(text).to_string();
            assert!(
                error.starts_with(&format!("dir/manifest.yml:{line}:")),
                "{error}"
            );
        }
    }

    #[test]
    fn words_that_yaml_once_took_for_booleans_stay_words() {
        let apps = parsed("applications:\n- name: a\n  env: {N: y, on: off}\n").expect("good");
        assert_eq!(
            apps[0].env,
            [("N".into(), "y".into()), ("on".into(), "off".into())]
        );
    }

    #[test]
    fn paths_are_relative_to_the_manifest() {
        let apps = parsed("applications:\n- name: a\n  path: sub\n").expect("good");
        assert_eq!(apps[0].path.as_deref(), Some(Path::new("dir/sub")));
    }

    #[test]
    fn a_manifest_without_a_list_is_one_app() {
        assert_eq!(
            parsed("name: solo\n").expect("good")[0].name.as_deref(),
            Some("solo")
        );
    }

    #[test]
    fn binary_rubbish_is_an_error_not_a_panic() {
        for text in [
            "\u{0}\u{1}",
            "%&*",
            "a: b: c",
            "- - -",
            "applications:\n- \"x",
            "",
        ] {
            let _ = parsed(text);
        }
    }
}

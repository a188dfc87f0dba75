//! What routes are: their parts, and how one is found, made and mapped.

use std::fmt;

use serde_json::Value;

use super::routes;
use crate::context::{Context, guid, text};
use crate::error::CfError;

/// A route that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Host part; empty on a private domain's apex.
    pub(super) host: String,
    /// Domain name.
    pub(super) domain: String,
    /// `/shop`, or empty.
    pub(super) path: String,
}

impl Wanted {
    /// The routes of an app's summary.
    pub(super) fn of_summary(summary: &Value) -> Vec<Self> {
        let part = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let all = summary["routes"].as_array().into_iter().flatten();
        all.map(|route| Self {
            host: part(&route["host"]),
            domain: part(&route["domain"]["name"]),
            path: part(&route["path"]),
        })
        .collect()
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.host.is_empty() { "" } else { "." };
        write!(f, "{}{dot}{}{}", self.host, self.domain, self.path)
    }
}

/// A path as the API wants it: with its slash, or empty.
pub(super) fn full_path(path: Option<&str>) -> String {
    match path.unwrap_or_default().trim_start_matches('/') {
        "" => String::new(),
        rest => format!("/{rest}"),
    }
}

/// The host name that the original makes of an app name.
pub(super) fn host_of(name: &str) -> String {
    let lower = name.to_lowercase();
    let mapped = lower
        .chars()
        .map(|c| if c == ' ' || c == '_' { '-' } else { c });
    mapped
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect()
}

/// The domain used when none is named: the first shared one.
pub(super) async fn default_domain(cx: &mut Context) -> Result<String, CfError> {
    if let Some(domain) = cx.client.first("/v2/shared_domains").await? {
        return Ok(text(&domain, "name").to_owned());
    }
    let org = cx.client.config.organization_fields.guid.clone();
    let private = format!("/v2/organizations/{org}/private_domains");
    let first = cx.client.first(&private).await?;
    first.map(|d| text(&d, "name").to_owned()).ok_or_else(|| CfError::Other("the platform has no domain\nTIP: an operator adds one: `cf create-shared-domain DOMAIN`".into()))
}

/// Splits `host.domain/path` by the longest known domain.
pub(super) async fn split(cx: &mut Context, full: &str) -> Result<Wanted, CfError> {
    let (name, path) = full.split_at(full.find('/').unwrap_or(full.len()));
    let mut known: Vec<String> = cx
        .domains()
        .await?
        .iter()
        .map(|d| text(d, "name").to_owned())
        .collect();
    known.sort_by_key(|d| std::cmp::Reverse(d.len()));
    let host = |domain: &String| {
        let rest = name.strip_suffix(domain.as_str())?;
        let host = if rest.is_empty() {
            ""
        } else {
            rest.strip_suffix('.')?
        };
        Some(Wanted {
            host: host.into(),
            domain: domain.clone(),
            path: full_path(Some(path)),
        })
    };
    known
        .iter()
        .find_map(host)
        .ok_or_else(|| CfError::NotFound {
            kind: "Domain of route",
            name: full.into(),
            hint: format!("\nTIP: known domains are {}", known.join(", ")),
        })
}

/// Makes a route, or takes the one of the same space; tells which.
pub(super) async fn make(
    cx: &mut Context,
    wanted: &Wanted,
    domain_guid: &str,
    space_guid: &str,
) -> Result<(Value, bool), CfError> {
    let body = routes::body(wanted, domain_guid, space_guid);
    let refused = match cx.client.post("/v2/routes", &body).await {
        Ok(route) => return Ok((route, true)),
        Err(error) => error,
    };
    let found = cx
        .find_route(&wanted.host, domain_guid, &wanted.path)
        .await?;
    match found.filter(|r| text(r, "space_guid") == space_guid) {
        Some(route) => Ok((route, false)),
        None => Err(refused),
    }
}

/// Maps a route to an app.
pub(super) async fn bind(
    cx: &mut Context,
    app_guid: &str,
    route: &Value,
    wanted: &Wanted,
) -> Result<(), CfError> {
    let path = format!("/v2/apps/{app_guid}/routes/{}", guid(route));
    match cx.client.put(&path, &Value::Null).await {
        Err(e) if e.code() == Some(1002) => Err(CfError::Other(format!(
            "The route {wanted} is already in use.\nTIP: Change the hostname with -n HOSTNAME or use --random-route."
        ))),
        other => other.map(|_| ()),
    }
}

/// Makes the route if needed and maps it to the app unless it is mapped already.
pub(super) async fn ensure(
    cx: &mut Context,
    app_guid: &str,
    mapped: &[Value],
    wanted: &Wanted,
) -> Result<(), CfError> {
    let domain = cx.domain_named(&wanted.domain).await?;
    let is_wanted = |r: &Value| {
        text(r, "host") == wanted.host
            && text(r, "domain_guid") == guid(&domain)
            && text(r, "path") == wanted.path
    };
    if mapped.iter().any(is_wanted) {
        return Ok(());
    }
    let shown = cx.ui.name(&wanted.to_string());
    let found = cx
        .find_route(&wanted.host, guid(&domain), &wanted.path)
        .await?;
    let route = match found {
        Some(route) => route,
        None => {
            cx.ui.say(&format!("Creating route {shown}..."));
            let body = routes::body(wanted, guid(&domain), &cx.space()?.guid);
            let made = cx.client.post("/v2/routes", &body).await?;
            cx.ui.ok();
            made
        }
    };
    cx.ui.say(&format!("Binding {shown} to the app..."));
    bind(cx, app_guid, &route, wanted).await?;
    cx.ui.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_names_become_hosts_as_in_the_original() {
        assert_eq!(
            ["My_App", "a b.c!", "x"].map(host_of),
            ["my-app", "a-bc", "x"]
        );
    }

    #[test]
    fn a_path_has_one_slash_in_front_or_is_nothing() {
        let given = [None, Some(""), Some("/"), Some("a"), Some("/a/b")];
        assert_eq!(given.map(full_path), ["", "", "", "/a", "/a/b"]);
    }

    #[test]
    fn a_route_is_shown_as_one_types_it() {
        let wanted = |host: &str, path: &str| Wanted {
            host: host.into(),
            domain: "d.com".into(),
            path: path.into(),
        };
        assert_eq!(wanted("h", "/p").to_string(), "h.d.com/p");
        assert_eq!(wanted("", "").to_string(), "d.com");
    }
}

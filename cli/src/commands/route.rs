//! Finding, making and mapping the routes of a push.

use serde_json::{Value, json};

use crate::client::escape;
use crate::context::{Context, guid, text};
use crate::error::CfError;

/// A route wanted by a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Host part; empty on a private domain's apex.
    pub(super) host: String,
    /// Domain name.
    pub(super) domain: String,
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
    let shared = cx.client.list("/v2/shared_domains").await?;
    if let Some(domain) = shared.first() {
        return Ok(text(domain, "name").to_owned());
    }
    let org = cx.client.config.organization_fields.guid.clone();
    let private = cx
        .client
        .list(&format!("/v2/organizations/{org}/private_domains"))
        .await?;
    let first = private.first().map(|d| text(d, "name").to_owned());
    first.ok_or_else(|| CfError::Other("the platform has no domain\nTIP: an operator adds one to the controller's configuration".into()))
}

/// Splits `host.domain` by the longest known domain.
pub(super) async fn split(cx: &mut Context, full: &str) -> Result<Wanted, CfError> {
    let mut known: Vec<String> = Vec::new();
    for domain in cx.client.list("/v2/shared_domains").await? {
        known.push(text(&domain, "name").to_owned());
    }
    let org = cx.client.config.organization_fields.guid.clone();
    for domain in cx
        .client
        .list(&format!("/v2/organizations/{org}/private_domains"))
        .await?
    {
        known.push(text(&domain, "name").to_owned());
    }
    known.sort_by_key(|d| std::cmp::Reverse(d.len()));
    for domain in &known {
        if full == domain {
            return Ok(Wanted {
                host: String::new(),
                domain: domain.clone(),
            });
        }
        if let Some(host) = full.strip_suffix(&format!(".{domain}")) {
            return Ok(Wanted {
                host: host.into(),
                domain: domain.clone(),
            });
        }
    }
    Err(CfError::NotFound {
        kind: "Domain of route",
        name: full.into(),
        hint: format!("\nTIP: known domains are {}", known.join(", ")),
    })
}

/// Makes the route if needed and maps it to the app unless it is mapped already.
pub(super) async fn ensure(
    cx: &mut Context,
    app_guid: &str,
    mapped: &[Value],
    wanted: &Wanted,
) -> Result<(), CfError> {
    let domain = domain_guid(cx, &wanted.domain).await?;
    let is_wanted = |r: &&Value| {
        text(r, "host") == wanted.host
            && text(r, "domain_guid") == domain
            && text(r, "path").is_empty()
    };
    let shown = if wanted.host.is_empty() {
        wanted.domain.clone()
    } else {
        format!("{}.{}", wanted.host, wanted.domain)
    };
    if mapped.iter().any(|r| is_wanted(&r)) {
        return Ok(());
    }
    let found = cx
        .client
        .list(&format!(
            "/v2/routes?q=host:{}&q=domain_guid:{domain}",
            escape(&wanted.host)
        ))
        .await?;
    let route = match found.iter().find(is_wanted) {
        Some(route) => route.clone(),
        None => {
            cx.ui
                .say(&format!("Creating route {}...", cx.ui.name(&shown)));
            let space = cx.space()?.guid;
            let body = json!({"host": wanted.host, "domain_guid": domain, "space_guid": space});
            let made = cx.client.post("/v2/routes", &body).await?;
            cx.ui.ok();
            made
        }
    };
    cx.ui
        .say(&format!("Binding {} to the app...", cx.ui.name(&shown)));
    let bound = cx
        .client
        .put(
            &format!("/v2/apps/{app_guid}/routes/{}", guid(&route)),
            &Value::Null,
        )
        .await;
    match bound {
        Err(e) if e.code() == Some(1002) => Err(CfError::Other(format!(
            "The route {shown} is already in use.\nTIP: Change the hostname with -n HOSTNAME or use --random-route."
        ))),
        Err(e) => Err(e),
        Ok(_) => {
            cx.ui.ok();
            Ok(())
        }
    }
}

async fn domain_guid(cx: &mut Context, name: &str) -> Result<String, CfError> {
    let org = cx.client.config.organization_fields.guid.clone();
    for path in [
        format!("/v2/shared_domains?q=name:{}", escape(name)),
        format!(
            "/v2/organizations/{org}/private_domains?q=name:{}",
            escape(name)
        ),
    ] {
        if let Some(domain) = cx.client.list(&path).await?.first() {
            return Ok(guid(domain).to_owned());
        }
    }
    Err(CfError::NotFound {
        kind: "Domain",
        name: name.into(),
        hint: String::new(),
    })
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
}

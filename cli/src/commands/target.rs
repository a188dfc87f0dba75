//! Which org and space the other commands speak of.

use crate::client::escape;
use crate::config::Named;
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Group, Json, NONE, Spec, option};

/// What `cf target --json` and `cf login --json` print.
pub(super) const FIELDS: Json = Json::One(&["api_endpoint", "api_version", "org", "space", "user"]);

pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "target",
    alias: "t",
    group: Group::GettingStarted,
    about: "Set or view the targeted org or space",
    flags: &[
        option("-o", "ORG", "Organization"),
        option("-s", "SPACE", "Space"),
    ],
    json: FIELDS,
    run: |cx, args| Box::pin(target(cx, args.get("o"), args.get("s"))),
    ..NONE
}];

/// Chooses org and space: the named ones, or the only one there is.
pub(super) async fn choose(
    cx: &mut Context,
    org: Option<&str>,
    space: Option<&str>,
) -> Result<(), CfError> {
    let orgs = cx.client.list("/v2/organizations?order-by=name").await?;
    let Some(org) = pick(&orgs, org, "Organization")? else {
        return Ok(());
    };
    cx.client.config.organization_fields = org.clone();
    let spaces = cx
        .client
        .list(&format!(
            "/v2/organizations/{}/spaces?order-by=name",
            org.guid
        ))
        .await?;
    cx.client.config.space_fields = pick(&spaces, space, "Space")?.unwrap_or_default();
    cx.client.config.save()
}

fn pick(
    resources: &[serde_json::Value],
    wanted: Option<&str>,
    kind: &'static str,
) -> Result<Option<Named>, CfError> {
    let named = |r: &serde_json::Value| Named {
        guid: guid(r).into(),
        name: text(r, "name").into(),
    };
    match wanted {
        Some(name) => {
            let found = resources
                .iter()
                .find(|r| text(r, "name").eq_ignore_ascii_case(name));
            found.map(|r| Some(named(r))).ok_or(CfError::NotFound {
                kind,
                name: name.into(),
                hint: String::new(),
            })
        }
        None if resources.len() == 1 => Ok(resources.first().map(named)),
        None => Ok(None),
    }
}

/// `cf target [-o ORG] [-s SPACE]`.
async fn target(cx: &mut Context, org: Option<&str>, space: Option<&str>) -> Result<(), CfError> {
    cx.logged_in()?;
    if let Some(name) = org {
        let found = cx
            .client
            .list(&format!("/v2/organizations?q=name:{}", escape(name)))
            .await?;
        let Some(org) = pick(&found, Some(name), "Organization")? else {
            return Ok(());
        };
        cx.client.config.organization_fields = org;
        cx.client.config.space_fields = Named::default();
        if space.is_none() {
            let path = format!(
                "/v2/organizations/{}/spaces",
                cx.client.config.organization_fields.guid
            );
            let spaces = cx.client.list(&path).await?;
            cx.client.config.space_fields = pick(&spaces, None, "Space")?.unwrap_or_default();
        }
    }
    if let Some(name) = space {
        let org = cx.client.config.organization_fields.guid.clone();
        if org.is_empty() {
            return Err(CfError::Usage(
                "an org must be targeted before a space; add -o ORG".into(),
            ));
        }
        let path = format!(
            "/v2/spaces?q=name:{}&q=organization_guid:{org}",
            escape(name)
        );
        let found = cx.client.list(&path).await?;
        cx.client.config.space_fields = pick(&found, Some(name), "Space")?.unwrap_or_default();
    }
    cx.client.config.save()?;
    show_target(cx);
    Ok(())
}

pub(super) fn show_target(cx: &Context) {
    let c = &cx.client.config;
    if cx.ui.json {
        cx.ui.document(serde_json::json!({
            "api_endpoint": c.target, "api_version": c.api_version, "user": c.user(),
            "org": c.organization_fields.name, "space": c.space_fields.name,
        }));
        return;
    }
    let or_hint = |name: &str, hint: &str| {
        if name.is_empty() {
            format!("No {hint}")
        } else {
            name.to_owned()
        }
    };
    cx.ui.say(&format!(
        "API endpoint:   {} (API version: {})",
        c.target, c.api_version
    ));
    cx.ui
        .say(&format!("User:           {}", c.user().unwrap_or_default()));
    cx.ui.say(&format!(
        "Org:            {}",
        or_hint(
            &c.organization_fields.name,
            "org targeted, use 'cf target -o ORG'"
        )
    ));
    cx.ui.say(&format!(
        "Space:          {}",
        or_hint(
            &c.space_fields.name,
            "space targeted, use 'cf target -s SPACE'"
        )
    ));
}

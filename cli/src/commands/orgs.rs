//! orgs, org, create-org, rename-org, delete-org.

use serde_json::{Value, json};

use super::{agreed, roles};
use crate::config::Named;
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Args, Group, Json, NONE, Spec, arg, option, switch};
use crate::ui::column;

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "orgs",
        alias: "o",
        group: Group::Orgs,
        about: "List all orgs",
        json: Json::List(&["guid", "name", "status"]),
        run: |cx, _| Box::pin(list(cx)),
        ..NONE
    },
    Spec {
        name: "org",
        group: Group::Orgs,
        about: "Show org info",
        args: &[arg("ORG", "Org name")],
        flags: &[switch("--guid", "Print only the guid")],
        json: Json::One(&["domains", "guid", "name", "quota", "spaces", "status"]),
        run: |cx, args| Box::pin(show(cx, args)),
        ..NONE
    },
    Spec {
        name: "create-org",
        alias: "co",
        group: Group::Orgs,
        about: "Create an org",
        args: &[arg("ORG", "Org name")],
        flags: &[option("-q", "QUOTA", "Quota of the new org")],
        run: |cx, args| Box::pin(create(cx, args)),
        ..NONE
    },
    Spec {
        name: "delete-org",
        group: Group::Orgs,
        about: "Delete an org with all that is in it",
        args: &[arg("ORG", "Org name")],
        flags: &[switch("-f", "Do not ask")],
        run: |cx, args| Box::pin(delete(cx, args)),
        ..NONE
    },
    Spec {
        name: "rename-org",
        group: Group::Orgs,
        about: "Rename an org",
        args: &[arg("ORG", "Org name"), arg("NEW_ORG", "New name")],
        run: |cx, args| Box::pin(rename(cx, args)),
        ..NONE
    },
];

async fn list(cx: &mut Context) -> Result<(), CfError> {
    cx.logged_in()?;
    cx.announce("Getting orgs");
    let orgs = cx.client.list("/v2/organizations?order-by=name").await?;
    let row =
        |o: &Value| json!({"name": text(o, "name"), "guid": guid(o), "status": text(o, "status")});
    cx.ui.say("");
    cx.ui.list(
        &[column("name", "name")],
        orgs.iter().map(row).collect(),
        "No orgs found.",
    );
    Ok(())
}

async fn show(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("ORG");
    if args.has("guid") {
        let org = cx.org_named(name).await?;
        cx.ui.raw(guid(&org));
        return Ok(());
    }
    cx.announce(&format!("Getting info for org {}", cx.ui.name(name)));
    let org = cx.org_named(name).await?;
    let id = guid(&org).to_owned();
    let mut domains = cx.client.list("/v2/shared_domains").await?;
    let private = format!("/v2/organizations/{id}/private_domains");
    domains.extend(cx.client.list(&private).await?);
    let quota = format!(
        "/v2/quota_definitions/{}",
        text(&org, "quota_definition_guid")
    );
    let quota = cx.client.get(&quota).await?;
    let spaces = format!("/v2/spaces?q=organization_guid:{id}");
    let spaces = cx.client.list(&spaces).await?;
    cx.ui.say("");
    let shown = ["name", "domains", "quota", "spaces"].map(|key| column(key, key));
    cx.ui.one(
        &shown,
        json!({
            "name": text(&org, "name"), "guid": id, "status": text(&org, "status"),
            "domains": names(&domains), "quota": text(&quota, "name"), "spaces": names(&spaces),
        }),
    );
    Ok(())
}

/// The names of some resources.
pub(super) fn names(resources: &[Value]) -> Vec<&str> {
    resources.iter().map(|r| text(r, "name")).collect()
}

async fn create(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("ORG");
    let mut body = json!({"name": name});
    if let Some(quota) = args.get("q") {
        body["quota_definition_guid"] = guid(&cx.quota_named(quota).await?).into();
    }
    cx.announce(&format!("Creating org {}", cx.ui.name(name)));
    match cx.client.post("/v2/organizations", &body).await {
        Err(e) if e.code() == Some(30002) => {
            cx.ui.ok();
            cx.ui.warn(&format!("Org {name} already exists"));
            return Ok(());
        }
        made => made?,
    };
    cx.ui.ok();
    if roles::by_name(cx, "set_roles_by_username").await? {
        let org = cx.org_named(name).await?;
        let user = cx.client.config.user().unwrap_or_default();
        roles::give_org_role(cx, &user, &org, "OrgManager").await?;
    }
    cx.ui.say(&format!(
        "TIP: Use 'cf target -o \"{name}\"' to target new org"
    ));
    Ok(())
}

async fn delete(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("ORG");
    let what = format!(
        "org {name}, including its spaces, apps, service instances, routes and private domains"
    );
    if !agreed(args, &what)? {
        return Ok(());
    }
    cx.announce(&format!("Deleting org {}", cx.ui.name(name)));
    let Some(org) = cx.find_org(name).await? else {
        cx.ui.ok();
        cx.ui.warn(&format!("Org {name} does not exist."));
        return Ok(());
    };
    let id = guid(&org);
    cx.client
        .delete_and_wait(&format!("/v2/organizations/{id}?async=true&recursive=true"))
        .await?;
    let config = &mut cx.client.config;
    if config.organization_fields.guid == id {
        config.organization_fields = Named::default();
        config.space_fields = Named::default();
        config.save()?;
    }
    cx.ui.ok();
    Ok(())
}

async fn rename(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let (name, new) = (args.need("ORG"), args.need("NEW_ORG"));
    let org = cx.org_named(name).await?;
    cx.announce(&format!(
        "Renaming org {} to {}",
        cx.ui.name(name),
        cx.ui.name(new)
    ));
    let path = format!("/v2/organizations/{}", guid(&org));
    cx.client.put(&path, &json!({"name": new})).await?;
    let chosen = &mut cx.client.config.organization_fields;
    if chosen.guid == guid(&org) {
        chosen.name = new.to_owned();
        cx.client.config.save()?;
    }
    cx.ui.ok();
    Ok(())
}

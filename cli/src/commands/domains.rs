//! domains, create-domain, create-shared-domain, delete-*, share-private-domain.

use serde_json::{Value, json};

use super::agreed;
use crate::client::escape;
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Arg, Args, Flag, Group, Json, NONE, Spec, arg, switch};
use crate::lookup::missing;
use crate::ui::column;

const ORG: Arg = arg("ORG", "Org name");
const DOMAIN: Arg = arg("DOMAIN", "Domain name");
const FORCE: Flag = switch("-f", "Do not ask");

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "domains",
        group: Group::Domains,
        about: "List domains in the target org",
        json: Json::List(&["guid", "name", "status"]),
        run: |cx, _| Box::pin(list(cx)),
        ..NONE
    },
    Spec {
        name: "create-domain",
        group: Group::Domains,
        about: "Create a domain in an org for later use",
        args: &[ORG, DOMAIN],
        run: |cx, args| Box::pin(create(cx, args)),
        ..NONE
    },
    Spec {
        name: "delete-domain",
        group: Group::Domains,
        about: "Delete a domain",
        args: &[DOMAIN],
        flags: &[FORCE],
        run: |cx, args| Box::pin(delete(cx, args)),
        ..NONE
    },
    Spec {
        name: "create-shared-domain",
        group: Group::Domains,
        about: "Create a domain that can be used by all orgs (admin-only)",
        args: &[DOMAIN],
        run: |cx, args| Box::pin(create_shared(cx, args)),
        ..NONE
    },
    Spec {
        name: "delete-shared-domain",
        group: Group::Domains,
        about: "Delete a shared domain",
        args: &[DOMAIN],
        flags: &[FORCE],
        run: |cx, args| Box::pin(delete_shared(cx, args)),
        ..NONE
    },
    Spec {
        name: "share-private-domain",
        group: Group::OrgAdmin,
        about: "Share a private domain with an org",
        args: &[ORG, DOMAIN],
        run: |cx, args| Box::pin(share(cx, args, true)),
        ..NONE
    },
    Spec {
        name: "unshare-private-domain",
        group: Group::OrgAdmin,
        about: "Unshare a private domain with an org",
        args: &[ORG, DOMAIN],
        run: |cx, args| Box::pin(share(cx, args, false)),
        ..NONE
    },
];

async fn list(cx: &mut Context) -> Result<(), CfError> {
    cx.org()?;
    cx.announce_in_org("Getting domains");
    let row = |d: &Value| {
        let status = if is_private(d) { "owned" } else { "shared" };
        json!({"name": text(d, "name"), "guid": guid(d), "status": status})
    };
    let domains = cx.domains().await?;
    let (shared, owned): (Vec<_>, Vec<_>) = domains.iter().partition(|d| !is_private(d));
    let rows = shared.into_iter().chain(owned).map(row).collect();
    cx.ui.list(
        &[column("name", "name"), column("status", "status")],
        rows,
        "No domains found",
    );
    Ok(())
}

/// Shared domains carry neither of these two.
fn is_private(domain: &Value) -> bool {
    ["owning_organization_guid", "shared_organizations_url"]
        .iter()
        .any(|key| !domain["entity"][*key].is_null())
}

async fn create(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let (org, name) = (cx.org_named(args.need("ORG")).await?, args.need("DOMAIN"));
    cx.announce(&format!(
        "Creating domain {} for org {}",
        cx.ui.name(name),
        cx.ui.name(text(&org, "name"))
    ));
    let body = json!({"name": name, "owning_organization_guid": guid(&org), "wildcard": true});
    cx.client.post("/v2/private_domains", &body).await?;
    cx.ui.ok();
    Ok(())
}

async fn create_shared(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("DOMAIN");
    cx.announce(&format!("Creating shared domain {}", cx.ui.name(name)));
    let body = json!({"name": name, "wildcard": true});
    cx.client.post("/v2/shared_domains", &body).await?;
    cx.ui.ok();
    Ok(())
}

async fn delete(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let name = args.need("DOMAIN");
    cx.org()?;
    let found = cx.private_domain(name).await?;
    if found.is_none() && find_shared(cx, name).await?.is_some() {
        return Err(CfError::Other(format!(
            "domain {name} is a shared domain, not an owned domain.\nTIP: Use `cf delete-shared-domain` to delete shared domains."
        )));
    }
    remove(cx, args, "domain", "private_domains", found).await
}

async fn delete_shared(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let found = find_shared(cx, args.need("DOMAIN")).await?;
    remove(cx, args, "shared domain", "shared_domains", found).await
}

async fn find_shared(cx: &mut Context, name: &str) -> Result<Option<Value>, CfError> {
    let path = format!("/v2/shared_domains?q=name:{}", escape(name));
    cx.client.first(&path).await
}

async fn remove(
    cx: &mut Context,
    args: &Args,
    what: &str,
    collection: &str,
    found: Option<Value>,
) -> Result<(), CfError> {
    let name = args.need("DOMAIN");
    if !agreed(args, &format!("{what} {name} with its routes"))? {
        return Ok(());
    }
    cx.announce(&format!("Deleting {what} {}", cx.ui.name(name)));
    let Some(domain) = found else {
        cx.ui.ok();
        cx.ui.warn(&format!("Domain {name} does not exist."));
        return Ok(());
    };
    let path = format!(
        "/v2/{collection}/{}?async=true&recursive=true",
        guid(&domain)
    );
    cx.client.delete_and_wait(&path).await?;
    cx.ui.ok();
    Ok(())
}

async fn share(cx: &mut Context, args: &Args, share: bool) -> Result<(), CfError> {
    cx.logged_in()?;
    let (org, name) = (cx.org_named(args.need("ORG")).await?, args.need("DOMAIN"));
    let doing = if share {
        "Sharing domain {} with"
    } else {
        "Unsharing domain {} from"
    };
    let doing = doing.replace("{}", &cx.ui.name(name));
    let org_name = cx.ui.name(text(&org, "name"));
    cx.announce(&format!("{doing} org {org_name}"));
    let path = format!("/v2/private_domains?q=name:{}", escape(name));
    let domain = cx.client.first(&path).await?;
    let domain =
        domain.ok_or_else(|| missing("Private domain", name, "`cf domains` lists them."))?;
    let path = format!(
        "/v2/organizations/{}/private_domains/{}",
        guid(&org),
        guid(&domain)
    );
    match share {
        true => cx.client.put(&path, &Value::Null).await?,
        false => cx.client.delete(&path).await?,
    };
    cx.ui.ok();
    Ok(())
}

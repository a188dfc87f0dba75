//! spaces, space, create-space, rename-space, delete-space.

use serde_json::{Value, json};

use super::orgs::names;
use super::{agreed, roles};
use crate::config::Named;
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Args, Flag, Group, Json, NONE, Spec, arg, option, switch};
use crate::ui::column;

const ORG: Flag = option(
    "-o",
    "ORG",
    "Org of the space; the targeted one when left out",
);

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "spaces",
        group: Group::Spaces,
        about: "List all spaces in an org",
        json: Json::List(&["guid", "name"]),
        run: |cx, _| Box::pin(list(cx)),
        ..NONE
    },
    Spec {
        name: "space",
        group: Group::Spaces,
        about: "Show space info",
        args: &[arg("SPACE", "Space name")],
        flags: &[switch("--guid", "Print only the guid")],
        json: Json::One(&["apps", "guid", "name", "org", "security_groups", "services"]),
        run: |cx, args| Box::pin(show(cx, args)),
        ..NONE
    },
    Spec {
        name: "create-space",
        alias: "csp",
        group: Group::Spaces,
        about: "Create a space",
        args: &[arg("SPACE", "Space name")],
        flags: &[ORG],
        run: |cx, args| Box::pin(create(cx, args)),
        ..NONE
    },
    Spec {
        name: "delete-space",
        group: Group::Spaces,
        about: "Delete a space with all that is in it",
        args: &[arg("SPACE", "Space name")],
        flags: &[ORG, switch("-f", "Do not ask")],
        run: |cx, args| Box::pin(delete(cx, args)),
        ..NONE
    },
    Spec {
        name: "rename-space",
        group: Group::Spaces,
        about: "Rename a space",
        args: &[arg("SPACE", "Space name"), arg("NEW_SPACE", "New name")],
        run: |cx, args| Box::pin(rename(cx, args)),
        ..NONE
    },
];

async fn list(cx: &mut Context) -> Result<(), CfError> {
    let org = cx.org()?;
    cx.announce_in_org("Getting spaces");
    let path = format!("/v2/spaces?order-by=name&q=organization_guid:{}", org.guid);
    let spaces = cx.client.list(&path).await?;
    let row = |s: &Value| json!({"name": text(s, "name"), "guid": guid(s)});
    cx.ui.say("");
    cx.ui.list(
        &[column("name", "name")],
        spaces.iter().map(row).collect(),
        "No spaces found.",
    );
    Ok(())
}

async fn show(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let (org, name) = (cx.org()?, args.need("SPACE"));
    if args.has("guid") {
        let space = cx.space_in(&org.guid, name).await?;
        cx.ui.raw(guid(&space));
        return Ok(());
    }
    cx.announce_in_org(&format!("Getting info for space {}", cx.ui.name(name)));
    let space = cx.space_in(&org.guid, name).await?;
    let id = guid(&space).to_owned();
    let apps = cx
        .client
        .list(&format!("/v2/apps?q=space_guid:{id}"))
        .await?;
    let services =
        format!("/v2/spaces/{id}/service_instances?return_user_provided_service_instances=true");
    let services = cx.client.list_if_known(&services).await?;
    let groups = format!("/v2/spaces/{id}/security_groups");
    let groups = cx.client.list_if_known(&groups).await?;
    cx.ui.say("");
    let shown = [
        column("name", "name"),
        column("org", "org"),
        column("apps", "apps"),
        column("services", "services"),
        column("security groups", "security_groups"),
    ];
    cx.ui.one(
        &shown,
        json!({
            "name": text(&space, "name"), "guid": id, "org": org.name, "apps": names(&apps),
            "services": names(&services), "security_groups": names(&groups),
        }),
    );
    Ok(())
}

/// The org named by `-o`, or the targeted one.
async fn org_of(cx: &mut Context, args: &Args) -> Result<Named, CfError> {
    match args.get("o") {
        None => cx.org(),
        Some(name) => {
            cx.logged_in()?;
            let org = cx.org_named(name).await?;
            Ok(Named {
                guid: guid(&org).into(),
                name: text(&org, "name").into(),
            })
        }
    }
}

async fn create(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let name = args.need("SPACE");
    let org = org_of(cx, args).await?;
    cx.announce(&format!(
        "Creating space {} in org {}",
        cx.ui.name(name),
        cx.ui.name(&org.name)
    ));
    let body = json!({"name": name, "organization_guid": org.guid});
    let space = match cx.client.post("/v2/spaces", &body).await {
        Err(e) if e.code() == Some(40002) => {
            cx.ui.ok();
            cx.ui.warn(&format!("Space {name} already exists"));
            return Ok(());
        }
        made => made?,
    };
    cx.ui.ok();
    let user = cx.client.config.user().unwrap_or_default();
    let who = roles::User::find(cx, &user, "set_roles_by_username").await?;
    for role in ["SpaceManager", "SpaceDeveloper"] {
        roles::give_space_role(cx, &who, &org, &space, role).await?;
    }
    cx.ui.say(&format!(
        "TIP: Use 'cf target -o \"{}\" -s \"{name}\"' to target new space",
        org.name
    ));
    Ok(())
}

async fn delete(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let name = args.need("SPACE");
    let org = org_of(cx, args).await?;
    let what = format!("space {name}, including its apps, service instances and routes");
    if !agreed(args, &what)? {
        return Ok(());
    }
    cx.announce(&format!(
        "Deleting space {} in org {}",
        cx.ui.name(name),
        cx.ui.name(&org.name)
    ));
    let Some(space) = cx.find_space(&org.guid, name).await? else {
        cx.ui.ok();
        cx.ui.warn(&format!("Space {name} does not exist."));
        return Ok(());
    };
    let id = guid(&space);
    cx.client
        .delete_and_wait(&format!("/v2/spaces/{id}?async=true&recursive=true"))
        .await?;
    let config = &mut cx.client.config;
    if config.space_fields.guid == id {
        config.space_fields = Named::default();
        config.save()?;
    }
    cx.ui.ok();
    Ok(())
}

async fn rename(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let (name, new) = (args.need("SPACE"), args.need("NEW_SPACE"));
    let org = cx.org()?;
    let space = cx.space_in(&org.guid, name).await?;
    cx.announce_in_org(&format!(
        "Renaming space {} to {}",
        cx.ui.name(name),
        cx.ui.name(new)
    ));
    let path = format!("/v2/spaces/{}", guid(&space));
    cx.client.put(&path, &json!({"name": new})).await?;
    let chosen = &mut cx.client.config.space_fields;
    if chosen.guid == guid(&space) {
        chosen.name = new.to_owned();
        cx.client.config.save()?;
    }
    cx.ui.ok();
    Ok(())
}

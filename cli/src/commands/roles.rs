//! org-users, space-users, set-org-role, set-space-role and their opposites. Users
//! are named to the controller when its flags allow that, and looked up otherwise.

use serde_json::{Value, json};

use super::role_kinds::{self, Role};
use crate::config::Named;
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Arg, Args, Group, Json, NONE, Spec, arg, switch};
use crate::lookup::missing;

const USER: Arg = arg("USERNAME", "User name");
const ORG: Arg = arg("ORG", "Org name");
const SPACE: Arg = arg("SPACE", "Space name");
const ORG_ROLE: Arg = arg("ROLE", "OrgManager, BillingManager or OrgAuditor");
const SPACE_ROLE: Arg = arg("ROLE", "SpaceManager, SpaceDeveloper or SpaceAuditor");
const FIELDS: Json = Json::List(&["guid", "role", "username"]);

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "org-users",
        group: Group::UserAdmin,
        about: "Show org users by role",
        args: &[ORG],
        flags: &[switch("-a, --all-users", "List all users in the org")],
        json: FIELDS,
        run: |cx, args| Box::pin(org_users(cx, args)),
        ..NONE
    },
    Spec {
        name: "set-org-role",
        group: Group::UserAdmin,
        about: "Assign an org role to a user",
        args: &[USER, ORG, ORG_ROLE],
        run: |cx, args| Box::pin(set_org_role(cx, args)),
        ..NONE
    },
    Spec {
        name: "unset-org-role",
        group: Group::UserAdmin,
        about: "Remove an org role from a user",
        args: &[USER, ORG, ORG_ROLE],
        run: |cx, args| Box::pin(unset_org_role(cx, args)),
        ..NONE
    },
    Spec {
        name: "space-users",
        group: Group::UserAdmin,
        about: "Show space users by role",
        args: &[ORG, SPACE],
        json: FIELDS,
        run: |cx, args| Box::pin(space_users(cx, args)),
        ..NONE
    },
    Spec {
        name: "set-space-role",
        group: Group::UserAdmin,
        about: "Assign a space role to a user",
        args: &[USER, ORG, SPACE, SPACE_ROLE],
        run: |cx, args| Box::pin(set_space_role(cx, args)),
        ..NONE
    },
    Spec {
        name: "unset-space-role",
        group: Group::UserAdmin,
        about: "Remove a space role from a user",
        args: &[USER, ORG, SPACE, SPACE_ROLE],
        run: |cx, args| Box::pin(unset_space_role(cx, args)),
        ..NONE
    },
];

/// A user as the controller wants to be told of them.
pub(super) enum User {
    /// By name: the controller asks the token server.
    Name(String),
    /// By guid: asked by us.
    Guid(String, String),
}

impl User {
    /// Names the user when the controller's flag allows it.
    pub(super) async fn find(cx: &mut Context, name: &str, flag: &str) -> Result<Self, CfError> {
        if by_name(cx, flag).await? {
            return Ok(Self::Name(name.to_owned()));
        }
        let id = cx.user_named(name).await?;
        Ok(Self::Guid(name.to_owned(), id))
    }

    fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Guid(name, _) => name,
        }
    }

    async fn put(&self, cx: &mut Context, collection: &str) -> Result<Value, CfError> {
        match self {
            Self::Name(name) => cx.client.put(collection, &json!({"username": name})).await,
            Self::Guid(_, id) => {
                let path = format!("{collection}/{id}");
                cx.client.put(&path, &Value::Null).await
            }
        }
    }

    async fn remove(&self, cx: &mut Context, collection: &str) -> Result<Value, CfError> {
        match self {
            Self::Name(name) => {
                let body = json!({"username": name});
                cx.client.delete_with(collection, &body).await
            }
            Self::Guid(_, id) => cx.client.delete(&format!("{collection}/{id}")).await,
        }
    }
}

/// Whether a controller's flag lets roles be given by name; a controller without the
/// flag knows guids only.
pub(super) async fn by_name(cx: &mut Context, flag: &str) -> Result<bool, CfError> {
    let path = format!("/v2/config/feature_flags/{flag}");
    match cx.client.get(&path).await {
        Ok(flag) => Ok(flag["enabled"] == true),
        Err(CfError::Api { status: 404, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives an org role and says so.
pub(super) async fn give_org_role(
    cx: &mut Context,
    user: &str,
    org: &Value,
    role: &str,
) -> Result<(), CfError> {
    let who = User::Name(user.to_owned());
    org_role(cx, &who, org, role_kinds::find(&role_kinds::ORG, role)?).await
}

async fn org_role(cx: &mut Context, who: &User, org: &Value, role: &Role) -> Result<(), CfError> {
    cx.announce(&format!(
        "Assigning role {} to user {} in org {}",
        cx.ui.name(role.name),
        cx.ui.name(who.name()),
        cx.ui.name(text(org, "name"))
    ));
    let base = format!("/v2/organizations/{}", guid(org));
    let (own, members) = (
        format!("{base}/{}", role.collection),
        format!("{base}/users"),
    );
    // The original gives the role first; a controller that wants members first says so.
    let strict = match who.put(cx, &own).await {
        Err(e) if e.code() == Some(1002) => true,
        other => other.map(|_| false)?,
    };
    who.put(cx, &members).await?;
    if strict {
        who.put(cx, &own).await?;
    }
    cx.ui.ok();
    Ok(())
}

async fn set_org_role(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let role = role_kinds::find(&role_kinds::ORG, args.need("ROLE"))?;
    let who = User::find(cx, args.need("USERNAME"), "set_roles_by_username").await?;
    let org = cx.org_named(args.need("ORG")).await?;
    org_role(cx, &who, &org, role).await
}

async fn unset_org_role(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let role = role_kinds::find(&role_kinds::ORG, args.need("ROLE"))?;
    let who = User::find(cx, args.need("USERNAME"), "unset_roles_by_username").await?;
    let org = cx.org_named(args.need("ORG")).await?;
    cx.announce(&format!(
        "Removing role {} from user {} in org {}",
        cx.ui.name(role.name),
        cx.ui.name(who.name()),
        cx.ui.name(text(&org, "name"))
    ));
    let path = format!("/v2/organizations/{}/{}", guid(&org), role.collection);
    who.remove(cx, &path).await?;
    cx.ui.ok();
    Ok(())
}

/// Makes the user a member of the org and gives the space role.
pub(super) async fn give_space_role(
    cx: &mut Context,
    who: &User,
    org: &Named,
    space: &Value,
    role: &str,
) -> Result<(), CfError> {
    let role = role_kinds::find(&role_kinds::SPACE, role)?;
    cx.announce(&format!(
        "Assigning role {} to user {} in org {} / space {}",
        cx.ui.name(role.name),
        cx.ui.name(who.name()),
        cx.ui.name(&org.name),
        cx.ui.name(text(space, "name"))
    ));
    let members = format!("/v2/organizations/{}/users", org.guid);
    match who.put(cx, &members).await {
        // A space manager may not add members; the user may be one already.
        Err(e) if e.code() == Some(10003) => {}
        other => {
            other?;
        }
    }
    let path = format!("/v2/spaces/{}/{}", guid(space), role.collection);
    match who.put(cx, &path).await {
        Err(e) if e.code() == Some(1002) => {
            return Err(CfError::Other(format!(
                "user {} is no member of org {}\nTIP: an org manager adds them: `cf set-org-role {} {} OrgAuditor`",
                who.name(),
                org.name,
                who.name(),
                org.name
            )));
        }
        other => other?,
    };
    cx.ui.ok();
    Ok(())
}

async fn set_space_role(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    role_kinds::find(&role_kinds::SPACE, args.need("ROLE"))?;
    let who = User::find(cx, args.need("USERNAME"), "set_roles_by_username").await?;
    let (org, space) = place(cx, args).await?;
    give_space_role(cx, &who, &org, &space, args.need("ROLE")).await
}

async fn unset_space_role(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let role = role_kinds::find(&role_kinds::SPACE, args.need("ROLE"))?;
    let who = User::find(cx, args.need("USERNAME"), "unset_roles_by_username").await?;
    let (org, space) = place(cx, args).await?;
    cx.announce(&format!(
        "Removing role {} from user {} in org {} / space {}",
        cx.ui.name(role.name),
        cx.ui.name(who.name()),
        cx.ui.name(&org.name),
        cx.ui.name(text(&space, "name"))
    ));
    let path = format!("/v2/spaces/{}/{}", guid(&space), role.collection);
    who.remove(cx, &path).await?;
    cx.ui.ok();
    Ok(())
}

/// The org and the space that are named.
async fn place(cx: &mut Context, args: &Args) -> Result<(Named, Value), CfError> {
    let org = cx.org_named(args.need("ORG")).await?;
    let named = Named {
        guid: guid(&org).into(),
        name: text(&org, "name").into(),
    };
    let name = args.need("SPACE");
    let space = cx.find_space(&named.guid, name).await?;
    let tip = format!("`cf target -o {}` and `cf spaces` list them.", named.name);
    Ok((named, space.ok_or_else(|| missing("Space", name, &tip))?))
}

async fn org_users(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let org = cx.org_named(args.need("ORG")).await?;
    let name = cx.ui.name(text(&org, "name"));
    cx.announce(&format!("Getting users in org {name}"));
    let base = format!("/v2/organizations/{}", guid(&org));
    const EVERYBODY: [Role; 1] = [Role {
        name: "OrgUser",
        title: "USERS",
        collection: "users",
    }];
    let all = args.has("a");
    let roles: &[Role] = if all { &EVERYBODY } else { &role_kinds::ORG };
    users(cx, &base, roles).await
}

async fn space_users(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let (org, space) = place(cx, args).await?;
    cx.announce(&format!(
        "Getting users in org {} / space {}",
        cx.ui.name(&org.name),
        cx.ui.name(text(&space, "name"))
    ));
    let base = format!("/v2/spaces/{}", guid(&space));
    users(cx, &base, &role_kinds::SPACE).await
}

async fn users(cx: &mut Context, base: &str, roles: &[Role]) -> Result<(), CfError> {
    let mut rows = Vec::new();
    for role in roles {
        let found = cx
            .client
            .list(&format!("{base}/{}", role.collection))
            .await?;
        cx.ui.say(&format!("\n{}", role.title));
        if found.is_empty() {
            cx.ui.say(&format!("  No {} found", role.title));
        }
        for user in &found {
            // A user made by hand in the controller has no name there.
            let name = match text(user, "username") {
                "" => guid(user),
                name => name,
            };
            cx.ui.say(&format!("  {name}"));
            rows.push(json!({"role": role.name, "username": name, "guid": guid(user)}));
        }
    }
    if cx.ui.json {
        cx.ui.document(rows.into());
    }
    Ok(())
}

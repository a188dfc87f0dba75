//! Who is what in organizations and spaces; by guid and by name.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::{ApiError, Code};

use super::body::Body;
use super::lists::{Present, View, page};
use super::routing::{Routes, get, put};
use super::{audit, body, orgs, spaces};
use crate::authorize::{Action, Caller};
use crate::controller::Ctl;
use crate::failure::{Outcome, fail, fail_with};
use crate::store::{Role, Tx, UserRow};

pub(super) fn routes() -> Routes {
    let mut router = Routes::new();
    for relation in ["users", "managers", "billing_managers", "auditors"] {
        let path = format!("/v2/organizations/{{guid}}/{relation}");
        router = router
            .route(
                &path,
                get(move |s, c, p, q| list(s, c, p, q, Kind::Org, relation))
                    .put(move |s, c, p, b| give_by_name(s, c, p, b, Kind::Org, relation))
                    .delete(move |s, c, p, q, b| take_by_name(s, c, p, q, b, Kind::Org, relation)),
            )
            .route(
                &format!("{path}/{{user}}"),
                put(move |s, c, p, q| by_guid(s, c, p, q, Kind::Org, relation, true))
                    .delete(move |s, c, p, q| by_guid(s, c, p, q, Kind::Org, relation, false)),
            );
    }
    for relation in ["managers", "developers", "auditors"] {
        let path = format!("/v2/spaces/{{guid}}/{relation}");
        router = router
            .route(
                &path,
                get(move |s, c, p, q| list(s, c, p, q, Kind::Space, relation))
                    .put(move |s, c, p, b| give_by_name(s, c, p, b, Kind::Space, relation))
                    .delete(move |s, c, p, q, b| {
                        take_by_name(s, c, p, q, b, Kind::Space, relation)
                    }),
            )
            .route(
                &format!("{path}/{{user}}"),
                put(move |s, c, p, q| by_guid(s, c, p, q, Kind::Space, relation, true))
                    .delete(move |s, c, p, q| by_guid(s, c, p, q, Kind::Space, relation, false)),
            );
    }
    router
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Org,
    Space,
}

impl Kind {
    fn role(self, relation: &str) -> Outcome<Role> {
        let role = match self {
            Kind::Org => Role::of_org(relation),
            Kind::Space => Role::of_space(relation),
        };
        role.ok_or_else(|| fail(Code::NotFound))
    }
}

/// Members of a role, for whoever may read its target.
async fn list(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
    kind: Kind,
    relation: &'static str,
) -> Outcome<Json<Value>> {
    match kind {
        Kind::Org => drop(orgs::load(&ctl, &caller, &guid).await?),
        Kind::Space => drop(spaces::load(&ctl, &caller, &guid).await?),
    }
    let scope = kind.role(relation)?.holders().of(&guid);
    let folder = if kind == Kind::Org {
        "organizations"
    } else {
        "spaces"
    };
    page::<UserRow>(
        &View {
            ctl: &ctl,
            caller: &caller,
        },
        &scope,
        &raw,
        &format!("/v2/{folder}/{guid}/{relation}"),
    )
    .await
}

type Answer = Outcome<(StatusCode, Json<Value>)>;

async fn by_guid(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path((guid, user)): Path<(String, String)>,
    raw: RawQuery,
    kind: Kind,
    relation: &'static str,
    grant: bool,
) -> Answer {
    let place = to_change(&ctl, &caller, kind, &guid).await?;
    if !ctl.store.knows_user(&user, None).await? {
        return Err(fail_with(
            Code::InvalidRelation,
            format!("Could not find User with guid: {user}"),
        ));
    }
    let deed = Deed::of(grant, &raw);
    change(&ctl, &caller, &place, kind.role(relation)?, &user, deed).await
}

#[derive(Deserialize)]
struct NameBody {
    username: String,
}

async fn give_by_name(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    Body(sent): Body<NameBody>,
    kind: Kind,
    relation: &'static str,
) -> Answer {
    let place = to_change(&ctl, &caller, kind, &guid).await?;
    super::settings::need(&ctl, &caller, "set_roles_by_username").await?;
    let user = user_named(&ctl, &sent.username).await?;
    change(
        &ctl,
        &caller,
        &place,
        kind.role(relation)?,
        &user,
        Deed::Give,
    )
    .await
}

async fn take_by_name(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
    Body(sent): Body<NameBody>,
    kind: Kind,
    relation: &'static str,
) -> Answer {
    let place = to_change(&ctl, &caller, kind, &guid).await?;
    super::settings::need(&ctl, &caller, "unset_roles_by_username").await?;
    let user = user_named(&ctl, &sent.username).await?;
    let deed = Deed::of(false, &raw);
    change(&ctl, &caller, &place, kind.role(relation)?, &user, deed).await
}

/// The guid of a user the token server knows; made known here.
async fn user_named(ctl: &Ctl, name: &str) -> Outcome<String> {
    let found = ctl
        .uaa
        .find_user(name)
        .await
        .map_err(|_| fail(Code::UaaUnavailable))?;
    let (user, name) = found.ok_or_else(|| fail_with(Code::UserNotFound, name))?;
    let mut tx = ctl.store.begin().await?;
    tx.ensure_user(&user, Some(&name), false).await?;
    tx.commit().await?;
    Ok(user)
}

/// What is done with a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Give,
    Take,
    /// With what depends on it.
    TakeAll,
}

impl Deed {
    fn of(grant: bool, raw: &RawQuery) -> Deed {
        match (grant, body::flag(raw, "recursive")) {
            (true, _) => Deed::Give,
            (false, false) => Deed::Take,
            (false, true) => Deed::TakeAll,
        }
    }
}

/// Where a role is given or taken.
struct Place {
    kind: Kind,
    /// Of the organization or space.
    guid: String,
    org: String,
    /// The organization or space as it is shown.
    shown: Value,
}

/// The organization or space, if the caller may change its roles.
async fn to_change(ctl: &Ctl, caller: &Caller, kind: Kind, guid: &str) -> Outcome<Place> {
    let view = View { ctl, caller };
    let (org, shown) = match kind {
        Kind::Org => {
            let org = orgs::load(ctl, caller, guid).await?;
            caller.need(Action::ManageOrg(guid))?;
            (org.guid.clone(), org.flat(&view)?)
        }
        Kind::Space => {
            let space = spaces::load(ctl, caller, guid).await?;
            caller.need(Action::ManageSpace(guid, &space.organization_guid))?;
            (space.organization_guid.clone(), space.flat(&view)?)
        }
    };
    Ok(Place {
        kind,
        guid: guid.to_owned(),
        org,
        shown,
    })
}

/// Grants or takes a role and answers with its target.
async fn change(
    ctl: &Ctl,
    caller: &Caller,
    place: &Place,
    role: Role,
    user: &str,
    deed: Deed,
) -> Answer {
    let (kind, guid, org) = (place.kind, &place.guid, &place.org);
    let space = (kind == Kind::Space).then_some(guid.as_str());
    let name = ctl.uaa.name_of(user).await.ok().flatten();
    let mut tx = ctl.store.begin().await?;
    if deed == Deed::Give {
        match kind {
            Kind::Space => need_member(&mut tx, user, org).await?,
            // `cf set-org-role` gives the role first and makes the member afterwards.
            Kind::Org => tx.grant(user, Role::OrgUser, guid).await?,
        }
        tx.grant(user, role, guid).await?;
    } else {
        if role == Role::OrgUser {
            leave_spaces(&mut tx, user, org, deed).await?;
        }
        tx.revoke(user, role, guid).await?;
    }
    let request = match deed {
        Deed::TakeAll => json!({"request": {"recursive": true}}),
        Deed::Give | Deed::Take => json!({}),
    };
    let event = audit::event(
        caller,
        event_kind(role, deed == Deed::Give),
        (user, "user", name.as_deref().unwrap_or_default()),
        request,
        (space, Some(org)),
    );
    tx.record_event(&event).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(place.shown.clone())))
}

/// Whoever leaves an organization has no roles in its spaces any more: taken before, or with it when that is wished for.
async fn leave_spaces(tx: &mut Tx, user: &str, org: &str, deed: Deed) -> Outcome<()> {
    let taken = tx.revoke_in_spaces(user, org).await?;
    if taken == 0 || deed == Deed::TakeAll {
        return Ok(());
    }
    // The write is dropped with the error: nothing was taken.
    Err(ApiError::with_details(Code::AssociationNotEmpty, &["spaces", "users"])
        .explain("Take the user's roles in the organization's spaces first (cf unset-space-role), or all of them with recursive=true.")
        .into())
}

/// What the event of a change is called: the role's own name, given or taken.
fn event_kind(role: Role, grant: bool) -> &'static str {
    match (role, grant) {
        (Role::OrgUser, true) => "audit.user.organization_user_add",
        (Role::OrgUser, false) => "audit.user.organization_user_remove",
        (Role::OrgManager, true) => "audit.user.organization_manager_add",
        (Role::OrgManager, false) => "audit.user.organization_manager_remove",
        (Role::OrgBillingManager, true) => "audit.user.organization_billing_manager_add",
        (Role::OrgBillingManager, false) => "audit.user.organization_billing_manager_remove",
        (Role::OrgAuditor, true) => "audit.user.organization_auditor_add",
        (Role::OrgAuditor, false) => "audit.user.organization_auditor_remove",
        (Role::SpaceManager, true) => "audit.user.space_manager_add",
        (Role::SpaceManager, false) => "audit.user.space_manager_remove",
        (Role::SpaceDeveloper, true) => "audit.user.space_developer_add",
        (Role::SpaceDeveloper, false) => "audit.user.space_developer_remove",
        (Role::SpaceAuditor, true) => "audit.user.space_auditor_add",
        (Role::SpaceAuditor, false) => "audit.user.space_auditor_remove",
    }
}

/// Roles of a space are for members of its organization.
async fn need_member(tx: &mut Tx, user: &str, org: &str) -> Outcome<()> {
    if tx.has_role(user, Role::OrgUser, org).await? {
        return Ok(());
    }
    Err(fail_with(
        Code::InvalidRelation,
        format!("user {user} is not in the organization; add it with the users relation first"),
    ))
}

//! Who may do what: the one place every load of an API object goes through. Denied unless a rule here allows it.

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use uaa::TokenError;
use v2_api::Code;

use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail};
use crate::store::{Role, Scope};

/// Seconds an upload may outlive the token it began with.
const UPLOAD_GRACE: u64 = 20 * 60;

/// What is shown in place of values that may hold secrets.
pub(crate) const HIDDEN_VALUE: &str = "[PRIVATE DATA HIDDEN]";

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// User guid, or client id for a client's own token.
    pub(crate) guid: String,
    /// E-mail, or the name; the actor of events.
    pub(crate) email: String,
    /// Holds `cloud_controller.admin`.
    pub(crate) admin: bool,
    roles: Vec<(String, String)>,
}

/// What a caller wants to do with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action<'a> {
    /// Read the organization.
    ReadOrg(&'a str),
    /// Change the organization, make or delete spaces in it.
    ManageOrg(&'a str),
    /// Read a space and what is in it; with its organization.
    ReadSpace(&'a str, &'a str),
    /// Change the space itself or its roles; with its organization.
    ManageSpace(&'a str, &'a str),
    /// Change apps and routes of a space, read their environment.
    Develop(&'a str),
    /// What only administrators do.
    Administer,
}

impl Caller {
    /// Whether the action is allowed.
    pub(crate) fn may(&self, action: Action<'_>) -> bool {
        self.admin
            || match action {
                Action::Administer => false,
                Action::ReadOrg(org) => [
                    Role::OrgUser,
                    Role::OrgManager,
                    Role::OrgBillingManager,
                    Role::OrgAuditor,
                ]
                .iter()
                .any(|role| self.is(*role, org)),
                Action::ManageOrg(org) => self.is(Role::OrgManager, org),
                Action::ReadSpace(space, org) => {
                    let in_space = [Role::SpaceDeveloper, Role::SpaceManager, Role::SpaceAuditor];
                    self.is(Role::OrgManager, org)
                        || in_space.iter().any(|role| self.is(*role, space))
                }
                Action::ManageSpace(space, org) => {
                    self.is(Role::OrgManager, org) || self.is(Role::SpaceManager, space)
                }
                Action::Develop(space) => self.is(Role::SpaceDeveloper, space),
            }
    }

    /// Refuses what is not allowed: 403/10003.
    pub(crate) fn need(&self, action: Action<'_>) -> Outcome<()> {
        if self.may(action) {
            Ok(())
        } else {
            Err(fail(Code::NotAuthorized))
        }
    }

    fn is(&self, role: Role, target: &str) -> bool {
        self.roles
            .iter()
            .any(|(kind, guid)| kind == role.word() && guid == target)
    }

    /// What the caller sees of a collection; `pieces` is the condition for everybody but administrators.
    pub(crate) fn visible(&self, pieces: &'static [&'static str]) -> Scope {
        self.narrow(Scope::all(), pieces)
    }

    /// As [`Caller::visible`], within a scope.
    pub(crate) fn narrow(&self, scope: Scope, pieces: &'static [&'static str]) -> Scope {
        if self.admin {
            scope
        } else {
            scope.and(pieces, self.guid.clone())
        }
    }
}

/// Visible organizations.
pub(crate) const SEEN_ORGS: &[&str] = &[
    "t.guid IN (SELECT target_guid FROM roles WHERE kind LIKE 'org%' AND user_guid = ",
    ")",
];
/// Visible spaces.
pub(crate) const SEEN_SPACES: &[&str] = &[
    "t.guid IN (SELECT target_guid FROM roles WHERE kind LIKE 'space%' AND user_guid = ",
    ") OR t.organization_guid IN (SELECT target_guid FROM roles WHERE kind = 'org_manager' AND user_guid = ",
    ")",
];
/// What lies in a space the caller has a role in; `$space` is the column of its guid.
macro_rules! seen_in_spaces {
    ($space:literal) => {
        &[
            concat!($space, " IN (SELECT target_guid FROM roles WHERE kind LIKE 'space%' AND user_guid = "),
            concat!(
                ") OR ", $space, " IN (SELECT s.guid FROM spaces s JOIN roles r ON r.target_guid = s.organization_guid \
                 WHERE r.kind = 'org_manager' AND r.user_guid = "
            ),
            ")",
        ]
    };
}

/// Visible things that lie in a space (apps, routes, service instances).
pub(crate) const SEEN_IN_SPACES: &[&str] = seen_in_spaces!("t.space_guid");
/// Visible service bindings: those of visible service instances.
pub(crate) const SEEN_BINDINGS: &[&str] = seen_in_spaces!("i.space_guid");
/// Visible domains: shared ones, and those one's organizations own or were lent.
pub(crate) const SEEN_DOMAINS: &[&str] = &[
    "t.owning_organization_guid IS NULL OR t.owning_organization_guid IN \
     (SELECT target_guid FROM roles WHERE kind LIKE 'org%' AND user_guid = ",
    ") OR t.guid IN (SELECT h.domain_guid FROM domain_shares h JOIN roles r ON r.target_guid = h.organization_guid \
     WHERE r.kind LIKE 'org%' AND r.user_guid = ",
    ")",
];
/// Visible space quotas: those of one's organizations.
pub(crate) const SEEN_SPACE_QUOTAS: &[&str] = &[
    "t.organization_guid IN (SELECT target_guid FROM roles WHERE kind LIKE 'org%' AND user_guid = ",
    ")",
];
/// Visible users: oneself.
pub(crate) const SEEN_USERS: &[&str] = &["t.guid = ", ""];
/// Visible events: those of spaces one develops or audits, and organizations one audits.
pub(crate) const SEEN_EVENTS: &[&str] = &[
    "t.space_guid IN (SELECT target_guid FROM roles WHERE kind IN ('space_developer', 'space_auditor') AND user_guid = ",
    ") OR t.organization_guid IN (SELECT target_guid FROM roles WHERE kind = 'org_auditor' AND user_guid = ",
    ")",
];

impl FromRequestParts<Ctl> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, ctl: &Ctl) -> Result<Caller, Failure> {
        let is_upload = parts.uri.path().ends_with("/bits");
        let grace = if is_upload { UPLOAD_GRACE } else { 0 };
        let writes = !matches!(parts.method, Method::GET | Method::HEAD);
        authenticate(ctl, &parts.headers, grace, writes).await
    }
}

/// The caller behind an Authorization header. `writes` asks for the write scope.
pub(crate) async fn authenticate(
    ctl: &Ctl,
    headers: &HeaderMap,
    grace: u64,
    writes: bool,
) -> Outcome<Caller> {
    let value = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(|| fail(Code::NotAuthenticated))?;
    let token = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| fail(Code::InvalidAuthToken))?;
    let claims = ctl
        .uaa
        .verifier()
        .verify_with_grace(token, grace)
        .map_err(|error| {
            if error != TokenError::Expired {
                tracing::debug!(%error, "a token was refused");
            }
            fail(Code::InvalidAuthToken)
        })?;
    let admin = claims.has("cloud_controller.admin");
    if !admin
        && !claims.has(if writes {
            "cloud_controller.write"
        } else {
            "cloud_controller.read"
        })
    {
        return Err(fail(Code::InsufficientScope));
    }
    let guid = claims
        .user_id
        .clone()
        .unwrap_or_else(|| claims.client_id.clone());
    let name = claims
        .user_name
        .clone()
        .unwrap_or_else(|| claims.client_id.clone());
    if !ctl.store.knows_user(&guid, Some(&name)).await? {
        let mut tx = ctl.store.begin().await?;
        tx.ensure_user(&guid, Some(&name), admin).await?;
        tx.commit().await?;
    }
    let roles = if admin {
        Vec::new()
    } else {
        ctl.store.roles_of(&guid).await?
    };
    Ok(Caller {
        email: claims.email.clone().unwrap_or(name),
        guid,
        admin,
        roles,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(kind: Role, target: &str) -> Caller {
        Caller {
            guid: "u".into(),
            email: "u".into(),
            admin: false,
            roles: vec![(kind.word().to_owned(), target.to_owned())],
        }
    }

    #[test]
    fn roles_allow_what_the_reference_says_and_nothing_else() {
        let read = Action::ReadSpace("s", "o");
        let table = [
            (Role::SpaceDeveloper, "s", [true, true, false, false]),
            (Role::SpaceManager, "s", [true, false, true, false]),
            (Role::SpaceAuditor, "s", [true, false, false, false]),
            (Role::OrgManager, "o", [true, false, true, true]),
            (Role::OrgAuditor, "o", [false, false, false, false]),
            (Role::SpaceDeveloper, "other", [false, false, false, false]),
        ];
        for (role, target, expected) in table {
            let who = caller(role, target);
            let got = [
                read,
                Action::Develop("s"),
                Action::ManageSpace("s", "o"),
                Action::ManageOrg("o"),
            ]
            .map(|action| who.may(action));
            assert_eq!(got, expected, "{role:?} of {target}");
            assert!(!who.may(Action::Administer));
        }
    }
}

//! Who may do what: the one place every load of an API object goes through. Denied unless a rule here allows it.

use axum::extract::{FromRequestParts, MatchedPath};
use http::request::Parts;
use http::{HeaderMap, Method, header};
use uaa::TokenError;
use v2_api::{ApiError, Code};

use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail};
use crate::store::{Role, RoleRow, Scope};

/// The routes of uploads: no others take a token that has expired.
const UPLOADS: [(Method, &str); 2] = [
    (Method::PUT, "/v2/apps/{guid}/bits"),
    (Method::PUT, "/v2/buildpacks/{guid}/bits"),
];

/// Whether a request to a route, by what it matched and not by what its path looks like, uploads something.
fn is_upload(method: &Method, route: &str) -> bool {
    let matches = |(known, path): &(Method, &str)| known == method && *path == route;
    UPLOADS.iter().any(matches)
}

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
    roles: Vec<RoleRow>,
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
    /// Read a route of a space; with its organization.
    ReadRoute(&'a str, &'a str),
    /// Change apps, routes and services of a space.
    Develop(&'a str),
    /// Read the environment of a space's apps and the credentials of its services.
    ReadSecrets(&'a str),
    /// What only administrators do.
    Administer,
}

/// An action without its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    ReadOrg,
    ManageOrg,
    ReadSpace,
    ManageSpace,
    ReadRoute,
    Develop,
    ReadSecrets,
    Administer,
}

/// Which deeds a role allows in its organization or space: everything that anybody but administrators may. What no row names is denied.
const RULES: &[(Role, &[Deed])] = &[
    (Role::OrgUser, &[Deed::ReadOrg]),
    (Role::OrgBillingManager, &[Deed::ReadOrg]),
    (Role::OrgAuditor, &[Deed::ReadOrg, Deed::ReadRoute]),
    (
        Role::OrgManager,
        &[
            Deed::ReadOrg,
            Deed::ReadSpace,
            Deed::ReadRoute,
            Deed::ManageSpace,
            Deed::ManageOrg,
        ],
    ),
    (
        Role::SpaceManager,
        &[Deed::ReadSpace, Deed::ReadRoute, Deed::ManageSpace],
    ),
    (
        Role::SpaceDeveloper,
        &[
            Deed::ReadSpace,
            Deed::ReadRoute,
            Deed::Develop,
            Deed::ReadSecrets,
        ],
    ),
    (Role::SpaceAuditor, &[Deed::ReadSpace, Deed::ReadRoute]),
];

impl<'a> Action<'a> {
    /// The deed, and the guids of space and organization it is about.
    fn parts(self) -> (Deed, [Option<&'a str>; 2]) {
        match self {
            Action::ReadOrg(org) => (Deed::ReadOrg, [None, Some(org)]),
            Action::ManageOrg(org) => (Deed::ManageOrg, [None, Some(org)]),
            Action::ReadSpace(space, org) => (Deed::ReadSpace, [Some(space), Some(org)]),
            Action::ManageSpace(space, org) => (Deed::ManageSpace, [Some(space), Some(org)]),
            Action::ReadRoute(space, org) => (Deed::ReadRoute, [Some(space), Some(org)]),
            Action::Develop(space) => (Deed::Develop, [Some(space), None]),
            Action::ReadSecrets(space) => (Deed::ReadSecrets, [Some(space), None]),
            Action::Administer => (Deed::Administer, [None, None]),
        }
    }
}

impl Deed {
    /// Whether it changes something.
    fn changes(self) -> bool {
        !matches!(
            self,
            Deed::ReadOrg | Deed::ReadSpace | Deed::ReadRoute | Deed::ReadSecrets
        )
    }
}

/// Whether a role that is held allows the action under some rules.
fn allows(rules: &[(Role, &[Deed])], held: &RoleRow, action: Action<'_>) -> bool {
    let (deed, places) = action.parts();
    let here = places.contains(&Some(held.target.as_str()));
    let rule = |(role, deeds): &(Role, &[Deed])| role.word() == held.kind && deeds.contains(&deed);
    here && rules.iter().any(rule)
}

impl Caller {
    /// Whether the action is allowed. In a suspended organization only administrators change anything.
    pub(crate) fn may(&self, action: Action<'_>) -> bool {
        self.may_by(RULES, action)
    }

    fn may_by(&self, rules: &[(Role, &[Deed])], action: Action<'_>) -> bool {
        let counts = |held: &&RoleRow| !held.suspended || !action.parts().0.changes();
        let mut roles = self.roles.iter().filter(counts);
        self.admin || roles.any(|held| allows(rules, held, action))
    }

    /// Refuses what is not allowed: 403/10003.
    pub(crate) fn need(&self, action: Action<'_>) -> Outcome<()> {
        if self.may(action) {
            return Ok(());
        }
        let error = ApiError::new(Code::NotAuthorized);
        if self.roles.iter().any(|held| allows(RULES, held, action)) {
            return Err(error
                .explain(
                    "(The organization is suspended; an administrator can make it active again.)",
                )
                .into());
        }
        Err(error.into())
    }

    /// What the caller sees of the members in scope; `pieces` is the condition for everybody but administrators.
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
/// What lies in a space the caller has a role in, or in an organization where the caller has one of the roles `$org`; `$space` is
/// the column of its guid.
macro_rules! seen_in_spaces {
    ($space:literal, $org:literal) => {
        &[
            concat!(
                $space,
                " IN (SELECT target_guid FROM roles WHERE kind LIKE 'space%' AND user_guid = "
            ),
            concat!(
                ") OR ",
                $space,
                " IN (SELECT s.guid FROM spaces s JOIN roles r ON r.target_guid = s.organization_guid WHERE r.kind IN (",
                $org,
                ") AND r.user_guid = "
            ),
            ")",
        ]
    };
}

/// Visible routes: organization auditors see them too.
pub(crate) const SEEN_ROUTES: &[&str] =
    seen_in_spaces!("t.space_guid", "'org_manager', 'org_auditor'");
/// Visible things that lie in a space (apps, service instances).
pub(crate) const SEEN_IN_SPACES: &[&str] = seen_in_spaces!("t.space_guid", "'org_manager'");
/// Visible service bindings: those of visible service instances.
pub(crate) const SEEN_BINDINGS: &[&str] = seen_in_spaces!("i.space_guid", "'org_manager'");
/// Visible domains: shared ones; private ones to managers and auditors of the organizations that own or were lent them, and to the
/// developers of their spaces.
pub(crate) const SEEN_DOMAINS: &[&str] = &[
    "t.owning_organization_guid IS NULL OR EXISTS (SELECT 1 FROM roles r LEFT JOIN spaces s ON s.guid = r.target_guid \
     WHERE (r.kind IN ('org_manager', 'org_auditor') OR r.kind = 'space_developer') \
     AND (COALESCE(s.organization_guid, r.target_guid) = t.owning_organization_guid OR EXISTS (SELECT 1 FROM domain_shares h \
     WHERE h.domain_guid = t.guid AND h.organization_guid = COALESCE(s.organization_guid, r.target_guid))) AND r.user_guid = ",
    ")",
];
/// Visible space quotas: those of one's organizations.
pub(crate) const SEEN_SPACE_QUOTAS: &[&str] = &[
    "t.organization_guid IN (SELECT target_guid FROM roles WHERE kind LIKE 'org%' AND user_guid = ",
    ")",
];
/// Visible security groups: running defaults, and those of visible spaces.
pub(crate) const SEEN_GROUPS: &[&str] = &[
    "t.running_default = TRUE OR t.guid IN (SELECT g.group_guid FROM security_group_spaces g JOIN spaces s ON s.guid = g.space_guid \
     JOIN roles r ON r.target_guid = s.guid OR (r.kind = 'org_manager' AND r.target_guid = s.organization_guid) \
     WHERE r.user_guid = ",
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
        let route = parts.extensions.get::<MatchedPath>();
        let is_upload = route.is_some_and(|route| is_upload(&parts.method, route.as_str()));
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
    if let Err(error) = ctl.uaa.refresh_rules(Some(token)).await {
        tracing::warn!(%error, "keys and revocations could not be brought up to date; what is known holds");
    }
    let claims = ctl
        .uaa
        .verifier()
        .verify_with_grace(token, grace)
        .map_err(|error| {
            let advice = if error == TokenError::Expired {
                "(It has expired: refresh it, or log in again with cf login.)"
            } else {
                tracing::debug!(%error, "a token was refused");
                "(It is not one of this platform: log in again with cf login.)"
            };
            ApiError::new(Code::InvalidAuthToken).explain(advice)
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

    fn caller(kind: Role, target: &str, suspended: bool) -> Caller {
        Caller {
            guid: "u".into(),
            email: "u".into(),
            admin: false,
            roles: vec![RoleRow {
                kind: kind.word().to_owned(),
                target: target.to_owned(),
                suspended,
            }],
        }
    }

    #[test]
    fn uploads_are_routes_of_the_api_and_nothing_else_is_one() {
        let endpoints = crate::endpoints();
        for (method, path) in UPLOADS {
            let is_it = |known: &crate::Endpoint| known.path == path && known.method == method;
            assert!(endpoints.iter().any(is_it), "{method} {path}");
        }
        let others = endpoints.iter().filter(|known| {
            let method = Method::from_bytes(known.method.as_bytes()).unwrap_or_default();
            is_upload(&method, &known.path)
        });
        assert_eq!(others.count(), UPLOADS.len());
    }

    const ACTIONS: [Action<'static>; 8] = [
        Action::ReadOrg("o"),
        Action::ReadSpace("s", "o"),
        Action::ReadRoute("s", "o"),
        Action::ReadSecrets("s"),
        Action::Develop("s"),
        Action::ManageSpace("s", "o"),
        Action::ManageOrg("o"),
        Action::Administer,
    ];

    /// Role, where, and whether each of [`ACTIONS`] is allowed: typed from the reference. y = yes, - = no.
    const TABLE: [(Role, &str, &str); 9] = [
        (Role::OrgUser, "o", "y-------"),
        (Role::OrgManager, "o", "yyy--yy-"),
        (Role::OrgBillingManager, "o", "y-------"),
        (Role::OrgAuditor, "o", "y-y-----"),
        (Role::SpaceDeveloper, "s", "-yyyy---"),
        (Role::SpaceManager, "s", "-yy--y--"),
        (Role::SpaceAuditor, "s", "-yy-----"),
        (Role::SpaceDeveloper, "other", "--------"),
        (Role::OrgManager, "other", "--------"),
    ];

    fn verdicts(who: &Caller) -> String {
        verdicts_by(RULES, who)
    }

    fn verdicts_by(rules: &[(Role, &[Deed])], who: &Caller) -> String {
        let verdict = |action| if who.may_by(rules, action) { 'y' } else { '-' };
        ACTIONS.map(verdict).iter().collect()
    }

    fn matches_the_table(rules: &[(Role, &[Deed])]) -> bool {
        TABLE.iter().all(|(role, target, expected)| {
            verdicts_by(rules, &caller(*role, target, false)) == *expected
        })
    }

    #[test]
    fn roles_allow_what_the_reference_says_and_nothing_else() {
        for (role, target, expected) in TABLE {
            let got = verdicts(&caller(role, target, false));
            assert_eq!(got, expected, "{role:?} of {target}");
        }
    }

    /// The table above is worth something only if it notices: every rule taken away, and every deed given to a role that lacks it.
    #[test]
    fn one_rule_more_or_less_is_noticed() {
        assert!(matches_the_table(RULES));
        for (at, (role, allowed)) in RULES.iter().enumerate() {
            let target = if role.word().starts_with("org") {
                "o"
            } else {
                "s"
            };
            for action in ACTIONS {
                let (deed, places) = action.parts();
                if !places.contains(&Some(target)) {
                    // A rule for this role could have no effect: the action is not about such a place.
                    assert!(
                        !allowed.contains(&deed),
                        "{role:?} {deed:?} is an idle rule"
                    );
                    continue;
                }
                let mut changed: Vec<Deed> = allowed.to_vec();
                match changed.iter().position(|known| *known == deed) {
                    Some(place) => drop(changed.remove(place)),
                    None => changed.push(deed),
                }
                let mut rules = RULES.to_vec();
                rules[at].1 = &changed;
                assert!(
                    !matches_the_table(&rules),
                    "{role:?} {deed:?} changed unnoticed"
                );
            }
        }
    }

    #[test]
    fn in_a_suspended_organization_reading_is_all_that_is_left() {
        for (role, target, expected) in TABLE {
            let reads: String = expected[..4].to_owned() + "----";
            let who = caller(role, target, true);
            assert_eq!(verdicts(&who), reads, "{role:?} of {target}");
        }
        let manager = caller(Role::OrgManager, "o", true);
        let told = manager.need(Action::ManageOrg("o")).err();
        assert!(told.is_some_and(|f| f.0.description.contains("suspended")));
    }
}

//! Which scopes a token carries. Pure.

/// Scopes that client `cf` may hold, as in the original's client registration.
pub(crate) const CF_SCOPES: &[&str] = &[
    "cloud_controller.read",
    "cloud_controller.write",
    "openid",
    "password.write",
    "scim.userids",
    "cloud_controller.admin",
    "scim.read",
    "scim.write",
    "uaa.user",
    "uaa.admin",
];

/// Groups of every user.
pub(crate) const DEFAULT_GROUPS: &[&str] = &[
    "openid",
    "scim.me",
    "cloud_controller.read",
    "cloud_controller.write",
    "cloud_controller_service_permissions.read",
    "password.write",
    "scim.userids",
    "uaa.user",
    "approvals.me",
    "oauth.approvals",
];

/// Groups an administrator has besides.
pub(crate) const ADMIN_GROUPS: &[&str] = &[
    "cloud_controller.admin",
    "scim.read",
    "scim.write",
    "uaa.admin",
];

/// Scopes of a token: the user's groups that the client may hold, narrowed by what was asked for. An empty wish means all.
///
/// `None` when something was asked for and nothing of it may be given.
pub(crate) fn granted<S: AsRef<str>>(
    allowed: &[S],
    groups: &[String],
    wish: &str,
) -> Option<Vec<String>> {
    let wished: Vec<&str> = wish.split_whitespace().collect();
    let scopes: Vec<String> = groups
        .iter()
        .filter(|group| allowed.iter().any(|scope| scope.as_ref() == group.as_str()))
        .filter(|group| wished.is_empty() || wished.contains(&group.as_str()))
        .cloned()
        .collect();
    (!scopes.is_empty()).then_some(scopes)
}

/// The audiences a set of scopes implies: each scope's name without its last label, and the client.
pub(crate) fn audience(scopes: &[String], client: &str) -> Vec<String> {
    let mut audience = vec![client.to_owned()];
    for scope in scopes {
        let resource = scope
            .rsplit_once('.')
            .map_or(scope.as_str(), |(resource, _)| resource);
        if !audience.iter().any(|known| known == resource) {
            audience.push(resource.to_owned());
        }
    }
    audience
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn groups(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn an_empty_wish_grants_everything_the_client_may_hold() {
        let scopes = granted(CF_SCOPES, &groups(DEFAULT_GROUPS), "").unwrap();
        assert!(scopes.contains(&"cloud_controller.write".to_string()));
        assert!(!scopes.contains(&"approvals.me".to_string()));
        assert!(!scopes.contains(&"cloud_controller.admin".to_string()));
    }

    #[test]
    fn a_wish_beyond_the_groups_grants_nothing() {
        assert_eq!(
            granted(CF_SCOPES, &groups(DEFAULT_GROUPS), "cloud_controller.admin"),
            None
        );
    }

    #[test]
    fn audience_holds_the_controller() {
        let scopes = groups(&["cloud_controller.read", "openid"]);
        assert_eq!(
            audience(&scopes, "cf"),
            ["cf", "cloud_controller", "openid"]
        );
    }
}

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

/// Scopes of a token that is got with an older one: what that was granted, as far as user and client may still hold it, narrowed by what
/// is asked for (RFC 6749 §6). `held` is empty for a session that began before granted scopes were kept: it has all of its user's.
///
/// `None` when something is asked for that was not granted, or nothing is left.
pub(crate) fn narrowed<S: AsRef<str>>(
    allowed: &[S],
    groups: &[String],
    held: &str,
    wish: &str,
) -> Option<Vec<String>> {
    let held_words: Vec<&str> = held.split_whitespace().collect();
    let was_granted = |scope: &str| held_words.is_empty() || held_words.contains(&scope);
    if !wish.split_whitespace().all(was_granted) {
        return None;
    }
    let mut scopes = granted(allowed, groups, wish)?;
    scopes.retain(|scope| was_granted(scope));
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

    /// Some of the scopes there are, by the bits of a number.
    fn some(bits: u16) -> Vec<String> {
        let known = CF_SCOPES
            .iter()
            .chain(["approvals.me", "portal.read"].iter());
        let chosen = known.enumerate().filter(|(at, _)| bits & (1 << at) != 0);
        chosen.map(|(_, scope)| (*scope).to_owned()).collect()
    }

    proptest::proptest! {
        /// Whatever client, user and wishes: no grant gives what was not granted before it, and the user has.
        #[test]
        fn no_grant_widens(allowed: u16, groups: u16, later: u16, wish: u16, further: [u16; 4]) {
            let (allowed, groups, later) = (some(allowed), some(groups), some(later));
            let Some(first) = granted(&allowed, &groups, &some(wish).join(" ")) else {
                return Ok(());
            };
            let within = |scopes: &[String], whole: &[String]| scopes.iter().all(|scope| whole.contains(scope));
            proptest::prop_assert!(within(&first, &groups) && within(&first, &allowed));
            proptest::prop_assert!(wish & 0xfff == 0 || within(&first, &some(wish)));
            for wish in further {
                let wish = some(wish);
                let Some(next) = narrowed(&allowed, &later, &first.join(" "), &wish.join(" ")) else {
                    continue;
                };
                proptest::prop_assert!(within(&next, &first) && within(&next, &later) && within(&next, &allowed));
                proptest::prop_assert!(within(&wish, &first) && (wish.is_empty() || within(&next, &wish)));
            }
        }
    }

    #[test]
    fn asking_for_more_than_was_granted_gives_nothing() {
        let admin = groups(&["openid", "cloud_controller.admin"]);
        let refresh = |held: &str, wish: &str| narrowed(CF_SCOPES, &admin, held, wish);
        assert_eq!(refresh("openid", "cloud_controller.admin"), None);
        assert_eq!(refresh("openid", "openid cloud_controller.admin"), None);
        assert_eq!(refresh("openid", "").unwrap(), ["openid"]);
        assert_eq!(
            refresh("openid scim.read", "scim.read"),
            None,
            "the user has it no more"
        );
        assert_eq!(refresh("", "").unwrap(), admin, "a session of before");
    }
}

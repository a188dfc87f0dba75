//! Sticky sessions: `JSESSIONID` says that there is a session, `__VCAP_ID__` where.

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue, SET_COOKIE};

use crate::table::Endpoint;

const SESSION: &str = "JSESSIONID";
const INSTANCE: &str = "__VCAP_ID__";

/// What a request says about its session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// Instance the session lives on.
    pub instance: Option<String>,
}

/// Reads the two cookies; the instance counts only together with a session.
pub fn session(headers: &HeaderMap) -> Session {
    let has_session = cookie(headers, SESSION).is_some();
    Session {
        instance: cookie(headers, INSTANCE)
            .filter(|_| has_session)
            .map(str::to_owned),
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches('"'))
}

/// The `__VCAP_ID__` cookie for an answer: when the app opens (or ends) a session,
/// or when a session landed on another instance than it asked for.
pub fn set_cookie(
    answer: &HeaderMap,
    asked: &Session,
    endpoint: &Endpoint,
    route: &str,
    always_secure: bool,
) -> Option<HeaderValue> {
    let id = endpoint.instance_id.as_deref()?;
    let opened = answer
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find(|line| names_session(line));
    let moved = asked.instance.as_deref().is_some_and(|asked| asked != id);
    if opened.is_none() && !moved {
        return None;
    }
    let attributes = || {
        opened
            .into_iter()
            .flat_map(|line| line.split(';').skip(1))
            .map(str::trim)
    };
    let secure =
        always_secure || attributes().any(|attribute| attribute.eq_ignore_ascii_case("secure"));
    let ended = attributes().find_map(max_age).filter(|age| *age < 0);
    let path = route.find('/').map_or("/", |at| &route[at..]);
    let age = ended
        .map(|age| format!("; Max-Age={age}"))
        .unwrap_or_default();
    let secure = if secure { "; Secure" } else { "" };
    HeaderValue::from_str(&format!(
        "{INSTANCE}={id}; Path={path}{age}; HttpOnly{secure}"
    ))
    .ok()
}

fn names_session(line: &str) -> bool {
    line.split_once('=')
        .is_some_and(|(name, _)| name.trim() == SESSION)
}

fn max_age(attribute: &str) -> Option<i64> {
    let (name, value) = attribute.split_once('=')?;
    name.trim()
        .eq_ignore_ascii_case("max-age")
        .then(|| value.trim().parse().ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn endpoint(id: Option<&str>) -> Endpoint {
        Endpoint {
            serial: 1,
            address: "h:1".into(),
            app: None,
            instance_id: id.map(Into::into),
            component: None,
        }
    }

    fn answer(cookies: &[&str]) -> HeaderMap {
        cookies
            .iter()
            .map(|line| (SET_COOKIE, line.parse().unwrap()))
            .collect()
    }

    fn request(line: &str) -> HeaderMap {
        [(COOKIE, line.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn an_instance_cookie_counts_only_with_a_session() {
        assert_eq!(
            session(&request("a=b; JSESSIONID=x; __VCAP_ID__=i1"))
                .instance
                .as_deref(),
            Some("i1")
        );
        assert_eq!(session(&request("__VCAP_ID__=i1")).instance, None);
        assert_eq!(
            session(&request("XJSESSIONID=x; __VCAP_ID__=i1")).instance,
            None
        );
    }

    #[test]
    fn the_cookie_follows_the_table() {
        let none = Session::default();
        let on = |id: &str| Session {
            instance: Some(id.into()),
        };
        for (cookies, asked, route, expected) in [
            (
                &["JSESSIONID=x; Path=/"][..],
                &none,
                "a",
                Some("__VCAP_ID__=i1; Path=/; HttpOnly"),
            ),
            (
                &["JSESSIONID=x; secure"][..],
                &none,
                "a",
                Some("__VCAP_ID__=i1; Path=/; HttpOnly; Secure"),
            ),
            (
                &["JSESSIONID=; Max-Age=-1"][..],
                &on("i1"),
                "a",
                Some("__VCAP_ID__=i1; Path=/; Max-Age=-1; HttpOnly"),
            ),
            (
                &["JSESSIONID=x"][..],
                &none,
                "a/v2",
                Some("__VCAP_ID__=i1; Path=/v2; HttpOnly"),
            ),
            (&["other=x"][..], &none, "a", None),
            (&[][..], &on("i1"), "a", None),
            (
                &[][..],
                &on("i0"),
                "a",
                Some("__VCAP_ID__=i1; Path=/; HttpOnly"),
            ),
        ] {
            let got = set_cookie(&answer(cookies), asked, &endpoint(Some("i1")), route, false);
            assert_eq!(
                got.as_ref().map(|value| value.to_str().unwrap()),
                expected,
                "{cookies:?} {asked:?}"
            );
        }
        assert_eq!(
            set_cookie(
                &answer(&["JSESSIONID=x"]),
                &none,
                &endpoint(None),
                "a",
                false
            ),
            None
        );
    }
}

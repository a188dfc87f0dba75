//! Sticky sessions: a session cookie says that there is a session, `__VCAP_ID__` where.

use crate::answer::Answer;
use crate::guard::{Head, Name};
use crate::table::Endpoint;

/// Names of the cookies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// An app opens a session by setting one of these.
    pub sessions: Vec<String>,
    /// The router remembers the instance in this one.
    pub instance: String,
    /// It is marked Secure in any case.
    pub secure: bool,
}

impl Names {
    /// The instance a request's session lives on; it counts only together with a session.
    pub(crate) fn asked(&self, head: &Head, raw: &[u8]) -> Option<String> {
        let instance = cookie(head, raw, |name| name == self.instance)?;
        cookie(head, raw, |name| self.is_session(name)).map(|_| instance.to_owned())
    }

    fn is_session(&self, name: &str) -> bool {
        self.sessions.iter().any(|session| session == name)
    }

    /// The instance cookie for an answer: when the app opens (or ends) a session,
    /// or when a session landed on another instance than it asked for.
    pub(crate) fn answer(
        &self,
        given: (&Answer, &[u8]),
        asked: Option<&str>,
        endpoint: &Endpoint,
        route: &str,
    ) -> Option<String> {
        let id = endpoint.instance_id.as_deref()?;
        let (answer, raw) = given;
        let set = answer.values(raw, Name::SetCookie);
        let opened = set
            .filter_map(|value| std::str::from_utf8(value).ok())
            .find(|line| self.names_session(line));
        let moved = asked.is_some_and(|asked| asked != id);
        if opened.is_none() && !moved {
            return None;
        }
        let attributes = || {
            let parts = opened.into_iter().flat_map(|line| line.split(';').skip(1));
            parts.map(str::trim)
        };
        let marked = |attribute: &str| attribute.eq_ignore_ascii_case("secure");
        let secure = match self.secure || attributes().any(marked) {
            true => "; Secure",
            false => "",
        };
        let ended = attributes().find_map(max_age).filter(|age| *age < 0);
        let age = ended.map_or(String::new(), |age| format!("; Max-Age={age}"));
        let path = route.find('/').map_or("/", |at| &route[at..]);
        let name = &self.instance;
        Some(format!("{name}={id}; Path={path}{age}; HttpOnly{secure}"))
    }

    fn names_session(&self, line: &str) -> bool {
        let name = line.split_once('=').map(|(name, _)| name.trim());
        name.is_some_and(|name| self.is_session(name))
    }
}

fn cookie<'a>(head: &'a Head, raw: &'a [u8], fits: impl Fn(&str) -> bool) -> Option<&'a str> {
    let lines = head
        .values(raw, Name::Cookie)
        .filter_map(|value| std::str::from_utf8(value).ok());
    let mut pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(key, _)| fits(key))
        .map(|(_, value)| value.trim_matches('"'))
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
    use crate::guard::{Limits, judge};

    const LIMITS: Limits = Limits::OF_TESTS;

    fn names() -> Names {
        Names {
            sessions: vec!["JSESSIONID".into(), "sid".into()],
            instance: "__VCAP_ID__".into(),
            secure: false,
        }
    }

    fn asked(line: &str) -> Option<String> {
        let raw = format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {line}\r\n\r\n");
        let head = judge(raw.as_bytes(), LIMITS).unwrap();
        names().asked(&head, raw.as_bytes())
    }

    fn answered(
        cookie: &str,
        asked: Option<&str>,
        id: Option<&str>,
        route: &str,
    ) -> Option<String> {
        let raw = format!("HTTP/1.1 200 OK\r\nSet-Cookie: {cookie}\r\n\r\n");
        let mut answer = Answer::default();
        crate::answer::read(raw.as_bytes(), LIMITS, &mut answer).unwrap();
        let mut endpoint = Endpoint::bare("h:1");
        endpoint.instance_id = id.map(Into::into);
        names().answer((&answer, raw.as_bytes()), asked, &endpoint, route)
    }

    #[test]
    fn an_instance_cookie_counts_only_with_a_session() {
        for (line, expected) in [
            ("a=b; JSESSIONID=x; __VCAP_ID__=i1", Some("i1")),
            ("sid=x; __VCAP_ID__=\"i1\"", Some("i1")),
            ("__VCAP_ID__=i1", None),
            ("XJSESSIONID=x; __VCAP_ID__=i1", None),
        ] {
            assert_eq!(asked(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn the_cookie_follows_the_table() {
        for (cookie, asked, route, expected) in [
            (
                "JSESSIONID=x; Path=/",
                None,
                "a",
                Some("__VCAP_ID__=i1; Path=/; HttpOnly"),
            ),
            (
                "JSESSIONID=x; secure",
                None,
                "a",
                Some("__VCAP_ID__=i1; Path=/; HttpOnly; Secure"),
            ),
            (
                "JSESSIONID=; Max-Age=-1",
                Some("i1"),
                "a",
                Some("__VCAP_ID__=i1; Path=/; Max-Age=-1; HttpOnly"),
            ),
            (
                "JSESSIONID=x",
                None,
                "a/v2",
                Some("__VCAP_ID__=i1; Path=/v2; HttpOnly"),
            ),
            ("other=x", None, "a", None),
            ("other=x", Some("i1"), "a", None),
            (
                "other=x",
                Some("i0"),
                "a",
                Some("__VCAP_ID__=i1; Path=/; HttpOnly"),
            ),
        ] {
            let got = answered(cookie, asked, Some("i1"), route);
            assert_eq!(got.as_deref(), expected, "{cookie} {asked:?}");
        }
        assert_eq!(answered("JSESSIONID=x", None, None, "a"), None);
    }
}

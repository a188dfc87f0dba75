//! What the edge says when it cannot deliver: status, header, and a body that says what to do next.

use std::fmt::Write as _;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::guard::Refusal;
use crate::table::Miss;

/// Everything the edge can answer on its own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody registered this host.
    UnknownRoute,
    /// The router has just started and cannot know all routes yet.
    Learning(Duration),
    /// The route's instances stopped registering, or all of them keep refusing connections.
    NoEndpoints(Duration),
    /// The instances tried could not be reached, or broke off before answering.
    EndpointFailure,
    /// No answer in time.
    Deadline(Duration),
    /// The app has as many requests at a time as it may have.
    Overloaded,
    /// The request has no single meaning, or asks for what is not spoken here.
    Refused(Refusal),
}

impl Verdict {
    /// The verdict over a lookup that found nothing; `wait` is what a client should wait before it asks again.
    pub fn of(miss: Miss, wait: Duration) -> Self {
        match miss {
            Miss::Unknown => Self::UnknownRoute,
            Miss::Learning => Self::Learning(wait),
            Miss::Pruned => Self::NoEndpoints(wait),
            Miss::Exhausted => Self::EndpointFailure,
        }
    }

    /// HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnknownRoute => StatusCode::NOT_FOUND,
            Self::Learning(_) | Self::NoEndpoints(_) | Self::Overloaded => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::EndpointFailure => StatusCode::BAD_GATEWAY,
            Self::Deadline(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Refused(why) => why.status(),
        }
    }

    /// Value of `X-Cf-RouterError`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownRoute => "unknown_route",
            Self::Learning(_) => "router_starting",
            Self::NoEndpoints(_) => "no_endpoints",
            Self::EndpointFailure => "endpoint_failure",
            Self::Deadline(_) => "endpoint_timeout",
            Self::Overloaded => "app_overloaded",
            Self::Refused(_) => "bad_request",
        }
    }

    fn message(&self, host: &str) -> String {
        match self {
            Self::UnknownRoute => {
                format!("404 Not Found: Requested route ('{host}') does not exist.")
            }
            Self::Learning(_) => format!(
                "503 Service Unavailable: The router has just started and does not know '{host}' yet."
            ),
            Self::NoEndpoints(_) => format!(
                "503 Service Unavailable: No instance of '{host}' is reachable at the moment."
            ),
            Self::EndpointFailure => {
                "502 Bad Gateway: Registered endpoint failed to handle the request.".into()
            }
            Self::Deadline(limit) => {
                format!(
                    "504 Gateway Timeout: The app behind '{host}' did not answer within {} s.",
                    limit.as_secs_f64()
                )
            }
            Self::Overloaded => format!(
                "503 Service Unavailable: '{host}' is serving as many requests as it may at a time."
            ),
            Self::Refused(why) => format!("{}: {why}.", why.status()),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::UnknownRoute => {
                "Check the spelling, list your routes with `cf routes`, or map one with `cf map-route`; a stopped app has no route either (`cf apps`)."
            }
            Self::Learning(_) => "Try again in a few seconds: running apps are registering.",
            Self::NoEndpoints(_) => {
                "Its instances may be restarting; see `cf app APP` and `cf logs APP --recent`, then try again."
            }
            Self::EndpointFailure => {
                "The instance refused the connection or broke it off; see `cf logs APP --recent` and `cf events APP`."
            }
            Self::Deadline(_) => {
                "See `cf logs APP --recent`; long work belongs behind an early answer."
            }
            Self::Overloaded => {
                "Try again in a moment; more instances answer sooner (`cf scale APP -i N`)."
            }
            Self::Refused(_) => {
                "Nothing of it reached an app as a complete request; docs/routing.md lists what the edge refuses and why."
            }
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Learning(wait) | Self::NoEndpoints(wait) => Some(*wait),
            Self::Overloaded => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// The whole answer, head and body: JSON when the client prefers it, else text whose first line is the original's.
    pub fn answer(&self, asked: &Asked<'_>) -> (String, String) {
        let host: String = asked
            .host
            .chars()
            .filter(|c| !c.is_control())
            .take(255)
            .collect();
        let id = String::from_utf8_lossy(asked.request_id);
        let message = self.message(&host);
        let (kind, body) = match asked.wants_json() {
            true => {
                let body = json!({"error": self.code(), "description": message, "hint": self.hint(), "request_id": id});
                ("application/json", format!("{body}\n"))
            }
            false => (
                "text/plain; charset=utf-8",
                format!("{message}\n{}\n", self.hint()),
            ),
        };
        let mut head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nX-Cf-RouterError: {}\r\nX-Content-Type-Options: nosniff\r\nX-Vcap-Request-Id: {id}\r\n",
            self.status(),
            body.len(),
            self.code(),
        );
        if let Some(wait) = self.retry_after() {
            // Whole seconds, and never at once. Writing to a string cannot fail.
            let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
            let _ = write!(head, "Retry-After: {seconds}\r\n");
        }
        head.push_str(match (asked.last, asked.old) {
            (true, _) => "Connection: close\r\n\r\n",
            (false, true) => "Connection: keep-alive\r\n\r\n",
            (false, false) => "\r\n",
        });
        (head, body)
    }
}

/// What an answer of our own depends on.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `Accept`.
    pub accept: Option<&'a [u8]>,
    /// The host asked for.
    pub host: &'a str,
    /// `X-Vcap-Request-Id`.
    pub request_id: &'a [u8],
    /// The connection is closed afterwards.
    pub last: bool,
    /// The client speaks HTTP/1.0.
    pub old: bool,
}

impl Asked<'_> {
    fn wants_json(&self) -> bool {
        let accept = self
            .accept
            .and_then(|accept| std::str::from_utf8(accept).ok());
        let kinds = accept.unwrap_or_default().split(',');
        let mut kinds = kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim());
        // Whichever is named first is preferred; browsers name text/html.
        kinds.find_map(|kind| match kind {
            "application/json" => Some(true),
            "text/plain" | "text/html" => Some(false),
            _ => None,
        }) == Some(true)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn answer(verdict: &Verdict, accept: &str) -> (String, String) {
        verdict.answer(&Asked {
            accept: Some(accept.as_bytes()),
            host: "Dora.example.com",
            request_id: b"id-1",
            last: false,
            old: false,
        })
    }

    #[test]
    fn statuses_and_codes_follow_the_table() {
        let wait = Duration::from_millis(2500);
        for (verdict, status, code, retry) in [
            (Verdict::of(Miss::Unknown, wait), 404, "unknown_route", None),
            (
                Verdict::of(Miss::Learning, wait),
                503,
                "router_starting",
                Some("3"),
            ),
            (
                Verdict::of(Miss::Pruned, wait),
                503,
                "no_endpoints",
                Some("3"),
            ),
            (
                Verdict::of(Miss::Exhausted, wait),
                502,
                "endpoint_failure",
                None,
            ),
            (Verdict::Deadline(wait), 504, "endpoint_timeout", None),
            (Verdict::Overloaded, 503, "app_overloaded", Some("1")),
            (
                Verdict::Refused(Refusal::TwoLengths),
                400,
                "bad_request",
                None,
            ),
            (
                Verdict::Refused(Refusal::HeadTooLarge),
                431,
                "bad_request",
                None,
            ),
        ] {
            let (head, body) = answer(&verdict, "*/*");
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(head.contains(&format!("X-Cf-RouterError: {code}\r\n")));
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
            let given = head
                .lines()
                .find_map(|line| line.strip_prefix("Retry-After: "));
            assert_eq!(given, retry, "{code}");
        }
    }

    #[test]
    fn text_starts_with_the_originals_line_and_says_what_to_do() {
        let (_, body) = answer(&Verdict::UnknownRoute, "*/*");
        let mut lines = body.lines();
        assert_eq!(
            lines.next(),
            Some("404 Not Found: Requested route ('Dora.example.com') does not exist.")
        );
        assert!(lines.next().unwrap().contains("cf routes"));
    }

    #[test]
    fn json_is_given_to_those_who_ask_for_it() {
        for (accept, expected) in [
            ("application/json", true),
            ("text/html, application/json", false),
            ("application/json;q=0.9, */*", true),
            ("*/*", false),
        ] {
            let (_, body) = answer(&Verdict::EndpointFailure, accept);
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&body).is_ok(),
                expected,
                "{accept}"
            );
        }
    }
}

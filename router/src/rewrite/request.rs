//! The head of a request as an instance gets it.

use super::{Peer, Trust, upgrade};
use crate::decimal;
use crate::guard::{Framing, Head, Name, Span};
use crate::table::Endpoint;

/// What a request's surroundings add to it.
pub(crate) struct Scene<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) trust: &'a Trust,
    /// The host that the listener stands for.
    pub(crate) fixed_host: Option<&'a str>,
    /// Taken where the id given is not believed.
    pub(crate) fresh_id: &'a str,
    /// Unix time, milliseconds.
    pub(crate) now_ms: u64,
}

/// What the rewritten head says, as positions in it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Said {
    pub(crate) request_id: Span,
    pub(crate) forwarded_for: Span,
    /// Everything up to here is the same for all instances.
    pub(crate) common: usize,
}

/// Writes the head for whichever instance it will be; [`address_to`] ends it.
pub(crate) fn request(out: &mut Vec<u8>, raw: &[u8], head: &Head, scene: &Scene<'_>) -> Said {
    let mut writer = Writer {
        out,
        raw,
        head,
        scene,
        believed: scene.trust.compat || scene.trust.believes(scene.peer.addr.ip()),
    };
    writer.request_line();
    writer.lines_kept();
    writer.host();
    writer.framing();
    let forwarded_for = writer.forwarded_for();
    writer.forwarded();
    let request_id = writer.request_id();
    writer.leaves_http();
    Said {
        request_id,
        forwarded_for,
        common: out.len(),
    }
}

/// Says whom the request is for, and ends the head.
pub(crate) fn address_to(out: &mut Vec<u8>, said: &Said, endpoint: &Endpoint) {
    out.truncate(said.common);
    let app = endpoint.app.as_deref().unwrap_or_default();
    line(out, "X-CF-ApplicationID", app.as_bytes());
    line(out, "X-CF-InstanceID", endpoint.label().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes a header line; control characters cannot end it early.
pub(super) fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) -> Span {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    let from = out.len();
    // All of it is looked at, so that it is looked at many bytes at a time.
    let control = |found: bool, byte: &u8| found | byte.is_ascii_control();
    match value.iter().fold(false, control) {
        false => out.extend_from_slice(value),
        true => out.extend(value.iter().filter(|byte| !byte.is_ascii_control())),
    }
    let value = Span::new(from, out.len());
    out.extend_from_slice(b"\r\n");
    value
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    raw: &'a [u8],
    head: &'a Head,
    scene: &'a Scene<'a>,
    believed: bool,
}

impl Writer<'_> {
    fn has(&self, name: Name) -> bool {
        self.head.fields.iter().any(|field| field.name == name)
    }

    fn request_line(&mut self) {
        self.out.extend_from_slice(self.head.method.of(self.raw));
        self.out.push(b' ');
        let path = self.head.path.of(self.raw);
        if !path.starts_with(b"/") && path != b"*" {
            self.out.push(b'/');
        }
        self.out.extend_from_slice(path);
        self.out.extend_from_slice(b" HTTP/1.1\r\n");
    }

    /// What passes as it came, names and all.
    fn lines_kept(&mut self) {
        for field in &self.head.fields {
            if self.passes(field.name) {
                self.out.extend_from_slice(field.line.of(self.raw));
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    fn passes(&self, name: Name) -> bool {
        let chunked = self.head.framing == Framing::Chunked;
        match name {
            Name::Trailer => chunked,
            // Answered by ourselves, as soon as an instance takes the body.
            Name::Expect => false,
            Name::ForwardedFor | Name::RequestId => false,
            Name::CfApplicationId | Name::CfInstanceId => false,
            Name::Host => self.scene.fixed_host.is_none(),
            Name::ForwardedProto => self.believed,
            Name::ForwardedHost | Name::ForwardedPort => self.believed,
            Name::ClientCertificate => self.believed && !self.scene.peer.listener.certificates,
            name => !name.is_hop_by_hop(),
        }
    }

    /// The one that the listener stands for; an empty one where an old client gave none.
    fn host(&mut self) {
        match self.scene.fixed_host {
            Some(host) => drop(line(self.out, "Host", host.as_bytes())),
            None if !self.has(Name::Host) => {
                let host = self.head.host.unwrap_or_default();
                line(self.out, "Host", host.of(self.raw));
            }
            None => {}
        }
    }

    /// Chunked or not; a length stands among the lines kept.
    fn framing(&mut self) {
        if self.head.framing == Framing::Chunked {
            line(self.out, "Transfer-Encoding", b"chunked");
        }
    }

    /// The client's address behind those that a believed balancer gave.
    fn forwarded_for(&mut self) -> Span {
        self.out.extend_from_slice(b"X-Forwarded-For: ");
        let from = self.out.len();
        if self.believed {
            for before in self.head.values(self.raw, Name::ForwardedFor) {
                self.out.extend_from_slice(before);
                self.out.extend_from_slice(b", ");
            }
        }
        decimal::address(self.out, self.scene.peer.addr.ip().to_canonical());
        let value = Span::new(from, self.out.len());
        self.out.extend_from_slice(b"\r\n");
        value
    }

    fn forwarded(&mut self) {
        let listener = &self.scene.peer.listener;
        let missing = |writer: &Self, name| !(writer.believed && writer.has(name));
        if missing(self, Name::ForwardedProto) {
            line(self.out, "X-Forwarded-Proto", listener.scheme.as_bytes());
        }
        if !self.scene.trust.compat {
            if missing(self, Name::ForwardedHost)
                && let Some(host) = self.head.host
            {
                let host = match self.scene.fixed_host {
                    Some(host) => host.as_bytes(),
                    None => host.of(self.raw),
                };
                line(self.out, "X-Forwarded-Host", host);
            }
            if missing(self, Name::ForwardedPort) {
                self.number("X-Forwarded-Port: ", listener.port.into());
            }
        }
        if !self.has(Name::RequestStart) {
            self.number("X-Request-Start: ", self.scene.now_ms);
        }
        if let Some(certificate) = &self.scene.peer.certificate {
            line(self.out, "X-Forwarded-Client-Cert", certificate.as_bytes());
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        self.out.extend_from_slice(name.as_bytes());
        decimal::number(self.out, value);
        self.out.extend_from_slice(b"\r\n");
    }

    fn request_id(&mut self) -> Span {
        let given = self.head.values(self.raw, Name::RequestId).next();
        let kept = given.filter(|id| self.believed && !self.scene.trust.compat && plausible_id(id));
        let id = kept.unwrap_or(self.scene.fresh_id.as_bytes());
        line(self.out, "X-Vcap-Request-Id", id)
    }

    fn leaves_http(&mut self) {
        if let Some(protocol) = upgrade(self.head, self.raw) {
            line(self.out, "Connection", b"Upgrade");
            line(self.out, "Upgrade", protocol);
        }
    }
}

fn plausible_id(id: &[u8]) -> bool {
    let usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    (1..=128).contains(&id.len()) && id.iter().all(usual)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::guard::{Limits, judge};

    const LIMITS: Limits = Limits::OF_TESTS;

    const GIVEN: &str = "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX-Vcap-Request-Id: theirs\r\n";

    /// What an instance is sent for a request with these lines.
    fn run(from: &str, trust: &Trust, lines: &str) -> String {
        let raw = format!("GET /p HTTP/1.1\r\nHost: a.example.com\r\n{lines}\r\n");
        let head = judge(raw.as_bytes(), LIMITS).unwrap();
        let peer = Peer {
            addr: std::net::SocketAddr::new(from.parse().unwrap(), 1),
            ..Peer::default()
        };
        let scene = Scene {
            peer: &peer,
            trust,
            fixed_host: None,
            fresh_id: "fresh",
            now_ms: 17,
        };
        let mut out = Vec::new();
        let said = request(&mut out, raw.as_bytes(), &head, &scene);
        let id = String::from_utf8(said.request_id.of(&out).to_vec()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(&format!("X-Vcap-Request-Id: {id}\r\n")));
        text
    }

    fn assert_says(text: &str, expected: &[(&str, &str)]) {
        for (name, value) in expected {
            let lines = text.lines().filter_map(|line| line.split_once(": "));
            let values: Vec<&str> = lines
                .filter(|(key, _)| key == name)
                .map(|(_, value)| value)
                .collect();
            assert_eq!(values, [*value], "{name} in {text}");
        }
    }

    #[test]
    fn strangers_are_not_believed() {
        let text = run("203.0.113.7", &Trust::default(), GIVEN);
        assert_says(
            &text,
            &[
                ("X-Forwarded-For", "203.0.113.7"),
                ("X-Forwarded-Proto", "http"),
                ("X-Forwarded-Host", "a.example.com"),
                ("X-Forwarded-Port", "80"),
                ("X-Vcap-Request-Id", "fresh"),
                ("X-Request-Start", "17"),
            ],
        );
    }

    #[test]
    fn balancers_and_loopback_are_believed() {
        let trust = Trust {
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            compat: false,
        };
        for from in ["10.1.2.3", "127.0.0.1", "::ffff:10.1.2.3", "::1"] {
            let text = run(from, &trust, GIVEN);
            assert!(text.contains("X-Forwarded-For: 9.9.9.9, "), "{from}");
            assert_says(
                &text,
                &[
                    ("X-Forwarded-Proto", "https"),
                    ("X-Forwarded-Host", "evil"),
                    ("X-Forwarded-Port", "1"),
                    ("X-Vcap-Request-Id", "theirs"),
                ],
            );
        }
    }

    #[test]
    fn a_believed_peer_that_says_nothing_gets_the_listeners_values() {
        let text = run("127.0.0.1", &Trust::default(), "X-Request-Start: 5\r\n");
        assert_says(
            &text,
            &[
                ("X-Forwarded-For", "127.0.0.1"),
                ("X-Forwarded-Proto", "http"),
                ("X-Request-Start", "5"),
                ("X-Vcap-Request-Id", "fresh"),
            ],
        );
    }

    #[test]
    fn compat_passes_everything_through_but_the_request_id() {
        let trust = Trust {
            networks: vec![],
            compat: true,
        };
        let text = run("203.0.113.7", &trust, GIVEN);
        assert_says(
            &text,
            &[
                ("X-Forwarded-For", "9.9.9.9, 203.0.113.7"),
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "evil"),
                ("X-Vcap-Request-Id", "fresh"),
            ],
        );
    }

    #[test]
    fn an_implausible_request_id_is_replaced_even_from_friends() {
        let lines = "X-Vcap-Request-Id: a b<script>\r\n";
        let text = run("127.0.0.1", &Trust::default(), lines);
        assert_says(&text, &[("X-Vcap-Request-Id", "fresh")]);
    }

    #[test]
    fn only_the_fixed_list_is_removed() {
        let lines = "Connection: x-secret, close\r\nX-Secret: 1\r\nTE: trailers\r\nacCept: */*\r\nExpect: 100-continue\r\n";
        let text = run("127.0.0.1", &Trust::default(), lines);
        assert!(
            text.contains("\r\nX-Secret: 1\r\nacCept: */*\r\n"),
            "{text}"
        );
        for gone in ["Connection", "TE:", "Expect"] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
    }
}

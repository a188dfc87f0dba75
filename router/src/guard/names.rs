//! The header names that mean something to the edge.

/// A header name, recognised whatever its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // Each is the header of its name.
pub enum Name {
    Te,
    Host,
    Accept,
    Cookie,
    Expect,
    Referer,
    Trailer,
    Upgrade,
    Connection,
    KeepAlive,
    SetCookie,
    UserAgent,
    ContentLength,
    CfInstanceId,
    ForwardedFor,
    RequestStart,
    ProxyConnection,
    ForwardedHost,
    ForwardedPort,
    TransferEncoding,
    ForwardedProto,
    RequestId,
    ProxyAuthenticate,
    CfApplicationId,
    ProxyAuthorization,
    ClientCertificate,
    /// None of these.
    Other,
}

type Known = &'static [(&'static [u8], Name)];

/// By length, so that most names are told apart without being read.
fn of_length(length: usize) -> Known {
    match length {
        2 => &[(b"te", Name::Te)],
        4 => &[(b"host", Name::Host)],
        6 => &[
            (b"accept", Name::Accept),
            (b"cookie", Name::Cookie),
            (b"expect", Name::Expect),
        ],
        7 => &[
            (b"referer", Name::Referer),
            (b"trailer", Name::Trailer),
            (b"upgrade", Name::Upgrade),
        ],
        10 => &[
            (b"connection", Name::Connection),
            (b"keep-alive", Name::KeepAlive),
            (b"set-cookie", Name::SetCookie),
            (b"user-agent", Name::UserAgent),
        ],
        14 => &[(b"content-length", Name::ContentLength)],
        15 => &[
            (b"x-cf-instanceid", Name::CfInstanceId),
            (b"x-forwarded-for", Name::ForwardedFor),
            (b"x-request-start", Name::RequestStart),
        ],
        16 => &[
            (b"proxy-connection", Name::ProxyConnection),
            (b"x-forwarded-host", Name::ForwardedHost),
            (b"x-forwarded-port", Name::ForwardedPort),
        ],
        17 => &[
            (b"transfer-encoding", Name::TransferEncoding),
            (b"x-forwarded-proto", Name::ForwardedProto),
            (b"x-vcap-request-id", Name::RequestId),
        ],
        18 => &[
            (b"proxy-authenticate", Name::ProxyAuthenticate),
            (b"x-cf-applicationid", Name::CfApplicationId),
        ],
        19 => &[(b"proxy-authorization", Name::ProxyAuthorization)],
        23 => &[(b"x-forwarded-client-cert", Name::ClientCertificate)],
        _ => &[],
    }
}

impl Name {
    /// Recognises a name.
    pub fn of(name: &[u8]) -> Self {
        let known = of_length(name.len()).iter();
        let mut same = known.filter(|(text, _)| name.eq_ignore_ascii_case(text));
        same.next().map_or(Self::Other, |(_, found)| *found)
    }

    /// True for what concerns only the connection it came on: removed in both directions.
    /// A fixed list, so that a client cannot have other headers removed by naming them.
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::ProxyAuthenticate
                | Self::ProxyAuthorization
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }
}

/// Beginnings of names that only the edge and the platform give.
const OF_THE_EDGE: [&[u8]; 3] = [b"x-forwarded-", b"x-vcap-", b"x-cf-"];
/// Names without a meaning to the edge that must not come after the head (RFC 9110 §6.5.1): what they say of routing, credentials, coding or
/// conditions was acted upon by then.
const OF_A_HEAD: [&[u8]; 28] = [
    b"age",
    b"authentication-info",
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-range",
    b"content-type",
    b"date",
    b"expires",
    b"forwarded",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"location",
    b"max-forwards",
    b"origin",
    b"pragma",
    b"proxy-authentication-info",
    b"range",
    b"retry-after",
    b"strict-transport-security",
    b"vary",
    b"via",
    b"warning",
    b"www-authenticate",
    b"x-real-ip",
];

impl Name {
    /// True for what may come in a trailer: nothing that the head's rewriting judges, in either direction, and nothing that a reader who
    /// takes trailers for headers would act upon.
    pub fn may_trail(name: &[u8]) -> bool {
        let begins = |with: &&[u8]| {
            let start = name.get(..with.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(with))
        };
        let is_of_a_head = |known: &&[u8]| name.eq_ignore_ascii_case(known);
        Name::of(name) == Name::Other
            && !OF_THE_EDGE.iter().any(begins)
            && !OF_A_HEAD.iter().any(is_of_a_head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_stands_under_its_own_length() {
        for length in 0..40 {
            for (text, name) in of_length(length) {
                assert_eq!(text.len(), length);
                assert_eq!(Name::of(&text.to_ascii_uppercase()), *name);
            }
        }
        assert_eq!(Name::of(b"x-secret"), Name::Other);
    }

    #[test]
    fn no_name_that_means_something_to_the_edge_may_trail() {
        for length in 0..40 {
            for (text, _) in of_length(length) {
                assert!(!Name::may_trail(text) && !Name::may_trail(&text.to_ascii_uppercase()));
            }
        }
        for bad in [
            "X-Forwarded-For",
            "x-forwarded-anything",
            "X-Vcap-Request-Id",
            "X-Vcap-",
            "X-CF-InstanceID",
            "x-cf-app-instance",
            "Authorization",
            "Cookie",
            "Set-Cookie",
            "Forwarded",
            "Content-Type",
            "X-Real-IP",
        ] {
            assert!(!Name::may_trail(bad.as_bytes()), "{bad}");
        }
        for good in [
            "X-Sum",
            "Server-Timing",
            "grpc-status",
            "grpc-message",
            "ETag",
            "Digest",
            "x-forwarded",
            "Expires-At",
        ] {
            assert!(Name::may_trail(good.as_bytes()), "{good}");
        }
    }
}

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
}

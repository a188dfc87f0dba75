//! Why connections end, and what their clients are told.

use thiserror::Error;

use crate::protocol::ProtocolError;

/// Why a connection ends. The text is what `-ERR` carries, unless the original closes without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Close {
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error("Authorization Violation")]
    Authorization,
    #[error("Authentication Timeout")]
    AuthTimeout,
    #[error("Stale Connection")]
    Stale,
    #[error("Slow Consumer")]
    SlowConsumer,
    /// All clients together hold too much, and this one the most, as an unfinished message.
    #[error("maximum memory exceeded")]
    Memory,
    #[error("Message Headers Not Supported")]
    HeadersNotSupported,
    #[error("no responders requires headers support")]
    NoRespondersWithoutHeaders,
    #[error("invalid client protocol")]
    ClientProtocol,
    #[error("Secure Connection - TLS Required")]
    TlsRequired,
    #[error("TLS handshake failed")]
    TlsHandshake,
    #[error("maximum connections exceeded")]
    TooManyConnections,
    #[error("Server Shutdown")]
    Shutdown,
    #[error("client closed the connection")]
    Gone,
}

impl Close {
    /// The text of the `-ERR` line, if there is to be one.
    ///
    /// Some client libraries give up for ever over a line they do not know, where after a silent
    /// close they connect again; so this is silent where the original is.
    pub(crate) fn said(self) -> Option<String> {
        let silent = matches!(
            self,
            Self::Gone
                | Self::Shutdown
                | Self::SlowConsumer
                | Self::Memory
                | Self::HeadersNotSupported
                | Self::TlsHandshake
                | Self::Protocol(ProtocolError::BadArguments | ProtocolError::ClientGaveUp)
        );
        (!silent).then(|| self.to_string())
    }
}

//! Why a request is refused, in one table.

use http::StatusCode;
use thiserror::Error;

/// What is wrong with a request. The text is what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[allow(missing_docs)] // The texts say it all.
pub enum Refusal {
    #[error("a line ends in LF without CR")]
    BareLf,
    #[error("a CR stands without LF")]
    BareCr,
    #[error("a control character stands in the head")]
    Control,
    #[error("this is a TLS handshake, and the port speaks plain HTTP")]
    Tls,
    #[error("the request line is not METHOD SP TARGET SP VERSION")]
    RequestLine,
    #[error("the method is not a token of at most 32 characters")]
    Method,
    #[error("the method is not offered here")]
    MethodUnsupported,
    #[error("the request target is not a valid path or URI")]
    Target,
    #[error("the request line exceeds the size limit")]
    TargetTooLong,
    #[error("the version is malformed")]
    Version,
    #[error("only HTTP/1.0 and HTTP/1.1 are spoken on this port")]
    VersionUnsupported,
    #[error("a header name is malformed")]
    FieldName,
    #[error("whitespace stands between a header name and its colon")]
    SpaceBeforeColon,
    #[error("a header line is folded or begins with whitespace")]
    Folded,
    #[error("a header name with underscores imitates one that the platform sets")]
    Lookalike,
    #[error("the head exceeds the size limit")]
    HeadTooLarge,
    #[error("there are too many header lines")]
    TooManyFields,
    #[error("the Host header is missing")]
    HostMissing,
    #[error("there is more than one Host header")]
    HostRepeated,
    #[error("the host is malformed")]
    HostInvalid,
    #[error("the request target names another host than the Host header")]
    HostMismatch,
    #[error("Content-Length is not a plain number")]
    LengthInvalid,
    #[error("there is more than one Content-Length")]
    LengthRepeated,
    #[error("Content-Length and Transfer-Encoding exclude each other")]
    TwoLengths,
    #[error("Transfer-Encoding is repeated or malformed")]
    CodingRepeated,
    #[error("the only transfer coding understood is chunked")]
    CodingUnknown,
    #[error("HTTP/1.0 knows no Transfer-Encoding")]
    CodingOld,
    #[error("the only expectation understood is 100-continue")]
    Expectation,
    #[error("a chunk size is malformed")]
    ChunkSize,
    #[error("a chunk extension is malformed or too long")]
    ChunkExtension,
    #[error("a chunk does not end where its size says")]
    ChunkEnd,
    #[error("a trailer names a header that must not come last")]
    TrailerField,
    #[error("the request body made no progress for too long")]
    BodyStalled,
}

impl Refusal {
    /// Status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::MethodUnsupported | Self::CodingUnknown => StatusCode::NOT_IMPLEMENTED,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge | Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::VersionUnsupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::BodyStalled => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

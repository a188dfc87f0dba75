//! TLS: handshakes and HTTP/2 are done here, on tokio; the requests themselves go the way of
//! all others. A connection is handed to the engine as the inner end of a socket pair, with
//! its client's address, so limits, routing, headers and the log are the same for everybody.

mod certificates;
mod config;
mod http2;
mod listener;

pub use certificates::CertificateError;
pub(crate) use certificates::Certificates;
pub use config::{CertificateFiles, ClientCertificates, TlsConfig};
pub(crate) use listener::{Inside, serve};

//! What the router can be told about TLS.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A TLS listener. HTTP/1.1 and HTTP/2, whichever the client prefers; TLS 1.2 and 1.3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Where clients connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Certificates. A client gets the first that is valid for the name it asks for, else the very
    /// first. The files are read again when they change.
    pub certificates: Vec<CertificateFiles>,
    /// Whether clients shall show certificates.
    #[serde(default)]
    pub client_certificates: ClientCertificates,
    /// PEM file of the authorities that clients' certificates are checked against.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// PEM: the certificate, then those that lead to its authority.
    pub cert_file: PathBuf,
    /// PEM: its private key.
    pub key_file: PathBuf,
}

/// Whether clients shall show certificates. One that was shown and is valid goes to the app as
/// `X-Forwarded-Client-Cert` (base64 of its DER); what clients say there themselves is removed then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    None,
    /// They may.
    Request,
    /// They must.
    Require,
}

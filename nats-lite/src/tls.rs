//! Certificates from files into what rustls needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;

use crate::config::Tls;

/// Why TLS cannot be offered.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A PEM file could not be read.
    #[error("cannot read {what} from {path}: {source}; check the path and that the file is PEM")]
    Read {
        /// `the certificate`, `the private key` or `the authorities`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate, key or authorities do not fit together.
    #[error(
        "certificate, key and authorities do not fit: {0}; check that the key belongs to the certificate"
    )]
    Mismatch(String),
}

/// TLS as the server offers it.
#[derive(Clone)]
pub(crate) struct Offer {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) settings: Tls,
}

impl Offer {
    /// Reads the files.
    pub(crate) fn load(settings: &Tls) -> Result<Self, TlsError> {
        let mismatch = |error: &dyn std::fmt::Display| TlsError::Mismatch(error.to_string());
        let chain = certificates("the certificate", &settings.cert_file)?;
        let key = PrivateKeyDer::from_pem_file(&settings.key_file)
            .map_err(|source| read_error("the private key", &settings.key_file, source))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| mismatch(&error))?;
        let builder = match &settings.ca_file {
            Some(path) if settings.verify || settings.verify_and_map => {
                let roots = Arc::new(authorities(path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .build()
                    .map_err(|error| mismatch(&error))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let config = builder
            .with_single_cert(chain, key)
            .map_err(|error| mismatch(&error))?;
        Ok(Self {
            config: Arc::new(config),
            settings: settings.clone(),
        })
    }

    /// True when clients without TLS are turned away.
    pub(crate) fn required(&self) -> bool {
        !self.settings.allow_non_tls
    }

    /// True when clients must show a certificate.
    pub(crate) fn verifies(&self) -> bool {
        self.settings.verify || self.settings.verify_and_map
    }
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|source| read_error(what, path, source))
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("the authorities", path)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::Mismatch(error.to_string()))?;
    }
    Ok(roots)
}

fn read_error(what: &'static str, path: &Path, source: rustls::pki_types::pem::Error) -> TlsError {
    TlsError::Read {
        what,
        path: path.into(),
        source,
    }
}

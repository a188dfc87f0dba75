//! Certificates: read from files, chosen by name, read again when the files change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use thiserror::Error;

use super::config::{CertificateFiles, ClientCertificates, TlsConfig};

/// Why certificates cannot be used.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file cannot be read, or there is nothing of the kind in it.
    #[error("{path}: {why}; it must be a PEM file with {wanted}")]
    File {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        wanted: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The key cannot be used, or belongs to another certificate.
    #[error("{key_file} is not the key of {cert_file}: {why}")]
    Key {
        /// The certificate.
        cert_file: PathBuf,
        /// The key.
        key_file: PathBuf,
        /// What the library says.
        why: String,
    },
    /// No certificate is configured.
    #[error("tls.certificates is empty; name at least one cert_file with its key_file")]
    Missing,
    /// Client certificates are asked for, but not who vouches for them.
    #[error(
        "tls.client_certificates needs tls.client_ca_file, whose authorities vouch for clients"
    )]
    NoAuthorities,
}

/// The certificates in use. Clones of the `Arc` see a change at once.
pub(crate) struct Certificates {
    files: Vec<CertificateFiles>,
    loaded: RwLock<Loaded>,
}

struct Loaded {
    keys: Vec<Arc<CertifiedKey>>,
    /// When the files were last changed.
    of: Vec<Option<SystemTime>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.files).finish()
    }
}

impl Certificates {
    /// Reads all files.
    pub(crate) fn load(files: &[CertificateFiles]) -> Result<Self, CertificateError> {
        if files.is_empty() {
            return Err(CertificateError::Missing);
        }
        let loaded = RwLock::new(Loaded::read(files)?);
        let files = files.to_vec();
        Ok(Self { files, loaded })
    }

    /// Reads the files again if they have changed. When they cannot be used, the old certificates stay.
    pub(crate) fn refresh(&self) {
        let known = self.read(|loaded| loaded.of.clone());
        if known == changes(&self.files) {
            return;
        }
        match Loaded::read(&self.files) {
            Ok(loaded) => {
                *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
                tracing::info!(
                    certificates = self.files.len(),
                    "certificates were read again"
                );
            }
            Err(error) => {
                tracing::warn!(%error, "changed certificates cannot be used; the old ones stay")
            }
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Loaded) -> T) -> T {
        look(&self.loaded.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn changes(files: &[CertificateFiles]) -> Vec<Option<SystemTime>> {
    let paths = files
        .iter()
        .flat_map(|pair| [&pair.cert_file, &pair.key_file]);
    paths
        .map(|path| {
            std::fs::metadata(path)
                .and_then(|found| found.modified())
                .ok()
        })
        .collect()
}

impl Loaded {
    fn read(files: &[CertificateFiles]) -> Result<Self, CertificateError> {
        // The times first: a change in between is noticed the next time.
        let of = changes(files);
        let keys = files.iter().map(read_pair).collect::<Result<_, _>>()?;
        Ok(Self { keys, of })
    }
}

fn read_pair(files: &CertificateFiles) -> Result<Arc<CertifiedKey>, CertificateError> {
    let chain = read_certificates(&files.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&files.key_file);
    let key = key.map_err(|error| CertificateError::File {
        path: files.key_file.clone(),
        wanted: "a private key",
        why: error.to_string(),
    })?;
    let pair = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
    pair.map(Arc::new).map_err(|error| CertificateError::Key {
        cert_file: files.cert_file.clone(),
        key_file: files.key_file.clone(),
        why: error.to_string(),
    })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let bad = |why: String| CertificateError::File {
        path: path.to_owned(),
        wanted: "certificates",
        why,
    };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))?;
    let found: Vec<_> = found
        .collect::<Result<_, _>>()
        .map_err(|error| bad(error.to_string()))?;
    match found.is_empty() {
        true => Err(bad("there is none".into())),
        false => Ok(found),
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello
            .server_name()
            .and_then(|name| ServerName::try_from(name).ok());
        self.read(|loaded| {
            let fits =
                |key: &&Arc<CertifiedKey>| name.as_ref().is_some_and(|name| is_for(key, name));
            loaded
                .keys
                .iter()
                .find(fits)
                .or(loaded.keys.first())
                .cloned()
        })
    }
}

/// Whether a certificate is valid for a name, wildcards included.
fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let Some(der) = key.cert.first() else {
        return false;
    };
    webpki::EndEntityCert::try_from(der)
        .is_ok_and(|certificate| certificate.verify_is_valid_for_subject_name(name).is_ok())
}

/// Who checks the clients' certificates.
pub(super) fn verifier(
    config: &TlsConfig,
) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    if config.client_certificates == ClientCertificates::None {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let path = config
        .client_ca_file
        .as_ref()
        .ok_or(CertificateError::NoAuthorities)?;
    let mut roots = RootCertStore::empty();
    let bad = |why: String| CertificateError::File {
        path: path.clone(),
        wanted: "certificates of authorities",
        why,
    };
    for certificate in read_certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| bad(error.to_string()))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match config.client_certificates {
        ClientCertificates::Require => builder,
        _ => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| bad(error.to_string()))
}

//! What a test of TLS needs: an authority, certificates, clients that believe them.

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use router::Config;
use router::tls::{CertificateFiles, ClientCertificates, TlsConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Edge;

/// An authority and the directory of what it signed.
pub struct Authority {
    pub dir: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { dir, issuer }
    }

    /// Signs a certificate and writes it with its key.
    pub fn sign(&self, file: &str, name: &str) -> CertificateFiles {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let cert_file = self.dir.path().join(format!("{file}.pem"));
        let key_file = self.dir.path().join(format!("{file}.key"));
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        std::fs::write(&cert_file, certificate.pem()).unwrap();
        CertificateFiles {
            cert_file,
            key_file,
        }
    }

    pub fn tls(
        &self,
        certificates: Vec<CertificateFiles>,
        clients: ClientCertificates,
    ) -> TlsConfig {
        TlsConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            certificates,
            client_certificates: clients,
            client_ca_file: Some(self.dir.path().join("ca.pem")),
        }
    }
}

pub fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

/// A client that believes the authority.
pub fn connector(
    authority: &Authority,
    shows: Option<&CertificateFiles>,
    protocol: &[u8],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shows {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let key = PrivateKeyDer::from_pem_file(&files.key_file).unwrap();
            builder
                .with_client_auth_cert(vec![certificate(&files.cert_file)], key)
                .unwrap()
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
}

pub async fn edge(tls: TlsConfig) -> Edge {
    edge_with(tls, |config| config).await
}

/// A router with a TLS listener, changed as the test wants it.
pub async fn edge_with(tls: TlsConfig, change: impl FnOnce(Config) -> Config) -> Edge {
    Edge::start_with(|config| {
        change(Config {
            tls: Some(tls),
            ..config
        })
    })
    .await
}

pub async fn connect(
    edge: &Edge,
    connector: &TlsConnector,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(edge.router.tls_addr().unwrap()).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    connector.connect(name, stream).await
}

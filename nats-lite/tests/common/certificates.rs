//! Certificates made for one test.

use std::path::{Path, PathBuf};

use nats_lite::config::Tls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// PEM files of an authority, a server and a client whose e-mail address names its user.
pub struct Files(tempfile::TempDir);

impl Files {
    pub fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.renew();
        files
    }

    /// Another authority, and certificates of it under the same names.
    pub fn renew(&self) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(self.path("ca.pem"), authority.pem()).unwrap();
        // Node takes an address for the name localhost.
        let address = SanType::IpAddress("127.0.0.1".parse().unwrap());
        let name = SanType::DnsName("localhost".try_into().unwrap());
        self.issue(&authority, "server", vec![address, name]);
        let email = SanType::Rfc822Name("dea@bloomery.test".try_into().unwrap());
        self.issue(&authority, "client", vec![email]);
    }

    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    /// The server's side of them.
    pub fn tls(&self) -> Tls {
        Tls {
            cert_file: self.path("server.pem"),
            key_file: self.path("server.key"),
            ca_file: Some(self.path("ca.pem")),
            ..Tls::default()
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn issue(&self, authority: &Issuer, name: &str, alternatives: Vec<SanType>) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = alternatives;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

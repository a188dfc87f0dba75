//! TLS as a client library sees it, from the same configuration file on nats-lite and on the original.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use async_nats::ConnectOptions;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// PEM files of an authority, a server and a client whose e-mail address names its user.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(files.path("ca.pem"), authority.pem()).unwrap();
        let address = SanType::IpAddress("127.0.0.1".parse().unwrap());
        files.issue(&authority, "server", address);
        let email = SanType::Rfc822Name("dea@bloomery.test".try_into().unwrap());
        files.issue(&authority, "client", email);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn issue(&self, authority: &Issuer, name: &str, alternative: SanType) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names.push(alternative);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// A configuration in the syntax of the original.
    fn config(&self, tls: &str, rest: &str) -> PathBuf {
        let path = self.path("server.conf");
        let name = |file: &str| self.path(file).display().to_string();
        let text = format!(
            "host: 127.0.0.1\nport: -1\nports_file_dir: {:?}\ntls {{\n  cert_file: {:?}\n  key_file: {:?}\n  ca_file: {:?}\n  {tls}\n}}\n{rest}\n",
            self.0.path().display().to_string(),
            name("server.pem"),
            name("server.key"),
            name("ca.pem"),
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    fn trusting(&self) -> ConnectOptions {
        ConnectOptions::new()
            .add_root_certificates(self.path("ca.pem"))
            .require_tls(true)
    }

    fn with_certificate(&self) -> ConnectOptions {
        self.trusting()
            .add_client_certificate(self.path("client.pem"), self.path("client.key"))
    }
}

/// A server program that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Both servers, as far as this machine has them.
fn programs() -> Vec<PathBuf> {
    let original = common::find_program("nats-server");
    assert!(
        original.is_some() || std::env::var("CI").as_deref() != Ok("true"),
        "CI needs nats-server"
    );
    let ours = PathBuf::from(env!("CARGO_BIN_EXE_nats-lite"));
    std::iter::once(ours).chain(original).collect()
}

fn start(program: &Path, config: &Path) -> (Program, SocketAddr) {
    let child = Command::new(program)
        .arg("-c")
        .arg(config)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut program_running = Program(child);
    let name = program.file_name().unwrap().to_str().unwrap();
    let file = format!("{name}_{}.ports", program_running.0.id());
    let ports = config.with_file_name(file);
    let addr = common::wait_for("the server to say its port", || {
        let ended = program_running.0.try_wait().unwrap();
        assert!(ended.is_none(), "{name} refused the configuration");
        let text = std::fs::read_to_string(&ports).ok()?;
        let port = text.split(':').nth(3)?.split('"').next()?.to_owned();
        Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?)))
    });
    (program_running, addr)
}

async fn connect(options: ConnectOptions, addr: SocketAddr) -> Option<async_nats::Client> {
    let connecting = options.connect(format!("nats://{addr}"));
    let outcome = tokio::time::timeout(common::PATIENCE, connecting).await;
    outcome.expect("no answer in time").ok()
}

async fn echoes(client: &async_nats::Client, payload: usize) {
    use futures_util::StreamExt;
    let mut inbox = client.subscribe("echo").await.unwrap();
    client
        .publish("echo", vec![7; payload].into())
        .await
        .unwrap();
    let message = tokio::time::timeout(common::PATIENCE, inbox.next()).await;
    assert_eq!(message.unwrap().unwrap().payload.len(), payload);
}

#[tokio::test]
async fn tls_is_required_and_carries_messages_of_every_size() {
    let files = Files::new();
    for program in programs() {
        let (_program, addr) = start(&program, &files.config("", ""));
        let client = connect(files.trusting(), addr).await.unwrap();
        for payload in [0, 1, 16_384, 1_000_000] {
            echoes(&client, payload).await;
        }
        let stranger = ConnectOptions::new().require_tls(true);
        assert!(
            connect(stranger, addr).await.is_none(),
            "an unknown authority"
        );
    }
}

#[tokio::test]
async fn where_clients_are_verified_only_a_certificate_opens() {
    let files = Files::new();
    for program in programs() {
        let (_program, addr) = start(&program, &files.config("verify: true", ""));
        echoes(&connect(files.with_certificate(), addr).await.unwrap(), 10).await;
        assert!(connect(files.trusting(), addr).await.is_none());
    }
}

#[tokio::test]
async fn the_name_in_a_certificate_selects_the_user() {
    let files = Files::new();
    let users = "authorization { users: [ { user: \"dea@bloomery.test\", permissions: { publish: echo, subscribe: [echo, \"_INBOX.>\"] } } ] }";
    for program in programs() {
        let (_program, addr) = start(&program, &files.config("verify_and_map: true", users));
        let client = connect(files.with_certificate(), addr).await.unwrap();
        echoes(&client, 10).await;
        assert!(connect(files.trusting(), addr).await.is_none());
    }
    let (_program, addr) = start(
        &programs()[0],
        &files.config("verify_and_map: true", &users.replace("dea@", "cc@")),
    );
    assert!(
        connect(files.with_certificate(), addr).await.is_none(),
        "a certificate of nobody"
    );
}

#[tokio::test]
async fn tls_may_be_optional() {
    let files = Files::new();
    for program in programs() {
        let (_program, addr) = start(&program, &files.config("", "allow_non_tls: true"));
        echoes(&connect(ConnectOptions::new(), addr).await.unwrap(), 10).await;
        echoes(&connect(files.trusting(), addr).await.unwrap(), 10).await;
    }
}

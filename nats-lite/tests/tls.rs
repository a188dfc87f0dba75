//! TLS as a client library sees it, from the same configuration file on nats-lite and on the original.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use async_nats::ConnectOptions;
use common::certificates::Files;

/// The same certificates as both kinds of clients see them.
trait AsOptions {
    fn trusting(&self) -> ConnectOptions;
    fn with_certificate(&self) -> ConnectOptions;
}

impl AsOptions for Files {
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

/// A configuration in the syntax of the original.
fn config(files: &Files, tls: &str, rest: &str) -> PathBuf {
    let path = files.path("server.conf");
    let name = |file: &str| files.path(file).display().to_string();
    let text = format!(
        "host: 127.0.0.1\nport: -1\nports_file_dir: {:?}\ntls {{\n  cert_file: {:?}\n  key_file: {:?}\n  ca_file: {:?}\n  {tls}\n}}\n{rest}\n",
        files.dir().display().to_string(),
        name("server.pem"),
        name("server.key"),
        name("ca.pem"),
    );
    std::fs::write(&path, text).unwrap();
    path
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
    let mut command = Command::new(program);
    command.arg("-c").arg(config);
    run(command, config.parent().unwrap())
}

/// Starts a server that writes its ports file into `dir`.
fn run(mut command: Command, dir: &Path) -> (Program, SocketAddr) {
    let child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut program_running = Program(child);
    let name = Path::new(command.get_program()).file_name().unwrap();
    let name = name.to_str().unwrap();
    let file = format!("{name}_{}.ports", program_running.0.id());
    let ports = dir.join(file);
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
        let (_program, addr) = start(&program, &config(&files, "", ""));
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
        let (_program, addr) = start(&program, &config(&files, "verify: true", ""));
        echoes(&connect(files.with_certificate(), addr).await.unwrap(), 10).await;
        assert!(connect(files.trusting(), addr).await.is_none());
    }
}

#[tokio::test]
async fn the_name_in_a_certificate_selects_the_user() {
    let files = Files::new();
    let users = "authorization { users: [ { user: \"dea@bloomery.test\", permissions: { publish: echo, subscribe: [echo, \"_INBOX.>\"] } } ] }";
    for program in programs() {
        let (_program, addr) = start(&program, &config(&files, "verify_and_map: true", users));
        let client = connect(files.with_certificate(), addr).await.unwrap();
        echoes(&client, 10).await;
        assert!(connect(files.trusting(), addr).await.is_none());
    }
    let (_program, addr) = start(
        &programs()[0],
        &config(
            &files,
            "verify_and_map: true",
            &users.replace("dea@", "cc@"),
        ),
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
        let (_program, addr) = start(&program, &config(&files, "", "allow_non_tls: true"));
        echoes(&connect(ConnectOptions::new(), addr).await.unwrap(), 10).await;
        echoes(&connect(files.trusting(), addr).await.unwrap(), 10).await;
    }
}

#[tokio::test]
async fn a_reload_shows_new_clients_the_new_certificate_and_keeps_the_old_ones() {
    let files = Files::new();
    for program in programs() {
        let (program, addr) = start(&program, &config(&files, "", ""));
        let before = connect(files.trusting(), addr).await.unwrap();
        echoes(&before, 10).await;
        let old_authority = files.path("old-ca.pem");
        std::fs::copy(files.path("ca.pem"), &old_authority).unwrap();
        files.renew();
        let pid = program.0.id().to_string();
        let told = Command::new("kill").args(["-HUP", &pid]).status().unwrap();
        assert!(told.success());
        // Who trusts the new authority only gets in as soon as the new certificate is shown.
        let after = async {
            loop {
                match connect(files.trusting(), addr).await {
                    Some(client) => return client,
                    None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                }
            }
        };
        let after = tokio::time::timeout(common::PATIENCE, after).await.unwrap();
        echoes(&after, 10).await;
        echoes(&before, 10).await;
        let only_old = ConnectOptions::new()
            .add_root_certificates(old_authority)
            .require_tls(true);
        assert!(
            connect(only_old, addr).await.is_none(),
            "the old certificate is still shown"
        );
        assert_eq!(
            before
                .statistics()
                .connects
                .load(std::sync::atomic::Ordering::Relaxed),
            1
        );
    }
}

#[tokio::test]
async fn flags_alone_offer_tls_and_verify_clients() {
    let files = Files::new();
    for program in programs() {
        let mut command = Command::new(&program);
        command.args([
            "-a",
            "127.0.0.1",
            "-p",
            "-1",
            "--tls",
            "--tlsverify",
            "--ports_file_dir",
        ]);
        command.arg(files.dir());
        for (flag, name) in [
            ("--tlscert", "server.pem"),
            ("--tlskey", "server.key"),
            ("--tlscacert", "ca.pem"),
        ] {
            command.arg(flag).arg(files.path(name));
        }
        let (_program, addr) = run(command, files.dir());
        echoes(&connect(files.with_certificate(), addr).await.unwrap(), 10).await;
        assert!(
            connect(files.trusting(), addr).await.is_none(),
            "no certificate"
        );
    }
}

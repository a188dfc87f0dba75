//! What lies on the disk of a token server that runs alone.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::Server;
use tokio::io::AsyncReadExt as _;

/// Whether something stands in any file of a directory.
fn holds(dir: &Path, text: &str) -> bool {
    let files = std::fs::read_dir(dir).unwrap().flatten();
    let read = |file: std::fs::DirEntry| std::fs::read(file.path()).unwrap_or_default();
    files.map(read).any(|bytes| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}

#[tokio::test]
async fn signing_keys_are_sealed_with_a_key_beside_the_database() {
    let server = Server::start().await;
    let login = server.log_in().await;
    let (config, dir) = server.shut_down().await;
    assert!(holds(dir.path(), "sealed:"));
    // How every private key in base64 of PKCS#8 begins.
    assert!(!holds(dir.path(), "MIIEv"), "a key in clear");
    let secrets = dir.path().join("uaa.db.secrets");
    let mode = std::fs::metadata(&secrets).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let store = uaa::store::Store::open(&config).await.unwrap();
    let again = uaa::Uaa::open(store, &config).await.unwrap();
    let token = login["access_token"].as_str().unwrap();
    assert!(
        again.verifier().verify(token).is_ok(),
        "it opens what it sealed"
    );
    drop(again);
}

/// Ends the daemon with the test, however that ends.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program in a directory, with few descriptors and a mask under which everybody reads; and where it listens.
fn program(dir: &Path) -> (Daemon, String) {
    let mut child = Command::new("sh")
        .args([
            "-c",
            "umask 022; ulimit -Sn 100; ulimit -Hn 200; exec \"$0\"",
        ])
        .arg(env!("CARGO_BIN_EXE_uaa"))
        .env("UAA__LISTEN", "127.0.0.1:0")
        .env("UAA__DATABASE", dir.join("uaa.db"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (out, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let daemon = Daemon(child);
    let (sender, said) = std::sync::mpsc::channel();
    let follow = |from: Box<dyn std::io::Read + Send>| {
        let sender = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
    };
    follow(Box::new(out));
    follow(Box::new(errors));
    let patience = std::time::Duration::from_secs(60);
    loop {
        let line = said
            .recv_timeout(patience)
            .expect("the daemon says where it is");
        if let Some((_, after)) = line.split_once("tokens on http://") {
            let end = after.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ':')));
            return (daemon, after[..end.unwrap_or(after.len())].to_owned());
        }
    }
}

#[tokio::test]
async fn the_program_makes_private_files_and_survives_more_silent_connections_than_it_has_descriptors()
 {
    let dir = tempfile::tempdir().unwrap();
    let (daemon, addr) = program(dir.path());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.0.id())).unwrap();
    let descriptors = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = descriptors.unwrap().split_whitespace().nth(3);
    assert_eq!(soft, Some("200"), "raised to the hard limit");

    let mut silent = Vec::new();
    for _ in 0..600 {
        silent.push(tokio::net::TcpStream::connect(&addr).await.unwrap());
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..3 {
        let answer = client.get(format!("http://{addr}/login")).send().await;
        assert_eq!(answer.unwrap().status(), 200);
    }
    let closed = silent[0].read(&mut [0]).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "the oldest is closed");

    for file in std::fs::read_dir(dir.path()).unwrap().flatten() {
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
    }
}

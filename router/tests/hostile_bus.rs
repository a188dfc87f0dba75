//! What anybody may publish reaches a router's reader, on our bus and on the original, and the registrations around it count.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use bus::router::{Endpoint, GREET, Register};
use bus::{Bus, BusConfig};
use common::{PATIENCE, config, exchange, within};

struct Original {
    child: Child,
    _dir: tempfile::TempDir,
}

impl Drop for Original {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The original, if this machine has one; CI has.
async fn original() -> Option<(Original, SocketAddr)> {
    let dir = tempfile::tempdir().unwrap();
    let started = Command::new("/usr/sbin/nats-server")
        .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
        .arg(dir.path())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = started else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI needs nats-server"
        );
        eprintln!("SKIPPED: no nats-server here");
        return None;
    };
    let ports = dir.path().join(format!("nats-server_{}.ports", child.id()));
    let original = Original { child, _dir: dir };
    let read = async {
        loop {
            let text = std::fs::read_to_string(&ports).unwrap_or_default();
            let port = text
                .split(':')
                .nth(3)
                .and_then(|rest| rest.split('"').next());
            if let Some(port) = port.and_then(|port| port.parse().ok()) {
                return SocketAddr::from(([127, 0, 0, 1], port));
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    Some((original, within("the port of the original", read).await))
}

/// Sends `bytes` as a client that the server may cut off for it.
fn strike(addr: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let hello = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n";
    let _ = stream.write_all(&[hello, bytes, b"PING\r\n"].concat());
    let mut answers = Vec::new();
    let mut piece = [0; 4096];
    while !answers.ends_with(b"PONG\r\n") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(read) => answers.extend_from_slice(&piece[..read]),
        }
    }
}

fn hostile() -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    let blocks: [&[u8]; 5] = [
        b"NATS/1.0\r\nA: x\ry\r\n\r\n",
        b"xx",
        b"NATS/1.0\r\n\xff: \xff\r\n\r\n",
        b"NATS/1.0 503\r\n\r\n",
        b"NATS/1.0 x\r\n\r\n",
    ];
    for subject in [
        "router.register",
        "router.unregister",
        GREET,
        "vcap.component.discover",
    ] {
        for block in blocks {
            let head = format!("HPUB {subject} {} {}\r\n", block.len(), block.len() + 2);
            inputs.push([head.as_bytes(), block, b"{}\r\n"].concat());
        }
        let deep = "[".repeat(200_000);
        for body in [
            "",
            "null",
            "[]",
            "{\"host\":1}",
            "{\"host\":\"10.0.0.1\",\"port\":99999999999,\"uris\":[null]}",
            &deep,
        ] {
            inputs.push(format!("PUB {subject} {}\r\n{body}\r\n", body.len()).into_bytes());
        }
        inputs.push([b"PUB ", subject.as_bytes(), b" \xff\xfe 2\r\n{}\r\n"].concat());
        inputs.push(format!("PUB {subject} dea.stop 2\r\n{{}}\r\n").into_bytes());
    }
    inputs
}

async fn hold_out(addr: SocketAddr) {
    let url = format!("nats://{addr}");
    let router = router::start(config(url.clone())).await.unwrap();
    let bus = Bus::connect(&BusConfig::url(url), "registrar")
        .await
        .unwrap();
    within("the bus", bus.wait_connected()).await;
    for (n, input) in hostile().into_iter().enumerate() {
        strike(addr, &input);
        let uri = format!("host-{n}.example.com");
        let endpoint = Endpoint {
            host: "127.0.0.1".into(),
            port: 9,
            uris: vec![uri.clone()],
            ..Endpoint::default()
        };
        bus.publish(&Register(endpoint)).await.unwrap();
        let known = async {
            let ask = "GET /routes HTTP/1.1\r\nHost: status\r\nConnection: close\r\nAuthorization: Basic dTpw\r\n\r\n";
            while !exchange(router.status_addr(), ask)
                .await
                .body
                .contains(&uri)
            {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        within(
            &format!("the registration behind {}", input.escape_ascii()),
            known,
        )
        .await;
    }
    let ask = "GET /healthz HTTP/1.1\r\nHost: status\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(router.status_addr(), ask).await.status, 200);
    // One message each, not one a second: a lost connection would have lost some.
    let greeted: Vec<bus::router::Start> = bus.gather(GREET, &(), 1, PATIENCE).await.unwrap();
    assert_eq!(greeted.len(), 1);
    router.shutdown().await;
}

#[tokio::test]
async fn a_router_on_our_bus_hears_everybody_else() {
    let nats = nats_lite::start(nats_lite::Config::on_free_port())
        .await
        .unwrap();
    hold_out(nats.addr()).await;
}

#[tokio::test]
async fn a_router_on_the_original_hears_everybody_else() {
    let Some((_original, addr)) = original().await else {
        return;
    };
    hold_out(addr).await;
}

/// A router whose bus is not there says so at once, and to balancers until it knows the apps.
#[tokio::test]
async fn without_a_bus_it_is_unhealthy_and_says_why() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let router = router::start(config(format!("nats://{free}")))
        .await
        .unwrap();
    let ask =
        |path: &str| format!("GET {path} HTTP/1.1\r\nHost: status\r\nConnection: close\r\n\r\n");
    let health = exchange(router.status_addr(), &ask("/healthz")).await;
    assert_eq!(health.status, 503);
    let refused = async {
        while !exchange(router.status_addr(), &ask("/healthz"))
            .await
            .body
            .contains("refused")
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    within("the reason", refused).await;
    let for_balancers = exchange(router.status_addr(), &ask("/health")).await;
    assert_eq!(for_balancers.status, 503);
    let monitor =
        "GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: HTTP-Monitor/1.1\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(router.addr(), monitor).await.status, 503);
    router.shutdown().await;
}

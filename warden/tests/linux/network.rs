//! Who reaches whom. All traffic stays on this host.

use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;

use warden::{
    Backend, Container, DnsConfig, LinuxBackend, NetOutRule, PortMapping, ProcessSpec, Protocol,
};

use crate::contract::{fetch, plain_spec, script, started, until};
use crate::{Scratch, config, end_depot, linux, may_run, opened};

const SERVER: &str = "exec python3 -c 'import os,socket
s=socket.socket(); s.bind((\"\", int(os.environ[\"PORT\"]))); s.listen(5); print(\"up\", flush=True)
while True:
    c,_=s.accept(); c.sendall(b\"hello\"); c.close()'";

pub(crate) async fn serve(
    container: &Arc<dyn Container>,
    container_port: Option<u16>,
) -> PortMapping {
    let port = container.net_in(container_port).await.unwrap();
    serve_on(container, port).await;
    port
}

/// A server that says hello; returns once it listens.
pub(crate) async fn serve_on(container: &Arc<dyn Container>, port: PortMapping) -> warden::JobId {
    let mut job = ProcessSpec::script(SERVER);
    job.env = vec![("PORT".into(), port.container_port.to_string())];
    started(container, job).await
}

/// What a container gets from an address: `hello` or the error's name.
pub(crate) async fn try_from_inside(
    container: &Arc<dyn Container>,
    host: &str,
    port: u16,
) -> String {
    let text = format!(
        "python3 -c 'import socket,errno
try:
    print(socket.create_connection((\"{host}\", {port}), 3).recv(9).decode())
except TimeoutError: print(\"timeout\")
except OSError as e: print(errno.errorcode.get(e.errno, str(e)))'"
    );
    script(container, &text).await.1.concat()
}

/// Instance ports are open to everybody.
fn anyone(config: &mut warden::LinuxConfig) {
    config.instance_ports = warden::InstancePorts::Anyone;
}

/// Held by tests that forward packets on the host; alone by the one that stops all
/// forwarding for a while. Every test is a process of its own.
fn forwarding() -> std::fs::File {
    let path = std::env::temp_dir().join("bloomery-test-forwarding.lock");
    std::fs::File::create(path).unwrap()
}

/// An address of the host that is neither loopback nor a container's link.
fn host_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Chooses a route; nothing is sent.
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback()).then(|| ip.to_string())
}

#[tokio::test]
async fn a_port_is_reached_by_loopback_and_by_the_hosts_address() {
    let Some(fixture) = linux().await else { return };
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    let port = serve(&container, Some(80)).await;
    assert_eq!(port.container_port, 80);
    assert_eq!(fetch("127.0.0.1", port.host_port).await, "hello");
    if let Some(address) = host_address() {
        assert_eq!(fetch(&address, port.host_port).await, "hello");
    }
    let info = container.info().await.unwrap();
    assert_eq!(
        fetch(&info.host_ip.to_string(), port.host_port).await,
        "hello"
    );
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

#[tokio::test]
async fn containers_reach_each_other_only_through_an_allowed_host_address() {
    // The control of what `doors` finds closed.
    let Some((_dir, backend)) = opened(anyone).await else {
        return;
    };
    let forwarding = forwarding();
    forwarding.lock_shared().unwrap();
    let server = backend.create(plain_spec()).await.unwrap();
    let client = backend.create(plain_spec()).await.unwrap();
    let port = serve(&server, None).await;
    let direct = server.info().await.unwrap().container_ip.to_string();
    let Some(host) = host_address() else { return };
    assert_eq!(
        try_from_inside(&client, &direct, port.container_port).await,
        "ECONNREFUSED"
    );
    assert_eq!(
        try_from_inside(&client, &host, port.host_port).await,
        "ECONNREFUSED"
    );
    let everything = NetOutRule {
        protocol: Protocol::All,
        destination: "10.0.0.0/8".into(),
        ports: vec![],
        icmp_type: None,
        icmp_code: None,
        log: false,
    };
    let door = NetOutRule {
        protocol: Protocol::Tcp,
        destination: host.clone(),
        ports: vec![(port.host_port, port.host_port)],
        ..everything.clone()
    };
    client.net_out(&[everything, door]).await.unwrap();
    assert_eq!(
        try_from_inside(&client, &host, port.host_port).await,
        "hello"
    );
    assert_eq!(
        try_from_inside(&client, &direct, port.container_port).await,
        "ECONNREFUSED"
    );
    for container in [server, client] {
        backend.destroy(container.handle()).await.unwrap();
    }
}

/// Tries often; then how many packets had to be sent again, by the kernel's count
/// for the container's own network.
const TRY_OFTEN: &str = r#"python3 -c '
import socket, errno
for n in range(20):
    try: socket.create_connection(("192.0.2.99", 81), 10)
    except OSError as e: assert e.errno == errno.ECONNREFUSED, e
rows = [l.split() for l in open("/proc/net/netstat") if l.startswith("TcpExt:")]
print(dict(zip(*rows))["TCPSynRetrans"])
'"#;

#[tokio::test]
async fn every_refusal_is_told_at_once_however_many_there_are() {
    let Some(fixture) = linux().await else { return };
    let forwarding = forwarding();
    forwarding.lock_shared().unwrap();
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    let (_, lines) = script(&container, TRY_OFTEN).await;
    assert_eq!(lines, ["0"]);
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

#[tokio::test]
async fn listeners_of_the_host_are_out_of_reach_unless_allowed() {
    if !may_run() {
        return;
    }
    let listen = || {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            listener
                .incoming()
                .flatten()
                .for_each(|mut s| drop(s.write_all(b"hello")))
        });
        port
    };
    let (open, closed) = (listen(), listen());
    let dir = Scratch::new();
    let depot = dir.depot();
    let config = warden::LinuxConfig {
        allow_host_ports: vec![open],
        ..config(depot.clone())
    };
    let backend = LinuxBackend::open(config).await.unwrap();
    let container = backend.create(plain_spec()).await.unwrap();
    let gateway = container.info().await.unwrap().host_ip.to_string();
    assert_eq!(
        fetch("127.0.0.1", closed).await,
        "hello",
        "the listener works"
    );
    assert_eq!(try_from_inside(&container, &gateway, open).await, "hello");
    let mut addresses = vec![gateway];
    addresses.extend(host_address());
    for address in addresses {
        assert_eq!(
            try_from_inside(&container, &address, closed).await,
            "ECONNREFUSED",
            "{address}"
        );
    }
    backend.destroy(container.handle()).await.unwrap();
    drop(backend);
    end_depot(&depot);
}

#[tokio::test]
async fn names_of_the_platform_resolve_to_the_gateway() {
    if !may_run() {
        return;
    }
    let dir = Scratch::new();
    let depot = dir.depot();
    let dns = DnsConfig {
        domains: vec!["bloomery.test".into()],
        upstreams: vec!["127.0.0.1:9".parse().unwrap()],
    };
    let config = warden::LinuxConfig {
        dns: Some(dns),
        ..config(depot.clone())
    };
    let backend = LinuxBackend::open(config).await.unwrap();
    let container = backend.create(plain_spec()).await.unwrap();
    let gateway = container.info().await.unwrap().host_ip.to_string();
    let text = "getent ahostsv4 App.bloomery.test | head -1 | cut -d' ' -f1; getent hosts $(hostname) | cut -d' ' -f1; getent hosts localhost >/dev/null && echo local";
    let (_, lines) = script(&container, text).await;
    let own = container.info().await.unwrap().container_ip.to_string();
    assert_eq!(lines, [gateway, own, "local".to_owned()]);
    backend.destroy(container.handle()).await.unwrap();
    drop(backend);
    end_depot(&depot);
}

#[tokio::test]
async fn a_container_has_no_ipv6() {
    let Some(fixture) = linux().await else { return };
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    let (_, lines) = script(&container, "cat /proc/net/if_inet6 2>/dev/null | wc -l").await;
    assert_eq!(lines, ["0"]);
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

/// The table that dockerd makes; removed when dropped.
struct DropByPolicy;

impl DropByPolicy {
    fn make() -> Option<Self> {
        let nft = |line: &[&str]| {
            std::process::Command::new("nft")
                .args(line)
                .output()
                .unwrap()
        };
        if nft(&["list", "table", "ip", "filter"]).status.success() {
            let is_ci = std::env::var("CI").as_deref() == Ok("true");
            assert!(!is_ci, "CI=true, but another program has a table ip filter");
            eprintln!(
                "SKIPPED: another program has a table ip filter, which is not ours to change"
            );
            return None;
        }
        let chain = "table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }";
        assert!(nft(&[chain]).status.success());
        Some(Self)
    }
}

impl DropByPolicy {
    /// What a try is answered while nobody has opened the chain.
    async fn unopened<F: Future<Output = String>>(&self, mut attempt: impl FnMut() -> F) -> String {
        let nft = |words: [&str; 5]| {
            let done = std::process::Command::new("nft").args(words).output();
            String::from_utf8_lossy(&done.unwrap().stdout).into_owned()
        };
        for _ in 0..20 {
            nft(["flush", "chain", "ip", "filter", "FORWARD"]);
            let seen = attempt().await;
            let after = nft(["list", "chain", "ip", "filter", "FORWARD"]);
            // The watch may have come meanwhile, which proves nothing.
            if !after.contains("bloomery_") {
                return seen;
            }
        }
        panic!("the chain is opened faster than a connection can be tried");
    }
}

impl Drop for DropByPolicy {
    fn drop(&mut self) {
        let _ = std::process::Command::new("nft")
            .args(["delete", "table", "ip", "filter"])
            .status();
    }
}

#[tokio::test]
async fn a_forward_chain_that_drops_by_policy_is_opened_even_when_it_comes_later() {
    let Some((_dir, backend)) = opened(anyone).await else {
        return;
    };
    let Some(host) = host_address() else { return };
    let server = backend.create(plain_spec()).await.unwrap();
    let client = backend.create(plain_spec()).await.unwrap();
    let port = serve(&server, None).await;
    let door = NetOutRule {
        protocol: Protocol::Tcp,
        destination: host.clone(),
        ports: vec![(port.host_port, port.host_port)],
        icmp_type: None,
        icmp_code: None,
        log: false,
    };
    client.net_out(&[door]).await.unwrap();
    let forwarding = forwarding();
    forwarding.lock().unwrap();
    let Some(chain) = DropByPolicy::make() else {
        return;
    };
    // The control: right after dockerd has come, nothing is forwarded.
    let attempt = || try_from_inside(&client, &host, port.host_port);
    assert_eq!(chain.unopened(attempt).await, "timeout");
    until("the chain is opened", async || attempt().await == "hello").await;
    // dockerd starts anew and puts its own rules on top.
    let above = [
        "insert", "rule", "ip", "filter", "FORWARD", "counter", "drop",
    ];
    let put = std::process::Command::new("nft")
        .args(above)
        .status()
        .unwrap();
    assert!(put.success());
    until("our rules are on top again", async || {
        attempt().await == "hello"
    })
    .await;
    drop(chain);
}

#[tokio::test]
async fn a_port_takes_udp_too() {
    let Some(fixture) = linux().await else { return };
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    let port = container.net_in(None).await.unwrap();
    let mut job = ProcessSpec::script(
        "exec python3 -c 'import os,socket
s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((\"\", int(os.environ[\"PORT\"]))); print(\"up\", flush=True)
while True:
    d,a=s.recvfrom(99); s.sendto(d.upper(), a)'",
    );
    job.env = vec![("PORT".into(), port.container_port.to_string())];
    started(&container, job).await;
    let answer = tokio::task::spawn_blocking(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let patience = std::time::Duration::from_secs(10);
        socket.set_read_timeout(Some(patience)).unwrap();
        socket
            .send_to(b"hello", ("127.0.0.1", port.host_port))
            .unwrap();
        let mut buf = [0u8; 9];
        let (n, _) = socket.recv_from(&mut buf).unwrap();
        String::from_utf8_lossy(&buf[..n]).into_owned()
    });
    assert_eq!(answer.await.unwrap(), "HELLO");
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

#[tokio::test]
async fn the_metadata_address_is_refused_and_the_refusal_is_noted() {
    let Some(fixture) = linux().await else { return };
    let forwarding = forwarding();
    forwarding.lock_shared().unwrap();
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    let seen = try_from_inside(&container, "169.254.169.254", 80).await;
    assert_eq!(seen, "ECONNREFUSED");
    let refused = container.refused().await.unwrap();
    assert!(
        refused
            .iter()
            .any(|r| r.address.to_string() == "169.254.169.254" && r.port == 80),
        "{refused:?}"
    );
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

/// Holds every connection it gets and asks as fast as it can; then says that it is at it.
const GREEDY: &str = r#"exec python3 -c '
import socket, sys, threading
gateway = open("/etc/resolv.conf").read().split()[1]
question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x08bloomery\x04test\0\0\x01\0\x01"
def flood():
    while True:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for n in range(50):
            try: s.sendto(question, (gateway, 53))
            except OSError: pass
threads = [threading.Thread(target=flood, daemon=True) for n in range(2)]
held = []
for n in range(300):
    s = socket.socket(); s.settimeout(1)
    try: s.connect((gateway, 53)); held.append(s)
    except OSError: pass
for t in threads: t.start()
print("up", flush=True)
while True:
    s = socket.socket(); s.settimeout(1)
    try: s.connect((gateway, 53)); held.append(s)
    except OSError: pass
'"#;

/// Asks by both protocols, as resolvers do; how many answers came.
const MODEST: &str = r#"python3 -c '
import socket
gateway = open("/etc/resolv.conf").read().split()[1]
question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x08bloomery\x04test\0\0\x01\0\x01"
good = 0
for n in range(20):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
    s.sendto(question, (gateway, 53))
    good += len(s.recv(512)) > len(question)
    s = socket.create_connection((gateway, 53), 5)
    s.sendall(len(question).to_bytes(2, "big") + question)
    good += len(s.makefile("rb").read()) > len(question) + 2
print(good)
'"#;

#[tokio::test]
async fn a_flood_of_questions_leaves_others_their_names() {
    let names = |config: &mut warden::LinuxConfig| {
        config.dns = Some(DnsConfig {
            domains: vec!["bloomery.test".into()],
            upstreams: vec!["127.0.0.1:9".parse().unwrap()],
        });
    };
    let Some((_dir, backend)) = opened(names).await else {
        return;
    };
    let greedy = backend.create(plain_spec()).await.unwrap();
    let modest = backend.create(plain_spec()).await.unwrap();
    started(&greedy, ProcessSpec::script(GREEDY)).await;
    let (exit, lines) = script(&modest, MODEST).await;
    assert_eq!((exit.code, lines), (0, vec!["40".to_owned()]));
    for container in [greedy, modest] {
        backend.destroy(container.handle()).await.unwrap();
    }
}

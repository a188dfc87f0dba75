//! Who reaches the port of an instance from outside of the host: routers, and nobody else. In a network of the test's own, in which
//! a router and a stranger are hosts.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use warden::{Backend, Container, InstancePorts, LinuxBackend, LinuxConfig, NetOutRule, Protocol};

use crate::contract::{fetch, plain_spec, until};
use crate::network::{serve, try_from_inside};
use crate::{Scratch, config, end_depot, may_run};

/// Set in the process that runs in a network of its own.
const INSIDE: &str = "BLOOMERY_TEST_OWN_NETWORK";
/// This host, as the router and as the stranger know it.
const TO_ROUTER: &str = "192.0.2.1";
const TO_STRANGER: &str = "192.0.2.5";
const ROUTER: &str = "192.0.2.2";
const STRANGER: &str = "192.0.2.6";

/// Runs the test once more in a network namespace that ends with it. True there.
fn in_own_network(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let again = Command::new("unshare")
        .args(["-nm", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status();
    assert!(again.unwrap().success(), "it failed in its own network");
    false
}

fn ip(line: &str) {
    let done = Command::new("ip").args(line.split(' ')).output().unwrap();
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {line}: {error}");
}

/// Another host: a network namespace behind a link.
struct Host(Child);

impl Host {
    fn new(name: &str, ours: &str, theirs: &str) -> Self {
        let child = Command::new("unshare")
            .args(["-n", "sh", "-c", "echo up; exec sleep 600"])
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let mut up = [0; 3];
        let mut said = child.stdout.take().unwrap();
        std::io::Read::read_exact(&mut said, &mut up).unwrap();
        let pid = child.id();
        ip(&format!(
            "link add {name} type veth peer name out netns {pid}"
        ));
        ip(&format!("addr add {ours}/30 dev {name}"));
        ip(&format!("link set {name} up"));
        let host = Self(child);
        host.run(&["ip", "link", "set", "out", "up"]);
        host.run(&["ip", "addr", "add", &format!("{theirs}/30"), "dev", "out"]);
        host.run(&["ip", "route", "add", "default", "via", ours]);
        host
    }

    fn run(&self, command: &[&str]) -> String {
        let pid = self.0.id().to_string();
        let done = Command::new("nsenter")
            .args(["-t", &pid, "-n"])
            .args(command)
            .output();
        String::from_utf8_lossy(&done.unwrap().stdout)
            .trim()
            .to_owned()
    }

    /// What it gets from a port: `hello`, or the error's name.
    fn gets(&self, address: &str, port: u16) -> String {
        let text = format!(
            "import socket,errno
try: print(socket.create_connection((\"{address}\", {port}), 2).recv(9).decode())
except TimeoutError: print(\"timeout\")
except OSError as e: print(errno.errorcode.get(e.errno, str(e)))"
        );
        self.run(&["python3", "-c", &text])
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This host with a router and a stranger beside it.
struct Net {
    router: Host,
    stranger: Host,
}

impl Net {
    fn new() -> Self {
        ip("link set lo up");
        Self {
            router: Host::new("to-router", TO_ROUTER, ROUTER),
            stranger: Host::new("to-stranger", TO_STRANGER, STRANGER),
        }
    }
}

fn quick(dir: &Scratch, change: impl FnOnce(&mut LinuxConfig)) -> LinuxConfig {
    let mut config = LinuxConfig {
        reconcile_seconds: 1,
        ..config(dir.depot())
    };
    change(&mut config);
    config
}

/// A container whose rules let it go everywhere.
async fn free_container(backend: &LinuxBackend) -> Arc<dyn Container> {
    let everywhere = NetOutRule {
        protocol: Protocol::All,
        destination: "0.0.0.0/0".into(),
        ports: vec![],
        icmp_type: None,
        icmp_code: None,
        log: false,
    };
    let container = backend.create(plain_spec()).await.unwrap();
    container.net_out(&[everywhere]).await.unwrap();
    container
}

const REFUSED: &str = "ECONNREFUSED";

#[test]
fn instance_ports_take_connections_from_routers_only() {
    if !may_run() || !in_own_network("doors::instance_ports_take_connections_from_routers_only") {
        return;
    }
    let net = Net::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(routers_only(&net));
}

async fn routers_only(net: &Net) {
    let (dir, other_dir) = (Scratch::new(), Scratch::new());
    let backend = LinuxBackend::open(quick(&dir, |_| ())).await.unwrap();
    let server = backend.create(plain_spec()).await.unwrap();
    let port = serve(&server, None).await;
    let info = server.info().await.unwrap();
    let (gateway, direct) = (info.host_ip.to_string(), info.container_ip.to_string());
    let ours = port.host_port;

    // The host's own processes: a router here, the DEA's checks.
    for address in ["127.0.0.1", TO_ROUTER, &gateway] {
        assert_eq!(fetch(address, ours).await, "hello", "{address}");
    }
    // A router that nobody knows is a stranger.
    assert_eq!(net.router.gets(TO_ROUTER, ours), REFUSED);
    backend
        .allow_routers(&[ROUTER.parse().unwrap()].into())
        .await
        .unwrap();
    assert_eq!(net.router.gets(TO_ROUTER, ours), "hello");
    for address in [TO_STRANGER, TO_ROUTER, &gateway] {
        assert_eq!(net.stranger.gets(address, ours), REFUSED, "{address}");
    }
    // Nor past the port: nothing is forwarded to a container but what was translated.
    assert_eq!(net.stranger.gets(&direct, port.container_port), "timeout");

    // Containers of this DEA and of another one, by every address of the host.
    let other = LinuxBackend::open(quick(&other_dir, |_| ())).await.unwrap();
    for client in [free_container(&backend).await, free_container(&other).await] {
        let own_gateway = client.info().await.unwrap().host_ip.to_string();
        for address in [TO_ROUTER, TO_STRANGER, &gateway, &own_gateway] {
            let got = try_from_inside(&client, address, ours).await;
            assert_eq!(got, REFUSED, "{} by {address}", client.handle());
        }
        // And the app itself through the host: no way back to where one is.
        let to_itself = try_from_inside(&server, TO_ROUTER, ours).await;
        assert_eq!(to_itself, REFUSED);
    }
    drop(other);
    end_depot(&other_dir.depot());

    // What somebody takes out of the packet filter comes back.
    let table = format!("bloomery_{}", backend.tag());
    let flushed = Command::new("nft")
        .args(["flush", "set", "ip", &table, "routers"])
        .status();
    assert!(flushed.unwrap().success());
    until("the router is let in again", async || {
        net.router.gets(TO_ROUTER, ours) == "hello"
    })
    .await;

    // A DEA that starts again cuts nobody off, before it has heard of any router.
    drop(backend);
    let backend = reopened(quick(&dir, |_| ())).await;
    assert_eq!(net.router.gets(TO_ROUTER, ours), "hello");
    assert_eq!(net.stranger.gets(TO_STRANGER, ours), REFUSED);
    assert_eq!(
        backend.allowed_routers().await,
        [ROUTER.parse().unwrap()].into()
    );
    backend.allow_routers(&[].into()).await.unwrap();
    assert_eq!(net.router.gets(TO_ROUTER, ours), REFUSED);

    // Configured networks, which need no word from anybody.
    drop(backend);
    let configured = quick(&dir, |config| config.routers = vec!["192.0.2.4/30".into()]);
    let backend = reopened(configured).await;
    assert_eq!(net.stranger.gets(TO_STRANGER, ours), "hello");
    assert_eq!(net.router.gets(TO_ROUTER, ours), REFUSED);

    // The control: with the flag, everybody is let in.
    drop(backend);
    let open = quick(&dir, |config| config.instance_ports = InstancePorts::Anyone);
    let backend = reopened(open).await;
    assert_eq!(net.stranger.gets(TO_STRANGER, ours), "hello");
    let client = free_container(&backend).await;
    assert_eq!(try_from_inside(&client, TO_ROUTER, ours).await, "hello");
}

/// Background work of the one before may still hold the depot.
async fn reopened(config: LinuxConfig) -> LinuxBackend {
    for _ in 0..1000 {
        match LinuxBackend::open(config.clone()).await {
            Ok(backend) => return backend,
            Err(warden::Error::Served { .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the depot stays locked")
}

//! The story plays the metrics collector: discovers the components over the bus
//! and reads their status pages with the credentials they announced.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::Duration;

use bus::component::{Announce, DISCOVER};
use bus::{Bus, BusConfig};
use tests::binaries::{Daemon, Platform, eventually, may_run};

/// What every component calls itself.
const KINDS: [&str; 6] = [
    "CloudController",
    "DEA",
    "HM9000",
    "Loggregator",
    "Router",
    "UAA",
];

/// Starts a daemon that usually lives inside the controller alone, on the platform's bus.
fn alone(platform: &Platform, name: &str, keys: &str) -> Daemon {
    let settings = platform.settings();
    let config = platform.scratch().join(format!("{name}.yml"));
    let bus = format!(
        "  bus:\n    servers: [\"nats://127.0.0.1:{}\"]\n    user: collector\n    password: {}\n",
        settings["bus_port"], settings["secrets"]["bus-collector"]
    );
    std::fs::write(
        &config,
        format!("listen: 127.0.0.1:0\n{keys}visibility:\n{bus}"),
    )
    .unwrap();
    Daemon::start(name, &config)
}

async fn discover(platform: &Platform) -> BTreeMap<String, Announce> {
    let settings = platform.settings();
    let config = BusConfig {
        servers: vec![format!("nats://127.0.0.1:{}", settings["bus_port"])],
        user: "collector".into(),
        password: settings["secrets"]["bus-collector"]
            .as_str()
            .unwrap()
            .into(),
    };
    let bus = Bus::connect(&config, "collector").await.unwrap();
    bus.wait_connected().await;
    let answers: Vec<Announce> = bus
        .gather(DISCOVER, &(), KINDS.len(), Duration::from_secs(5))
        .await
        .unwrap();
    answers.into_iter().map(|a| (a.kind.clone(), a)).collect()
}

async fn page(component: &Announce, path: &str, password: &str) -> (u16, String) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}{path}", component.host);
    let request = http
        .get(url)
        .basic_auth(&component.credentials.0, Some(password));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn check(component: &Announce) {
    let kind = &component.kind;
    let password = component.credentials.1.as_str();
    let (status, body) = page(component, "/varz", password).await;
    assert_eq!(status, 200, "{kind}");
    let varz: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&varz["type"], &varz["index"]),
        (&kind.as_str().into(), &0.into())
    );
    assert!(
        varz["uptime"].is_string() && varz["mem_bytes"].as_u64() > Some(0),
        "{kind}: {varz}"
    );
    assert_eq!(page(component, "/varz", "wrong").await.0, 401, "{kind}");
    let (status, metrics) = page(component, "/metrics", password).await;
    assert!(
        status == 200 && metrics.contains("process_resident_memory_bytes"),
        "{kind}: {metrics}"
    );
    let (status, health) = page(component, "/healthz", "").await;
    assert_eq!((status, health.trim()), (200, "ok"), "{kind}");
}

#[test]
fn a_collector_finds_every_component_and_reads_its_pages() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let database = platform.scratch().join("uaa.db");
    let _uaa = alone(
        &platform,
        "uaa",
        &format!("database: {}\n", database.display()),
    );
    let _loggregator = alone(&platform, "loggregator", "intake_password: secret\n");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let found = eventually("every component answers the discovery", || {
        let found = runtime.block_on(discover(&platform));
        match KINDS.iter().all(|kind| found.contains_key(*kind)) {
            true => Ok(found),
            false => Err(format!("{:?}", found.keys())),
        }
    });
    for component in found.values() {
        runtime.block_on(check(component));
    }
    // nats.rs#1612 and its kind, from the least of all users to everybody at once.
    strike(&platform);
    let again = eventually("every component answers again", || {
        let found = runtime.block_on(discover(&platform));
        match KINDS.iter().all(|kind| found.contains_key(*kind)) {
            true => Ok(found),
            false => Err(format!("{:?}", found.keys())),
        }
    });
    for (kind, component) in &again {
        runtime.block_on(check(component));
        assert_eq!(component.start, found[kind].start, "{kind} was restarted");
    }
}

/// Publishes what client libraries would not, on a subject that every daemon hears.
fn strike(platform: &Platform) {
    let settings = platform.settings();
    let port = settings["bus_port"].as_u64().unwrap();
    let mut stream = std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream
        .set_read_timeout(Some(tests::binaries::PATIENCE))
        .unwrap();
    let hello = serde_json::json!({
        "verbose": false, "headers": true, "user": "collector", "pass": settings["secrets"]["bus-collector"],
    });
    let mut said = format!("CONNECT {hello}\r\n").into_bytes();
    let blocks: [&[u8]; 6] = [
        b"NATS/1.0\r\nA: x\ry\r\n\r\n",
        b"xx",
        b"NATS/1.0\r\nno colon\r\n\r\n",
        b"NATS/1.0\r\nA: \xff\r\n\r\n",
        b"NATS/1.0 503\r\n\r\n",
        b"NATS/1.0 x\r\n\r\n",
    ];
    for block in blocks {
        let sizes = format!("HPUB {DISCOVER} {} {}\r\n", block.len(), block.len() + 2);
        said.extend_from_slice(sizes.as_bytes());
        said.extend_from_slice(block);
        said.extend_from_slice(b"{}\r\n");
    }
    said.extend_from_slice(format!("PUB {DISCOVER} _INBOX.").as_bytes());
    said.extend_from_slice(b"\xff 2\r\n{}\r\n");
    let deep = "[".repeat(500_000);
    said.extend_from_slice(
        format!("PUB {DISCOVER} {}\r\n{deep}\r\nPING\r\n", deep.len()).as_bytes(),
    );
    stream.write_all(&said).unwrap();
    let mut answers = Vec::new();
    while !answers.ends_with(b"PONG\r\n") {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the bus cut the collector off");
        answers.extend_from_slice(&piece[..read]);
    }
}

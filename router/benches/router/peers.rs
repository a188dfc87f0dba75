//! The three proxies, each with one worker and an access log.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bus::router::{Endpoint, Register};
use bus::{Bus, BusConfig};
use tokio::runtime::Runtime;

use crate::process::{Process, pinned};

/// Routes in our table.
const ROUTES: usize = 10_000;
/// Routes in it at the end.
const MANY_ROUTES: usize = 100_000;
/// Registrations whose way is timed.
const UPDATES: usize = 200;
/// Idle connections whose memory is weighed.
const IDLE: usize = 4_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Haproxy,
    Ours,
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) kind: Kind,
    pub(crate) port: u16,
    pub(crate) process: Process,
    /// Lives as long as the proxy that it tells routes.
    told_by: Option<Registrar>,
}

/// Who tells our router its routes.
pub(crate) struct Registrar {
    bus: Bus,
    backend: u16,
    _nats: nats_lite::Running,
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

impl Proxy {
    pub(crate) fn start(kind: Kind, dir: &Path, backend: u16, runtime: &Runtime) -> Self {
        let port = free_port();
        let (process, told_by) = match kind {
            Kind::Nginx => (nginx(dir, port, backend), None),
            Kind::Haproxy => (haproxy(dir, port, backend), None),
            Kind::Ours => {
                let (process, registrar) = runtime.block_on(ours(dir, port, backend));
                (process, Some(registrar))
            }
        };
        let proxy = Self {
            kind,
            port,
            process,
            told_by,
        };
        proxy.wait();
        proxy
    }

    /// Until it passes a request on.
    fn wait(&self) {
        let began = Instant::now();
        while !ask(self.port).is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{:?} does not answer",
                self.kind
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn ask(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request = "GET /1k HTTP/1.1\r\nHost: app-4711.example.com\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn nginx(dir: &Path, port: u16, backend: u16) -> Process {
    let config = dir.join("nginx.conf");
    let at = dir.display();
    let text = format!(
        "daemon off; worker_processes 1; pid {at}/nginx.pid; error_log {at}/nginx.err;
events {{ worker_connections 10000; }}
http {{
  access_log {at}/nginx.log combined buffer=32k flush=1s;
  keepalive_requests 1000000000;
  proxy_temp_path {at}/t1; client_body_temp_path {at}/t2; fastcgi_temp_path {at}/t3; uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;
  upstream app {{ server 127.0.0.1:{backend}; keepalive 1000; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; }} }}
}}
"
    );
    std::fs::write(&config, text).unwrap();
    let arguments = ["-c", config.to_str().unwrap(), "-e", "/dev/null"];
    pinned(0, "nginx", &arguments, Stdio::null())
}

fn haproxy(dir: &Path, port: u16, backend: u16) -> Process {
    let config = dir.join("haproxy.cfg");
    let text = format!(
        "global\n  nbthread 1\n  maxconn 4000\n  log stdout format raw local0\n
defaults\n  mode http\n  log global\n  option httplog\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  http-reuse always\n
frontend f\n  bind 127.0.0.1:{port}\n  option forwardfor\n  http-request set-header X-Forwarded-Proto http\n  default_backend b\n
backend b\n  server s 127.0.0.1:{backend} pool-max-conn 1000\n"
    );
    std::fs::write(&config, text).unwrap();
    let log = std::fs::File::create(dir.join("haproxy.log")).unwrap();
    pinned(
        0,
        "haproxy",
        &["-db", "-f", config.to_str().unwrap()],
        log.into(),
    )
}

async fn ours(dir: &Path, port: u16, backend: u16) -> (Process, Registrar) {
    let nats = nats_lite::start(nats_lite::Config::on_free_port())
        .await
        .unwrap();
    let config = dir.join("router.json");
    let text = serde_json::json!({
        "listen": format!("127.0.0.1:{port}"),
        "status": {"listen": "127.0.0.1:0", "user": "u", "password": "p"},
        "bus": {"servers": [nats.url()]},
        "threads": 1,
        "stale_threshold": 3600.0,
        "register_interval": 0.1,
        "max_idle_per_endpoint": 1000,
        "access_log": dir.join("router.log"),
    });
    std::fs::write(&config, text.to_string()).unwrap();
    let arguments = ["--config", config.to_str().unwrap()];
    let process = pinned(0, env!("CARGO_BIN_EXE_router"), &arguments, Stdio::null());
    let bus = Bus::connect(&BusConfig::url(nats.url()), "registrar")
        .await
        .unwrap();
    bus.wait_connected().await;
    // The router has to listen before it can be told anything.
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let registrar = Registrar {
        bus,
        backend,
        _nats: nats,
    };
    registrar.tell(0..ROUTES).await;
    (process, registrar)
}

impl Registrar {
    async fn tell(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let message = Register(self.endpoint(number));
            self.bus.publish(&message).await.unwrap();
        }
        self.bus.flush().await.unwrap();
    }

    fn endpoint(&self, number: usize) -> Endpoint {
        let (port, id) = match number {
            4711 => (self.backend, "b".into()),
            // Several routes to an instance, as apps have them.
            _ => (1 + (number % 1000) as u16, format!("i{}", number % 1000)),
        };
        Endpoint {
            host: "127.0.0.1".into(),
            port,
            uris: vec![format!("app-{number}.example.com")],
            app: Some(format!("{number:08}-0000-4000-8000-000000000000")),
            private_instance_id: Some(id),
            ..Endpoint::default()
        }
    }

    /// Repeats registrations at a rate, until cancelled.
    pub(crate) async fn repeat(&self, per_second: usize) {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        for number in (0..MANY_ROUTES).cycle().step_by(per_second / 100) {
            tick.tick().await;
            self.tell(number..number + per_second / 100).await;
        }
    }
}

/// Asks over a connection that stays open; whether the answer was 200.
fn found(stream: &mut TcpStream, host: &str) -> bool {
    let request = format!("HEAD /1k HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    answer.starts_with(b"HTTP/1.1 200")
}

impl Proxy {
    /// From a registration's leaving to the first answer through it.
    pub(crate) async fn time_updates(&self) {
        let mut times = Vec::new();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        for number in 0..UPDATES {
            let host = format!("new-{number}.example.com");
            let mut endpoint = self.registrar().endpoint(4711);
            endpoint.uris = vec![host.clone()];
            let began = Instant::now();
            let bus = &self.registrar().bus;
            bus.publish(&Register(endpoint)).await.unwrap();
            bus.flush().await.unwrap();
            // With a pause: on one core, questions without end would keep the news from being read.
            while !found(&mut stream, &host) {
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
            times.push(began.elapsed());
        }
        times.sort();
        let (half, most) = (times[times.len() / 2], times[times.len() - 1]);
        println!(
            "a registration is in force after {half:?} (median), {most:?} (the slowest of {UPDATES})"
        );
    }

    pub(crate) fn registrar(&self) -> &Registrar {
        self.told_by.as_ref().expect("only ours is told")
    }

    /// Ten times the routes; prints what one costs in memory.
    pub(crate) async fn learn_many_routes(&self) {
        let before = self.process.rss_kb();
        self.registrar().tell(ROUTES..MANY_ROUTES).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let more = self.process.rss_kb().saturating_sub(before);
        let each = more as f64 / (MANY_ROUTES - ROUTES) as f64;
        println!("{MANY_ROUTES} routes: {each:.2} KB for each of the last 90,000");
    }
}

/// What a connection costs that has asked once and waits.
pub(crate) fn idle_connections(proxy: &Proxy) {
    let before = proxy.process.rss_kb();
    let request = b"GET /1k HTTP/1.1\r\nHost: app-4711.example.com\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..IDLE {
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = [0; 4096];
        let mut got = 0;
        while got < 1024 {
            got += stream.read(&mut answer).unwrap();
        }
        open.push(stream);
    }
    let after = proxy.process.rss_kb();
    let each = after.saturating_sub(before) as f64 / IDLE as f64;
    println!("{IDLE} idle client connections: {each:.2} KB each");
}

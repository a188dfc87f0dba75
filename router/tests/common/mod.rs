//! A router on a private bus, a registrar, and instances that do exactly what a test says.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bus::router::{Endpoint, Register, Unregister};
use bus::{Bus, BusConfig};
use component::StatusConfig;
use router::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How long anything may take before the test counts as failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Seconds that a router learns in these tests, unless one says otherwise.
const LEARNING: f64 = 0.001;

/// Bus, router and registrar.
pub struct Edge {
    pub nats: nats_lite::Running,
    pub router: router::Running,
    pub bus: Bus,
}

pub fn config(url: String) -> Config {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        listen: any,
        bus: BusConfig::url(url),
        status: StatusConfig {
            listen: any,
            user: "u".into(),
            password: "p".into(),
        },
        register_interval: Some(LEARNING),
        stale_threshold: Some(600.0),
        prune_interval: Some(0.05),
        drain_timeout: 30.0,
        ..Config::default()
    }
}

impl Edge {
    pub async fn start() -> Self {
        Self::start_with(|config| config).await
    }

    pub async fn start_with(change: impl FnOnce(Config) -> Config) -> Self {
        let nats = nats_lite::start(nats_lite::Config::on_free_port())
            .await
            .unwrap();
        let config = change(config(nats.url()));
        let learns_at_once = config.register_interval == Some(LEARNING);
        let router = router::start(config).await.unwrap();
        let bus = Bus::connect(&BusConfig::url(nats.url()), "registrar")
            .await
            .unwrap();
        within("the bus", bus.wait_connected()).await;
        let edge = Self { nats, router, bus };
        if learns_at_once {
            // Unknown hosts are 503 before.
            within("the end of learning", async {
                while edge.status_page("/health", "").await.status != 200 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
        }
        edge
    }

    /// Registers and waits until the router knows.
    pub async fn register(&self, endpoint: &Endpoint) {
        let address = format!("{}:{}", endpoint.host, endpoint.port);
        within("the registration to arrive", async {
            loop {
                self.bus.publish(&Register(endpoint.clone())).await.unwrap();
                self.bus.flush().await.unwrap();
                if self.routes().await.to_string().contains(&address) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    pub async fn unregister(&self, endpoint: &Endpoint) {
        self.bus
            .publish(&Unregister(endpoint.clone()))
            .await
            .unwrap();
        self.bus.flush().await.unwrap();
    }

    pub async fn routes(&self) -> serde_json::Value {
        let answer = self
            .status_page("/routes", "Authorization: Basic dTpw\r\n")
            .await;
        serde_json::from_str(&answer.body).unwrap()
    }

    pub async fn status_page(&self, path: &str, headers: &str) -> Answer {
        exchange(
            self.router.status_addr(),
            &format!("GET {path} HTTP/1.1\r\nHost: status\r\nConnection: close\r\n{headers}\r\n"),
        )
        .await
    }

    pub async fn get(&self, host: &str, path: &str) -> Answer {
        self.get_with(host, path, "").await
    }

    pub async fn get_with(&self, host: &str, path: &str, headers: &str) -> Answer {
        exchange(
            self.router.addr(),
            &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n"),
        )
        .await
    }

    /// Asks until the answer has this status.
    pub async fn until_status(&self, host: &str, status: u16) -> Answer {
        within(&format!("{host} to answer {status}"), async {
            let ask = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            loop {
                // One that is turned away may be cut off before its answer is read.
                if let Ok(answer) = try_exchange(self.router.addr(), &ask).await
                    && answer.status == status
                {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.router.addr()).await.unwrap()
    }
}

/// An answer as it came, head and body apart.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn parse(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw);
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no head in {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// Sends a request and reads to the end of the connection.
pub async fn exchange(addr: SocketAddr, request: &str) -> Answer {
    try_exchange(addr, request).await.unwrap()
}

/// The same where the connection may be cut off.
pub async fn try_exchange(addr: SocketAddr, request: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut raw = Vec::new();
    within("an answer", stream.read_to_end(&mut raw)).await?;
    if raw.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Answer::parse(&raw))
}

/// Reads until the text so far satisfies the condition.
pub async fn read_until(stream: &mut TcpStream, done: impl Fn(&str) -> bool) -> String {
    let mut raw = Vec::new();
    within("more bytes", async {
        while !done(&String::from_utf8_lossy(&raw)) {
            assert!(
                stream.read_buf(&mut raw).await.unwrap() > 0,
                "closed after {:?}",
                String::from_utf8_lossy(&raw)
            );
        }
    })
    .await;
    String::from_utf8(raw).unwrap()
}

/// Reads one head, up to and including the blank line.
pub async fn read_head(stream: &mut TcpStream) -> String {
    let mut raw = Vec::new();
    within("a head", async {
        while !raw.ends_with(b"\r\n\r\n") {
            raw.push(stream.read_u8().await.unwrap());
        }
    })
    .await;
    String::from_utf8(raw).unwrap()
}

/// A listener whose connections are handed to the test.
pub struct Instance {
    pub port: u16,
    pub connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Instance {
    /// Serves every connection with `serve`.
    pub async fn serving<F, Fut>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let task = tokio::spawn(async move {
            // Dropping the set with the task closes every connection, as the death of a process does.
            let mut open = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream));
            }
        });
        Self {
            port,
            connections,
            task,
        }
    }

    /// Answers every bodyless request with `text`, keeping connections alive; the head is echoed after it when asked.
    pub async fn saying(text: &'static str) -> Self {
        Self::answering(move |_| {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            )
        })
        .await
    }

    /// Answers every bodyless request with what the function makes of its head.
    pub async fn answering(
        answer: impl Fn(&str) -> String + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::serving(move |mut stream| {
            let answer = answer.clone();
            async move {
                let mut head = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    head.push(byte);
                    if head.ends_with(b"\r\n\r\n") {
                        let reply = answer(&String::from_utf8_lossy(&std::mem::take(&mut head)));
                        if stream.write_all(reply.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            }
        })
        .await
    }

    /// Answers without end; says so when it is let go.
    pub async fn pouring(ended: tokio::sync::mpsc::Sender<()>) -> Self {
        Self::serving(move |mut stream| {
            let ended = ended.clone();
            async move {
                read_head(&mut stream).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .await;
                let chunk = format!("10000\r\n{}\r\n", "x".repeat(65536));
                while stream.write_all(chunk.as_bytes()).await.is_ok() {}
                ended.send(()).await.unwrap();
            }
        })
        .await
    }

    /// Answers with the request head as body.
    pub async fn echoing_heads() -> Self {
        Self::answering(|head| {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Odd-CASE: Kept\r\n\r\n{head}",
                head.len()
            )
        })
        .await
    }

    pub fn endpoint(&self, id: &str, uris: &[&str]) -> Endpoint {
        endpoint(self.port, id, uris)
    }

    pub fn kill(&self) {
        self.task.abort();
    }
}

pub fn endpoint(port: u16, id: &str, uris: &[&str]) -> Endpoint {
    Endpoint {
        host: "127.0.0.1".into(),
        port,
        uris: uris.iter().map(ToString::to_string).collect(),
        app: Some("app-guid".into()),
        private_instance_id: Some(id.into()),
        tags: [("component".to_owned(), "dea-0".to_owned())].into(),
        ..Endpoint::default()
    }
}

/// A port where nobody listens.
pub async fn dead_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

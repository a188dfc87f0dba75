//! Both servers with one configuration, and a raw connection for what no client library would send.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bus::{Bus, BusConfig};

pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server of either kind.
pub enum Server {
    Lite(Option<nats_lite::Running>, SocketAddr),
    Original(Original),
}

pub struct Original {
    child: Child,
    addr: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Drop for Original {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Ours and, where there is one, the original; CI has one.
    pub async fn both(config: &str) -> Vec<Self> {
        let mut servers = vec![Self::lite(config, 0).await];
        servers.extend(Self::original(config));
        servers
    }

    pub async fn lite(config: &str, port: u16) -> Self {
        let text = format!(
            "host: 127.0.0.1\nport: {}\n{config}",
            match port {
                0 => -1,
                port => i32::from(port),
            }
        );
        let config = nats_lite::config::parse_original(&text, Path::new("/")).unwrap();
        let running = nats_lite::start(config).await.unwrap();
        let addr = running.addr();
        Self::Lite(Some(running), addr)
    }

    pub fn original(config: &str) -> Option<Self> {
        let program = [
            "/usr/sbin/nats-server",
            "/usr/local/bin/nats-server",
            "/usr/bin/nats-server",
        ]
        .into_iter()
        .find(|path| Path::new(path).is_file());
        if program.is_none() {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "CI needs nats-server"
            );
            eprintln!("SKIPPED: no nats-server here");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bus.conf");
        std::fs::write(&file, config).unwrap();
        let child = Command::new(program?)
            .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
            .arg(dir.path())
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ports = dir.path().join(format!("nats-server_{}.ports", child.id()));
        let mut original = Original {
            child,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            _dir: dir,
        };
        original.addr = wait_for("the original to say its port", || {
            let ended = original.child.try_wait().unwrap();
            assert!(ended.is_none(), "nats-server refused the configuration");
            let ports: serde_json::Value =
                serde_json::from_str(&std::fs::read_to_string(&ports).ok()?).ok()?;
            ports["nats"][0].as_str()?.rsplit("//").next()?.parse().ok()
        });
        Some(Self::Original(original))
    }

    pub fn addr(&self) -> SocketAddr {
        match self {
            Self::Lite(_, addr) => *addr,
            Self::Original(original) => original.addr,
        }
    }

    pub fn url(&self) -> String {
        format!("nats://{}", self.addr())
    }

    pub async fn stop(&mut self) {
        if let Self::Lite(running, _) = self {
            running.take().unwrap().shutdown().await;
        }
    }

    /// Stops and continues the original.
    pub fn signal(&self, signal: &str) {
        let Self::Original(original) = self else {
            panic!("ours runs in this process");
        };
        let pid = original.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    pub async fn client(&self) -> Bus {
        let bus = Bus::connect(&BusConfig::url(self.url()), "test")
            .await
            .unwrap();
        within("the bus", bus.wait_connected()).await;
        bus
    }

    pub fn raw(&self) -> Raw {
        let stream = TcpStream::connect(self.addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut raw = Raw(BufReader::new(stream));
        assert!(raw.line().starts_with("INFO "));
        raw.send(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n");
        raw
    }
}

pub struct Raw(BufReader<TcpStream>);

impl Raw {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Returns once everything sent has been taken, or the server has closed the connection over it.
    pub fn settle(&mut self) {
        if self.0.get_mut().write_all(b"PING\r\n").is_err() {
            return;
        }
        let mut line = Vec::new();
        while self.0.read_until(b'\n', &mut line).unwrap_or(0) > 0 {
            if line.starts_with(b"PONG") {
                return;
            }
            line.clear();
        }
    }
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(what, poll).await;
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

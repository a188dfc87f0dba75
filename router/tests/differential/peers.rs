//! nginx and haproxy, each with several lanes, so that cases do not wait for each other.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::corpus_case::Case;
use super::recorder::{Exchange, Recorder};

/// Cases under way at a time.
const LANES: usize = 24;
/// It ends at once when somebody else has taken one of its ports.
const STARTS: usize = 5;

pub(crate) const ALL: [Peer; 2] = [Peer::Nginx, Peer::Haproxy];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Nginx,
    Haproxy,
}

/// A running peer, killed when dropped.
struct Running {
    child: Child,
    dir: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Waits for all its sockets; false when it has ended instead. A socket that answers may be somebody else's: nginx goes on for
    /// seconds trying to bind that port, with its other sockets open, and writes its pid only once it has them all.
    async fn listens(&mut self, peer: Peer, lanes: &[(Arc<Recorder>, SocketAddr)]) -> bool {
        let pid = self.dir.path().join("pid");
        super::common::within("a peer to listen or to end", async {
            for (_, proxy) in lanes {
                while tokio::net::TcpStream::connect(proxy).await.is_err() {
                    if self.child.try_wait().unwrap().is_some() {
                        return false;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            while peer == Peer::Nginx && !pid.exists() {
                if self.child.try_wait().unwrap().is_some() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            true
        })
        .await
    }
}

/// A peer and the ways through it, each with an instance of its own behind it.
pub(crate) struct Lanes {
    lanes: Vec<(Arc<Recorder>, SocketAddr)>,
    _running: Running,
}

impl Lanes {
    /// Sends all cases through; a peer has said everything when nothing came for so long.
    pub(crate) async fn all(&self, cases: &[Case], quiet: Duration) -> Vec<Exchange> {
        let requests: Arc<Vec<Vec<u8>>> =
            Arc::new(cases.iter().map(|case| case.request.clone()).collect());
        let begun = self
            .lanes
            .iter()
            .cloned()
            .enumerate()
            .map(|(lane, (recorder, proxy))| {
                let requests = requests.clone();
                tokio::spawn(async move {
                    let mut done = Vec::new();
                    for at in (lane..requests.len()).step_by(LANES) {
                        done.push((at, recorder.send(proxy, &requests[at], None, quiet).await));
                    }
                    done
                })
            });
        let mut all = vec![Exchange::default(); cases.len()];
        for lane in begun.collect::<Vec<_>>() {
            for (at, exchange) in lane.await.unwrap() {
                all[at] = exchange;
            }
        }
        all
    }
}

impl Peer {
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    /// Starts it; none when it is not installed.
    pub(crate) async fn start(self) -> Option<Lanes> {
        for _ in 0..STARTS {
            let mut lanes = Vec::new();
            for proxy in free_addresses() {
                lanes.push((Arc::new(Recorder::start().await), proxy));
            }
            let ports: Vec<(u16, u16)> = lanes
                .iter()
                .map(|(recorder, proxy)| (proxy.port(), recorder.port))
                .collect();
            let mut running = self.run(&ports)?;
            if running.listens(self, &lanes).await {
                return Some(Lanes {
                    lanes,
                    _running: running,
                });
            }
        }
        panic!("{} ended by itself {STARTS} times", self.program());
    }

    fn run(self, lanes: &[(u16, u16)]) -> Option<Running> {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("peer.conf");
        let text = match self {
            Self::Nginx => nginx(&dir.path().display().to_string(), lanes),
            Self::Haproxy => haproxy(lanes),
        };
        std::fs::write(&config, text).unwrap();
        let file = config.to_str().unwrap();
        let arguments: &[&str] = match self {
            Self::Nginx => &["-c", file, "-e", "/dev/null"],
            Self::Haproxy => &["-db", "-q", "-f", file],
        };
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let mut command = Command::new(self.program());
        command.args(arguments).env("PATH", path);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Some(Running {
            child: child.ok()?,
            dir,
        })
    }
}

/// Addresses free a moment ago: somebody else may take one before the peer does.
fn free_addresses() -> Vec<SocketAddr> {
    let held: Vec<TcpListener> = (0..LANES)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    held.iter().map(|free| free.local_addr().unwrap()).collect()
}

/// One process, so that killing it ends it; the host as the client said it, as a platform's router would.
fn nginx(dir: &str, lanes: &[(u16, u16)]) -> String {
    let servers: String = lanes
        .iter()
        .map(|(port, backend)| {
            format!(
                "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{backend}; proxy_http_version 1.1;
                 proxy_set_header Connection \"\"; proxy_set_header Host $http_host; }} }}\n"
            )
        })
        .collect();
    format!(
        "daemon off; master_process off; pid {dir}/pid; events {{ }}
         http {{ access_log off; proxy_temp_path {dir}/t1; client_body_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
         uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5; large_client_header_buffers 4 64k; client_max_body_size 0;
         {servers} }}"
    )
}

fn haproxy(lanes: &[(u16, u16)]) -> String {
    let parts: String = lanes
        .iter()
        .map(|(port, backend)| {
            format!("listen l{port}\n  bind 127.0.0.1:{port}\n  server s 127.0.0.1:{backend}\n")
        })
        .collect();
    format!(
        "global\n  maxconn 500\n  tune.bufsize 65536\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 10s\n  timeout server 10s\n  option http-no-delay\n{parts}"
    )
}

//! A small DNS forwarder for containers. The packet filter leads what they send
//! to port 53 of their gateway here. Names below the platform's domains are
//! answered with the gateway, where the router listens; the rest is handed on.
//!
//! `packet` reads and writes what stands in packets; the rest is IO.

#[cfg(test)]
mod fuzzed;
mod packet;
mod places;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::places::Places;
use crate::bounds::{
    DNS_CONNECTIONS, DNS_CONTAINER_CONNECTIONS, DNS_CONTAINER_QUESTIONS, DNS_QUESTION_SECONDS,
    DNS_QUESTIONS,
};
use crate::linux::{Cidr, DnsConfig};
use crate::sys::At;
use crate::{Error, Result};

/// How long one upstream may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// A running forwarder; ends when dropped.
#[derive(Debug)]
pub(crate) struct Forwarder {
    port: u16,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Rules {
    domains: Vec<String>,
    upstreams: Vec<SocketAddr>,
    pool: Cidr,
}

impl Forwarder {
    /// Binds a free port for UDP and TCP and serves both.
    pub(crate) async fn start(config: &DnsConfig, pool: Cidr) -> Result<Self> {
        let upstreams = if config.upstreams.is_empty() {
            host_resolvers()
        } else {
            config.upstreams.clone()
        };
        let domains = config
            .domains
            .iter()
            .map(|d| d.trim_matches('.').to_ascii_lowercase())
            .collect();
        let rules = Arc::new(Rules {
            domains,
            upstreams,
            pool,
        });
        let (udp, tcp) = bind_both().await?;
        let port = udp.local_addr().at("address of the DNS forwarder")?.port();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(Arc::new(udp), rules.clone()));
        tasks.spawn(serve_tcp(tcp, rules));
        Ok(Self {
            port,
            _tasks: tasks,
        })
    }

    /// The port of both sockets.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// One port that is free for both protocols.
async fn bind_both() -> Result<(UdpSocket, TcpListener)> {
    let mut last = None;
    for _ in 0..16 {
        let udp = UdpSocket::bind("0.0.0.0:0")
            .await
            .at("bind the DNS forwarder")?;
        let address = udp.local_addr().at("address of the DNS forwarder")?;
        match TcpListener::bind(address).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(e) => last = Some(e),
        }
    }
    let source = last.unwrap_or_else(|| std::io::Error::other("no port"));
    Err(Error::step("bind the DNS forwarder", source))
}

fn host_resolvers() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let addresses = text.lines().filter_map(|line| {
        line.strip_prefix("nameserver")?
            .trim()
            .parse::<IpAddr>()
            .ok()
    });
    addresses.map(|ip| SocketAddr::new(ip, 53)).collect()
}

async fn serve_udp(socket: Arc<UdpSocket>, rules: Arc<Rules>) {
    let places = Places::new(DNS_CONTAINER_QUESTIONS, DNS_QUESTIONS);
    let mut buf = [0u8; 4096];
    loop {
        let Ok((n, peer)) = socket.recv_from(&mut buf).await else {
            continue;
        };
        // Before it costs anything: strangers have no budget.
        if gateway_of(peer.ip(), rules.pool).is_none() {
            continue;
        }
        let place = places.enter(peer.ip());
        let (question, socket, rules) = (buf[..n].to_vec(), socket.clone(), rules.clone());
        tokio::spawn(place.hold(async move {
            if let Some(answer) = rules.answer(&question, peer.ip(), false).await {
                // The container may be gone.
                let _ = socket.send_to(&answer, peer).await;
            }
        }));
    }
}

async fn serve_tcp(listener: TcpListener, rules: Arc<Rules>) {
    let places = Places::new(DNS_CONTAINER_CONNECTIONS, DNS_CONNECTIONS);
    loop {
        let Ok((mut stream, peer)) = listener.accept().await else {
            // Mostly for want of descriptors: at once it would be the same.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if gateway_of(peer.ip(), rules.pool).is_none() {
            continue;
        }
        let (place, rules) = (places.enter(peer.ip()), rules.clone());
        tokio::spawn(place.hold(async move {
            // One question per connection; a broken connection is its end.
            let _ = timeout(
                4 * PATIENCE,
                one_over_tcp(&mut stream, peer.ip(), &rules, DNS_QUESTION_SECONDS),
            )
            .await;
        }));
    }
}

async fn one_over_tcp(
    stream: &mut TcpStream,
    peer: IpAddr,
    rules: &Rules,
    wait: Duration,
) -> std::io::Result<()> {
    let question = timeout(wait, question_over_tcp(stream)).await??;
    if let Some(answer) = rules.answer(&question, peer, true).await {
        // In one piece: some resolvers read but once.
        let len = (answer.len() as u16).to_be_bytes();
        stream.write_all(&[&len[..], &answer].concat()).await?;
    }
    Ok(())
}

/// A slow sender holds no more memory than it has sent.
async fn question_over_tcp(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let len = stream.read_u16().await?;
    let mut question = Vec::new();
    stream.take(len.into()).read_to_end(&mut question).await?;
    match question.len() == usize::from(len) {
        true => Ok(question),
        false => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

impl Rules {
    async fn answer(&self, question: &[u8], peer: IpAddr, tcp: bool) -> Option<Vec<u8>> {
        let gateway = gateway_of(peer, self.pool)?;
        // Nothing else is handed on: the upstream takes it for the host's.
        if !packet::is_query(question) {
            return None;
        }
        if let Some(asked) = packet::read(question)
            && self.domains.iter().any(|domain| asked.is_below(domain))
        {
            return Some(packet::own_answer(question, &asked, gateway));
        }
        for upstream in &self.upstreams {
            let asked = async {
                if tcp {
                    ask_tcp(*upstream, question).await
                } else {
                    ask_udp(*upstream, question).await
                }
            };
            if let Ok(Ok(answer)) = timeout(PATIENCE, asked).await {
                return Some(answer);
            }
        }
        Some(packet::failure(question))
    }
}

async fn ask_udp(upstream: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let any: SocketAddr = if upstream.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(upstream).await?;
    socket.send(question).await?;
    let mut buf = vec![0u8; 4096];
    loop {
        let n = socket.recv(&mut buf).await?;
        // Another number: an answer to somebody else, or a forgery.
        if n >= 12 && buf[..2] == question[..2] {
            buf.truncate(n);
            return Ok(buf);
        }
    }
}

async fn ask_tcp(upstream: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(upstream).await?;
    stream.write_u16(question.len() as u16).await?;
    stream.write_all(question).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// The host's end of the asking container's link; `None` for strangers.
fn gateway_of(peer: IpAddr, pool: Cidr) -> Option<Ipv4Addr> {
    let IpAddr::V4(peer) = peer else { return None };
    let peer = u32::from(peer);
    let inside =
        u64::from(peer) >= u64::from(pool.base) && u64::from(peer - pool.base) < pool.size();
    inside.then(|| Ipv4Addr::from((peer & !3) + 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn silence_ends_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for sent in [&b""[..], &[0], &[0, 40], &[0, 40, 1, 2, 3]] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(sent).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let rules = Rules {
                domains: Vec::new(),
                upstreams: Vec::new(),
                pool: Cidr::parse("10.254.0.0/20").unwrap(),
            };
            let ended =
                one_over_tcp(&mut stream, address.ip(), &rules, Duration::from_millis(20)).await;
            assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        }
    }

    #[test]
    fn strangers_have_no_gateway() {
        let pool = Cidr::parse("10.254.0.0/20").unwrap();
        let gateway = |ip: &str| gateway_of(ip.parse().unwrap(), pool);
        assert_eq!(gateway("10.254.1.6"), Some(Ipv4Addr::new(10, 254, 1, 5)));
        assert_eq!(gateway("10.254.16.2"), None);
        assert_eq!(gateway("127.0.0.1"), None);
    }
}

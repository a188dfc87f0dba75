//! The TLS listener: handshake, then the protocol that both sides agreed on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use component::Tasks;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::certificates::{self, CertificateError, Certificates};
use super::config::{ClientCertificates, TlsConfig};
use super::http2;
use crate::engine::{Engine, Place, Places, Shared};
use crate::rewrite::{Listener, Peer};

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The way inside: to the engine, and what is needed to get there.
#[derive(Clone)]
pub(crate) struct Inside {
    pub(crate) engine: Engine,
    pub(crate) places: Places,
    pub(crate) shared: Arc<Shared>,
    /// Finish what is open, take nothing new.
    pub(crate) stop: CancellationToken,
    pub(crate) connections: TaskTracker,
}

impl Inside {
    /// A connection to the engine on behalf of a client.
    pub(super) fn open(&self, peer: &Peer, place: Option<Place>) -> std::io::Result<UnixStream> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let theirs = mio::net::UnixStream::from_std(theirs);
        self.engine.join(theirs, peer.clone(), place);
        UnixStream::from_std(ours)
    }
}

/// What a handshake is done with.
///
/// # Errors
/// When files cannot be read or do not fit each other.
fn acceptor(
    config: &TlsConfig,
    certificates: Arc<Certificates>,
) -> Result<TlsAcceptor, CertificateError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("the provider has what TLS 1.2 and 1.3 need");
    let mut server = builder
        .with_client_cert_verifier(certificates::verifier(config)?)
        .with_cert_resolver(certificates);
    server.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}

/// Serves a listener until it is told to stop.
///
/// # Errors
/// When certificates cannot be used.
pub(crate) fn serve(
    listener: TcpListener,
    config: &TlsConfig,
    certificates: Arc<Certificates>,
    inside: Inside,
    tasks: &Tasks,
) -> Result<(), CertificateError> {
    let acceptor = acceptor(config, certificates)?;
    let door = Listener {
        port: listener.local_addr().map_or(0, |addr| addr.port()),
        scheme: "https",
        certificates: config.client_certificates != ClientCertificates::None,
        spoken: None,
    };
    let token = tasks.token();
    tasks.spawn_service("TLS listener", async move {
        loop {
            tokio::select! {
                () = inside.stop.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, addr)) => admit(stream, addr, door, &acceptor, &inside),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a TLS connection; trying again in a moment");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        drop((listener, inside));
        token.cancelled().await;
    });
    Ok(())
}

fn admit(
    stream: TcpStream,
    addr: SocketAddr,
    door: Listener,
    acceptor: &TlsAcceptor,
    inside: &Inside,
) {
    let Ok(place) = inside.places.enter(addr.ip(), &inside.shared.trust) else {
        // Saying why would cost a handshake, which is what there are too many of.
        tracing::debug!(%addr, "too many connections");
        return;
    };
    let (acceptor, inside) = (acceptor.clone(), inside.clone());
    let connections = inside.connections.clone();
    connections.spawn(async move {
        let limit = inside.shared.times.header;
        let shaken = timeout(limit, acceptor.accept(stream)).await;
        match shaken {
            Ok(Ok(stream)) => talk(stream, addr, door, place, inside).await,
            Ok(Err(error)) => tracing::debug!(%addr, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(%addr, "a TLS handshake took too long"),
        }
    });
}

async fn talk(
    mut stream: TlsStream<TcpStream>,
    addr: SocketAddr,
    door: Listener,
    place: Place,
    inside: Inside,
) {
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().and_then(<[_]>::first);
    let peer = Peer {
        addr,
        certificate: shown.map(|der| STANDARD.encode(der).into()),
        listener: door,
    };
    if session.alpn_protocol() == Some(HTTP2) {
        return http2::serve(stream, peer, place, inside).await;
    }
    match inside.open(&peer, Some(place)) {
        Ok(mut inner) => {
            // Either side may end it at any time; the other one is told by the close.
            let _ = copy_bidirectional(&mut stream, &mut inner).await;
            let _ = stream.shutdown().await;
        }
        Err(error) => tracing::warn!(%error, "a TLS connection cannot be handed over"),
    }
}

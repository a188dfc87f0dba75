//! One accept loop for every HTTP service: header timeout, upgrades, graceful end.
//! `axum::serve` installs no timer, so a client that never finishes its headers
//! would hold a connection, and a shutdown, for ever.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tower::Layer;

use crate::Tasks;

/// How long a client may take for its request head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long open requests may finish after the stop signal.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// Serves `app` on a bound listener until the daemon's tasks are stopped. The
/// peer's address is available as `ConnectInfo<SocketAddr>`.
pub fn serve(listener: TcpListener, app: Router, tasks: &Tasks) {
    let token = tasks.token();
    tasks.spawn_graceful(async move {
        let graceful = GracefulShutdown::new();
        loop {
            tokio::select! {
                () = token.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => serve_one(stream, peer, app.clone(), &graceful),
                    Err(error) => pause_after(error).await,
                },
            }
        }
        drop(listener);
        let _ = tokio::time::timeout(DRAIN_LIMIT, graceful.shutdown()).await;
    });
}

fn serve_one(stream: TcpStream, peer: SocketAddr, app: Router, graceful: &GracefulShutdown) {
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(axum::Extension(ConnectInfo(peer)).layer(app));
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    let connection = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .into_owned();
    let watched = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = watched.await {
            tracing::debug!(%peer, %error, "connection ended early");
        }
    });
}

/// Out of descriptors and the like: other connections must finish first.
async fn pause_after(error: std::io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

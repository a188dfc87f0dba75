//! Whether a started app is ready. Only the connect is tested, as in the original.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

/// Why an app is not healthy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unhealthy {
    /// Nothing listens on the port.
    #[error("failed to accept connections within health check timeout")]
    NotListening,
}

/// Connects to the port until it answers or `limit` is over.
pub async fn port_opens(
    ip: IpAddr,
    port: u16,
    step: Duration,
    limit: Duration,
) -> Result<(), Unhealthy> {
    let deadline = Instant::now() + limit;
    let addr = SocketAddr::new(ip, port);
    while Instant::now() < deadline {
        if let Ok(Ok(_)) = timeout_at(deadline, TcpStream::connect(addr)).await {
            return Ok(());
        }
        sleep(step).await;
    }
    Err(Unhealthy::NotListening)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn an_open_port_is_healthy_and_a_closed_one_is_not() {
        let listener = tokio::net::TcpListener::bind((HERE, 0))
            .await
            .expect("bind");
        let port = listener.local_addr().expect("addr").port();
        let step = Duration::from_millis(5);
        assert_eq!(
            port_opens(HERE, port, step, Duration::from_secs(5)).await,
            Ok(())
        );
        drop(listener);
        let closed = port_opens(HERE, port, step, Duration::from_millis(50)).await;
        assert_eq!(closed, Err(Unhealthy::NotListening));
    }
}

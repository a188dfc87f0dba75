//! Websockets by way of the HTTP client, so that ws and wss use the same TLS, proxies
//! and certificates as every other request.

use std::time::Duration;

use reqwest::StatusCode;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The token is not accepted (any more).
    #[error("the log server does not accept the token\nTIP: Use `cf login` to log in.")]
    Token,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Opens a websocket on a `ws://` or `wss://` URL.
pub async fn open(url: &str, token: &str) -> Result<WebSocketStream<reqwest::Upgraded>, Refused> {
    let other = |e: reqwest::Error| Refused::Other(e.without_url().to_string());
    // No limit for the whole: a log is followed for as long as somebody looks.
    let http = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .build()
        .map_err(other)?;
    let key = generate_key();
    let answer = http
        .get(url.replacen("ws", "http", 1))
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", &key)
        .header("origin", "http://localhost")
        .header("authorization", token)
        .send()
        .await
        .map_err(other)?;
    match answer.status() {
        StatusCode::SWITCHING_PROTOCOLS => {}
        StatusCode::UNAUTHORIZED => return Err(Refused::Token),
        status => return Err(Refused::Other(format!("HTTP status {}", status.as_u16()))),
    }
    let accepted = answer.headers().get("sec-websocket-accept");
    if accepted.is_none_or(|a| a.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err(Refused::Other("the answer is no websocket's".into()));
    }
    let upgraded = answer.upgrade().await.map_err(other)?;
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await)
}

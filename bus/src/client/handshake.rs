//! From an address to a connection that the server has accepted.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::{Address, Credentials};
use super::parser::{Info, Op, Parser, ProtocolError};

/// How long all of it may take, the name's resolution included.
const LIMIT: Duration = Duration::from_secs(3);

/// A byte stream, in the clear or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// A server that waits for our subscriptions.
pub(super) struct Link {
    pub(super) stream: Pin<Box<dyn Stream>>,
    pub(super) parser: Parser,
    pub(super) info: Info,
}

/// Why a server cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("no address for that name: {0}")]
    Resolve(#[source] io::Error),
    #[error("connect: {0}")]
    Dial(#[source] io::Error),
    #[error("it closed the connection before saying what it is")]
    NoInfo,
    #[error("it does not speak the NATS protocol: {0}")]
    Protocol(#[from] ProtocolError),
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
    #[error("no answer within {LIMIT:?}")]
    Timeout,
}

/// Connects and introduces the client. Whether the server takes the credentials shows with its first answer.
pub(super) async fn connect(
    address: &Address,
    fallback: &Credentials,
    name: &str,
) -> Result<Link, HandshakeError> {
    let attempt = async {
        let mut stream = dial(address).await?;
        let mut parser = Parser::default();
        let info = read_info(&mut stream, &mut parser).await?;
        if info.tls_required || address.tls {
            // What was read in the clear before is of no meaning now.
            parser = Parser::default();
            stream = encrypted(stream, &address.tls_name).await?;
        }
        let credentials = match &address.credentials {
            Credentials::None => fallback,
            own => own,
        };
        let hello = introduction(&info, address.tls, credentials, name);
        let sent = stream.write_all(hello.as_bytes()).await;
        sent.map_err(HandshakeError::Io)?;
        Ok(Link {
            stream,
            parser,
            info,
        })
    };
    tokio::time::timeout(LIMIT, attempt)
        .await
        .unwrap_or(Err(HandshakeError::Timeout))
}

async fn dial(address: &Address) -> Result<Pin<Box<dyn Stream>>, HandshakeError> {
    let found = tokio::net::lookup_host((address.host.as_str(), address.port)).await;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for socket in found.map_err(HandshakeError::Resolve)? {
        match TcpStream::connect(socket).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(Box::pin(stream));
            }
            Err(error) => last = error,
        }
    }
    Err(HandshakeError::Dial(last))
}

async fn read_info(
    stream: &mut Pin<Box<dyn Stream>>,
    parser: &mut Parser,
) -> Result<Info, HandshakeError> {
    loop {
        match parser.next()? {
            Some(Op::Info(info)) => return Ok(*info),
            Some(_) => {}
            None => {
                let read = stream.read_buf(parser.buffer()).await;
                if read.map_err(HandshakeError::Io)? == 0 {
                    return Err(HandshakeError::NoInfo);
                }
            }
        }
    }
}

async fn encrypted(
    stream: Pin<Box<dyn Stream>>,
    name: &str,
) -> Result<Pin<Box<dyn Stream>>, HandshakeError> {
    let refused = |e: &dyn std::fmt::Display| HandshakeError::Tls(io::Error::other(e.to_string()));
    let name = ServerName::try_from(name.to_owned()).map_err(|e| refused(&e))?;
    let config = tls_config().map_err(|e| refused(&e))?;
    let stream = TlsConnector::from(config).connect(name, stream).await;
    Ok(Box::pin(stream.map_err(HandshakeError::Tls)?))
}

/// Trusts the system's certificates, or those that `SSL_CERT_FILE` names.
fn tls_config() -> Result<Arc<ClientConfig>, rustls::Error> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}

/// The CONNECT line.
fn introduction(info: &Info, tls: bool, credentials: &Credentials, name: &str) -> String {
    let mut hello = json!({
        "verbose": false,
        "pedantic": false,
        "tls_required": tls || info.tls_required,
        "name": name,
        "lang": "rust",
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": 1,
        "echo": true,
        // Only for the server's word that nobody listens; header blocks are not read.
        "headers": info.headers,
        "no_responders": info.headers,
    });
    match credentials {
        Credentials::None => {}
        Credentials::User { user, password } => {
            hello["user"] = json!(user);
            hello["pass"] = json!(password);
        }
        Credentials::Token(token) => hello["auth_token"] = json!(token),
    }
    format!("CONNECT {hello}\r\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn hello(info: &Info, credentials: &Credentials) -> serde_json::Value {
        let line = introduction(info, false, credentials, "dea-0");
        let body = line.strip_prefix("CONNECT ").unwrap();
        serde_json::from_str(body.trim_end()).unwrap()
    }

    #[test]
    fn the_introduction_follows_what_the_server_can() {
        let old = hello(&Info::default(), &Credentials::None);
        assert_eq!(old["headers"], false);
        assert_eq!(old["no_responders"], false);
        assert!(old.get("user").is_none());
        let info = Info {
            headers: true,
            ..Info::default()
        };
        let user = Credentials::User {
            user: "dea".into(),
            password: "a \"quoted\" one".into(),
        };
        let new = hello(&info, &user);
        assert_eq!(new["headers"], true);
        assert_eq!(
            (&new["user"], &new["pass"]),
            (&json!("dea"), &json!("a \"quoted\" one"))
        );
        assert_eq!(
            hello(&info, &Credentials::Token("t".into()))["auth_token"],
            "t"
        );
    }
}

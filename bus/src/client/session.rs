//! One connection from its first subscription to its end.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::address::{Address, Pool};
use super::handshake::Link;
use super::parser::{Message, Op, Parser, ProtocolError};
use super::state::Shared;

/// An idle server is asked this often whether it is still there.
const PING_PERIOD: Duration = Duration::from_millis(500);
/// A server that has not answered for this long is given up.
const PING_LIMIT: Duration = Duration::from_secs(6);

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error("the server closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error("{0}")]
    Refused(String),
    #[error("the server has not answered for {PING_LIMIT:?}")]
    Silent,
}

/// Runs until the connection ends.
pub(super) async fn run(
    link: Link,
    shared: &Shared,
    pool: &mut Pool,
    address: &Address,
) -> SessionError {
    let Link {
        stream,
        parser,
        info,
    } = link;
    let (reader, writer) = tokio::io::split(stream);
    pool.announced(&info.connect_urls, address);
    let ready = shared.open(info.max_payload);
    let mut reading = Reading {
        shared,
        pool,
        address,
        last_error: None,
    };
    let announce = async {
        if ready.await.is_ok() {
            shared.connected();
            tracing::info!(server = address.display(), "connected to the message bus");
        }
        std::future::pending::<SessionError>().await
    };
    tokio::select! {
        error = reading.run(reader, parser) => error,
        error = write(writer, shared) => error,
        error = watch(shared) => error,
        error = announce => error,
    }
}

struct Reading<'a> {
    shared: &'a Shared,
    pool: &'a mut Pool,
    address: &'a Address,
    /// The server says why, and then closes.
    last_error: Option<String>,
}

impl Reading<'_> {
    async fn run(
        &mut self,
        mut reader: impl AsyncRead + Unpin,
        mut parser: Parser,
    ) -> SessionError {
        loop {
            loop {
                match parser.next() {
                    Ok(Some(op)) => self.take(op),
                    Ok(None) => break,
                    Err(error) => return error.into(),
                }
            }
            match reader.read_buf(parser.buffer()).await {
                Ok(1..) => {}
                Ok(0) => return self.ended(SessionError::Closed),
                Err(error) => return self.ended(error.into()),
            }
        }
    }

    fn ended(&mut self, otherwise: SessionError) -> SessionError {
        match self.last_error.take() {
            Some(words) => SessionError::Refused(words),
            None => otherwise,
        }
    }

    fn take(&mut self, op: Op) {
        match op {
            Op::Message(message) => self.deliver(message),
            Op::Ping => {
                self.shared.write(b"PONG", b"");
            }
            Op::Pong => self.shared.pong(),
            Op::Info(info) => self.pool.announced(&info.connect_urls, self.address),
            Op::Err(words) => self.refused(words),
            Op::PassedOver(why) => self.passed_over(why, ""),
            Op::Ok => {}
        }
    }

    fn deliver(&mut self, message: Message) {
        let subject = message.subject.clone();
        if let Err(why) = self.shared.deliver(message) {
            self.passed_over(why, &subject);
        }
    }

    fn passed_over(&self, why: &str, subject: &str) {
        if let Some(so_far) = self.shared.passed_over.add() {
            tracing::warn!(subject, so_far, "bus message dropped: {why}");
        }
    }

    /// Permission violations leave the connection; everything else is the reason for its end.
    fn refused(&mut self, words: String) {
        let lower = words.to_ascii_lowercase();
        if lower.starts_with("permissions violation for subscription") {
            tracing::error!(
                "the message bus refused a subscription: {words}; check what its user may subscribe to"
            );
            self.shared.refuse_subscription(words);
        } else if lower.starts_with("permissions violation") {
            tracing::warn!("the message bus refused a message: {words}");
        } else {
            self.last_error = Some(words);
        }
    }
}

async fn write(mut writer: impl AsyncWrite + Unpin, shared: &Shared) -> SessionError {
    loop {
        let pending = shared.take_outbox();
        if pending.is_empty() {
            shared.written.notified().await;
            continue;
        }
        let sent = async {
            writer.write_all(&pending).await?;
            writer.flush().await
        };
        if let Err(error) = sent.await {
            return error.into();
        }
    }
}

async fn watch(shared: &Shared) -> SessionError {
    loop {
        tokio::time::sleep(PING_PERIOD).await;
        if shared.unanswered_for() > PING_LIMIT {
            return SessionError::Silent;
        }
        shared.ping_when_idle();
    }
}

//! The typed client: the only file that names `async-nats`.

use std::marker::PhantomData;
use std::time::Duration;

use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::permissions::inbox_prefix;
use crate::{BusError, Message};

/// Where the bus is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BusConfig {
    /// `nats://host:port`, several for a cluster. Credentials may stand in the URL.
    pub servers: Vec<String>,
    /// User; empty = none.
    pub user: String,
    /// Password; empty = none.
    pub password: String,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            servers: vec!["nats://127.0.0.1:4222".into()],
            user: String::new(),
            password: String::new(),
        }
    }
}

impl BusConfig {
    /// A single server without credentials.
    pub fn url(url: impl Into<String>) -> Self {
        Self {
            servers: vec![url.into()],
            ..Self::default()
        }
    }

    fn display(&self) -> String {
        self.servers
            .iter()
            .map(|s| without_credentials(s))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

fn without_credentials(server: &str) -> String {
    match url::Url::parse(server) {
        Ok(mut u) => {
            let _ = u.set_username("");
            let _ = u.set_password(None);
            u.to_string()
        }
        Err(_) => "(unparsable address)".into(),
    }
}

/// A connection that never gives up. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    client: async_nats::Client,
    connected: watch::Receiver<u64>,
    servers: String,
}

/// One received message.
#[derive(Debug)]
pub struct Delivery<M> {
    /// Subject it came on.
    pub subject: String,
    /// Inbox for an answer.
    pub reply: Option<String>,
    /// Body.
    pub body: M,
}

/// A stream of typed messages; unreadable ones are logged and skipped.
pub struct Subscription<M> {
    inner: async_nats::Subscriber,
    _body: PhantomData<fn() -> M>,
}

/// A body for subjects whose payload may be empty or is ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Anything;

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(d).map(|_| Anything)
    }
}

impl Bus {
    /// Starts connecting and returns at once: components start in any order.
    /// `name` is what the server shows of this client. Errors only on an unusable address.
    pub async fn connect(config: &BusConfig, name: &str) -> Result<Self, BusError> {
        let servers = parse_servers(config)?;
        let (tx, connected) = watch::channel(0u64);
        let shown = config.display();
        let client = options(config, name, tx, shown.clone())
            .connect(servers)
            .await
            .map_err(|e| BusError::BadAddress {
                url: shown.clone(),
                reason: e.to_string(),
            })?;
        Ok(Self {
            client,
            connected,
            servers: shown,
        })
    }

    /// Whether a server is connected now.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Changes whenever the connection comes up (odd) or goes down (even); start value 0.
    pub fn connection_changes(&self) -> watch::Receiver<u64> {
        self.connected.clone()
    }

    /// Waits until a server is connected, however long it takes.
    pub async fn wait_connected(&self) {
        let mut changes = self.connected.clone();
        while !self.is_connected() {
            // The sender lives as long as the client; polling covers the gap
            // between the state change and its event.
            let _ = tokio::time::timeout(Duration::from_millis(50), changes.changed()).await;
        }
    }

    /// The error that says the bus is away.
    pub fn away(&self) -> BusError {
        BusError::Away {
            servers: self.servers.clone(),
        }
    }

    /// Publishes on the message's own subject.
    pub async fn publish<M: Message>(&self, message: &M) -> Result<(), BusError> {
        self.publish_to(M::SUBJECT, message).await
    }

    /// Publishes any body on a given subject. Refused at once while the bus is
    /// away: nothing that must survive travels only on the bus.
    pub async fn publish_to<T: Serialize + ?Sized>(
        &self,
        subject: &str,
        body: &T,
    ) -> Result<(), BusError> {
        if !self.is_connected() {
            return Err(self.away());
        }
        let payload = encode(subject, body)?;
        self.client
            .publish(subject.to_owned(), payload.into())
            .await
            .map_err(|e| publish_error(subject, e))
    }

    /// Publishes an empty payload with an optional reply inbox.
    pub async fn publish_empty(&self, subject: &str, reply: Option<&str>) -> Result<(), BusError> {
        if !self.is_connected() {
            return Err(self.away());
        }
        let sent = match reply {
            Some(inbox) => {
                self.client
                    .publish_with_reply(subject.to_owned(), inbox.to_owned(), "".into())
                    .await
            }
            None => self.client.publish(subject.to_owned(), "".into()).await,
        };
        sent.map_err(|e| publish_error(subject, e))
    }

    /// Publishes a body and names an inbox for answers.
    pub async fn publish_with_reply<T: Serialize>(
        &self,
        subject: &str,
        inbox: &str,
        body: &T,
    ) -> Result<(), BusError> {
        if !self.is_connected() {
            return Err(self.away());
        }
        let payload = encode(subject, body)?;
        let sent = self
            .client
            .publish_with_reply(subject.to_owned(), inbox.to_owned(), payload.into())
            .await;
        sent.map_err(|e| publish_error(subject, e))
    }

    /// Subscribes to the message's own subject.
    pub async fn subscribe<M: Message>(&self) -> Result<Subscription<M>, BusError> {
        self.subscribe_to(M::SUBJECT).await
    }

    /// Subscribes to a given subject (wildcards allowed) with any body type.
    pub async fn subscribe_to<M: DeserializeOwned>(
        &self,
        subject: &str,
    ) -> Result<Subscription<M>, BusError> {
        let inner = self
            .client
            .subscribe(subject.to_owned())
            .await
            .map_err(|e| subscribe_error(subject, e))?;
        Ok(Subscription {
            inner,
            _body: PhantomData,
        })
    }

    /// Subscribes as a member of a queue group.
    pub async fn queue_subscribe<M: Message>(
        &self,
        queue: &str,
    ) -> Result<Subscription<M>, BusError> {
        let inner = self
            .client
            .queue_subscribe(M::SUBJECT, queue.to_owned())
            .await;
        Ok(Subscription {
            inner: inner.map_err(|e| subscribe_error(M::SUBJECT, e))?,
            _body: PhantomData,
        })
    }

    /// A fresh inbox subject.
    pub fn new_inbox(&self) -> String {
        self.client.new_inbox()
    }

    /// Sends a request and collects up to `count` answers within `timeout`,
    /// returning as soon as they are there (the controller's synchronous
    /// request). Unreadable answers are skipped. `count` 0 sends nothing.
    pub async fn gather<Q: Serialize, A: DeserializeOwned>(
        &self,
        subject: &str,
        question: &Q,
        count: usize,
        timeout: Duration,
    ) -> Result<Vec<A>, BusError> {
        let mut answers = Vec::with_capacity(count.min(64));
        if count == 0 {
            return Ok(answers);
        }
        let inbox = self.new_inbox();
        let mut inner = self.subscribe_to::<A>(&inbox).await?;
        self.publish_with_reply(subject, &inbox, question).await?;
        let deadline = tokio::time::Instant::now() + timeout;
        while answers.len() < count {
            match tokio::time::timeout_at(deadline, inner.next()).await {
                Ok(Some(delivery)) => answers.push(delivery.body),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(answers)
    }

    /// Waits until everything published so far has reached the server.
    pub async fn flush(&self) -> Result<(), BusError> {
        self.client.flush().await.map_err(|_| self.away())
    }
}

impl<M: DeserializeOwned> Subscription<M> {
    /// The next readable message; `None` once the client is closed.
    pub async fn next(&mut self) -> Option<Delivery<M>> {
        loop {
            let raw = self.inner.next().await?;
            if raw.status.is_some_and(|s| s.as_u16() == 503) {
                // "No responders" is the server's way to say that nobody listens.
                return None;
            }
            // Ruby clients send zero bytes where others send `{}`.
            let payload: &[u8] = if raw.payload.is_empty() {
                b"null"
            } else {
                &raw.payload
            };
            match serde_json::from_slice(payload).or_else(|e| empty_object(payload, e)) {
                Ok(body) => {
                    let reply = raw.reply.map(|r| r.to_string());
                    return Some(Delivery {
                        subject: raw.subject.to_string(),
                        reply,
                        body,
                    });
                }
                Err(error) => {
                    tracing::warn!(subject = %raw.subject, %error, "unreadable bus message dropped")
                }
            }
        }
    }
}

fn empty_object<M: DeserializeOwned>(
    payload: &[u8],
    error: serde_json::Error,
) -> serde_json::Result<M> {
    if payload == b"null" {
        serde_json::from_slice(b"{}")
    } else {
        Err(error)
    }
}

fn encode<T: Serialize + ?Sized>(subject: &str, body: &T) -> Result<Vec<u8>, BusError> {
    serde_json::to_vec(body).map_err(|e| BusError::Publish {
        subject: subject.into(),
        reason: e.to_string(),
    })
}

fn publish_error(subject: &str, e: async_nats::PublishError) -> BusError {
    BusError::Publish {
        subject: subject.into(),
        reason: e.to_string(),
    }
}

fn subscribe_error(subject: &str, e: async_nats::SubscribeError) -> BusError {
    BusError::Subscribe {
        subject: subject.into(),
        reason: e.to_string(),
    }
}

fn parse_servers(config: &BusConfig) -> Result<Vec<async_nats::ServerAddr>, BusError> {
    let parse = |s: &String| {
        s.parse().map_err(|e: std::io::Error| BusError::BadAddress {
            url: without_credentials(s),
            reason: e.to_string(),
        })
    };
    let servers: Vec<_> = config.servers.iter().map(parse).collect::<Result<_, _>>()?;
    if servers.is_empty() {
        return Err(BusError::BadAddress {
            url: "(none)".into(),
            reason: "the list of servers is empty".into(),
        });
    }
    Ok(servers)
}

/// Messages of one subscription that may wait for their reader; what comes beyond is dropped by the client library. Its
/// own number (65,536) is less than the burst of registrations that a large platform sends a router that has just started.
/// Memory is taken only by what waits.
const BACKLOG: usize = 1 << 20;

fn options(
    config: &BusConfig,
    name: &str,
    tx: watch::Sender<u64>,
    shown: String,
) -> async_nats::ConnectOptions {
    let mut options = async_nats::ConnectOptions::new()
        .name(name)
        .retry_on_initial_connect()
        .connection_timeout(Duration::from_secs(3))
        .ping_interval(Duration::from_secs(10))
        .subscription_capacity(BACKLOG)
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            report(&event, &tx, &shown);
            async {}
        });
    if !config.user.is_empty() {
        options = options
            .user_and_password(config.user.clone(), config.password.clone())
            .custom_inbox_prefix(inbox_prefix(&config.user));
    }
    options
}

/// 20 ms doubling to 2 s, with jitter so that a restarted bus is not stormed.
fn reconnect_delay(attempts: usize) -> Duration {
    let base = 20u64 << attempts.min(7);
    Duration::from_millis(base.min(2_000) + rand::random_range(0..50))
}

fn report(event: &async_nats::Event, tx: &watch::Sender<u64>, shown: &str) {
    match event {
        async_nats::Event::Connected => {
            tracing::info!(servers = shown, "connected to the message bus");
            tx.send_modify(|n| *n = (*n + 1) | 1);
        }
        async_nats::Event::Disconnected => {
            tracing::warn!(servers = shown, "lost the message bus; reconnecting");
            tx.send_modify(|n| *n = (*n | 1) + 1);
        }
        async_nats::Event::SlowConsumer(sid) => {
            tracing::warn!(sid, "bus messages dropped: subscriber too slow")
        }
        async_nats::Event::ServerError(e) => {
            tracing::warn!(error = %e, "the message bus refused something")
        }
        async_nats::Event::ClientError(e) => tracing::debug!(error = %e, "bus client error"),
        _ => {}
    }
}

//! One registered instance.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bus::router::Endpoint as Message;

/// An instance behind a port. Never changes: another identity at the same address is another endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Distinguishes this endpoint from everything that ever lived at its address.
    pub serial: u64,
    /// `host:port`.
    pub address: String,
    /// App guid.
    pub app: Option<String>,
    /// Sticky-session key, empty ids dropped.
    pub instance_id: Option<String>,
    /// `tags.component`, the metrics group.
    pub component: Option<String>,
}

impl Endpoint {
    pub(super) fn new(serial: u64, message: &Message) -> Self {
        Self {
            serial,
            address: address(message),
            app: message.app.clone(),
            instance_id: instance_id(message),
            component: message.tags.get("component").cloned(),
        }
    }

    /// True when the message speaks of this endpoint: same address, instance and app.
    pub(super) fn is(&self, message: &Message) -> bool {
        self.address == address(message)
            && self.instance_id == instance_id(message)
            && self.app == message.app
    }

    /// Where to connect.
    ///
    /// # Errors
    /// When the registered host is no IP address: the registrar resolves names.
    pub(crate) fn socket_address(&self) -> io::Result<SocketAddr> {
        let no_address =
            |_| io::Error::new(io::ErrorKind::InvalidInput, "the host is no IP address");
        self.address.parse().map_err(no_address)
    }

    #[cfg(test)]
    pub(crate) fn for_test(instance_id: Option<&str>) -> Self {
        Self {
            serial: 1,
            address: "h:1".into(),
            app: None,
            instance_id: instance_id.map(Into::into),
            component: None,
        }
    }

    /// What `X-CF-InstanceID` says: the instance id, else the address.
    pub fn label(&self) -> &str {
        self.instance_id.as_deref().unwrap_or(&self.address)
    }
}

fn instance_id(message: &Message) -> Option<String> {
    message
        .private_instance_id
        .clone()
        .filter(|id| !id.is_empty())
}

pub(super) fn address(message: &Message) -> String {
    format!("{}:{}", message.host, message.port)
}

/// A registrar may ask for a shorter life than the router's, never for a longer one.
pub(super) fn threshold(message: &Message, default: Duration) -> Duration {
    match message.stale_threshold_in_seconds {
        Some(seconds) if seconds > 0 => default.min(Duration::from_secs(seconds)),
        _ => default,
    }
}

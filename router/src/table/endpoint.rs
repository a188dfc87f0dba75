//! One registered instance.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bus::router::Endpoint as Message;

/// An instance behind a port. Its identity never changes: another one at the same address is another endpoint.
#[derive(Debug)]
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
    /// Requests that it is serving.
    in_flight: AtomicU32,
}

/// One request at an endpoint; over when dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Endpoint>);

impl Busy {
    pub(crate) fn at(endpoint: Arc<Endpoint>) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(endpoint)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deref for Busy {
    type Target = Arc<Endpoint>;

    fn deref(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Endpoint {
    pub(super) fn new(serial: u64, message: &Message) -> Self {
        Self {
            serial,
            address: address(message),
            app: message.app.clone(),
            instance_id: instance_id(message),
            component: message.tags.get("component").cloned(),
            in_flight: AtomicU32::new(0),
        }
    }

    /// Requests that it is serving.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
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

    /// One that nobody registered.
    pub(crate) fn bare(address: &str) -> Self {
        Self {
            serial: 0,
            address: address.to_owned(),
            app: None,
            instance_id: None,
            component: None,
            in_flight: AtomicU32::new(0),
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

/// `host:port`; an IPv6 address gets the brackets that it needs in front of a port.
pub(super) fn address(message: &Message) -> String {
    match message.host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, message.port).to_string(),
        Err(_) => format!("{}:{}", message.host, message.port),
    }
}

/// Largest share of the traffic that a registration can ask for, compared with an ordinary one.
const HEAVIEST: u32 = 100;

/// `tags.weight`: how many ordinary instances this one counts for, 1 to 100.
pub(super) fn weight(message: &Message) -> u32 {
    let given = message
        .tags
        .get("weight")
        .and_then(|text| text.parse().ok());
    given.unwrap_or(1).clamp(1, HEAVIEST)
}

/// A registrar may ask for a shorter life than the router's, never for a longer one.
pub(super) fn threshold(message: &Message, default: Duration) -> Duration {
    match message.stale_threshold_in_seconds {
        Some(seconds) if seconds > 0 => default.min(Duration::from_secs(seconds)),
        _ => default,
    }
}

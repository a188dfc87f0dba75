//! Every limit and default of the server in one place, each with its reason.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Version announced in `INFO`; clients switch features on by comparing it.
pub const VERSION: &str = "2.9.10";

/// Protocol level announced in `INFO`: 1 means that the server may send `INFO` at any time.
pub const PROTO: u8 = 1;

/// Bytes read from a socket at once. Smaller halves the 4 KB throughput, larger overruns readers.
pub const READ_BUFFER: usize = 64 * 1024;

/// The shared read buffer: an unfinished operation of up to half of it goes in front of what is read.
pub const SCRATCH: usize = 2 * READ_BUFFER;

/// A destination with more than this pending is flushed in the middle of a batch, to bound memory.
pub const FLUSH_MARK: usize = 128 * 1024;

/// Bytes appended in one batch before everything is flushed: keeps a 1,000-way fan-out at a few MB.
pub const BATCH_BUDGET: usize = 4 * 1024 * 1024;

/// A blocked destination with more than this pending slows its publishers down.
pub const THROTTLE_MARK: usize = 1024 * 1024;

/// Longest pause of a publisher per batch, so that one bad reader cannot stall the others.
pub const THROTTLE_PAUSE: Duration = Duration::from_millis(10);

/// Nobody waits for a destination that has taken no byte for this long.
pub const NO_PROGRESS: Duration = Duration::from_millis(50);

/// Entries and total hits in the subject result cache; inbox subjects are never seen twice.
pub const CACHE_ENTRIES: usize = 1024;
/// See [`CACHE_ENTRIES`]: a thousand wide fan-outs would otherwise be gigabytes.
pub const CACHE_HITS: usize = 65_536;

/// Open invitations to answer (`allow_responses`) one client may gather.
pub const MAX_REPLIES: usize = 4096;

/// Lines a second about refused logins, messages and subscriptions; more are counted.
pub const VIOLATION_LINES: u32 = 100;

/// The first ping comes this soon, to measure the round trip; as `nats-server`.
pub const FIRST_PING: Duration = Duration::from_secs(2);

/// Plaintext a TLS connection takes ahead of the socket.
pub const TLS_BUFFER: usize = 64 * 1024;

/// Random bytes in the nonce that nkey users sign.
pub const NONCE_BYTES: usize = 11;

/// Time a closing connection gets to take its last bytes (the `-ERR` line).
pub const CLOSE_LINGER: Duration = Duration::from_millis(250);

/// What an operator may tune. Sizes are bytes, times are seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest payload including headers; 1 MiB as `nats-server`.
    pub max_payload: usize,
    /// Longest protocol line; 4,096 as `nats-server`.
    pub max_control_line: usize,
    /// Pending bytes at which a client counts as a slow consumer and is cut off; 64 MiB.
    pub max_pending: usize,
    /// Bytes all clients together may have in buffers, unsent and unfinished; beyond, whoever holds most is cut off; 256 MiB.
    pub max_buffered: usize,
    /// Connections at once; one more is refused with `maximum connections exceeded`.
    pub max_connections: usize,
    /// Subscriptions per connection; 0 means no limit.
    pub max_subscriptions: usize,
    /// Seconds between pings to an idle client; 120 as `nats-server`.
    pub ping_interval: f64,
    /// Unanswered pings after which a connection is stale; 2.
    pub max_pings_out: u32,
    /// Seconds a client has to authenticate; 2.
    pub auth_timeout: f64,
    /// Seconds a destination may refuse every byte before it is cut off; 10.
    pub write_deadline: f64,
    /// Seconds between the announcement of lame duck mode and the first closed client; 10.
    pub lame_duck_grace_period: f64,
    /// Seconds over which lame duck mode closes the clients; 120.
    pub lame_duck_duration: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload: 1024 * 1024,
            max_control_line: 4096,
            max_pending: 64 * 1024 * 1024,
            max_buffered: 256 * 1024 * 1024,
            max_connections: 65_536,
            max_subscriptions: 0,
            ping_interval: 120.0,
            max_pings_out: 2,
            auth_timeout: 2.0,
            write_deadline: 10.0,
            lame_duck_grace_period: 10.0,
            lame_duck_duration: 120.0,
        }
    }
}

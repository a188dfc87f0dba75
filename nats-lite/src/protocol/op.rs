//! The operations a client may send, borrowed from the bytes it sent.

use serde::Deserialize;

/// One client operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op<'a> {
    /// `CONNECT {json}`; the JSON is not yet decoded.
    Connect(&'a [u8]),
    /// `PING`
    Ping,
    /// `PONG`
    Pong,
    /// `+OK` or an `INFO` line from an over-eager client: read and ignored.
    Ignored,
    /// `PUB` or `HPUB`
    Publish(Publish<'a>),
    /// `SUB subject [queue] sid`
    Subscribe {
        /// Subject, possibly with wildcards.
        subject: &'a [u8],
        /// Queue group.
        queue: Option<&'a [u8]>,
        /// Client-chosen subscription id.
        sid: &'a [u8],
    },
    /// `UNSUB sid [max]`
    Unsubscribe {
        /// Subscription id.
        sid: &'a [u8],
        /// Deliver until this many messages in total, then drop; absent means at once.
        max: Option<u64>,
    },
}

/// The content of `PUB` and `HPUB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Literal subject.
    pub subject: &'a [u8],
    /// Where answers go.
    pub reply: Option<&'a [u8]>,
    /// Length of the header block at the start of `body`; `None` for `PUB`.
    pub header_len: Option<usize>,
    /// Headers (if any) followed by the payload.
    pub body: &'a [u8],
    /// Everything behind the subject as it came, where a delivery can carry exactly that.
    pub verbatim: Option<&'a [u8]>,
}

/// What `CONNECT` carries. Unknown keys are ignored: every client adds its own.
///
/// Clients that say nothing are verbose and pedantic, as `nats-server` has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct ConnectOptions {
    /// Answer every operation with `+OK`.
    pub verbose: bool,
    /// Check published subjects strictly.
    pub pedantic: bool,
    /// Deliver a client's own messages to it.
    pub echo: bool,
    /// The client understands `HMSG`.
    pub headers: bool,
    /// The client wants a 503 when nobody hears its request.
    pub no_responders: bool,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub pass: Option<String>,
    /// Token, when the server wants one instead of a user.
    pub auth_token: Option<String>,
    /// Public key of a client that signs the nonce.
    pub nkey: Option<String>,
    /// That signature, in base64.
    pub sig: Option<String>,
    /// Protocol level: from 1 on the client takes `INFO` at any time.
    pub protocol: u8,
    /// Name for the monitoring pages.
    pub name: Option<String>,
    /// Client language, for the monitoring pages.
    pub lang: Option<String>,
    /// Client version, for the monitoring pages.
    pub version: Option<String>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            verbose: true,
            pedantic: true,
            echo: true,
            headers: false,
            no_responders: false,
            user: None,
            pass: None,
            auth_token: None,
            nkey: None,
            sig: None,
            protocol: 0,
            name: None,
            lang: None,
            version: None,
        }
    }
}

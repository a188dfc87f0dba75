//! One client's conversation: what each operation does.

use std::cell::Cell;
use std::rc::Rc;

use crate::auth::{Identity, SlowCheck, Verdict};
use crate::certificate;
use crate::close::Close;
use crate::hub::{Hearers, Hub};
use crate::limits::PROTO;
use crate::peer::{ClientFacts, Peer};
use crate::protocol::{ConnectOptions, Head, Op, ProtocolError, Publish, append_err};
use crate::route::Route;
use crate::subjects::{is_literal, is_valid};
use crate::subscription::Subscription;

/// State of the conversation beyond what other connections need to see.
pub(crate) struct Session {
    hub: Rc<Hub>,
    peer: Rc<Peer>,
    /// What this client must sign if it has an nkey.
    nonce: Option<Box<str>>,
    /// A password that is being compared elsewhere, and what to do afterwards.
    unsettled: Option<Box<(SlowCheck, ConnectOptions)>>,
    /// Where the last message went: the next one mostly goes there too.
    route: Option<Box<Route>>,
    verbose: bool,
    pedantic: bool,
    no_responders: bool,
}

impl Session {
    pub(crate) fn new(hub: Rc<Hub>, peer: Rc<Peer>, nonce: Option<Box<str>>) -> Self {
        peer.identify(hub.auth().unasked());
        Self {
            hub,
            peer,
            nonce,
            unsettled: None,
            route: None,
            // Until `CONNECT` says otherwise, as in nats-server.
            verbose: true,
            pedantic: true,
            no_responders: false,
        }
    }

    pub(crate) fn authenticated(&self) -> bool {
        self.peer.identity().is_some()
    }

    /// The comparison to make away from this thread before anything else the client said is read.
    pub(crate) fn slow_check(&self) -> Option<&SlowCheck> {
        self.unsettled.as_ref().map(|unsettled| &unsettled.0)
    }

    /// Ends a slow comparison.
    ///
    /// # Errors
    /// The reason to close the connection.
    pub(crate) fn settle(&mut self, good: bool) -> Result<(), Close> {
        match self.unsettled.take().map(|unsettled| *unsettled) {
            Some((check, options)) if good => self.welcome(check.identity, options),
            Some((check, _)) => {
                self.hub
                    .log_stranger(&self.peer, Some(&check.identity.name));
                Err(Close::Authorization)
            }
            None => Err(Close::Authorization),
        }
    }

    /// Carries out one operation.
    ///
    /// # Errors
    /// The reason to close the connection.
    pub(crate) fn handle(&mut self, op: Op<'_>) -> Result<(), Close> {
        if let Op::Connect(json) = op {
            return self.connect(json);
        }
        let identity = self.peer.identity().ok_or(Close::Authorization)?;
        match op {
            Op::Ping => self.answer(b"PONG\r\n"),
            Op::Publish(message) => self.publish(identity, &message)?,
            Op::Subscribe {
                subject,
                queue,
                sid,
            } => self.subscribe(&identity, subject, queue, sid),
            Op::Unsubscribe { sid, max } => self.unsubscribe(sid, max),
            Op::Pong => self.note_round_trip(),
            Op::Ignored | Op::Connect(_) => {}
        }
        Ok(())
    }

    fn connect(&mut self, json: &[u8]) -> Result<(), Close> {
        let options = decode(json).ok_or(ProtocolError::BadArguments)?;
        let certificate = self.peer.stream.certificate();
        let names = certificate.as_deref().map(certificate::names);
        let nonce = self.nonce.as_deref().unwrap_or_default();
        let names = names.unwrap_or_default();
        match self.hub.auth().check(&options, nonce, &names) {
            Verdict::Welcome(identity) => self.welcome(identity, options),
            Verdict::Stranger => {
                self.hub.log_stranger(&self.peer, options.user.as_deref());
                Err(Close::Authorization)
            }
            Verdict::Slow(check) => {
                self.unsettled = Some(Box::new((check, options)));
                Ok(())
            }
        }
    }

    fn welcome(&mut self, identity: Rc<Identity>, options: ConnectOptions) -> Result<(), Close> {
        if options.protocol > PROTO {
            return Err(Close::ClientProtocol);
        }
        if options.no_responders && !options.headers {
            return Err(Close::NoRespondersWithoutHeaders);
        }
        self.peer.identify(Some(identity));
        self.peer.headers.set(options.headers);
        self.peer.echo.set(options.echo);
        let text = |text: Option<String>| text.unwrap_or_default().into_boxed_str();
        self.peer.client.replace(ClientFacts {
            name: text(options.name),
            lang: text(options.lang),
            version: text(options.version),
            takes_info: options.protocol >= 1,
        });
        self.verbose = options.verbose;
        self.pedantic = options.pedantic;
        self.no_responders = options.no_responders;
        self.ok();
        Ok(())
    }

    fn note_round_trip(&self) {
        if let Some(sent) = self.peer.pinged.take() {
            self.peer.rtt.set(Some(sent.elapsed()));
        }
    }

    fn publish(&mut self, identity: Rc<Identity>, message: &Publish<'_>) -> Result<(), Close> {
        if message.header_len.is_some() && !self.peer.headers.get() {
            return Err(Close::HeadersNotSupported);
        }
        let known = self.route.as_deref();
        let matches = known.and_then(|route| route.answer(message.subject, &identity));
        let matches = match matches {
            Some(matches) => matches,
            None if self.may_publish(&identity, message.subject) => {
                self.find_route(identity, message.subject)
            }
            None => {
                self.hub.violations.log(|| {
                    let (who, subject) = (self.peer.described(), quoted(message.subject));
                    format!(
                        "{who} - Publish Violation - {}, Subject {subject}",
                        identity.shown()
                    )
                });
                self.complain(&format!(
                    "Permissions Violation for Publish to \"{}\"",
                    lossy(message.subject)
                ));
                return Ok(());
            }
        };
        if self.pedantic && !is_literal(message.subject) {
            self.complain("Invalid Publish Subject");
        }
        self.ok();
        let heard = self.hub.publish(&self.peer, message, &matches);
        if let Some(reply) = message.reply
            && heard == 0
            && self.no_responders
        {
            self.hub.no_responders(&self.peer, reply);
        }
        Ok(())
    }

    /// Asks the index, and keeps the answer where the user may always publish there.
    fn find_route(&mut self, identity: Rc<Identity>, subject: &[u8]) -> Rc<Hearers> {
        let matches = self.hub.matches(subject);
        if identity.permissions.may_publish(subject) {
            let route = Route::new(subject, identity, &matches);
            self.route = Some(Box::new(route));
        }
        matches
    }

    fn may_publish(&self, identity: &Identity, subject: &[u8]) -> bool {
        let rights = &identity.permissions;
        rights.may_publish(subject)
            || rights
                .responses()
                .is_some_and(|rule| self.peer.may_answer(subject, rule))
    }

    fn subscribe(&mut self, identity: &Identity, subject: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
        if !identity.permissions.may_subscribe(subject, queue) {
            self.hub.violations.log(|| {
                let queue = queue
                    .map(|q| format!("Queue: {}, ", quoted(q)))
                    .unwrap_or_default();
                format!(
                    "{} - Subscription Violation - {}, Subject {}, {queue}SID {}",
                    self.peer.described(),
                    identity.shown(),
                    quoted(subject),
                    lossy(sid)
                )
            });
            return self.complain(&subscription_violation(subject, queue));
        }
        let limit = self.hub.limits().max_subscriptions;
        if limit > 0 && self.peer.subscriptions.borrow().len() >= limit {
            return self.complain("maximum subscriptions exceeded");
        }
        if !is_valid(subject) {
            return self.complain("Invalid Subject");
        }
        // A second SUB with the same id is ignored, as in nats-server.
        if !self.peer.subscriptions.borrow().contains(sid) {
            let filtered = identity.permissions.filters(subject, queue);
            let subscription = self.new_subscription(subject, queue, sid);
            subscription.filtered.set(filtered);
            self.hub.subscribe(&subscription);
        }
        self.ok();
    }

    fn new_subscription(
        &self,
        subject: &[u8],
        queue: Option<&[u8]>,
        sid: &[u8],
    ) -> Rc<Subscription> {
        Rc::new(Subscription {
            peer: self.peer.clone(),
            head: Head::new(subject, sid),
            queue: queue.map(Into::into),
            filtered: Cell::new(false),
            delivered: Cell::new(0),
            max: Cell::new(None),
            closed: Cell::new(false),
        })
    }

    fn unsubscribe(&mut self, sid: &[u8], max: Option<u64>) {
        let known = self
            .peer
            .subscriptions
            .borrow()
            .get(sid)
            .map(|held| held.0.clone());
        if let Some(subscription) = known {
            subscription.max.set(max.filter(|max| *max > 0));
            if subscription.max.get().is_none() || subscription.exhausted() {
                self.hub.unsubscribe(&subscription);
            }
        }
        self.ok();
    }

    fn ok(&self) {
        if self.verbose {
            self.answer(b"+OK\r\n");
        }
    }

    fn complain(&self, text: &str) {
        self.peer.append(|out| append_err(out, text));
        self.hub.mark_dirty(&self.peer);
    }

    fn answer(&self, line: &[u8]) {
        self.peer.append(|out| out.extend_from_slice(line));
        self.hub.mark_dirty(&self.peer);
    }
}

/// Reads `CONNECT`. A key with `null` counts as absent: some clients send all they know of. What is not Unicode is replaced, as the
/// original's JSON reader does it: a client's name must not cost it its connection.
pub(crate) fn decode(json: &[u8]) -> Option<ConnectOptions> {
    type Keys = serde_json::Map<String, serde_json::Value>;
    let read: Result<Keys, _> = serde_json::from_slice(json);
    let mut keys = read
        .or_else(|_| serde_json::from_str(&unicode(json)))
        .ok()?;
    keys.retain(|_, value| !value.is_null());
    serde_json::from_value(keys.into()).ok()
}

/// The text with U+FFFD in place of invalid UTF-8 and of escaped surrogates without their other half.
fn unicode(json: &[u8]) -> String {
    let text = String::from_utf8_lossy(json);
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match (surrogate(rest), rest.get(6..).and_then(surrogate)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(_), _) => {
                out.push('\u{fffd}');
                rest = &rest[6..];
                continue;
            }
            // An escape of two characters, or the lone backslash at the end.
            (None, _) => rest
                .char_indices()
                .nth(2)
                .map_or(rest.len(), |(end, _)| end),
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out.push_str(rest);
    out
}

/// The code of an escaped surrogate at the front.
fn surrogate(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let code = u32::from_str_radix(digits, 16).ok()?;
    (0xD800..=0xDFFF).contains(&code).then_some(code)
}

fn subscription_violation(subject: &[u8], queue: Option<&[u8]>) -> String {
    let queue = queue
        .map(|queue| format!(" using queue \"{}\"", lossy(queue)))
        .unwrap_or_default();
    format!(
        "Permissions Violation for Subscription to \"{}\"{queue}",
        lossy(subject)
    )
}

/// For the log: in quotes, escaped, and not longer than a line.
fn quoted(subject: &[u8]) -> String {
    const LONGEST: usize = 256;
    let cut = &subject[..subject.len().min(LONGEST)];
    format!("{:?}", String::from_utf8_lossy(cut))
}

fn lossy(subject: &[u8]) -> String {
    String::from_utf8_lossy(subject).into_owned()
}

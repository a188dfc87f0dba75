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
            _ => Err(Close::Authorization),
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
            Verdict::Stranger => Err(Close::Authorization),
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

/// Reads `CONNECT`. A key with `null` counts as absent: some clients send all they know of.
pub(crate) fn decode(json: &[u8]) -> Option<ConnectOptions> {
    let mut keys: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json).ok()?;
    keys.retain(|_, value| !value.is_null());
    serde_json::from_value(keys.into()).ok()
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

fn lossy(subject: &[u8]) -> String {
    String::from_utf8_lossy(subject).into_owned()
}

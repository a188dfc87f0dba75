//! One client's conversation: what each operation does.

use std::cell::Cell;
use std::rc::Rc;

use crate::auth::Permissions;
use crate::hub::Hub;
use crate::limits::MAX_SID;
use crate::peer::{Close, Peer, Subscription};
use crate::protocol::{ConnectOptions, Op, ProtocolError, Publish, append_err};
use crate::subjects::{is_literal, is_valid};

/// State of the conversation beyond what other connections need to see.
pub(crate) struct Session {
    hub: Rc<Hub>,
    peer: Rc<Peer>,
    /// Absent until the client has authenticated.
    permissions: Option<Rc<Permissions>>,
    verbose: bool,
    pedantic: bool,
    no_responders: bool,
}

impl Session {
    pub(crate) fn new(hub: Rc<Hub>, peer: Rc<Peer>) -> Self {
        let permissions = (!hub.auth.required()).then(Rc::default);
        Self {
            hub,
            peer,
            permissions,
            verbose: false,
            pedantic: false,
            no_responders: false,
        }
    }

    pub(crate) fn authenticated(&self) -> bool {
        self.permissions.is_some()
    }

    /// Carries out one operation.
    ///
    /// # Errors
    /// The reason to close the connection.
    pub(crate) fn handle(&mut self, op: Op<'_>) -> Result<(), Close> {
        if let Op::Connect(json) = op {
            return self.connect(json);
        }
        let permissions = self.permissions.clone().ok_or(Close::Authorization)?;
        match op {
            Op::Ping => self.answer(b"PONG\r\n"),
            Op::Publish(message) => self.publish(&permissions, &message)?,
            Op::Subscribe {
                subject,
                queue,
                sid,
            } => self.subscribe(&permissions, subject, queue, sid)?,
            Op::Unsubscribe { sid, max } => self.unsubscribe(sid, max),
            Op::Pong | Op::Ignored | Op::Connect(_) => {}
        }
        Ok(())
    }

    fn connect(&mut self, json: &[u8]) -> Result<(), Close> {
        let options: ConnectOptions =
            serde_json::from_slice(json).map_err(|_| ProtocolError::UnknownOperation)?;
        self.permissions = self.hub.auth.check(&options);
        if self.permissions.is_none() {
            return Err(Close::Authorization);
        }
        if options.no_responders && !options.headers {
            return Err(Close::NoRespondersWithoutHeaders);
        }
        self.peer.headers.set(options.headers);
        self.peer.echo.set(options.echo);
        self.peer.name.replace(options.name.unwrap_or_default());
        self.verbose = options.verbose;
        self.pedantic = options.pedantic;
        self.no_responders = options.no_responders;
        self.ok();
        Ok(())
    }

    fn publish(&mut self, permissions: &Permissions, message: &Publish<'_>) -> Result<(), Close> {
        if message.header_len.is_some() && !self.peer.headers.get() {
            return Err(Close::HeadersNotSupported);
        }
        if !permissions.may_publish(message.subject) {
            self.complain(&format!(
                "Permissions Violation for Publish to \"{}\"",
                lossy(message.subject)
            ));
            return Ok(());
        }
        if self.pedantic && !is_literal(message.subject) {
            self.complain("Invalid Publish Subject");
        }
        self.ok();
        let heard = self.hub.publish(&self.peer, message);
        if let Some(reply) = message.reply
            && heard == 0
            && self.no_responders
        {
            self.hub.no_responders(&self.peer, reply);
        }
        Ok(())
    }

    fn subscribe(
        &mut self,
        permissions: &Permissions,
        subject: &[u8],
        queue: Option<&[u8]>,
        sid: &[u8],
    ) -> Result<(), Close> {
        if sid.len() > MAX_SID {
            return Err(ProtocolError::ControlLine.into());
        }
        if !is_valid(subject) {
            self.complain("Invalid Subject");
            return Ok(());
        }
        if !permissions.may_subscribe(subject) {
            self.complain(&subscription_violation(subject, queue));
            return Ok(());
        }
        let limit = self.hub.limits.max_subscriptions;
        if limit > 0 && self.peer.subscriptions.borrow().len() >= limit {
            self.complain("maximum subscriptions exceeded");
            return Ok(());
        }
        // A second SUB with the same id is ignored, as in nats-server.
        if !self.peer.subscriptions.borrow().contains_key(sid) {
            self.hub
                .subscribe(&self.new_subscription(subject, sid), queue);
        }
        self.ok();
        Ok(())
    }

    fn new_subscription(&self, subject: &[u8], sid: &[u8]) -> Rc<Subscription> {
        Rc::new(Subscription {
            peer: self.peer.clone(),
            subject: subject.into(),
            sid: sid.into(),
            delivered: Cell::new(0),
            max: Cell::new(None),
            closed: Cell::new(false),
        })
    }

    fn unsubscribe(&mut self, sid: &[u8], max: Option<u64>) {
        let known = self.peer.subscriptions.borrow().get(sid).cloned();
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

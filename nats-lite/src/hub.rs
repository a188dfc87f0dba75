//! Delivery: from one publisher to everybody who hears the subject.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use crate::auth::{Authenticator, Identity};
use crate::config::Config;
use crate::info;
use crate::limits::{BATCH_BUDGET, FLUSH_MARK, Limits};
use crate::peer::{Close, Counters, Peer, Subscription, count};
use crate::protocol::{
    Delivery, Parser, Publish, append_err, append_message, append_no_responders,
};
use crate::subjects::{Index, IndexFacts, QueueGroup};
use crate::tls::Offer;

/// What a reload replaces.
struct Settings {
    limits: Rc<Limits>,
    auth: Rc<Authenticator>,
    tls: Option<Rc<Offer>>,
}

/// What all connections share. One thread owns it, hence cells and no locks.
pub(crate) struct Hub {
    pub(crate) server_id: String,
    pub(crate) server_name: String,
    /// Where clients connect.
    pub(crate) listen: SocketAddr,
    pub(crate) started_at: SystemTime,
    pub(crate) loaded_at: Cell<SystemTime>,
    /// The server takes no new clients and sends the old ones away.
    pub(crate) lame_duck: Cell<bool>,
    settings: RefCell<Settings>,
    pub(crate) started: Instant,
    pub(crate) counters: Counters,
    pub(crate) slow_consumers: Cell<u64>,
    pub(crate) total_connections: Cell<u64>,
    pub(crate) peers: RefCell<BTreeMap<u64, Rc<Peer>>>,
    /// Read buffer of whichever connection reads right now.
    pub(crate) scratch: RefCell<Box<[u8]>>,
    index: RefCell<Index<Rc<Subscription>>>,
    dirty: RefCell<Vec<Rc<Peer>>>,
    appended: Cell<usize>,
}

impl Hub {
    pub(crate) fn new(config: &Config, tls: Option<Offer>, listen: SocketAddr) -> Self {
        let server_id = format!("N{:031X}", rand::random::<u128>() >> 4);
        Self {
            server_name: config
                .server_name
                .clone()
                .unwrap_or_else(|| server_id.clone()),
            server_id,
            listen,
            started_at: SystemTime::now(),
            loaded_at: Cell::new(SystemTime::now()),
            lame_duck: Cell::new(false),
            settings: RefCell::new(Settings::new(config, tls)),
            started: Instant::now(),
            counters: Counters::default(),
            slow_consumers: Cell::new(0),
            total_connections: Cell::new(0),
            peers: RefCell::default(),
            scratch: RefCell::new(vec![0; crate::limits::READ_BUFFER].into_boxed_slice()),
            index: RefCell::default(),
            dirty: RefCell::default(),
            appended: Cell::new(0),
        }
    }

    pub(crate) fn limits(&self) -> Rc<Limits> {
        self.settings.borrow().limits.clone()
    }

    pub(crate) fn auth(&self) -> Rc<Authenticator> {
        self.settings.borrow().auth.clone()
    }

    pub(crate) fn tls(&self) -> Option<Rc<Offer>> {
        self.settings.borrow().tls.clone()
    }

    pub(crate) fn parser(&self) -> Parser {
        let limits = self.limits();
        Parser {
            max_control_line: limits.max_control_line,
            max_payload: limits.max_payload,
        }
    }

    /// Replaces limits, users and certificates; clients stay unless their user is gone.
    pub(crate) fn reload(&self, config: &Config, tls: Option<Offer>) {
        let settings = Settings::new(config, tls);
        let auth = settings.auth.clone();
        let before = self.settings.replace(settings).limits;
        self.loaded_at.set(SystemTime::now());
        let peers: Vec<Rc<Peer>> = self.peers.borrow().values().cloned().collect();
        for peer in &peers {
            if let Some(identity) = peer.identity() {
                match auth.still_known(&identity) {
                    Some(identity) => self.judge_anew(peer, identity),
                    None => peer.close(Close::Authorization),
                }
            }
        }
        if before.max_payload != config.limits.max_payload {
            self.announce();
        }
        self.flush_dirty();
    }

    /// Gives a client the new rights of its user, and takes the subscriptions these do not cover.
    fn judge_anew(&self, peer: &Rc<Peer>, identity: Rc<Identity>) {
        peer.identify(Some(identity.clone()));
        let rights = &identity.permissions;
        let held: Vec<Rc<Subscription>> = peer.subscriptions.borrow().values().cloned().collect();
        for sub in held {
            let queue = sub.queue.as_deref();
            sub.filtered.set(rights.filters(&sub.subject, queue));
            if !rights.may_subscribe(&sub.subject, queue) {
                self.unsubscribe(&sub);
                let text = format!(
                    "Permissions Violation for Subscription to \"{}\" (sid \"{}\")",
                    String::from_utf8_lossy(&sub.subject),
                    String::from_utf8_lossy(&sub.sid)
                );
                peer.append(|out| append_err(out, &text));
                self.mark_dirty(peer);
            }
        }
    }

    /// Sends `INFO` once more to every client that takes it at any time.
    pub(crate) fn announce(&self) {
        let peers: Vec<Rc<Peer>> = self.peers.borrow().values().cloned().collect();
        for peer in peers.iter().filter(|peer| peer.client.borrow().takes_info) {
            let line = info::line(self, peer, None);
            peer.append(|out| out.extend_from_slice(&line));
            self.mark_dirty(peer);
        }
        self.flush_dirty();
    }

    pub(crate) fn subjects(&self) -> IndexFacts {
        self.index.borrow().facts()
    }

    pub(crate) fn subscription_count(&self) -> usize {
        self.index.borrow().len()
    }

    pub(crate) fn subscribe(&self, subscription: &Rc<Subscription>) {
        self.index.borrow_mut().insert(
            &subscription.subject,
            subscription.queue.as_deref(),
            subscription.clone(),
        );
        subscription
            .peer
            .subscriptions
            .borrow_mut()
            .insert(subscription.sid.clone(), subscription.clone());
    }

    /// Ends a subscription: it hears nothing more, even through results cached or in use.
    pub(crate) fn unsubscribe(&self, subscription: &Rc<Subscription>) {
        subscription.closed.set(true);
        self.index
            .borrow_mut()
            .remove(&subscription.subject, |other| {
                Rc::ptr_eq(other, subscription)
            });
        subscription
            .peer
            .subscriptions
            .borrow_mut()
            .remove(&subscription.sid);
    }

    /// Forgets a connection and everything it subscribed to.
    pub(crate) fn leave(&self, peer: &Peer) {
        let subscriptions = std::mem::take(&mut *peer.subscriptions.borrow_mut());
        subscriptions
            .values()
            .for_each(|subscription| self.unsubscribe(subscription));
        self.peers.borrow_mut().remove(&peer.id);
        if peer.closing() == Some(Close::SlowConsumer) {
            self.slow_consumers.set(self.slow_consumers.get() + 1);
        }
    }

    /// Delivers to every plain subscription and one member of each queue group; returns the deliveries.
    pub(crate) fn publish(&self, from: &Rc<Peer>, message: &Publish<'_>) -> usize {
        count(
            &from.counters.in_msgs,
            &from.counters.in_bytes,
            message.body.len(),
        );
        count(
            &self.counters.in_msgs,
            &self.counters.in_bytes,
            message.body.len(),
        );
        let matches = self.index.borrow_mut().matches(message.subject);
        let plain = matches
            .plain
            .iter()
            .filter(|subscription| self.deliver(from, subscription, message))
            .count();
        let queued = matches
            .queues
            .iter()
            .filter(|group| self.deliver_to_one(from, group, message))
            .count();
        plain + queued
    }

    fn deliver_to_one(
        &self,
        from: &Rc<Peer>,
        group: &QueueGroup<Rc<Subscription>>,
        message: &Publish<'_>,
    ) -> bool {
        let start = rand::random_range(0..group.members.len());
        let (before, after) = group.members.split_at(start);
        // A member that cannot keep up is passed over while another can.
        let rotation = || after.iter().chain(before);
        rotation()
            .filter(|member| member.peer.pending() < FLUSH_MARK)
            .any(|member| self.deliver(from, member, message))
            || rotation().any(|member| self.deliver(from, member, message))
    }

    fn deliver(
        &self,
        from: &Rc<Peer>,
        subscription: &Rc<Subscription>,
        message: &Publish<'_>,
    ) -> bool {
        let peer = &subscription.peer;
        let own = Rc::ptr_eq(peer, from) && !peer.echo.get();
        if own || subscription.closed.get() || peer.closing().is_some() {
            return false;
        }
        if subscription.filtered.get()
            && !peer.may_hear(message.subject, subscription.queue.as_deref())
        {
            return false;
        }
        let (header_len, body) = visible_part(peer, message);
        let delivery = Delivery {
            subject: message.subject,
            sid: &subscription.sid,
            reply: message.reply,
            header_len,
            body,
        };
        let pending = peer.append(|out| append_message(out, &delivery));
        count(
            &peer.counters.out_msgs,
            &peer.counters.out_bytes,
            body.len(),
        );
        count(
            &self.counters.out_msgs,
            &self.counters.out_bytes,
            body.len(),
        );
        if let Some(reply) = message.reply {
            peer.invite(reply);
        }
        subscription.delivered.set(subscription.delivered.get() + 1);
        if subscription.exhausted() {
            self.unsubscribe(subscription);
        }
        self.appended_to(peer, pending, body.len());
        true
    }

    /// Tells a requester at once that nobody hears its request.
    ///
    /// As in `nats-server` only a plain subscription hears it, and it does not count for auto-unsubscribe.
    pub(crate) fn no_responders(&self, requester: &Rc<Peer>, reply: &[u8]) {
        let matches = self.index.borrow_mut().matches(reply);
        let own = matches
            .plain
            .iter()
            .find(|sub| Rc::ptr_eq(&sub.peer, requester) && !sub.closed.get());
        if let Some(subscription) = own {
            let pending =
                requester.append(|out| append_no_responders(out, reply, &subscription.sid));
            self.appended_to(requester, pending, 0);
        }
    }

    fn appended_to(&self, peer: &Rc<Peer>, pending: usize, bytes: usize) {
        self.mark_dirty(peer);
        if pending > FLUSH_MARK && !peer.is_blocked() {
            peer.flush();
        }
        if peer.pending() > self.settings.borrow().limits.max_pending {
            peer.close(Close::SlowConsumer);
        }
        self.appended.set(self.appended.get() + bytes);
        if self.appended.get() > BATCH_BUDGET {
            self.flush_dirty();
        }
    }

    pub(crate) fn mark_dirty(&self, peer: &Rc<Peer>) {
        if !peer.dirty.replace(true) {
            self.dirty.borrow_mut().push(peer.clone());
        }
    }

    /// Flushes everybody who got something; returns a peer that publishers should wait for.
    pub(crate) fn flush_dirty(&self) -> Option<Rc<Peer>> {
        self.appended.set(0);
        let peers = std::mem::take(&mut *self.dirty.borrow_mut());
        let mut behind = None;
        for peer in peers {
            peer.dirty.set(false);
            peer.flush();
            if behind.is_none() && peer.worth_waiting_for() {
                behind = Some(peer);
            }
        }
        behind
    }
}

impl Settings {
    fn new(config: &Config, tls: Option<Offer>) -> Self {
        Self {
            limits: Rc::new(config.limits.clone()),
            auth: Rc::new(Authenticator::new(config)),
            tls: tls.map(Rc::new),
        }
    }
}

/// A client without header support gets the payload only.
fn visible_part<'a>(peer: &Peer, message: &Publish<'a>) -> (Option<usize>, &'a [u8]) {
    match message.header_len {
        Some(len) if !peer.headers.get() => (None, &message.body[len..]),
        header_len => (header_len, message.body),
    }
}

//! Delivery: from one publisher to everybody who hears the subject.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use tokio::sync::Notify;

use crate::auth::{Authenticator, Identity};
use crate::buffers::Buffers;
use crate::close::Close;
use crate::config::Config;
use crate::info;
use crate::limits::{BATCH_BUDGET, FLUSH_MARK, Limits, SCRATCH};
use crate::monitor::Load;
use crate::peer::{Counters, Peer, count};
use crate::protocol::{Parser, Publish, append_err, append_no_responders};
use crate::subjects::{Index, IndexFacts, Matches, QueueGroup};
use crate::subscription::{BySid, Subscription};
use crate::tls::Offer;
use crate::violations::Violations;

/// Who hears a subject.
pub(crate) type Hearers = Matches<Rc<Subscription>>;

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
    pub(crate) violations: Violations,
    pub(crate) total_connections: Cell<u64>,
    pub(crate) peers: RefCell<BTreeMap<u64, Rc<Peer>>>,
    /// Read buffer of whichever connection reads right now.
    pub(crate) scratch: RefCell<Box<[u8]>>,
    pub(crate) buffers: Rc<Buffers>,
    pub(crate) load: Load,
    /// Wakes the housekeeping: somebody has left.
    pub(crate) departed: Notify,
    index: RefCell<Index<Rc<Subscription>>>,
    dirty: RefCell<Vec<Rc<Peer>>>,
    appended: Cell<usize>,
    /// A destination with more than this pending is looked after in the middle of a batch.
    bound_mark: Cell<usize>,
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
            violations: Violations::default(),
            total_connections: Cell::new(0),
            peers: RefCell::default(),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            buffers: Rc::default(),
            load: Load::default(),
            departed: Notify::new(),
            index: RefCell::default(),
            dirty: RefCell::default(),
            appended: Cell::new(0),
            bound_mark: Cell::new(bound_mark(&config.limits)),
        }
    }

    /// A login that failed, in the words of the original: with the user's name where there are users.
    pub(crate) fn log_stranger(&self, peer: &Peer, user: Option<&str>) {
        let who = peer.described();
        let user = user.unwrap_or_default();
        self.violations.log(|| match self.auth().has_users() {
            true => format!(
                "{who} - authentication error - User {:?}",
                user.get(..256).unwrap_or(user)
            ),
            false => format!("{who} - authentication error"),
        });
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
        self.bound_mark.set(bound_mark(&config.limits));
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
        let held: Vec<Rc<Subscription>> = peer
            .subscriptions
            .borrow()
            .iter()
            .map(|held| held.0.clone())
            .collect();
        for sub in held {
            let queue = sub.queue.as_deref();
            let subject = sub.head.subject();
            sub.filtered.set(rights.filters(subject, queue));
            if !rights.may_subscribe(subject, queue) {
                self.unsubscribe(&sub);
                let text = format!(
                    "Permissions Violation for Subscription to \"{}\" (sid \"{}\")",
                    String::from_utf8_lossy(subject),
                    String::from_utf8_lossy(sub.head.sid())
                );
                peer.append(|out| append_err(out, &text));
                self.mark_dirty(peer);
            }
        }
    }

    /// Closes every connection.
    pub(crate) fn close_all(&self) {
        let peers = self.peers.borrow();
        peers.values().for_each(|peer| peer.close(Close::Shutdown));
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
            subscription.head.subject(),
            subscription.queue.as_deref(),
            subscription.clone(),
        );
        subscription
            .peer
            .subscriptions
            .borrow_mut()
            .insert(BySid(subscription.clone()));
    }

    /// Ends a subscription: it hears nothing more, even through results cached or in use.
    pub(crate) fn unsubscribe(&self, subscription: &Rc<Subscription>) {
        subscription.closed.set(true);
        self.index
            .borrow_mut()
            .remove(subscription.head.subject(), |other| {
                Rc::ptr_eq(other, subscription)
            });
        subscription
            .peer
            .subscriptions
            .borrow_mut()
            .remove(subscription.head.sid());
    }

    /// Forgets a connection and everything it subscribed to.
    #[expect(
        clippy::mutable_key_type,
        reason = "the id by which a subscription is hashed never changes"
    )]
    pub(crate) fn leave(&self, peer: &Peer) {
        let subscriptions = std::mem::take(&mut *peer.subscriptions.borrow_mut());
        subscriptions
            .iter()
            .for_each(|held| self.unsubscribe(&held.0));
        self.peers.borrow_mut().remove(&peer.id);
        if peer.closing() == Some(Close::SlowConsumer) {
            self.slow_consumers.set(self.slow_consumers.get() + 1);
        }
        self.departed.notify_one();
    }

    /// Who hears a literal subject now.
    pub(crate) fn matches(&self, subject: &[u8]) -> Rc<Hearers> {
        self.index.borrow_mut().matches(subject)
    }

    /// Delivers to every plain subscription and one member of each queue group; returns the deliveries.
    pub(crate) fn publish(
        &self,
        from: &Rc<Peer>,
        message: &Publish<'_>,
        matches: &Hearers,
    ) -> usize {
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
        let mut bytes = 0;
        let pending = peer.append(|out| {
            bytes = subscription.head.append(out, message, peer.headers.get());
        });
        count(&peer.counters.out_msgs, &peer.counters.out_bytes, bytes);
        count(&self.counters.out_msgs, &self.counters.out_bytes, bytes);
        if let Some(reply) = message.reply {
            peer.invite(reply);
        }
        subscription.delivered.set(subscription.delivered.get() + 1);
        if subscription.exhausted() {
            self.unsubscribe(subscription);
        }
        self.appended_to(peer, pending, bytes);
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
                requester.append(|out| append_no_responders(out, reply, subscription.head.sid()));
            self.appended_to(requester, pending, 0);
        }
    }

    fn appended_to(&self, peer: &Rc<Peer>, pending: usize, bytes: usize) {
        self.mark_dirty(peer);
        if pending > self.bound_mark.get() {
            self.bound(peer);
        }
        self.appended.set(self.appended.get() + bytes);
        if self.appended.get() > BATCH_BUDGET {
            self.flush_dirty();
        }
    }

    /// Sends or drops what has become too much for one client.
    fn bound(&self, peer: &Rc<Peer>) {
        if !peer.is_blocked() {
            peer.flush();
        }
        if peer.pending() > self.settings.borrow().limits.max_pending {
            peer.close(Close::SlowConsumer);
        }
    }

    /// Cuts off whoever holds most until all clients together hold no more than they may.
    fn bound_memory(&self, allowed: usize) {
        while self.buffers.held() > allowed {
            let peers = self.peers.borrow();
            let open = peers.values().filter(|peer| peer.closing().is_none());
            let Some(worst) = open.max_by_key(|peer| peer.held()) else {
                return;
            };
            tracing::warn!(
                cid = worst.id,
                held = worst.held(),
                allowed,
                "cut off: all clients together hold more than max_buffered, and this one the most"
            );
            worst.give_up_memory();
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
        self.bound_memory(self.settings.borrow().limits.max_buffered);
        behind
    }
}

fn bound_mark(limits: &Limits) -> usize {
    FLUSH_MARK.min(limits.max_pending)
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

//! Delivery: from one publisher to everybody who hears the subject.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use crate::auth::Authenticator;
use crate::config::Config;
use crate::limits::{BATCH_BUDGET, FLUSH_MARK, Limits};
use crate::peer::{Close, Counters, Peer, Subscription, count};
use crate::protocol::{Delivery, Parser, Publish, append_message, append_no_responders};
use crate::subjects::{Index, QueueGroup};

/// What all connections share. One thread owns it, hence cells and no locks.
pub(crate) struct Hub {
    pub(crate) server_id: String,
    pub(crate) server_name: String,
    pub(crate) limits: Limits,
    pub(crate) auth: Authenticator,
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
    pub(crate) fn new(config: &Config) -> Self {
        let server_id = format!("N{:031X}", rand::random::<u128>() >> 4);
        Self {
            server_name: config
                .server_name
                .clone()
                .unwrap_or_else(|| server_id.clone()),
            server_id,
            limits: config.limits.clone(),
            auth: Authenticator::new(&config.users, config.token.as_deref()),
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

    pub(crate) fn parser(&self) -> Parser {
        Parser {
            max_control_line: self.limits.max_control_line,
            max_payload: self.limits.max_payload,
        }
    }

    pub(crate) fn subscription_count(&self) -> usize {
        self.index.borrow().len()
    }

    pub(crate) fn subscribe(&self, subscription: &Rc<Subscription>, queue: Option<&[u8]>) {
        self.index
            .borrow_mut()
            .insert(&subscription.subject, queue, subscription.clone());
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
        subscription.delivered.set(subscription.delivered.get() + 1);
        if subscription.exhausted() {
            self.unsubscribe(subscription);
        }
        self.appended_to(peer, pending, body.len());
        true
    }

    /// Tells a requester at once that nobody hears its request.
    pub(crate) fn no_responders(&self, requester: &Rc<Peer>, reply: &[u8]) {
        let matches = self.index.borrow_mut().matches(reply);
        let queued = matches.queues.iter().flat_map(|group| group.members.iter());
        let own = matches
            .plain
            .iter()
            .chain(queued)
            .find(|sub| Rc::ptr_eq(&sub.peer, requester) && !sub.closed.get());
        if let Some(subscription) = own {
            let pending =
                requester.append(|out| append_no_responders(out, reply, &subscription.sid));
            subscription.delivered.set(subscription.delivered.get() + 1);
            if subscription.exhausted() {
                self.unsubscribe(subscription);
            }
            self.appended_to(requester, pending, 0);
        }
    }

    fn appended_to(&self, peer: &Rc<Peer>, pending: usize, bytes: usize) {
        self.mark_dirty(peer);
        if pending > FLUSH_MARK && !peer.is_blocked() {
            peer.flush();
        }
        if peer.pending() > self.limits.max_pending {
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

/// A client without header support gets the payload only.
fn visible_part<'a>(peer: &Peer, message: &Publish<'a>) -> (Option<usize>, &'a [u8]) {
    match message.header_len {
        Some(len) if !peer.headers.get() => (None, &message.body[len..]),
        header_len => (header_len, message.body),
    }
}

//! A client's connection.

use std::sync::Arc;
use std::time::Instant;

use super::accept::Place;
use super::exchange::Exchange;
use super::slots::Key;
use super::upstream::Upstream;
use super::wire::Wire;
use crate::guard::{Guard, Limits};
use crate::rewrite::Peer;

/// What a connection is doing.
pub(super) enum Phase {
    /// Between requests, or in the head of one.
    Waiting,
    /// A request is being served.
    Serving(Box<Exchange>),
    /// The last answer was given; what still comes is read and forgotten, so that the answer is not lost to a reset.
    Leaving {
        /// Bytes forgotten so far.
        surplus: usize,
        /// When the client was told that nothing follows: once it had taken its answer.
        told: Option<Instant>,
    },
}

/// A client's connection and all that hangs on it.
pub(super) struct Client {
    pub(super) key: Key,
    pub(super) wire: Wire,
    pub(super) guard: Guard,
    pub(super) phase: Phase,
    /// The connection to an instance, while one is needed.
    pub(super) upstream: Option<Box<Upstream>>,
    /// Read and not used yet.
    pub(super) input: Vec<u8>,
    /// What is in `input` was looked at and is no whole head.
    pub(super) starved: bool,
    pub(super) peer: Arc<Peer>,
    /// The host that the listener stands for.
    pub(super) fixed_host: Option<Arc<str>>,
    /// When the present phase began.
    pub(super) since: Instant,
    /// When something last moved.
    pub(super) touched: Instant,
    /// It stands in the list of those to be served in this turn.
    pub(super) queued: bool,
    _place: Option<Place>,
}

impl Client {
    pub(super) fn new(
        key: Key,
        wire: Wire,
        peer: Arc<Peer>,
        fixed_host: Option<Arc<str>>,
        place: Option<Place>,
        limits: Limits,
        now: Instant,
    ) -> Self {
        Self {
            key,
            wire,
            guard: Guard::new(limits),
            phase: Phase::Waiting,
            upstream: None,
            input: Vec::new(),
            starved: false,
            peer,
            fixed_host,
            since: now,
            touched: now,
            queued: false,
            _place: place,
        }
    }

    /// The request being served.
    pub(super) fn exchange(&mut self) -> Option<&mut Exchange> {
        match &mut self.phase {
            Phase::Serving(exchange) => Some(exchange),
            _ => None,
        }
    }

    /// Begins another phase; returns the exchange of the last one.
    pub(super) fn enter(&mut self, phase: Phase, now: Instant) -> Option<Box<Exchange>> {
        self.since = now;
        match std::mem::replace(&mut self.phase, phase) {
            Phase::Serving(exchange) => Some(exchange),
            _ => None,
        }
    }
}

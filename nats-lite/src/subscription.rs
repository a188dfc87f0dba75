//! One subscription, as the index, its owner and every delivery see it.

use std::borrow::Borrow;
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use crate::peer::Peer;
use crate::protocol::Head;

/// One subscription. Shared by the index, cached results and its owner; only flags change.
pub(crate) struct Subscription {
    pub(crate) peer: Rc<Peer>,
    /// Subject and id.
    pub(crate) head: Head,
    pub(crate) queue: Option<Box<[u8]>>,
    /// Deliveries must be checked one by one: the subject overlaps a denied one.
    pub(crate) filtered: Cell<bool>,
    pub(crate) delivered: Cell<u64>,
    pub(crate) max: Cell<Option<u64>>,
    pub(crate) closed: Cell<bool>,
}

impl Subscription {
    /// True once as many messages as asked for have been delivered.
    pub(crate) fn exhausted(&self) -> bool {
        self.max
            .get()
            .is_some_and(|max| self.delivered.get() >= max)
    }
}

/// A subscription as its owner looks it up: by its id, which stands in it.
pub(crate) struct BySid(pub(crate) Rc<Subscription>);

impl Borrow<[u8]> for BySid {
    fn borrow(&self) -> &[u8] {
        self.0.head.sid()
    }
}

impl Hash for BySid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.head.sid().hash(state);
    }
}

impl PartialEq for BySid {
    fn eq(&self, other: &Self) -> bool {
        self.0.head.sid() == other.0.head.sid()
    }
}

impl Eq for BySid {}

//! Where a publisher's last message went: most publishers stay on one subject for a while.

use std::rc::{Rc, Weak};

use crate::auth::Identity;
use crate::hub::Hearers;

/// A subject its user may publish to, and who hears it.
pub(crate) struct Route {
    subject: Box<[u8]>,
    identity: Rc<Identity>,
    /// Weak: the index drops its answer when anything about it changes, and then this is gone
    /// too. Held fast it would keep connections alive that have long been closed.
    hearers: Weak<Hearers>,
}

impl Route {
    pub(crate) fn new(subject: &[u8], identity: Rc<Identity>, hearers: &Rc<Hearers>) -> Self {
        Self {
            subject: subject.into(),
            identity,
            hearers: Rc::downgrade(hearers),
        }
    }

    /// Who hears the subject, if this is about it and still holds for this user.
    pub(crate) fn answer(&self, subject: &[u8], identity: &Rc<Identity>) -> Option<Rc<Hearers>> {
        let same = *self.subject == *subject && Rc::ptr_eq(&self.identity, identity);
        self.hearers.upgrade().filter(|_| same)
    }
}

//! What the reading end of a connection and the requests made of it tell each other.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use crate::guard::{Refusal, Refused};

/// Messages are numbered on both ends, since the library may read ahead of the request being answered.
#[derive(Default)]
pub(crate) struct Conversation {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    begun: u64,
    answered: u64,
    tunnel: bool,
    /// The client's last message, once known.
    last: Option<u64>,
    refused: Option<Refused>,
    /// Waits for the outcome of an upgrade.
    reader: Option<Waker>,
}

impl Conversation {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Plain assignments under this lock: nothing to be left half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request arrives from the library; says so when it must not be served.
    pub(crate) fn begin(&self) -> Option<Refused> {
        let mut inner = self.inner();
        inner.begun += 1;
        let begun = inner.begun;
        inner
            .refused
            .clone()
            .filter(|refused| refused.message == begun)
    }

    /// What was found wrong with the present request after it had begun.
    pub(crate) fn broken(&self) -> Option<Refusal> {
        let inner = self.inner();
        let refused = inner.refused.as_ref();
        refused
            .filter(|refused| refused.message == inner.begun)
            .map(|refused| refused.why)
    }

    /// The present request has its answer; a tunnel if protocols are switched by it.
    pub(crate) fn answered(&self, switched: bool) {
        let mut inner = self.inner();
        inner.answered += 1;
        inner.tunnel |= switched;
        if let Some(reader) = inner.reader.take() {
            reader.wake();
        }
    }

    /// The client announced its last message. The library misses that when the headers say it in an odd way.
    pub(super) fn ends_with(&self, message: u64) {
        self.inner().last = Some(message);
    }

    /// Whether the present request is the last.
    pub(crate) fn is_last(&self) -> bool {
        let inner = self.inner();
        inner.last == Some(inner.begun)
    }

    /// The reading end refuses a message.
    pub(super) fn refuse(&self, refused: Refused) {
        self.inner().refused.get_or_insert(refused);
    }

    /// Whether a message's answer made a tunnel; absent, and the task woken later, while there is none.
    pub(super) fn outcome(&self, message: u64, cx: &Context<'_>) -> Option<bool> {
        let mut inner = self.inner();
        if inner.answered >= message {
            return Some(inner.tunnel);
        }
        inner.reader = Some(cx.waker().clone());
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_refusal_concerns_its_own_message_only() {
        let conversation = Conversation::default();
        conversation.refuse(Refused {
            why: Refusal::BareLf,
            message: 2,
            line: None,
        });
        assert_eq!((conversation.begin(), conversation.broken()), (None, None));
        assert_eq!(conversation.begin().unwrap().why, Refusal::BareLf);
        assert_eq!(conversation.broken(), Some(Refusal::BareLf));
    }

    #[test]
    fn an_upgrade_is_undecided_until_its_own_answer() {
        let cx = Context::from_waker(Waker::noop());
        let conversation = Conversation::default();
        conversation.answered(false);
        assert_eq!(conversation.outcome(2, &cx), None);
        conversation.answered(true);
        assert_eq!(conversation.outcome(2, &cx), Some(true));
    }
}

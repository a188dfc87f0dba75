//! The reply subjects a client with `allow_responses` may still use: pure, driven by `now`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::config::Responses;
use crate::limits::MAX_REPLIES;

#[derive(Debug)]
struct Reply {
    used: u32,
    until: Option<Instant>,
}

/// Open invitations to answer, at most [`MAX_REPLIES`] of them.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    open: HashMap<Box<[u8]>, Reply>,
}

impl Replies {
    /// A request with this reply subject was delivered to the client.
    pub(crate) fn invite(&mut self, subject: &[u8], rule: &Responses, now: Instant) {
        if self.open.len() >= MAX_REPLIES {
            self.open
                .retain(|_, reply| reply.until.is_none_or(|until| now < until));
        }
        if self.open.len() >= MAX_REPLIES {
            // Answers that old are late anyway; whoever asks next must not be refused for them.
            self.open.clear();
        }
        let until = (rule.expires > 0.0).then(|| now + Duration::from_secs_f64(rule.expires));
        self.open.insert(subject.into(), Reply { used: 0, until });
    }

    /// True when the client may answer there once more; counts the answer.
    pub(crate) fn may_answer(&mut self, subject: &[u8], rule: &Responses, now: Instant) -> bool {
        let Some(reply) = self.open.get_mut(subject) else {
            return false;
        };
        reply.used = reply.used.saturating_add(1);
        let fresh = reply.until.is_none_or(|until| now < until);
        let allowed = fresh && u32::try_from(rule.max).map_or(true, |max| reply.used <= max);
        if !allowed {
            self.open.remove(subject);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_ends_after_its_answers_or_its_time() {
        let rule = Responses {
            max: 2,
            expires: 60.0,
        };
        let start = Instant::now();
        let mut replies = Replies::default();
        assert!(!replies.may_answer(b"r", &rule, start));
        replies.invite(b"r", &rule, start);
        assert!(replies.may_answer(b"r", &rule, start) && replies.may_answer(b"r", &rule, start));
        assert!(!replies.may_answer(b"r", &rule, start));
        replies.invite(b"s", &rule, start);
        assert!(!replies.may_answer(b"s", &rule, start + Duration::from_secs(60)));
    }

    #[test]
    fn invitations_stay_bounded() {
        let (rule, now) = (Responses::default(), Instant::now());
        let mut replies = Replies::default();
        for number in 0..3 * MAX_REPLIES {
            replies.invite(number.to_string().as_bytes(), &rule, now);
        }
        assert!(replies.open.len() <= MAX_REPLIES);
    }
}

//! What one user may publish and hear: allow and deny lists, some of their entries for a queue group only.

use crate::config::{Responses, User};
use crate::subjects::{covers, has_wildcard, overlap};

/// Subject permissions of one user. The default allows everything.
#[derive(Debug, Default, PartialEq)]
pub struct Permissions {
    publish: Rule,
    subscribe: Rule,
    responses: Option<Responses>,
}

/// An allow list (absent: everything) and a deny list, which wins.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rule {
    allow: Option<Vec<Pattern>>,
    deny: Vec<Pattern>,
}

/// `subject`, or `subject queue`: then the entry is about members of that queue group only.
#[derive(Debug, PartialEq, Eq)]
struct Pattern {
    subject: Box<[u8]>,
    queue: Option<Box<[u8]>>,
}

impl Permissions {
    pub(crate) fn of(user: &User) -> Self {
        let mut publish = Rule::new(user.publish.as_deref(), &user.deny_publish);
        if user.responses.is_some() && publish.allow.is_none() {
            // Who may answer may do nothing else unless a list says so.
            publish.allow = Some(Vec::new());
        }
        Self {
            publish,
            subscribe: Rule::new(user.subscribe.as_deref(), &user.deny_subscribe),
            responses: user.responses.clone(),
        }
    }

    /// How this user may answer requests it has received, beyond its publish list.
    pub(crate) fn responses(&self) -> Option<&Responses> {
        self.responses.as_ref()
    }

    /// May this user publish to the literal subject?
    pub fn may_publish(&self, subject: &[u8]) -> bool {
        self.publish.allows(subject, None) && !self.publish.denies(subject, None)
    }

    /// May this user subscribe to the subject, wildcards included, as a member of this queue group if any?
    ///
    /// A wildcard that overlaps a denied subject without lying inside it is accepted, as in
    /// `nats-server`; what it must not hear is filtered at delivery: see [`Self::filters`].
    pub fn may_subscribe(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        self.subscribe.allows(subject, queue) && !self.subscribe.denies(subject, queue)
    }

    /// True when deliveries to this subscription must be checked one by one.
    pub fn filters(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        has_wildcard(subject) && self.subscribe.overlaps_denied(subject, queue)
    }

    /// True when a filtered subscription may hear a message on this literal subject.
    pub fn may_hear(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        !self.subscribe.denies(subject, queue)
    }
}

impl Rule {
    fn new(allow: Option<&[String]>, deny: &[String]) -> Self {
        let patterns = |list: &[String]| list.iter().map(|text| Pattern::new(text)).collect();
        Self {
            allow: allow.map(patterns),
            deny: patterns(deny),
        }
    }

    /// Entries that name a queue group decide for members of any group, the plain ones for the rest.
    fn allows(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        let Some(allow) = &self.allow else {
            return true;
        };
        let mut about = allow
            .iter()
            .filter(|pattern| covers(&pattern.subject, subject));
        let groups = about.clone().any(|pattern| pattern.queue.is_some());
        match queue {
            Some(queue) if groups => about.any(|pattern| pattern.is_for_group(queue)),
            _ => about.any(|pattern| pattern.queue.is_none()),
        }
    }

    fn denies(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        self.deny
            .iter()
            .any(|pattern| pattern.concerns(queue) && covers(&pattern.subject, subject))
    }

    fn overlaps_denied(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        self.deny
            .iter()
            .any(|pattern| pattern.concerns(queue) && overlap(&pattern.subject, subject))
    }
}

impl Pattern {
    fn new(text: &str) -> Self {
        let mut words = text.split_ascii_whitespace();
        let subject = words.next().unwrap_or_default();
        Self {
            subject: subject.as_bytes().into(),
            queue: words.next().map(|queue| queue.as_bytes().into()),
        }
    }

    fn is_for_group(&self, queue: &[u8]) -> bool {
        self.queue
            .as_deref()
            .is_some_and(|pattern| covers(pattern, queue))
    }

    /// A plain entry concerns everybody, one with a group its members.
    fn concerns(&self, queue: Option<&[u8]>) -> bool {
        self.queue.is_none() || queue.is_some_and(|queue| self.is_for_group(queue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Vec<String> {
        items.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn publishing_follows_the_table() {
        let rules = Permissions::of(&User {
            publish: Some(list(&["dea.*", "router.>"])),
            deny_publish: list(&["dea.stop"]),
            ..User::default()
        });
        for (subject, expected) in [
            ("dea.heartbeat", true),
            ("dea.stop", false),
            ("router.a.b", true),
            ("hm9000.start", false),
            ("dea.1.start", false),
        ] {
            assert_eq!(rules.may_publish(subject.as_bytes()), expected, "{subject}");
        }
    }

    #[test]
    fn a_wildcard_beside_a_denied_subject_is_accepted_and_filtered() {
        let rules = Permissions::of(&User {
            deny_subscribe: list(&["secret.x", "all.>"]),
            ..User::default()
        });
        for (subject, accepted, filtered) in [
            ("secret.>", true, true),
            (">", true, true),
            ("secret.x", false, false),
            ("all.*", false, true),
            ("free.*", true, false),
            ("secret.y", true, false),
        ] {
            let subject = subject.as_bytes();
            assert_eq!(rules.may_subscribe(subject, None), accepted, "{subject:?}");
            assert_eq!(rules.filters(subject, None), filtered, "{subject:?}");
        }
        assert!(!rules.may_hear(b"secret.x", None) && rules.may_hear(b"secret.y", None));
    }

    #[test]
    fn entries_with_a_queue_decide_for_members_of_groups() {
        let rules = Permissions::of(&User {
            subscribe: Some(list(&["q crew", "q crew.*", "s.>"])),
            deny_subscribe: list(&["s.d bad"]),
            ..User::default()
        });
        for (subject, queue, expected) in [
            ("q", None, false),
            ("q", Some("crew"), true),
            ("q", Some("crew.7"), true),
            ("q", Some("other"), false),
            ("s.d", None, true),
            ("s.d", Some("bad"), false),
            ("s.d", Some("good"), true),
            ("s.*", Some("bad"), true),
        ] {
            let group = queue.map(str::as_bytes);
            let seen = rules.may_subscribe(subject.as_bytes(), group);
            assert_eq!(seen, expected, "{subject} {queue:?}");
        }
        assert!(rules.filters(b"s.*", Some(b"bad")) && !rules.filters(b"s.*", None));
    }

    #[test]
    fn who_may_answer_may_publish_nothing_else() {
        let rules = Permissions::of(&User {
            responses: Some(Responses::default()),
            ..User::default()
        });
        assert!(!rules.may_publish(b"x") && rules.may_subscribe(b"x", None));
    }
}

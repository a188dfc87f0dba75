//! The index of subscriptions: literal subjects in a map, wildcards in a trie, results in a bounded cache.

use std::collections::HashMap;
use std::rc::Rc;

use super::trie::Node;
use super::{has_empty_token, has_wildcard};
use crate::limits::{CACHE_ENTRIES, CACHE_HITS};

/// Subscriptions that hear a subject.
pub struct Matches<T> {
    /// Each of these receives the message.
    pub plain: Vec<T>,
    /// One member of each group receives it.
    pub queues: Vec<QueueGroup<T>>,
}

/// The members of one queue group that hear a subject.
pub struct QueueGroup<T> {
    /// Name of the group.
    pub name: Box<[u8]>,
    /// Members, in order of subscription.
    pub members: Vec<T>,
}

impl<T> Matches<T> {
    fn len(&self) -> usize {
        self.plain.len()
            + self
                .queues
                .iter()
                .map(|group| group.members.len())
                .sum::<usize>()
    }
}

#[derive(Clone)]
struct Entry<T> {
    queue: Option<Box<[u8]>>,
    value: T,
}

/// Who hears what.
///
/// Keyed hashing (the standard map) throughout: subjects are chosen by clients.
pub struct Index<T> {
    literal: HashMap<Box<[u8]>, Vec<Entry<T>>>,
    wildcard: Node<Entry<T>>,
    cache: HashMap<Box<[u8]>, Rc<Matches<T>>>,
    cached_hits: usize,
    len: usize,
    inserted: u64,
    removed: u64,
    asked: u64,
    answered_from_cache: u64,
}

/// What `/subsz` tells about an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexFacts {
    /// Subscriptions now.
    pub len: usize,
    /// Subjects whose result is cached.
    pub cached: usize,
    /// Subscriptions ever added.
    pub inserted: u64,
    /// Subscriptions ever removed.
    pub removed: u64,
    /// Searches.
    pub asked: u64,
    /// Searches answered from the cache.
    pub answered_from_cache: u64,
    /// Most receivers of one cached subject.
    pub max_fanout: usize,
    /// Receivers of all cached subjects together.
    pub total_fanout: usize,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self {
            literal: HashMap::new(),
            wildcard: Node::default(),
            cache: HashMap::new(),
            cached_hits: 0,
            len: 0,
            inserted: 0,
            removed: 0,
            asked: 0,
            answered_from_cache: 0,
        }
    }
}

impl<T: Clone> Index<T> {
    /// Adds a subscription; the subject must be valid.
    pub fn insert(&mut self, subject: &[u8], queue: Option<&[u8]>, value: T) {
        let entry = Entry {
            queue: queue.map(Into::into),
            value,
        };
        match has_wildcard(subject) {
            true => self.wildcard.insert(subject, entry),
            false => self.insert_literal(subject, entry),
        }
        self.len += 1;
        self.inserted += 1;
        self.forget(subject);
    }

    /// Most literal subjects have one subscription for ever: room for exactly that.
    fn insert_literal(&mut self, subject: &[u8], entry: Entry<T>) {
        let entries = self.literal.entry(subject.into()).or_default();
        if entries.is_empty() {
            entries.reserve_exact(1);
        }
        entries.push(entry);
    }

    /// Removes the subscriptions to exactly this subject that `gone` selects.
    pub fn remove(&mut self, subject: &[u8], mut gone: impl FnMut(&T) -> bool) {
        let mut removed = 0;
        let mut gone = |entry: &Entry<T>| {
            let hit = gone(&entry.value);
            removed += usize::from(hit);
            hit
        };
        if has_wildcard(subject) {
            self.wildcard.remove(subject, &mut gone);
        } else if let Some(entries) = self.literal.get_mut(subject) {
            entries.retain(|entry| !gone(entry));
            if entries.is_empty() {
                self.literal.remove(subject);
            }
        }
        self.len -= removed;
        self.removed += removed as u64;
        self.forget(subject);
        self.give_room_back();
    }

    /// Tables do not shrink by themselves, and one left at the top of the heap keeps all below it.
    fn give_room_back(&mut self) {
        if self.cache.is_empty() {
            self.cache = HashMap::new();
        }
        if self.literal.len() < self.literal.capacity() / 8 {
            self.literal.shrink_to(2 * self.literal.len());
        }
    }

    /// All subscriptions that hear a literal subject.
    pub fn matches(&mut self, subject: &[u8]) -> Rc<Matches<T>> {
        self.asked += 1;
        if let Some(found) = self.cache.get(subject) {
            self.answered_from_cache += 1;
            return found.clone();
        }
        let found = Rc::new(self.search(subject));
        self.remember(subject, &found);
        found
    }

    /// Number of subscriptions.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The numbers of this index.
    pub fn facts(&self) -> IndexFacts {
        let fanouts = || self.cache.values().map(|found| found.len());
        IndexFacts {
            len: self.len,
            cached: self.cache.len(),
            inserted: self.inserted,
            removed: self.removed,
            asked: self.asked,
            answered_from_cache: self.answered_from_cache,
            max_fanout: fanouts().max().unwrap_or(0),
            total_fanout: fanouts().sum(),
        }
    }

    /// True without subscriptions.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn search(&self, subject: &[u8]) -> Matches<T> {
        let mut found = Matches {
            plain: Vec::new(),
            queues: Vec::new(),
        };
        if has_empty_token(subject) {
            return found;
        }
        let mut add = |entry: &Entry<T>| match &entry.queue {
            None => found.plain.push(entry.value.clone()),
            Some(name) => match found.queues.iter_mut().find(|group| group.name == *name) {
                Some(group) => group.members.push(entry.value.clone()),
                None => found.queues.push(QueueGroup {
                    name: name.clone(),
                    members: vec![entry.value.clone()],
                }),
            },
        };
        self.literal
            .get(subject)
            .into_iter()
            .flatten()
            .for_each(&mut add);
        self.wildcard.find(subject, &mut add);
        found
    }

    /// A request subscribes to a fresh literal inbox: only that subject's result can have changed.
    fn forget(&mut self, subject: &[u8]) {
        if has_wildcard(subject) {
            self.clear_cache();
        } else if let Some(old) = self.cache.remove(subject) {
            self.cached_hits -= old.len();
        }
    }

    fn remember(&mut self, subject: &[u8], found: &Rc<Matches<T>>) {
        if found.len() > CACHE_HITS / 4 {
            return;
        }
        if self.cache.len() >= CACHE_ENTRIES || self.cached_hits + found.len() > CACHE_HITS {
            self.clear_cache();
        }
        self.cached_hits += found.len();
        self.cache.insert(subject.into(), found.clone());
    }

    fn clear_cache(&mut self) {
        self.cache.clear();
        self.cached_hits = 0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::subjects::tokens;

    /// Matching by definition: token by token, no index.
    fn naive(pattern: &[&[u8]], subject: &[&[u8]]) -> bool {
        match (pattern.split_first(), subject.split_first()) {
            (None, None) => true,
            (Some((&b">", _)), Some(_)) => true,
            (Some((p, pattern)), Some((s, subject))) => {
                (*p == b"*" || p == s) && naive(pattern, subject)
            }
            _ => false,
        }
    }

    fn naive_match(pattern: &str, subject: &str) -> bool {
        let split = |text: &'static str| tokens(text.as_bytes()).collect::<Vec<_>>();
        let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        naive(&split(leak(pattern)), &split(leak(subject)))
    }

    fn pattern() -> impl Strategy<Value = String> {
        let token = prop_oneof![Just("a"), Just("b"), Just("c"), Just("*")];
        (prop::collection::vec(token, 1..4), any::<bool>()).prop_map(|(tokens, tail)| {
            let mut subject = tokens.join(".");
            if tail {
                subject.push_str(".>");
            }
            subject
        })
    }

    fn literal() -> impl Strategy<Value = String> {
        prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..5)
            .prop_map(|tokens| tokens.join("."))
    }

    #[derive(Debug, Clone)]
    enum Step {
        Add(String, Option<u8>),
        Remove(usize),
        Ask(String),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (pattern(), prop::option::of(0..2_u8))
                .prop_map(|(subject, queue)| Step::Add(subject, queue)),
            (0..20_usize).prop_map(Step::Remove),
            literal().prop_map(Step::Ask),
        ]
    }

    fn flatten(matches: &Matches<usize>) -> Vec<(Option<u8>, usize)> {
        let plain = matches.plain.iter().map(|id| (None, *id));
        let queued = matches
            .queues
            .iter()
            .flat_map(|group| group.members.iter().map(|id| (Some(group.name[0]), *id)));
        let mut all: Vec<_> = plain.chain(queued).collect();
        all.sort_unstable();
        all
    }

    proptest! {
        #[test]
        fn index_agrees_with_the_naive_matcher(steps in prop::collection::vec(step(), 1..60)) {
            let mut index = Index::default();
            let mut model: Vec<(usize, String, Option<u8>)> = Vec::new();
            for (id, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Add(subject, queue) => {
                        index.insert(subject.as_bytes(), queue.as_ref().map(std::slice::from_ref), id);
                        model.push((id, subject, queue));
                    }
                    Step::Remove(at) if !model.is_empty() => {
                        let (id, subject, _) = model.remove(at % model.len());
                        index.remove(subject.as_bytes(), |value| *value == id);
                    }
                    Step::Remove(_) => {}
                    Step::Ask(subject) => {
                        let mut expected: Vec<_> = model.iter().filter(|(_, pattern, _)| naive_match(pattern, &subject))
                            .map(|(id, _, queue)| (*queue, *id)).collect();
                        expected.sort_unstable();
                        prop_assert_eq!(flatten(&index.matches(subject.as_bytes())), expected);
                    }
                }
                prop_assert_eq!(index.len(), model.len());
            }
        }
    }

    #[test]
    fn empty_branches_are_given_back() {
        let mut index = Index::default();
        index.insert(b"a.*.c.>", None, 1);
        index.remove(b"a.*.c.>", |_| true);
        assert!(index.wildcard.is_empty() && index.is_empty());
    }

    #[test]
    fn tables_shrink_when_their_subscriptions_are_gone() {
        let mut index = Index::default();
        let subject = |number: usize| format!("a.{number}").into_bytes();
        for number in 0..10_000 {
            index.insert(&subject(number), None, number);
            index.matches(&subject(number));
        }
        for number in 0..10_000 {
            index.remove(&subject(number), |_| true);
        }
        assert!(index.is_empty() && index.literal.capacity() < 100 && index.cache.capacity() == 0);
    }

    #[test]
    fn the_cache_stays_bounded() {
        let mut index = Index::default();
        index.insert(b">", None, 1);
        for number in 0..3 * CACHE_ENTRIES {
            assert_eq!(
                index
                    .matches(format!("inbox.{number}").as_bytes())
                    .plain
                    .len(),
                1
            );
        }
        assert!(index.cache.len() <= CACHE_ENTRIES && index.cached_hits <= CACHE_HITS);
    }
}

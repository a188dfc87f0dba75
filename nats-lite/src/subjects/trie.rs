//! A trie over subject tokens for subscriptions with wildcards.

use std::collections::HashMap;

use super::tokens;

/// One level of the trie. Values sit at the node their last token leads to.
pub(super) struct Node<T> {
    values: Vec<T>,
    literal: HashMap<Box<[u8]>, Node<T>>,
    one: Option<Box<Node<T>>>,
    rest: Option<Box<Node<T>>>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            literal: HashMap::new(),
            one: None,
            rest: None,
        }
    }
}

impl<T> Node<T> {
    pub(super) fn insert(&mut self, subject: &[u8], value: T) {
        let mut node = self;
        for token in tokens(subject) {
            node = match token {
                b"*" => node.one.get_or_insert_default(),
                b">" => node.rest.get_or_insert_default(),
                _ => node.literal.entry(token.into()).or_default(),
            };
        }
        node.values.push(value);
    }

    /// Removes the values `gone` selects under exactly this subject, and branches left empty.
    pub(super) fn remove(&mut self, subject: &[u8], gone: &mut dyn FnMut(&T) -> bool) {
        let path: Vec<&[u8]> = tokens(subject).collect();
        self.remove_at(&path, gone);
    }

    fn remove_at(&mut self, path: &[&[u8]], gone: &mut dyn FnMut(&T) -> bool) {
        let Some((token, deeper)) = path.split_first() else {
            return self.values.retain(|value| !gone(value));
        };
        match *token {
            b"*" => Self::remove_child(&mut self.one, deeper, gone),
            b">" => Self::remove_child(&mut self.rest, deeper, gone),
            word => {
                let Some(child) = self.literal.get_mut(word) else {
                    return;
                };
                child.remove_at(deeper, gone);
                if child.is_empty() {
                    self.literal.remove(word);
                }
            }
        }
    }

    fn remove_child(
        child: &mut Option<Box<Self>>,
        path: &[&[u8]],
        gone: &mut dyn FnMut(&T) -> bool,
    ) {
        if let Some(node) = child {
            node.remove_at(path, gone);
            if node.is_empty() {
                *child = None;
            }
        }
    }

    /// Calls `found` for every value whose pattern matches the literal subject.
    pub(super) fn find(&self, subject: &[u8], found: &mut dyn FnMut(&T)) {
        match subject.iter().position(|&byte| byte == b'.') {
            Some(dot) => self.find_token(&subject[..dot], Some(&subject[dot + 1..]), found),
            None => self.find_token(subject, None, found),
        }
    }

    fn find_token(&self, token: &[u8], rest: Option<&[u8]>, found: &mut dyn FnMut(&T)) {
        if let Some(tail) = &self.rest {
            tail.values.iter().for_each(&mut *found);
        }
        for child in [self.one.as_deref(), self.literal.get(token)]
            .into_iter()
            .flatten()
        {
            match rest {
                Some(rest) => child.find(rest, found),
                None => child.values.iter().for_each(&mut *found),
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
            && self.literal.is_empty()
            && self.one.is_none()
            && self.rest.is_none()
    }
}

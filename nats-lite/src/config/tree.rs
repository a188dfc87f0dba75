//! A YAML document as a tree that remembers on which line each key stands.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

/// A node of the document.
#[derive(Debug)]
pub(super) enum Tree {
    Leaf(Value),
    List(Vec<Tree>),
    Map(Vec<(String, u64, Tree)>),
}

impl Tree {
    /// Reads YAML. Booleans are those of YAML 1.2 only: a password may be `y` or `no`.
    pub(super) fn read(text: &str) -> Result<Self, serde_saphyr::Error> {
        serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true })
    }

    /// The same document without lines, and without keys that have no value.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Leaf(value) => value.clone(),
            Self::List(items) => items.iter().map(Self::value).collect(),
            Self::Map(entries) => entries
                .iter()
                .filter(|(.., child)| !matches!(child, Self::Leaf(Value::Null)))
                .map(|(key, _, child)| (key.clone(), child.value()))
                .collect(),
        }
    }

    /// Puts `new` at the end of a key path, in place of whatever stood there or in the way.
    pub(super) fn set(&mut self, keys: &[String], new: Self) {
        let Some((first, rest)) = keys.split_first() else {
            *self = new;
            return;
        };
        if !matches!(self, Self::Map(_)) {
            *self = Self::Map(Vec::new());
        }
        let Self::Map(entries) = self else { return };
        match entries.iter_mut().find(|(key, ..)| key == first) {
            Some((.., child)) => child.set(rest, new),
            None => {
                let mut child = Self::Map(Vec::new());
                child.set(rest, new);
                entries.push((first.clone(), 0, child));
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Tree>()? {
            let line = key.referenced.line();
            map.push((key.value, line, value));
        }
        Ok(Tree::Map(map))
    }
}

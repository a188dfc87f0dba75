//! The configuration syntax of `nats-server`, read into the same tree as our YAML.
//!
//! [`text`] reads the syntax (blocks, comments, variables, `include`, units), [`options`] and
//! [`users`] know the options and what each is called here.

mod options;
mod text;
mod users;
mod values;

use std::path::Path;

use super::tree::Tree;
use super::{FileError, Problem};

/// What a file says in our terms, what was wrong, and what was accepted without effect.
pub(super) struct Reading {
    pub(super) tree: Tree,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

/// Reads a whole file; `dir` is where relative includes are looked for.
pub(super) fn read(text: &str, dir: &Path) -> Result<Reading, FileError> {
    let document = text::read(text, dir).map_err(FileError::Syntax)?;
    Ok(options::translate(&document))
}

/// True for text that means something to `nats-server` only: not YAML, or with its keys and none of ours.
pub(super) fn looks_like(text: &str, ours: &[&str]) -> bool {
    match Tree::read(text) {
        Ok(Tree::Map(entries)) => {
            let known = |list: &dyn Fn(&str) -> bool| entries.iter().any(|(key, ..)| list(key));
            !known(&|key| ours.contains(&key)) && known(&options::is_known)
        }
        Ok(_) => false,
        Err(_) => text::read(text, Path::new(".")).is_ok_and(|document| {
            let mut keys = document.iter();
            keys.any(|entry| options::is_known(&entry.key))
        }),
    }
}

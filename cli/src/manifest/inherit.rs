//! `inherit`: a manifest on top of another one, which may be on top of another one.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::attributes::{APP_KEYS, NAME};
use super::merge::{self, Attribute, Attributes};
use super::node::{self, Kind, Node};
use super::{bad, source, words};
use crate::error::CfError;

/// Longer chains are a mistake.
const MAX_CHAIN: usize = 16;

/// A manifest with all that it inherits.
pub struct Document {
    /// Attributes of all apps.
    pub shared: Attributes,
    /// Attributes of each app; never empty.
    pub apps: Vec<Attributes>,
}

/// Reads a document and its ancestors; `${random-word}` becomes `word`.
pub fn resolve(path: &Path, text: &str, word: &str) -> Result<Document, CfError> {
    let mut chain = vec![path.to_path_buf()];
    let mut document = level(path, text, word)?;
    while let Some(parent) = document.shared.remove("inherit") {
        let parent = parent_path(&parent)?;
        let known = chain.iter().any(|seen| same(seen, &parent));
        if known || chain.len() >= MAX_CHAIN {
            let names: Vec<String> = chain.iter().map(|p| p.display().to_string()).collect();
            let message = format!(
                "`inherit` goes round in a circle or is too long: {} -> {}",
                names.join(" -> "),
                parent.display()
            );
            return Err(bad(path, 1, message));
        }
        let below = level(&parent, &source::load(&parent)?, word)?;
        chain.push(parent);
        document = on_top(below, document);
    }
    if document.apps.is_empty() {
        document.apps.push(Attributes::new());
    }
    Ok(document)
}

fn same(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn parent_path(attribute: &Attribute) -> Result<PathBuf, CfError> {
    let Kind::Text(name) = &attribute.node.value else {
        let message = "`inherit` must be the name of a manifest file";
        return Err(bad(&attribute.file, attribute.node.line, message));
    };
    let dir = attribute.file.parent().unwrap_or(Path::new("."));
    Ok(dir.join(name))
}

/// The child over the parent; apps of the same name are one app.
fn on_top(mut below: Document, above: Document) -> Document {
    let inherit = below.shared.remove("inherit");
    let mut shared = merge::over(&below.shared, above.shared);
    shared.extend(inherit.map(|i| ("inherit".to_owned(), i)));
    let mut apps = below.apps;
    for app in above.apps {
        let name = app.get(NAME).map(|n| n.node.value.clone());
        let twin = apps
            .iter()
            .position(|a| name.is_some() && a.get(NAME).map(|n| n.node.value.clone()) == name);
        match twin {
            Some(at) => apps[at] = merge::over(&apps[at], app),
            None => apps.push(app),
        }
    }
    Document { shared, apps }
}

/// One file, its own words only.
fn level(path: &Path, text: &str, word: &str) -> Result<Document, CfError> {
    let mut tree = node::parse(path, text)?;
    words::replace(&mut tree, word);
    let line = tree.line;
    let Kind::Map(top) = tree.value else {
        let message = "a manifest is a map with the key `applications`";
        return Err(bad(path, line.max(1), message));
    };
    let file = Rc::new(path.to_path_buf());
    let mut document = Document {
        shared: Attributes::new(),
        apps: Vec::new(),
    };
    for (key, node) in top {
        if key == "applications" {
            document.apps = applications(&file, node)?;
        } else if !is_anchor(&key, &node, text) {
            put(&mut document.shared, &file, key, node, true)?;
        }
    }
    Ok(document)
}

/// A key of one's own that only holds an anchor: `defaults: &defaults {…}`.
fn is_anchor(key: &str, node: &Node, text: &str) -> bool {
    let own = !APP_KEYS.contains(&key) && key != "inherit";
    let holder = matches!(node.value, Kind::Map(_) | Kind::List(_));
    let named = |line: &str| {
        let rest = line.trim_start_matches(['"', '\'']).strip_prefix(key);
        let rest = rest.map(|r| r.trim_start_matches(['"', '\'']).trim_start());
        rest.and_then(|r| r.strip_prefix(':'))
            .is_some_and(|r| r.trim_start().starts_with('&'))
    };
    own && holder && text.lines().any(named)
}

fn applications(file: &Rc<PathBuf>, node: Node) -> Result<Vec<Attributes>, CfError> {
    let items = match node.value {
        Kind::List(items) => items,
        Kind::Null => Vec::new(),
        other => {
            let message = format!(
                "`applications` must be a list of apps, not {}",
                other.what()
            );
            return Err(bad(file, node.line, message));
        }
    };
    let mut apps = Vec::new();
    for item in items {
        let Kind::Map(entries) = item.value else {
            let message = "every item of `applications` must be a map: `- name: APP`";
            return Err(bad(file, item.line, message));
        };
        let mut app = Attributes::new();
        for (key, node) in entries {
            put(&mut app, file, key, node, false)?;
        }
        apps.push(app);
    }
    Ok(apps)
}

fn put(
    attributes: &mut Attributes,
    file: &Rc<PathBuf>,
    key: String,
    node: Node,
    top: bool,
) -> Result<(), CfError> {
    let known = APP_KEYS.contains(&key.as_str()) || (top && key == "inherit");
    if !known {
        let message = format!("unknown key `{key}` (known: {})", APP_KEYS.join(", "));
        return Err(bad(file, node.line, message));
    }
    let file = file.clone();
    attributes.insert(key, Attribute { node, file });
    Ok(())
}

//! The syntax: `key value`, `key: value`, `key = value`, `key { … }`, lists, comments with `#` or
//! `//`, `$variables`, `include`, and numbers with units.

use std::path::Path;

use super::values::number;

/// Files that include files that include files …: deeper than this is a circle.
const MAX_DEPTH: usize = 10;
/// Blocks and lists inside of each other.
const MAX_NESTED: usize = 100;
/// What all variables of a file may come to, in bytes of memory: variables made of variables grow as powers do.
const MAX_COPIED: usize = 1 << 20;

/// Where something stands, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// A number or switch without quotes, beside the word as it was written: where a text is wanted, that word is it.
    Whole(i64, String),
    Float(f64, String),
    Flag(bool, String),
    List(Vec<(Place, Node)>),
    Map(Vec<Entry>),
}

impl Node {
    /// A single value as a text, exactly as it was written.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Node::Text(text)
            | Node::Whole(_, text)
            | Node::Float(_, text)
            | Node::Flag(_, text) => Some(text),
            Node::List(_) | Node::Map(_) => None,
        }
    }

    /// How many bytes it holds, text and values themselves, and how deeply it is nested.
    fn extent(&self) -> (usize, usize) {
        const VALUE: usize = size_of::<Entry>();
        let inside = |parts: &mut dyn Iterator<Item = (usize, &Node)>| {
            parts.fold((VALUE, 1), |(size, depth), (key, node)| {
                let (more, deeper) = node.extent();
                (size + key + more, depth.max(deeper + 1))
            })
        };
        match self {
            Node::Text(text)
            | Node::Whole(_, text)
            | Node::Float(_, text)
            | Node::Flag(_, text) => (VALUE + text.len(), 0),
            Node::List(items) => inside(&mut items.iter().map(|(_, node)| (0, node))),
            Node::Map(entries) => {
                inside(&mut entries.iter().map(|entry| (entry.key.len(), &entry.value)))
            }
        }
    }
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Place,
    pub(super) value: Node,
    /// A `$variable` took its value from here: it need not be an option.
    pub(super) used: bool,
}

/// Reads a document: the entries of its outermost block.
pub(super) fn read(text: &str, dir: &Path) -> Result<Vec<Entry>, String> {
    read_nested(text, dir, &mut Vec::new(), 0)
}

fn read_nested(
    text: &str,
    dir: &Path,
    scopes: &mut Vec<Vec<Entry>>,
    depth: usize,
) -> Result<Vec<Entry>, String> {
    let mut reader = Reader {
        rest: text,
        at: Place { line: 1, column: 1 },
        dir,
        scopes,
        depth,
        copied: 0,
    };
    reader.skip_blank();
    // JSON is a special case of this syntax: the outermost braces may be there.
    let braced = reader.take('{');
    let entries = reader.block(braced)?;
    reader.skip_blank();
    match reader.peek() {
        None => Ok(entries),
        Some(found) => Err(reader.complaint(&format!("unexpected {found:?} after the end"))),
    }
}

struct Reader<'a> {
    rest: &'a str,
    at: Place,
    dir: &'a Path,
    /// The blocks around the current place, outermost first: where variables are looked up.
    scopes: &'a mut Vec<Vec<Entry>>,
    depth: usize,
    /// What variables have come to.
    copied: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let found = self.peek()?;
        self.rest = &self.rest[found.len_utf8()..];
        match found {
            '\n' => {
                self.at = Place {
                    line: self.at.line + 1,
                    column: 1,
                }
            }
            _ => self.at.column += 1,
        }
        Some(found)
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        if there {
            self.next();
        }
        there
    }

    fn complaint(&self, text: &str) -> String {
        format!("line {}, column {}: {text}", self.at.line, self.at.column)
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
    }

    /// Blanks, line ends, comments, and the separators that may stand between entries.
    fn skip_blank(&mut self) {
        loop {
            self.skip_while(|c| c.is_whitespace() || c == ',' || c == ';');
            if !(self.rest.starts_with('#') || self.rest.starts_with("//")) {
                return;
            }
            self.skip_while(|c| c != '\n');
        }
    }

    fn block(&mut self, braced: bool) -> Result<Vec<Entry>, String> {
        self.scopes.push(Vec::new());
        let outcome = self.entries(braced);
        let entries = self.scopes.pop().unwrap_or_default();
        outcome.map(|()| entries)
    }

    fn entries(&mut self, braced: bool) -> Result<(), String> {
        loop {
            self.skip_blank();
            match self.peek() {
                None if braced => {
                    return Err(self.complaint("the file ends inside of a block; close it with }"));
                }
                None => return Ok(()),
                Some('}') if braced => {
                    self.next();
                    return Ok(());
                }
                Some('}') => return Err(self.complaint("a } without its {")),
                Some(_) => self.entry()?,
            }
        }
    }

    fn entry(&mut self) -> Result<(), String> {
        let at = self.at;
        let key = self.key()?;
        self.skip_while(|c| c == ' ' || c == '\t');
        if key.eq_ignore_ascii_case("include") {
            return self.include();
        }
        if self.take(':') || self.take('=') {
            self.skip_while(char::is_whitespace);
        } else if self.rest.trim_start().starts_with(['{', '[']) {
            // A block may open on the next line.
            self.skip_while(char::is_whitespace);
        }
        let value = self.value()?;
        let scope = self.scopes.last_mut().expect("a block is open");
        // The last of several wins, as in the original.
        scope.retain(|entry| entry.key != key);
        scope.push(Entry {
            key,
            at,
            value,
            used: false,
        });
        Ok(())
    }

    fn key(&mut self) -> Result<String, String> {
        match self.peek() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            _ => {
                let ends = |c: char| c.is_whitespace() || ":={}[],;\"".contains(c);
                match self.bare(ends) {
                    key if key.is_empty() => Err(self.complaint("expected a key")),
                    key => Ok(key),
                }
            }
        }
    }

    fn bare(&mut self, ends: impl Fn(char) -> bool) -> String {
        let len = self.rest.find(ends).unwrap_or(self.rest.len());
        let word = self.rest[..len].to_owned();
        for _ in word.chars() {
            self.next();
        }
        word
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let start = self.complaint("a text that is never closed");
        self.next();
        let mut text = String::new();
        loop {
            match self.next().ok_or_else(|| start.clone())? {
                found if found == quote => return Ok(text),
                '\\' if quote == '"' => text.push(self.escaped()?),
                found => text.push(found),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        match self.next() {
            Some('n') => Ok('\n'),
            Some('t') => Ok('\t'),
            Some('r') => Ok('\r'),
            Some(found @ ('"' | '\\' | '/')) => Ok(found),
            Some('x') => {
                let digits: String = [self.next(), self.next()].into_iter().flatten().collect();
                let code = u8::from_str_radix(&digits, 16);
                code.map(char::from)
                    .map_err(|_| self.complaint("\\x needs two hexadecimal digits"))
            }
            _ => Err(self.complaint("unknown escape; known are \\n \\t \\r \\\" \\\\ and \\xHH")),
        }
    }

    fn value(&mut self) -> Result<Node, String> {
        match self.peek() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote).map(Node::Text),
            Some('{') => {
                self.next();
                self.nested(|reader| reader.block(true).map(Node::Map))
            }
            Some('[') => {
                self.next();
                self.nested(Self::list)
            }
            Some('(') => self.raw_block(),
            Some('$') => self.variable(),
            _ => {
                let ends = |c: char| c.is_whitespace() || ",;[]{}".contains(c);
                match self.bare(ends) {
                    word if word.is_empty() => Err(self.complaint("expected a value")),
                    word => Ok(plain(&word)),
                }
            }
        }
    }

    /// Blocks and lists inside of each other are bounded: each costs a stack frame.
    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Node, String>,
    ) -> Result<Node, String> {
        if self.depth + self.scopes.len() > MAX_NESTED {
            return Err(self.complaint("blocks nest too deeply"));
        }
        self.depth += 1;
        let node = read(self);
        self.depth -= 1;
        node
    }

    fn list(&mut self) -> Result<Node, String> {
        let mut items = Vec::new();
        loop {
            self.skip_blank();
            match self.peek() {
                None => {
                    return Err(self.complaint("the file ends inside of a list; close it with ]"));
                }
                Some(']') => {
                    self.next();
                    return Ok(Node::List(items));
                }
                Some(_) => items.push((self.at, self.value()?)),
            }
        }
    }

    /// `( … )` up to a closing parenthesis on a line of its own, as it stands.
    fn raw_block(&mut self) -> Result<Node, String> {
        let start = self.complaint("a ( without its ) on a line of its own");
        self.next();
        let mut text = String::new();
        loop {
            match self.next().ok_or_else(|| start.clone())? {
                ')' if text.trim_end_matches([' ', '\t']).ends_with('\n') => {
                    return Ok(Node::Text(text));
                }
                found => text.push(found),
            }
        }
    }

    /// `$name`: from the blocks around, else from the environment. A bcrypt hash is no variable.
    fn variable(&mut self) -> Result<Node, String> {
        let complaint = |name: &str, reader: &Self| {
            reader.complaint(&format!(
                "nothing named {name:?} stands above, nor in the environment"
            ))
        };
        let ends = |c: char| c.is_whitespace() || ",;[]{}".contains(c);
        let word = self.bare(ends);
        let name = &word[1..];
        if name.starts_with("2a$") || name.starts_with("2b$") || name.starts_with("2y$") {
            return Ok(Node::Text(word));
        }
        if let Some(value) = self.above(name)? {
            return Ok(value);
        }
        let value = std::env::var(name).map_err(|_| complaint(name, self))?;
        self.environment_value(&value)
    }

    /// A variable of the environment is read like a value that stands here, so that it may hold a quoted text, a list or a block;
    /// what cannot be read that way is a text as it is.
    fn environment_value(&mut self, value: &str) -> Result<Node, String> {
        let mut reader = Reader {
            rest: value,
            at: self.at,
            dir: self.dir,
            scopes: self.scopes,
            depth: self.depth + 1,
            copied: self.copied,
        };
        if reader.depth > MAX_NESTED {
            return Err(reader.complaint("variables nest too deeply"));
        }
        let read = reader.value();
        reader.skip_while(char::is_whitespace);
        match read {
            Ok(node) if reader.rest.is_empty() => Ok(node),
            _ => Ok(Node::Text(value.to_owned())),
        }
    }

    /// The value of that name in the blocks around.
    fn above(&mut self, name: &str) -> Result<Option<Node>, String> {
        let nested = self.depth + self.scopes.len();
        let mut above = self.scopes.iter_mut().rev().flatten();
        let Some(entry) = above.find(|entry| entry.key == name) else {
            return Ok(None);
        };
        entry.used = true;
        let (size, depth) = entry.value.extent();
        self.copied += size;
        if self.copied > MAX_COPIED || nested + depth > MAX_NESTED {
            return Err(self.complaint("variables repeat each other too often or nest too deeply"));
        }
        Ok(Some(entry.value.clone()))
    }

    fn include(&mut self) -> Result<(), String> {
        if self.depth >= MAX_DEPTH {
            return Err(self.complaint("includes nest too deeply; does a file include itself?"));
        }
        let Node::Text(name) = self.value()? else {
            return Err(self.complaint("include needs the name of a file"));
        };
        let path = self.dir.join(name);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            self.complaint(&format!("cannot include {}: {error}", path.display()))
        })?;
        let dir = path.parent().unwrap_or(self.dir);
        let included = read_nested(&text, dir, self.scopes, self.depth + 1)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let scope = self.scopes.last_mut().expect("a block is open");
        scope.extend(included);
        Ok(())
    }
}

/// A word without quotes: a switch, a number with or without unit, or a text.
fn plain(word: &str) -> Node {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Node::Flag(true, word.to_owned()),
        "false" | "no" | "off" => Node::Flag(false, word.to_owned()),
        _ => number(word).unwrap_or_else(|| Node::Text(word.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[a-z0-9 .:=,;{}\\[\\]()\"'$#/\\n\\\\é-]{0,60}") {
            // What it says does not matter here, only that it says something.
            let _ = read(&text, Path::new("/nowhere"));
        }
    }

    fn value(text: &str) -> Node {
        read(text, Path::new(".")).unwrap().pop().unwrap().value
    }

    #[test]
    fn every_way_to_write_an_entry_means_the_same() {
        for text in [
            "a: 1",
            "a = 1",
            "a 1",
            "a:1",
            "\"a\": 1",
            "{\"a\": 1}",
            "a=1; # x",
            "// c\n a 1,",
        ] {
            let entries = read(text, Path::new(".")).unwrap();
            assert_eq!(
                (entries[0].key.as_str(), &entries[0].value),
                ("a", &Node::Whole(1, "1".into())),
                "{text}"
            );
        }
    }

    #[test]
    fn values_have_the_type_they_look_like() {
        let text = |text: &str| Node::Text(text.into());
        for (source, expected) in [
            ("a: 64mb", Node::Whole(64 << 20, "64mb".into())),
            ("a: 64m", Node::Whole(64_000_000, "64m".into())),
            ("a: 1k", Node::Whole(1000, "1k".into())),
            ("a: -1", Node::Whole(-1, "-1".into())),
            ("a: 0.5", Node::Float(0.5, "0.5".into())),
            ("a: on", Node::Flag(true, "on".into())),
            ("a: 10s", text("10s")),
            ("a: 127.0.0.1:4222", text("127.0.0.1:4222")),
            ("a: nats://h:1", text("nats://h:1")),
            ("a: \"x\\t\\x41\"", text("x\tA")),
            ("a: 'x\\t'", text("x\\t")),
            ("a: $2a$11$abc", text("$2a$11$abc")),
            ("b: 07\na: $b", Node::Whole(7, "07".into())),
            (
                "a\n{ b: 1 }",
                Node::Map(
                    read("b: 1", Path::new("."))
                        .unwrap()
                        .into_iter()
                        .map(|e| Entry {
                            at: Place { line: 2, column: 3 },
                            ..e
                        })
                        .collect(),
                ),
            ),
            ("a: (\nx\ny\n)", text("\nx\ny\n")),
        ] {
            assert_eq!(value(source), expected, "{source}");
        }
    }

    #[test]
    fn blocks_and_lists_nest_and_remember_where_they_stand() {
        let Node::Map(entries) = value("t {\n  l: [a, {b: 1}\n c]\n}") else {
            panic!("no block")
        };
        assert_eq!(entries[0].at, Place { line: 2, column: 3 });
        let Node::List(items) = &entries[0].value else {
            panic!("no list")
        };
        assert_eq!(items.len(), 3);
    }

    #[test]
    fn an_include_is_read_from_beside_the_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("users.conf"), "users: [ $name ]").unwrap();
        let entries = read(
            "name: x\nauthorization { include 'users.conf' }",
            dir.path(),
        )
        .unwrap();
        let Node::Map(inner) = &entries[1].value else {
            panic!("no block")
        };
        assert_eq!(inner[0].key, "users");
        std::fs::write(dir.path().join("self.conf"), "include self.conf").unwrap();
        let circle = read("include self.conf", dir.path()).unwrap_err();
        assert!(circle.contains("nest too deeply"), "{circle}");
    }

    #[test]
    fn broken_text_is_refused_with_its_place() {
        for (text, part) in [
            ("a: [1", "line 1, column 6"),
            ("a {\n b: 1", "line 2"),
            ("}", "without its {"),
            ("a:", "expected a value"),
            ("a: \"x", "never closed"),
            ("a: $nothing_of_that_name", "nothing_of_that_name"),
            ("include missing.conf", "cannot include"),
        ] {
            let error = read(text, Path::new(".")).unwrap_err();
            assert!(error.contains(part), "{text:?} gave {error}");
        }
        assert!(read(&"a {".repeat(100_000), Path::new(".")).is_err());
        // Each ten times the one before.
        let powers: String = (1..30)
            .map(|n| format!("v{n}: [{}]\n", format!("$v{} ", n - 1).repeat(10)))
            .collect();
        let error = read(&format!("v0: x\n{powers}"), Path::new(".")).unwrap_err();
        assert!(error.contains("too often"), "{error}");
        let deep: String = (1..9)
            .map(|n| format!("v{n}: {}$v{}{}\n", "[".repeat(50), n - 1, "]".repeat(50)))
            .collect();
        let error = read(&format!("v0: x\n{deep}"), Path::new(".")).unwrap_err();
        assert!(error.contains("nest"), "{error}");
        assert!(read(&format!("a: {}", "[".repeat(100_000)), Path::new(".")).is_err());
    }
}

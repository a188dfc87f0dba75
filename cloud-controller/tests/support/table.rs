//! Tables in text files: one endpoint per line, columns between `|`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::world::World;

/// One line: method, path as the code writes it, what its parameters stand for, a verdict, and a body.
#[derive(Debug, Clone)]
pub struct Row {
    pub method: String,
    pub path: String,
    /// `parameter=name of something in the world`, or a text in quotes.
    pub arguments: Vec<(String, String)>,
    pub verdict: String,
    pub body: Option<String>,
}

/// A table's text. Read when the test runs: another table needs no other program.
pub fn text(name: &str) -> String {
    let path = format!("{}/tests/tables/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Reads a table; `#` begins a remark.
pub fn read(text: &str) -> Vec<Row> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(row)
        .collect()
}

fn row(line: &str) -> Row {
    let columns: Vec<&str> = line.splitn(5, '|').map(str::trim).collect();
    let [method, path, arguments, verdict, ..] = columns[..] else {
        panic!("not METHOD | path | arguments | verdict | body: {line}");
    };
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or_else(|| panic!("{line}"));
        (name.to_owned(), value.to_owned())
    };
    Row {
        method: method.to_owned(),
        path: path.to_owned(),
        arguments: arguments.split_whitespace().map(pair).collect(),
        verdict: verdict.to_owned(),
        body: columns
            .get(4)
            .filter(|text| !text.is_empty())
            .map(|text| (*text).to_owned()),
    }
}

impl Row {
    /// An argument's meaning.
    pub fn argument(&self, name: &str) -> Option<&str> {
        let found = self.arguments.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The endpoint as the code names it.
    pub fn endpoint(&self) -> (String, String) {
        (self.method.clone(), self.path.clone())
    }

    /// The path with guids of this world.
    pub fn address(&self, world: &World) -> String {
        let mut path = self.path.clone();
        for (name, value) in &self.arguments {
            for place in [format!("{{{name}}}"), format!("{{*{name}}}")] {
                if path.contains(&place) {
                    path = path.replace(&place, &world.meaning(value));
                }
            }
        }
        assert!(!path.contains('{'), "an argument is missing: {self:?}");
        match self.argument("query") {
            Some(query) => format!("{path}?{}", world.fill(query)),
            None => path,
        }
    }

    /// The body with guids of this world.
    pub fn json(&self, world: &World) -> Option<Value> {
        let text = world.fill(self.body.as_deref()?);
        Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    /// Names of things in the world it mentions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let body = self.body.as_deref().unwrap_or_default();
        let query = self.argument("query").unwrap_or_default();
        let words = body.split('$').skip(1).chain(query.split('$').skip(1));
        let end = |text: &'_ str| {
            text.find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .unwrap_or(text.len())
        };
        let words = words.map(move |text| &text[..end(text)]);
        self.arguments
            .iter()
            .map(|(_, value)| value.as_str())
            .chain(words)
    }
}

/// Fails unless table and code name the same endpoints; `of_code` is what of the code the table is about.
pub fn must_match(rows: &[Row], of_code: impl Fn(&str, &str) -> bool) {
    let code: BTreeSet<(String, String)> = cloud_controller::endpoints()
        .into_iter()
        .filter(|endpoint| of_code(endpoint.method, &endpoint.path))
        .map(|endpoint| (endpoint.method.to_owned(), endpoint.path))
        .collect();
    let table: BTreeSet<(String, String)> = rows.iter().map(Row::endpoint).collect();
    let without_row: Vec<_> = code.difference(&table).collect();
    let without_endpoint: Vec<_> = table.difference(&code).collect();
    assert!(
        without_row.is_empty() && without_endpoint.is_empty(),
        "endpoints without a row: {without_row:#?}\nrows without an endpoint: {without_endpoint:#?}"
    );
}

//! What the person sees. Results go to stdout; with `--json` the result is one JSON
//! document there and everything else goes to stderr. Colours only on a terminal
//! and without NO_COLOR.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

/// The printer, passed down.
#[derive(Debug, Clone)]
pub struct Ui {
    colour: bool,
    colour_errors: bool,
    /// Whether a progress bar makes sense.
    pub interactive: bool,
    /// Print JSON instead of tables.
    pub json: bool,
    /// Documents of `--json`, printed at the end.
    documents: Arc<Mutex<Documents>>,
}

#[derive(Debug, Default)]
struct Documents {
    kept: Vec<Value>,
    /// Something was printed that is a document of its own (`cf curl`, `cf logs`).
    raw: bool,
}

const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[1;32m";
const RED: &str = "\x1b[1;31m";
const CYAN: &str = "\x1b[36;1m";
const RESET: &str = "\x1b[0m";

/// A column: its heading, the field that it shows, and how.
pub struct Column {
    head: &'static str,
    key: &'static str,
    show: fn(&Value) -> String,
}

/// A column that shows a field as it is.
pub const fn column(head: &'static str, key: &'static str) -> Column {
    shown(head, key, plain)
}

/// A column with a way of its own to show the field.
pub const fn shown(head: &'static str, key: &'static str, show: fn(&Value) -> String) -> Column {
    Column { head, key, show }
}

/// Text as it is, lists with commas, nothing for null.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A number where -1 and null mean "no limit".
pub fn or_unlimited(value: &Value) -> String {
    match value.as_i64() {
        None | Some(-1) => "unlimited".into(),
        Some(number) => number.to_string(),
    }
}

impl Ui {
    /// What this process's streams allow.
    pub fn new(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self {
            colour: std::io::stdout().is_terminal() && !plain && !json,
            colour_errors: std::io::stderr().is_terminal() && !plain,
            interactive: std::io::stderr().is_terminal() && !json,
            json,
            documents: Arc::default(),
        }
    }

    /// The same printer without colours (`cf config --color false`).
    pub fn without_colours(self) -> Self {
        Self {
            colour: false,
            colour_errors: false,
            ..self
        }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour {
            format!("{colour}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }

    /// One line; on stderr in JSON mode.
    pub fn say(&self, text: &str) {
        // A closed pipe (`cf apps | head`) is the reader's choice, not an error.
        let _ = match self.json {
            true => writeln!(std::io::stderr(), "{text}"),
            false => writeln!(std::io::stdout(), "{text}"),
        };
    }

    /// One line on stderr: what is worth knowing and no result.
    pub fn warn(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// A result that is printed as it is, in JSON mode too.
    pub fn raw(&self, text: &str) {
        self.documents().raw = true;
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// Keeps the document that `--json` prints.
    pub fn document(&self, value: Value) {
        self.documents().kept.push(value);
    }

    /// Takes back the documents kept so far, to make one of several.
    pub fn take_documents(&self) -> Vec<Value> {
        std::mem::take(&mut self.documents().kept)
    }

    fn documents(&self) -> std::sync::MutexGuard<'_, Documents> {
        self.documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints the document of a command that went well: what it kept, or that it is done.
    pub fn finish(&self) {
        let mut documents = self.documents();
        if !self.json || documents.raw {
            return;
        }
        let last = documents.kept.pop().unwrap_or(json!({"ok": true}));
        let text = serde_json::to_string_pretty(&last).unwrap_or_else(|_| last.to_string());
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// `OK` and an empty line.
    pub fn ok(&self) {
        self.say(&format!("{}\n", self.paint(GREEN, "OK")));
    }

    /// `FAILED` and the reason; with `--json` an error document.
    pub fn failed(&self, error: &crate::CfError) {
        let _ = std::io::stdout().flush();
        if self.json {
            let _ = writeln!(std::io::stdout(), "{:#}", error.document());
        }
        let mark = if self.colour_errors {
            format!("{RED}FAILED{RESET}")
        } else {
            "FAILED".into()
        };
        let _ = writeln!(std::io::stderr(), "{mark}\n{error}");
    }

    /// A name inside a sentence.
    pub fn name(&self, text: &str) -> String {
        self.paint(CYAN, text)
    }

    /// Rows as a table, or as the array of `--json`; `none` is said when there are none.
    pub fn list(&self, columns: &[Column], rows: Vec<Value>, none: &str) {
        if self.json {
            return self.document(Value::Array(rows));
        }
        if rows.is_empty() && !none.is_empty() {
            return self.say(none);
        }
        let head: Vec<&str> = columns.iter().map(|c| c.head).collect();
        let cells = |row: &Value| columns.iter().map(|c| (c.show)(&row[c.key])).collect();
        self.table(&head, &rows.iter().map(cells).collect::<Vec<Vec<String>>>());
    }

    /// `name:   value` lines, aligned, or the object of `--json`.
    pub fn one(&self, columns: &[Column], item: Value) {
        if self.json {
            return self.document(item);
        }
        let width = columns.iter().map(|c| c.head.width()).max().unwrap_or(0);
        for column in columns {
            let value = (column.show)(&item[column.key]);
            let pad = " ".repeat(width - column.head.width());
            self.say(format!("{}:{pad}   {value}", column.head).trim_end());
        }
    }

    /// A table with aligned columns and no frame.
    pub fn table(&self, head: &[&str], rows: &[Vec<String>]) {
        let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
        let widths: Vec<usize> = (0..head.len())
            .map(|n| {
                std::iter::once(&head)
                    .chain(rows)
                    .map(|r| r.get(n).map_or(0, |c| c.width()))
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let bold: Vec<String> = head.iter().map(|h| self.paint(BOLD, h)).collect();
        self.say(&row(&head, &bold, &widths));
        for cells in rows {
            self.say(&row(cells, cells, &widths));
        }
    }
}

/// Pads by the width of the plain text, so that colours do not shift columns.
fn row(plain: &[String], shown: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (n, text) in shown.iter().enumerate() {
        line.push_str(text);
        if n + 1 < shown.len() {
            let pad = widths
                .get(n)
                .copied()
                .unwrap_or(0)
                .saturating_sub(plain[n].width());
            line.push_str(&" ".repeat(pad + 3));
        }
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let plain = vec!["é".to_owned(), "b".to_owned()];
        assert_eq!(row(&plain, &plain, &[4, 1]), "é      b");
        let painted = vec![format!("{BOLD}é{RESET}"), "b".to_owned()];
        assert!(row(&plain, &painted, &[4, 1]).ends_with("      b"));
    }
}

//! What the person sees. What might be piped goes to stdout, the rest (progress,
//! errors) to stderr. Colours only on a terminal and without NO_COLOR.

use std::io::{IsTerminal, Write};

use unicode_width::UnicodeWidthStr;

/// The printer, passed down.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    colour: bool,
    /// Whether a progress bar makes sense.
    pub interactive: bool,
    /// Print JSON instead of tables.
    pub json: bool,
}

const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[1;32m";
const RED: &str = "\x1b[1;31m";
const CYAN: &str = "\x1b[36;1m";
const RESET: &str = "\x1b[0m";

impl Ui {
    /// What this process's streams allow.
    pub fn new(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self {
            colour: std::io::stdout().is_terminal() && !plain,
            interactive: std::io::stderr().is_terminal(),
            json,
        }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour {
            format!("{colour}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }

    /// One line; nothing in JSON mode, where only the result is printed.
    pub fn say(&self, text: &str) {
        if !self.json {
            // A closed pipe (`cf apps | head`) is the reader's choice, not an error.
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }

    /// A result line, printed in JSON mode too.
    pub fn result(&self, text: &str) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// JSON, pretty.
    pub fn json(&self, value: &serde_json::Value) {
        self.result(&serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()));
    }

    /// `OK` and an empty line.
    pub fn ok(&self) {
        self.say(&format!("{}\n", self.paint(GREEN, "OK")));
    }

    /// `FAILED` and the reason.
    pub fn failed(&self, reason: &str) {
        let mark = if self.colour {
            self.paint(RED, "FAILED")
        } else {
            "FAILED".into()
        };
        let _ = std::io::stdout().flush();
        eprintln!("{mark}\n{reason}");
    }

    /// A name inside a sentence.
    pub fn name(&self, text: &str) -> String {
        self.paint(CYAN, text)
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

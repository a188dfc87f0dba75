//! What a command printed and how it ended.

use std::fmt;
use std::process::Output;

/// The end of a command.
#[derive(Debug, Clone)]
pub struct Typed {
    line: String,
    code: Option<i32>,
    text: String,
}

impl Typed {
    pub(super) fn new(line: String, output: &Output) -> Self {
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Self {
            line,
            code: output.status.code(),
            text,
        }
    }

    /// Standard output, then standard error.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the exit status was 0.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Panics with the output unless this was the exit status.
    #[track_caller]
    pub fn exited_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "not the exit status of:\n{self}");
        self
    }

    /// Panics with the output unless the exit status was 0.
    #[track_caller]
    pub fn well(self) -> Self {
        assert!(self.succeeded(), "this command failed:\n{self}");
        self
    }

    /// Panics with the output unless the exit status was another than 0.
    #[track_caller]
    pub fn failed(self) -> Self {
        assert!(
            !self.succeeded(),
            "this command should have failed:\n{self}"
        );
        self
    }

    /// Panics with the output unless every part is in it.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(
                self.text.contains(part),
                "`{part}` is not in the output of:\n{self}"
            );
        }
        self
    }
}

impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$ {}\n{}", self.line, self.text)
    }
}

//! `Procfile`: a YAML map of process types to commands.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::StageError;

/// Process types and their commands.
pub type ProcessTypes = BTreeMap<String, String>;

/// Reads the app's Procfile; none is an empty map.
pub fn read(app: &Path) -> Result<ProcessTypes, StageError> {
    let path = app.join("Procfile");
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Ok(ProcessTypes::new()),
        Ok(text) => parse(&text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(ProcessTypes::new()),
        Err(e) => Err(StageError::file(path)(e)),
    }
}

/// Reads `name: command` lines. A command is taken as it stands: YAML would trip
/// over the colons, braces and `#` that commands are full of.
fn parse(text: &str) -> Result<ProcessTypes, StageError> {
    let mut types = ProcessTypes::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line == "---" {
            continue;
        }
        let Some((name, command)) = line.split_once(':') else {
            return Err(StageError::BadProcfile(format!(
                "line {}: expected `name: command`, found {line:?}",
                n + 1
            )));
        };
        types.insert(name.trim().to_owned(), unquoted(command.trim()).to_owned());
    }
    Ok(types)
}

fn unquoted(command: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = command
            .strip_prefix(quote)
            .and_then(|c| c.strip_suffix(quote))
        {
            return inner;
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_as_they_stand() {
        let types = parse(
            "web: gunicorn app:app -b 0.0.0.0:$PORT # x\nworker: \"python w.py\"\n\n# note\n",
        )
        .expect("good");
        assert_eq!(types["web"], "gunicorn app:app -b 0.0.0.0:$PORT # x");
        assert_eq!(types["worker"], "python w.py");
    }

    #[test]
    fn a_line_without_a_colon_is_named() {
        let error = parse("web: a\nnonsense\n").expect_err("bad");
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}

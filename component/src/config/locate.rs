//! Finds the line of a key path in block-style YAML, for error messages.

/// Splits `a.b[2].c` into its keys and indices.
pub(super) fn segments(path: &str) -> Vec<String> {
    path.split(['.', '[', ']'])
        .filter(|s| !s.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The 1-based line where the deepest part of `path` that exists in `text` stands.
pub(super) fn line_of(text: &str, path: &str) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = None;
    let (mut from, mut to) = (0, lines.len());
    for key in segments(path) {
        let Some(at) = find_child(&lines, from, to, &key) else {
            break;
        };
        found = Some(at + 1);
        (from, to) = body_of(&lines, at, to, key.parse::<usize>().is_ok());
    }
    found
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn is_blank(line: &str) -> bool {
    let t = line.trim_start();
    t.is_empty() || t.starts_with('#')
}

fn find_child(lines: &[&str], from: usize, to: usize, key: &str) -> Option<usize> {
    let first = (from..to).find(|&n| !is_blank(lines[n]))?;
    let level = content_indent(lines[first]);
    match key.parse::<usize>() {
        Ok(index) => (from..to)
            .filter(|&n| !is_blank(lines[n]) && indent(lines[n]) == indent(lines[first]))
            .filter(|&n| lines[n].trim_start().starts_with('-'))
            .nth(index),
        Err(_) => (from..to).find(|&n| content_indent(lines[n]) == level && has_key(lines[n], key)),
    }
}

/// The column where a line's own text starts, a leading `- ` skipped.
fn content_indent(line: &str) -> usize {
    let text = line.trim_start();
    let start = indent(line);
    text.strip_prefix("- ")
        .map_or(start, |rest| start + 2 + indent(rest))
}

fn has_key(line: &str, key: &str) -> bool {
    let text = line.trim_start().trim_start_matches("- ").trim_start();
    let text = text.trim_start_matches(['"', '\'']);
    text.strip_prefix(key).is_some_and(|rest| {
        rest.trim_start_matches(['"', '\''])
            .trim_start()
            .starts_with(':')
    })
}

/// The lines that belong to the key at `at`; for a list item its own line too.
fn body_of(lines: &[&str], at: usize, to: usize, item: bool) -> (usize, usize) {
    let level = content_indent(lines[at]);
    let start = if item { at } else { at + 1 };
    let deeper = |n: usize| {
        is_blank(lines[n])
            || (if item {
                indent(lines[n]) >= level
            } else {
                indent(lines[n]) > level
            })
            || (!item && lines[n].trim_start().starts_with("- ") && indent(lines[n]) == level)
    };
    let end = (at + 1..to).find(|&n| !deeper(n)).unwrap_or(to);
    (start, end)
}

//! Near names for a command that does not exist.

use crate::commands;
use crate::error::CfError;

/// How many near names are shown.
const SHOWN: usize = 4;

/// The error for an unknown command.
pub fn unknown(name: &str) -> CfError {
    let near = near(name);
    let hint = match near.is_empty() {
        true => String::new(),
        false => format!("\n\nDid you mean?\n      {}", near.join("\n      ")),
    };
    CfError::UnknownCommand {
        name: name.to_owned(),
        hint,
    }
}

/// Commands whose name is a few letters away or begins alike, the nearest first.
fn near(name: &str) -> Vec<&'static str> {
    let allowed = (name.len() / 3).clamp(1, 3);
    let mut found: Vec<(usize, &'static str)> = commands::all()
        .filter_map(|spec| {
            let far = distance(name, spec.name);
            let alike = name.len() >= 3 && spec.name.starts_with(name);
            (far <= allowed || alike).then_some((far, spec.name))
        })
        .collect();
    found.sort();
    found.into_iter().take(SHOWN).map(|(_, n)| n).collect()
}

/// Letters to add, drop or change, one row of the classic table at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = corner + usize::from(from != *to);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        assert_eq!(near("pusg"), ["push"]);
        assert!(near("create-orgs").contains(&"create-org"));
        assert!(near("xylophone-concert").is_empty());
    }

    #[test]
    fn the_distance_is_the_number_of_changed_letters() {
        let cases = [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)];
        for (a, b, far) in cases {
            assert_eq!(distance(a, b), far, "{a} {b}");
        }
    }
}

//! The host's own apt sources: whoever runs this host has chosen its mirror.

use std::path::{Path, PathBuf};

use super::RELEASE;
use super::error::StackError;

/// Where apt reads its sources.
const PLACES: [&str; 2] = ["/etc/apt/sources.list", "/etc/apt/sources.list.d"];

/// Files of sources with their text.
pub type Sources = Vec<(PathBuf, String)>;

/// The sources of the release: a given file, or what the host's apt reads.
pub fn find(given: Option<&Path>) -> Result<Sources, StackError> {
    let files = match given {
        Some(file) => vec![file.to_owned()],
        None => PLACES
            .iter()
            .flat_map(|place| files_in(Path::new(place)))
            .collect(),
    };
    let mut found = Sources::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(StackError::file("read", &file))?;
        if given.is_some() || names_release(&text) {
            found.push((file, text));
        }
    }
    if found.is_empty() {
        return Err(StackError::NoSources { release: RELEASE });
    }
    Ok(found)
}

fn files_in(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    let is_source = |path: &PathBuf| {
        path.extension()
            .is_some_and(|e| e == "list" || e == "sources")
    };
    let mut files: Vec<PathBuf> = entries.map(|e| e.path()).filter(is_source).collect();
    files.sort();
    files
}

/// Whether a file names the release with the component `main`, which foreign
/// repositories for it do not.
fn names_release(text: &str) -> bool {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let disabled = text
        .lines()
        .any(|line| line.trim().eq_ignore_ascii_case("enabled: no"));
    words.contains(&RELEASE) && words.contains(&"main") && !disabled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_recognised_and_foreign_repositories_left_out() {
        for ours in [
            "Types: deb\nURIs: http://a.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n",
            "deb http://a.example/debian bookworm main contrib\n",
        ] {
            assert!(names_release(ours), "{ours}");
        }
        for other in [
            "# deb http://a.example/debian bookworm main\n",
            "deb http://a.example/tool bookworm stable\n",
            "deb http://a.example/debian trixie main\n",
            "Types: deb\nEnabled: no\nSuites: bookworm\nComponents: main\n",
        ] {
            assert!(!names_release(other), "{other}");
        }
    }
}

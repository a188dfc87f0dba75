//! What a root file system must have, and what is added to one made elsewhere.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::error::StackError;
use super::recipe::VCAP;

/// Refuses what no job could be started in.
pub(super) fn check(root: &Path) -> Result<(), StackError> {
    let there = |path: &str| root.join(path).symlink_metadata().is_ok();
    let is_dir = |path: &str| root.join(path).symlink_metadata().is_ok_and(|m| m.is_dir());
    let why = if there("manifest.json") && !there("bin") {
        Some("it is an image with layers")
    } else if !(is_dir("etc") && is_dir("usr")) {
        Some("it has no directories etc and usr at its top")
    } else if !(there("bin/sh") || there("usr/bin/sh")) {
        Some("it has no bin/sh, without which nothing can be staged")
    } else {
        None
    };
    why.map_or(Ok(()), |why| {
        Err(StackError::NoSystem {
            why,
            found: top_of(root),
        })
    })
}

fn top_of(root: &Path) -> String {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.truncate(12);
    match names.is_empty() {
        true => "nothing".into(),
        false => names.join(", "),
    }
}

/// The user that apps run as has a name in it.
pub(super) fn complete(root: &Path) -> Result<(), StackError> {
    let user = format!("vcap:x:{VCAP}:{VCAP}::/home/vcap:/bin/bash\n");
    let group = format!("vcap:x:{VCAP}:\n");
    for (path, line) in [("etc/passwd", user), ("etc/group", group)] {
        let path = root.join(path);
        // Not through a link: it could lead out of the new root.
        if path.is_symlink() {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        if text.lines().any(|line| line.starts_with("vcap:")) {
            continue;
        }
        let end = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        fs::File::options()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| write!(file, "{end}{line}"))
            .map_err(StackError::file("write", path))?;
    }
    Ok(())
}

/// What the system calls itself in `etc/os-release` or `usr/lib/os-release`.
pub(super) fn system(root: &Path) -> Option<String> {
    let read = |path: &str| {
        let path = root.join(path);
        (!path.is_symlink())
            .then(|| fs::read_to_string(path).ok())
            .flatten()
    };
    let text = read("usr/lib/os-release").or_else(|| read("etc/os-release"))?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let name: String = name.trim_matches(['"', '\'']).chars().take(80).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_place_of_passwd_is_not_followed() {
        let dir = tempfile::tempdir().expect("tempdir");
        let outside = dir.path().join("outside");
        fs::write(&outside, "mine\n").expect("write");
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("etc")).expect("mkdir");
        std::os::unix::fs::symlink(&outside, root.join("etc/passwd")).expect("link");
        complete(&root).expect("completed");
        assert_eq!(fs::read_to_string(&outside).expect("read"), "mine\n");
        assert!(root.join("etc/group").exists());
    }

    #[test]
    fn what_is_missing_is_named_with_what_is_there() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::create_dir_all(dir.path().join("rootfs/etc")).expect("mkdir");
        let why = check(dir.path()).expect_err("refused").to_string();
        assert!(
            why.contains("rootfs") && why.contains("etc and usr"),
            "{why}"
        );
    }
}

//! What an operator uploads as a buildpack, looked through before it is kept: a bad one would fail only at the first staging.

use std::io::{self, Read as _};
use std::path::Path;

use crate::archive::{self, ArchiveError, safe_path};

/// Programs of which a buildpack has at least one, in its root or in its only folder (as code hosts pack them).
const PROGRAMS: [&str; 4] = ["bin/detect", "bin/compile", "bin/supply", "bin/finalize"];

/// Refuses what is no buildpack: unreadable, with names that lead outside, larger than `limit` bytes unpacked (counted while
/// reading, whatever the headers claim), or without a program. Blocking; nothing is written.
///
/// # Errors
/// [`ArchiveError`] saying what is wrong, naming the entry.
pub(crate) fn check(zip: &Path, limit: u64) -> Result<(), ArchiveError> {
    let unreadable = |error: zip::result::ZipError| ArchiveError::Unreadable(error.to_string());
    let mut archive = archive::open(zip)?;
    let (mut left, mut has_program) = (limit, false);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(unreadable)?;
        let name = entry.name().map_err(unreadable)?.into_owned();
        let path = safe_path(&name)?;
        has_program |= is_program(&path);
        let size = io::copy(
            &mut (&mut entry).take(left.saturating_add(1)),
            &mut io::sink(),
        )
        .map_err(|error| ArchiveError::Unreadable(format!("entry {name:?}: {error}")))?;
        left = left.checked_sub(size).ok_or_else(|| {
            ArchiveError::TooLarge(format!(
                "unpacked, it is larger than {limit} bytes (at entry {name:?})"
            ))
        })?;
    }
    if has_program {
        Ok(())
    } else {
        Err(ArchiveError::Unreadable(format!(
            "it holds no buildpack: none of {} is in it",
            PROGRAMS.join(", ")
        )))
    }
}

fn is_program(path: &str) -> bool {
    let below = path.split_once('/').map_or("", |(_, rest)| rest);
    PROGRAMS.contains(&path) || PROGRAMS.contains(&below)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs::File;
    use std::io::Write as _;

    fn verdict(entries: &[(&str, &[u8])], limit: u64) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("buildpack.zip");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, content) in entries {
            zip.start_file(*name, zip::write::SimpleFileOptions::default())
                .unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
        check(&path, limit).map_err(|error| error.to_string())
    }

    #[test]
    fn buildpacks_in_the_root_or_in_one_folder_pass_and_others_are_refused_with_the_reason() {
        let zeros = vec![0; 100_000];
        assert_eq!(verdict(&[("bin/detect", b"x")], 10), Ok(()));
        assert_eq!(verdict(&[("ruby-1.0/bin/compile", b"x")], 10), Ok(()));
        for (entries, reason) in [
            (vec![("README", &b"x"[..])], "no buildpack"),
            (vec![("bin/detect", b"x"), ("../x", b"x")], "../x"),
            (vec![("bin/detect", &zeros)], "larger than 1000 bytes"),
        ] {
            let text = verdict(&entries, 1000).unwrap_err();
            assert!(text.contains(reason), "{text}");
        }
    }
}

//! Unpacking zip archives within bounds. They come from people: names that lead out,
//! links and bombs are refused.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What an archive may unpack to.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of all files.
    pub bytes: u64,
    /// Entries.
    pub entries: usize,
}

/// Unpacks `zip` into `target`, keeping executable bits; returns the number of entries.
pub fn unpack(zip: &Path, target: &Path, bounds: Bounds) -> io::Result<usize> {
    let mut archive = zip::ZipArchive::new(fs::File::open(zip)?).map_err(io::Error::other)?;
    if archive.len() > bounds.entries {
        return Err(refused(format!(
            "{} entries are more than {}",
            archive.len(),
            bounds.entries
        )));
    }
    fs::create_dir_all(target)?;
    let mut left = bounds.bytes;
    for n in 0..archive.len() {
        let mut entry = archive.by_index(n).map_err(io::Error::other)?;
        let written = unpack_entry(&mut entry, target, left)?;
        let rest = left.checked_sub(written);
        left =
            rest.ok_or_else(|| refused(format!("it unpacks to more than {} bytes", bounds.bytes)))?;
    }
    Ok(archive.len())
}

fn refused(reason: String) -> io::Error {
    io::Error::other(reason)
}

/// Writes at most one byte more than `left`; returns the bytes written.
fn unpack_entry<R: Read>(
    entry: &mut zip::read::ZipFile<'_, R>,
    target: &Path,
    left: u64,
) -> io::Result<u64> {
    let Some(name) = entry.enclosed_name() else {
        return Err(refused(format!(
            "entry {:?} leads out of the archive",
            entry.name()
        )));
    };
    if entry.is_symlink() {
        return Err(refused(format!(
            "entry {:?} is a symbolic link",
            entry.name()
        )));
    }
    let path = target.join(name);
    if entry.is_dir() {
        return fs::create_dir_all(&path).map(|()| 0);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mode = entry.unix_mode().unwrap_or(0o644) & 0o777 | 0o600;
    let mut file = fs::File::create(&path)?;
    let written = io::copy(&mut entry.take(left + 1), &mut file)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    const BOUNDS: Bounds = Bounds {
        bytes: 100,
        entries: 2,
    };

    fn unpacked(names: &[&str], bytes: usize) -> (tempfile::TempDir, io::Result<usize>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.zip");
        let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        for name in names {
            zip.start_file(*name, zip::write::SimpleFileOptions::default())
                .unwrap();
            zip.write_all(&vec![b'x'; bytes]).unwrap();
        }
        zip.finish().unwrap();
        let result = unpack(&path, &dir.path().join("out"), BOUNDS);
        (dir, result)
    }

    #[test]
    fn an_archive_within_its_bounds_is_unpacked() {
        let (dir, result) = unpacked(&["a", "b/c"], 50);
        assert_eq!(result.unwrap(), 2);
        assert_eq!(fs::read(dir.path().join("out/b/c")).unwrap().len(), 50);
    }

    #[test]
    fn bombs_crowds_and_names_that_lead_out_are_refused() {
        for (names, bytes, reason) in [
            (&["a", "b"][..], 51, "more than 100 bytes"),
            (&["a", "b", "c"], 1, "3 entries are more than 2"),
            (&["../escaped"], 1, "leads out"),
        ] {
            let (dir, result) = unpacked(names, bytes);
            let error = result.unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(!dir.path().join("escaped").exists());
        }
    }
}

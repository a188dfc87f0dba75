//! Files and directories that only their owner reads. New ones are made so by [`crate::process::prepare`]; this is for those an older
//! version left, and for directories whose content is not worth visiting one by one: behind a closed door nothing is read.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

/// The mode of directories that earlier versions made, for everybody to look into.
const OPEN: u32 = 0o755;

/// Makes a directory (with its parents) of mode 0700. One that exists keeps the mode that an operator gave it (it may be a shared
/// one such as /tmp), unless it is the one that we used to give.
///
/// # Errors
/// What the system says.
pub fn directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    match fs::metadata(path)?.permissions().mode() & 0o7777 {
        OPEN => fs::set_permissions(path, Permissions::from_mode(0o700)),
        _ => Ok(()),
    }
}

/// Gives a file mode 0600 if it exists.
///
/// # Errors
/// What the system says.
pub fn file(path: &Path) -> io::Result<()> {
    match tighten(path, 0o600) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Takes everybody else's permissions away. What is private already is left alone: it may belong to somebody else who gave us access.
fn tighten(path: &Path, mode: u32) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    let is_plain = metadata.is_file() || metadata.is_dir();
    if !is_plain || metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_others_could_read_they_cannot_read_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let (inner, text) = (dir.path().join("a/b"), dir.path().join("text"));
        fs::create_dir_all(&inner).unwrap();
        fs::write(&text, "secret").unwrap();
        fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&text, Permissions::from_mode(0o644)).unwrap();
        directory(&inner).unwrap();
        file(&text).unwrap();
        assert_eq!((mode(&inner), mode(&text)), (0o700, 0o600));
        for kept in [0o750, 0o711, 0o1777] {
            fs::set_permissions(&inner, Permissions::from_mode(kept)).unwrap();
            directory(&inner).unwrap();
            assert_eq!(mode(&inner), kept);
        }
        let new = dir.path().join("c/d");
        directory(&new).unwrap();
        assert_eq!(mode(&new), 0o700);
    }

    #[test]
    fn what_is_not_there_or_no_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        file(&dir.path().join("nothing")).unwrap();
        file(Path::new("/dev/null")).unwrap();
        assert_eq!(mode(Path::new("/dev/null")) & 0o666, 0o666);
    }
}

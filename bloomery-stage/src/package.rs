//! Unpacking the app package. The controller has checked it already; what runs
//! here runs as the app's own user, and still refuses what leads out.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::StageError;

/// Unpacks `zip` into `target`, keeping executable bits.
pub fn unpack(zip: &Path, target: &Path) -> Result<usize, StageError> {
    let bad = |e: zip::result::ZipError| StageError::BadPackage(e.to_string());
    let file = fs::File::open(zip).map_err(StageError::file(zip))?;
    let mut archive = zip::ZipArchive::new(file).map_err(bad)?;
    fs::create_dir_all(target).map_err(StageError::file(target))?;
    for n in 0..archive.len() {
        let mut entry = archive.by_index(n).map_err(bad)?;
        unpack_entry(&mut entry, target)?;
    }
    Ok(archive.len())
}

fn unpack_entry<R: io::Read>(
    entry: &mut zip::read::ZipFile<'_, R>,
    target: &Path,
) -> Result<(), StageError> {
    let Some(name) = entry.enclosed_name() else {
        return Err(StageError::BadPackage(format!(
            "entry {:?} leads out of the package",
            entry.name()
        )));
    };
    if entry.is_symlink() {
        return Err(StageError::BadPackage(format!(
            "entry {:?} is a symbolic link",
            entry.name()
        )));
    }
    let path = target.join(name);
    if entry.is_dir() {
        return fs::create_dir_all(&path).map_err(StageError::file(path));
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(StageError::file(parent))?;
    }
    let mode = entry.unix_mode().unwrap_or(0o644) & 0o777 | 0o600;
    let mut file = fs::File::create(&path).map_err(StageError::file(&path))?;
    io::copy(entry, &mut file).map_err(StageError::file(&path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(StageError::file(path))
}

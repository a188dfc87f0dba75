//! What lies in a blobstore that is a directory.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Every file below a directory; none when it is not there.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Makes a file older than a day; one that has gone meanwhile is old enough.
pub fn make_old(path: &Path) {
    if let Ok(file) = std::fs::File::options().write(true).open(path) {
        let day = Duration::from_secs(25 * 3600);
        let _ = file.set_modified(SystemTime::now() - day);
    }
}

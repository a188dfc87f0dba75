//! The buildpack cache of the last staging. A cache that does not unpack is
//! dropped: it may cost time, never the staging.

use std::path::Path;
use std::process::Command;

/// Unpacks the archive into the cache directory.
pub fn restore(archive: Option<&str>, dir: &Path) {
    let Some(archive) = archive else { return };
    let status = Command::new("tar")
        .arg("-xzf")
        .arg(archive)
        .arg("-C")
        .arg(dir)
        .status();
    if !status.is_ok_and(|s| s.success()) {
        println!("-----> The buildpack cache could not be unpacked; staging without it");
        let _ = std::fs::remove_dir_all(dir).and_then(|()| std::fs::create_dir_all(dir));
    }
}

//! Local copies of the installed buildpacks: `admin_buildpacks/<key>`. A key
//! changes with the content, so what is there is right.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bus::staging::AdminBuildpack;

use super::error::StagingError;
use crate::host::Host;

/// Most bytes one buildpack may unpack to.
const MOST_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Most files of one buildpack.
const MOST_FILES: usize = 200_000;

/// Downloads what is missing, one task at a time; returns the directory of all.
pub async fn ensure(host: &Host, wanted: &[AdminBuildpack]) -> Result<PathBuf, StagingError> {
    let root = host.dir("admin_buildpacks");
    let _turn = host.staging.buildpack_turn.lock().await;
    for buildpack in wanted {
        let dir = root.join(&buildpack.key);
        if !is_plain(&buildpack.key) {
            return Err(failed(buildpack, "the key is not a plain name"));
        }
        if !dir.is_dir() {
            fetch(host, buildpack, &root, &dir).await?;
        }
    }
    Ok(root)
}

fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && !key.starts_with('.')
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn failed(buildpack: &AdminBuildpack, reason: impl ToString) -> StagingError {
    StagingError::Buildpack {
        key: buildpack.key.clone(),
        reason: reason.to_string(),
    }
}

async fn fetch(
    host: &Host,
    buildpack: &AdminBuildpack,
    root: &Path,
    dir: &Path,
) -> Result<(), StagingError> {
    let scratch = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(root)?;
    let zip = scratch.path().join("buildpack.zip");
    host.staging
        .transfer
        .download(&buildpack.url, &zip)
        .await
        .map_err(|e| failed(buildpack, e))?;
    let unpacked = scratch.path().join("unpacked");
    let target = unpacked.clone();
    let done = tokio::task::spawn_blocking(move || unzip(&zip, &target)).await;
    done.map_err(|e| failed(buildpack, e))?
        .map_err(|e| failed(buildpack, e))?;
    fs::set_permissions(&unpacked, fs::Permissions::from_mode(0o755))?;
    fs::rename(unpacked, dir)?;
    Ok(())
}

/// Unpacks a zip; names that lead out, links and bombs are refused.
fn unzip(zip: &Path, target: &Path) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(fs::File::open(zip)?).map_err(io::Error::other)?;
    if archive.len() > MOST_FILES {
        return Err(io::Error::other(format!(
            "{} entries are more than {MOST_FILES}",
            archive.len()
        )));
    }
    fs::create_dir_all(target)?;
    let mut left = MOST_BYTES;
    for n in 0..archive.len() {
        let mut entry = archive.by_index(n).map_err(io::Error::other)?;
        let Some(name) = entry.enclosed_name() else {
            return Err(io::Error::other(format!(
                "entry {:?} leads out of the archive",
                entry.name()
            )));
        };
        let path = target.join(name);
        if entry.is_dir() {
            fs::create_dir_all(&path)?;
            continue;
        }
        if entry.is_symlink() {
            return Err(io::Error::other(format!(
                "entry {:?} is a link",
                entry.name()
            )));
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mode = entry.unix_mode().unwrap_or(0o644) & 0o755 | 0o444;
        let mut file = fs::File::create(&path)?;
        let written = io::copy(&mut io::Read::take(&mut entry, left + 1), &mut file)?;
        left = left
            .checked_sub(written)
            .ok_or_else(|| io::Error::other("unpacks to more than 2 GiB"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn zip_with(name: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("a.zip");
        let mut zip = zip::ZipWriter::new(fs::File::create(&path).expect("create"));
        let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
        zip.start_file(name, options).expect("entry");
        zip.write_all(b"#!/bin/sh\n").expect("write");
        zip.finish().expect("finish");
        (dir, path)
    }

    #[test]
    fn scripts_stay_executable() {
        let (dir, zip) = zip_with("bin/detect");
        let target = dir.path().join("out");
        unzip(&zip, &target).expect("unpacked");
        let mode = fs::metadata(target.join("bin/detect"))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o111, 0o111);
    }

    #[test]
    fn an_entry_that_leads_out_is_refused_and_writes_nothing() {
        let (dir, zip) = zip_with("../escaped");
        let error = unzip(&zip, &dir.path().join("out")).expect_err("refused");
        assert!(error.to_string().contains("leads out"), "{error}");
        assert!(!dir.path().join("escaped").exists());
    }

    #[test]
    fn keys_that_are_paths_are_refused() {
        assert!(
            is_plain("b1_da39a3") && !is_plain("../x") && !is_plain("") && !is_plain(".fetch-1")
        );
    }
}

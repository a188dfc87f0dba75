//! Disk images: sparse ext4 files, copied from a template per size, most of them
//! before they are needed (see `warm`).

use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::PoisonError;

use super::Inner;
use crate::sys::{At, files, loopdev, mount};
use crate::wire::names;
use crate::{Error, Result};

/// The file system's own needs: a fixed part and one part in so many.
const OVERHEAD: u64 = 1 << 20;
const OVERHEAD_PART: u64 = 50;
const BYTES_PER_INODE: u64 = 16 << 10;

/// Directory of images made ahead.
pub(crate) const WARM: &str = "warm";

/// Room in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size {
    bytes: u64,
    inodes: u64,
}

/// An image that was made ahead.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) path: PathBuf,
    /// Its file system, mounted nowhere yet; `None` on kernels that cannot do that.
    pub(crate) mount: Option<OwnedFd>,
}

/// What a container got for its disk limit.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// False: this host cannot, and the disk stays unlimited (`Info.isolation`
    /// then lacks `disk`).
    pub(crate) limited: bool,
    pub(crate) mount: Option<OwnedFd>,
}

/// Puts an image of that size into the container's directory.
pub(crate) fn image(inner: &Inner, dir: &Path, bytes: u64, inodes: Option<u64>) -> Result<Disk> {
    if !Path::new("/dev/loop-control").exists() {
        tracing::warn!("no loop devices on this host: disk limits are not enforced");
        return Ok(Disk::default());
    }
    let inodes = inodes.unwrap_or(bytes / BYTES_PER_INODE).max(64);
    let size = Size { bytes, inodes };
    let target = dir.join(names::IMAGE);
    let mut disk = Disk {
        limited: true,
        mount: None,
    };
    match inner.stock.take_image(size) {
        Some(ready) => {
            let step = format!("rename {}", ready.path.display());
            fs::rename(&ready.path, &target).at(step)?;
            disk.mount = ready.mount;
        }
        None => make(inner, size, &target)?,
    }
    Ok(disk)
}

/// Makes an image and mounts it nowhere.
pub(crate) fn make_ready(inner: &Inner, size: Size, path: PathBuf) -> Result<Ready> {
    make(inner, size, &path)?;
    let mount = mounted(&path)
        .inspect_err(|error| tracing::debug!(%error, "image made ahead is not mounted ahead"));
    Ok(Ready {
        path,
        mount: mount.ok(),
    })
}

fn mounted(path: &Path) -> std::io::Result<OwnedFd> {
    // The file system holds the device from here on.
    let (device, _held) = loopdev::attach(path)?;
    mount::detached("ext4", &device, &["discard"])
}

/// Makes an image at `target`.
fn make(inner: &Inner, size: Size, target: &Path) -> Result<()> {
    copy_sparse(&template(inner, size)?, target)
}

fn template(inner: &Inner, Size { bytes, inodes }: Size) -> Result<PathBuf> {
    let _one_at_a_time = inner.making.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = inner.depot.root().join("templates");
    fs::create_dir_all(&dir).at("mkdir templates")?;
    let path = dir.join(format!("{bytes}-{inodes}.img"));
    if !path.exists() {
        let new = path.with_extension("new");
        format(&new, bytes, inodes)?;
        fs::rename(&new, &path).at("rename template")?;
    }
    Ok(path)
}

fn format(path: &Path, bytes: u64, inodes: u64) -> Result<()> {
    let size = bytes + bytes / OVERHEAD_PART + OVERHEAD + inodes * 256;
    let file = File::create(path).at(format!("create {}", path.display()))?;
    file.set_len(size).at("size of the template")?;
    let output = Command::new("mkfs.ext4")
        .args([
            "-q",
            "-F",
            "-m",
            "0",
            "-O",
            "^has_journal",
            "-E",
            "nodiscard",
            "-N",
        ])
        .arg(inodes.to_string())
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .at("start mkfs.ext4 (package e2fsprogs)")?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr)
        .trim()
        .chars()
        .take(500)
        .collect();
    Err(Error::Keeper {
        step: "mkfs.ext4".into(),
        message,
    })
}

/// Copies only the parts that hold data.
fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let source = File::open(from).at("open template")?;
    let target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(to)
        .at("create disk image")?;
    target
        .set_len(source.metadata().at("size of the template")?.len())
        .at("size of the disk image")?;
    let mut offset = 0;
    let mut buf = vec![0u8; 64 << 10];
    while let Some((start, end)) = files::data_region(&source, offset).at("map of the template")? {
        let mut at = start as u64;
        while at < end as u64 {
            let want = buf.len().min((end as u64 - at) as usize);
            let piece = &mut buf[..want];
            source.read_exact_at(piece, at).at("read template")?;
            target.write_all_at(piece, at).at("write disk image")?;
            at += want as u64;
        }
        offset = end;
    }
    Ok(())
}

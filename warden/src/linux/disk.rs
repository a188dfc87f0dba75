//! Disks with a limit: by project quota where the depot's file system has them
//! (see `quotas`), else images, sparse ext4 files copied from a template per
//! size, most of them before they are needed (see `warm`).

use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::PoisonError;

use super::Inner;
use super::quotas::{self, Quotas};
use crate::depot::record::Record;
use crate::sys::{At, files, loopdev, mount};
use crate::wire::names;
use crate::{DiskLimits, Error, Limits, Result};

/// The file system's own needs: a fixed part and one part in so many.
const OVERHEAD: u64 = 1 << 20;
const OVERHEAD_PART: u64 = 50;
const BYTES_PER_INODE: u64 = 16 << 10;
/// A container starts with about twenty.
const LEAST_INODES: u64 = 64;

/// Directory of images made ahead.
pub(crate) const WARM: &str = "warm";

/// Room on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size {
    pub(crate) bytes: u64,
    pub(crate) inodes: u64,
}

impl Size {
    /// `None` when there is no limit. Files are limited even when nobody said so:
    /// one container must not use up all of the host's.
    pub(crate) fn of(limits: &Limits) -> Option<Self> {
        let bytes = limits.disk_bytes?;
        let inodes = limits.disk_inodes.unwrap_or(bytes / BYTES_PER_INODE);
        Some(Self {
            bytes,
            inodes: inodes.max(LEAST_INODES),
        })
    }
}

/// An image that was made ahead.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) path: PathBuf,
    /// Its file system, mounted nowhere yet; `None` on kernels that cannot do that.
    pub(crate) mount: Option<OwnedFd>,
}

/// How a depot without open quotas, or served by somebody else, limits disks.
pub(crate) fn way(depot: &Path) -> DiskLimits {
    if depot.join(quotas::RECORD).exists() {
        DiskLimits::ProjectQuota
    } else if has_loops() {
        DiskLimits::Image
    } else {
        DiskLimits::None
    }
}

fn has_loops() -> bool {
    Path::new("/dev/loop-control").exists()
}

/// Prepares what keeps the container in `dir` to its disk limit, and notes it in
/// the record. Where this host cannot, the disk stays unlimited (`Info.isolation`
/// then lacks `disk`). What is returned is an image's mount, made ahead.
pub(crate) fn prepare(
    inner: &Inner,
    dir: &Path,
    record: &mut Record,
    limits: &Limits,
) -> Result<Option<OwnedFd>> {
    let Some(size) = Size::of(limits) else {
        return Ok(None);
    };
    if let Some(quotas) = &inner.network.quotas {
        return by_quota(quotas, dir, record, size).map(|()| None);
    }
    if !has_loops() {
        tracing::warn!("no loop devices on this host: disk limits are not enforced");
        return Ok(None);
    }
    let mount = image(inner, dir, size)?;
    record.disk_image = true;
    record.write(dir).map(|()| mount)
}

fn by_quota(quotas: &Quotas, dir: &Path, record: &mut Record, size: Size) -> Result<()> {
    let project = quotas.take()?;
    record.project = Some(project);
    // Written before the kernel knows of it: a successor must find it.
    record.write(dir)?;
    quotas.make_dir(&dir.join(names::DISK), project, size)
}

/// Puts an image of that size into the container's directory.
fn image(inner: &Inner, dir: &Path, size: Size) -> Result<Option<OwnedFd>> {
    let target = dir.join(names::IMAGE);
    match inner.stock.take_image(size) {
        Some(ready) => {
            let step = format!("rename {}", ready.path.display());
            fs::rename(&ready.path, &target).at(step)?;
            Ok(ready.mount)
        }
        None => make(inner, size, &target).map(|()| None),
    }
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
    mount::detached("ext4", &device, &loopdev::OPTIONS)
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

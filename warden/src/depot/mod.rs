//! What the `linux` and `process` backends share: a directory on disk with one
//! entry per container, and the conversation with its keeper.
//!
//! ```text
//! <depot>/lock            held by the one backend that serves this depot
//! <depot>/c/<handle>/     a container; see warden/README.md for its files
//! <depot>/trash/          containers being removed
//! ```

pub(crate) mod client;
pub(crate) mod container;
pub(crate) mod record;
pub(crate) mod starter;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::procfs;
use crate::sys::{At, files};
use crate::{Error, Result};

/// An open depot. The lock goes with the value.
#[derive(Debug)]
pub(crate) struct Depot {
    root: PathBuf,
    tag: String,
    _lock: File,
}

impl Depot {
    /// Makes the directory if needed and takes its lock.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        for dir in [path.to_owned(), path.join("c"), path.join("trash")] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .at(format!("mkdir {}", dir.display()))?;
        }
        let root = fs::canonicalize(path).at(format!("resolve {}", path.display()))?;
        let lock = take_lock(&root)?;
        Ok(Self {
            tag: tag_of(&root),
            root,
            _lock: lock,
        })
    }

    /// The canonical path.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Six hex digits that mark every kernel object of this depot.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// Directory of a container.
    pub(crate) fn container(&self, handle: &str) -> PathBuf {
        self.root.join("c").join(handle)
    }

    /// Handles that have a directory.
    pub(crate) fn handles(&self) -> Vec<String> {
        handles_in(&self.root)
    }

    /// Makes the directory of a new container.
    pub(crate) fn make_container(&self, handle: &str) -> Result<PathBuf> {
        let dir = self.container(handle);
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::HandleTaken(handle.to_owned()))
            }
            other => other.at(format!("mkdir {}", dir.display())).map(|()| dir),
        }
    }

    /// Takes the directory of a container out of sight; the name is free again.
    pub(crate) fn discard(&self, handle: &str) -> Result<PathBuf> {
        let unique = format!("{handle}.{:x}", rand::random::<u64>());
        let trash = self.root.join("trash").join(unique);
        fs::rename(self.container(handle), &trash).at("move the container to the trash")?;
        Ok(trash)
    }

    /// Empties the trash of an earlier backend.
    pub(crate) fn empty_trash(&self) -> Result<()> {
        let trash = self.root.join("trash");
        for entry in fs::read_dir(&trash).at("read trash")?.flatten() {
            fs::remove_dir_all(entry.path()).at(format!("remove {}", entry.path().display()))?;
        }
        Ok(())
    }
}

/// Handles that have a directory in the depot at `root`.
pub(crate) fn handles_in(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("c")).into_iter().flatten().flatten();
    let mut all: Vec<String> = entries
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    all.sort();
    all
}

fn take_lock(root: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(root.join("lock"))
        .at("open the depot's lock")?;
    let until = Instant::now() + ENDING;
    loop {
        match files::lock(&file, false) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                if !holder_has_ended(root) || Instant::now() > until {
                    return Err(Error::Served {
                        verb: "open",
                        depot: root.display().to_string(),
                        holder: holder(root),
                    });
                }
                std::thread::sleep(LOOK);
            }
            other => return other.at("lock the depot").and_then(|()| sign(file)),
        }
    }
}

/// A process that has ended still holds its lock while one of its threads is in
/// the kernel, deleting a link, say: that long it is waited for.
const ENDING: Duration = Duration::from_secs(5);
/// How often it is looked again.
const LOOK: Duration = Duration::from_millis(10);

fn holder_has_ended(root: &Path) -> bool {
    let pid = fs::read_to_string(root.join("lock")).unwrap_or_default();
    pid.trim().parse().is_ok_and(procfs::has_ended)
}

/// Leaves the holder's pid in the lock, for those who find it taken.
fn sign(file: File) -> Result<File> {
    use std::os::unix::fs::FileExt;
    file.set_len(0).at("truncate the depot's lock")?;
    file.write_all_at(std::process::id().to_string().as_bytes(), 0)
        .at("sign the depot's lock")?;
    Ok(file)
}

/// Who holds the lock, in words.
pub(crate) fn holder(root: &Path) -> String {
    let pid = fs::read_to_string(root.join("lock")).unwrap_or_default();
    let name = fs::read_to_string(format!("/proc/{}/comm", pid.trim())).unwrap_or_default();
    match (pid.trim(), name.trim()) {
        ("", _) => "another process".into(),
        (pid, "") => format!("process {pid}"),
        (pid, name) => format!("process {pid} ({name})"),
    }
}

/// Six hex digits from a path: FNV-1a folded to 24 bits. Not a secret, only
/// short and stable, since link names have room for 15 bytes.
pub(crate) fn tag_of(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let hash = path
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{:06x}", (hash >> 40 ^ hash >> 16 ^ hash) & 0xff_ffff)
}

/// A name usable as a directory, a cgroup and a host name.
pub(crate) fn check_handle(handle: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let starts = handle.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && handle.len() <= 64 && handle.chars().all(fine) {
        return Ok(());
    }
    Err(Error::BadHandle(handle.chars().take(80).collect()))
}

/// A handle nobody chose.
pub(crate) fn new_handle() -> String {
    format!("{:016x}", rand::random::<u64>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_depot_has_one_backend_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Depot::open(dir.path()).unwrap();
        assert!(
            Depot::open(dir.path())
                .unwrap_err()
                .to_string()
                .contains(&format!("served by process {}", std::process::id()))
        );
        drop(first);
        Depot::open(dir.path()).unwrap();
    }

    #[test]
    fn the_lock_of_a_process_that_has_ended_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        Depot::open(dir.path()).unwrap();
        // The shell ends at once; what it started holds the lock a little longer.
        let script = "exec 9<>lock; flock 9; printf $$ > lock; sleep 0.5 &";
        let mut shell = std::process::Command::new("sh");
        let ended = shell.args(["-c", script]).current_dir(dir.path()).status();
        assert!(ended.unwrap().success());
        Depot::open(dir.path()).unwrap();
    }

    #[test]
    fn tags_are_six_digits_and_differ() {
        let tags: std::collections::BTreeSet<String> = (0..1000)
            .map(|n| tag_of(Path::new(&format!("/var/depot{n}"))))
            .collect();
        assert!(tags.len() > 995);
        assert!(tags.iter().all(|tag| tag.len() == 6));
    }

    #[test]
    fn handles_cannot_leave_the_depot() {
        for bad in ["", ".", "..", "a/b", "-x", "a b", &"x".repeat(65)] {
            assert!(check_handle(bad).is_err(), "{bad:?}");
        }
        check_handle("app_1.instance-0").unwrap();
    }
}

//! The directory of one stack: who works in it, what it keeps, what is told about it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::StackError;
use super::progress::mb;
use super::receipt::Receipt;

/// `OUT/NAME`, held by one process.
#[derive(Debug)]
pub(super) struct Shelf {
    dir: PathBuf,
    _turn: fs::File,
}

impl Shelf {
    /// Makes the directory if needed and takes it.
    pub(super) fn take(dir: PathBuf) -> Result<Self, StackError> {
        fs::create_dir_all(&dir).map_err(StackError::file("make the directory", &dir))?;
        let path = dir.join("lock");
        let turn = fs::File::create(&path).map_err(StackError::file("open", &path))?;
        turn.try_lock().map_err(|_| StackError::Busy(dir.clone()))?;
        Ok(Self { dir, _turn: turn })
    }

    /// Its path.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Room for what is under way.
    pub(super) fn work(&self) -> PathBuf {
        self.dir.join("work")
    }

    /// Keeps the new root file system. The receipt is written last: what it names is complete.
    pub(super) fn keep(&self, root: &Path, receipt: &Receipt) -> Result<(), StackError> {
        let target = self.dir.join(&receipt.sha1);
        if target.exists() {
            remove(root)?;
        } else {
            fs::rename(root, &target).map_err(StackError::file("move the stack to", &target))?;
        }
        receipt.write(&self.dir)?;
        remove(&self.work())
    }

    /// What was kept, which older ones are there, and what to do next.
    pub(super) fn tell(&self, done: &str, receipt: &Receipt) {
        say!(
            "{done} {} in {} s: {}",
            receipt.name,
            receipt.seconds,
            self.dir.join(&receipt.sha1).display()
        );
        say!(
            "  {}, {} MB of files",
            receipt.described(),
            mb(receipt.bytes)
        );
        for name in self.older(receipt) {
            say!(
                "  An older build is kept for the containers that run on it: {}",
                self.dir.join(name).display()
            );
        }
        say!(
            "\nNext: `bloomery up` offers it (again, if the platform is up); `cf push NAME -s {}`",
            receipt.name
        );
    }

    fn older(&self, receipt: &Receipt) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.len() == 40 && *name != receipt.sha1)
            .collect()
    }
}

/// Removes a directory that may not be there.
pub(super) fn remove(path: &Path) -> Result<(), StackError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(StackError::file("remove", path)(e)),
        _ => Ok(()),
    }
}

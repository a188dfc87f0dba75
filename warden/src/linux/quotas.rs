//! Disk limits by project quota, where the depot's file system has them. Found
//! out by trying, not by the name of the file system or its options.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::disk::Size;
use super::projects::{Projects, Range};
use crate::depot::Depot;
use crate::depot::record::{read_json, write_json};
use crate::sys::{At, creds, files, quota};
use crate::{Error, Result};

/// The depot's range of numbers; the file is there while its containers are
/// limited this way.
pub(crate) const RECORD: &str = "projects.json";
/// Directory of the trial.
pub(crate) const TRIAL: &str = "quota-trial";
/// What the trial may write.
const TRIAL_BYTES: u64 = 64 << 10;
const TRIAL_INODES: u64 = 16;

/// The projects of one depot.
#[derive(Debug)]
pub(crate) struct Quotas {
    root: PathBuf,
    range: Range,
    projects: Mutex<Projects>,
}

impl Quotas {
    /// Tries quotas out on the depot's file system. `None`: there are none, or
    /// their numbers could be another depot's (`others` are tags).
    pub(crate) fn open(depot: &Depot, others: &[String]) -> Result<Option<Self>> {
        let root = depot.root();
        let Some(range) = Range::of(depot.tag(), others) else {
            tracing::warn!("another depot has the same project numbers: disk images instead");
            return Ok(None);
        };
        if let Err(error) = trial(root, range.first()) {
            tracing::debug!(%error, "no project quotas on the depot's file system");
            forget(root)?;
            return Ok(None);
        }
        write_json(&root.join(RECORD), &range)?;
        Ok(Some(Self {
            root: root.to_owned(),
            range,
            projects: Mutex::new(Projects::new(range)),
        }))
    }

    fn projects(&self) -> MutexGuard<'_, Projects> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a new container.
    pub(crate) fn take(&self) -> Result<u32> {
        let unknown = |project| {
            quota::get(&self.root, project).is_ok_and(|known| known == Default::default())
        };
        self.projects()
            .take(unknown)
            .ok_or_else(|| Error::Exhausted {
                what: "project number",
                pool: format!("from {}", self.range.first()),
            })
    }

    /// Makes `dir`, whose files the project's limits hold from now on.
    pub(crate) fn make_dir(&self, dir: &Path, project: u32, size: Size) -> Result<()> {
        fs::create_dir(dir).at(format!("mkdir {}", dir.display()))?;
        let step = format!("set quota of project {project}");
        quota::limit(&self.root, project, size.bytes, size.inodes).at(step)?;
        quota::assign(dir, project).at(format!("put {} into project {project}", dir.display()))
    }

    /// Gives a container another size, which may not be below what is in use.
    pub(crate) fn change(&self, project: u32, size: Size) -> Result<()> {
        let used = quota::get(&self.root, project).at("get quota")?;
        let pairs = [
            ("disk", size.bytes, used.used_bytes),
            ("disk_inodes", size.inodes, used.used_inodes),
        ];
        match pairs.into_iter().find(|(_, wanted, used)| wanted < used) {
            Some((resource, wanted, used)) => Err(Error::BelowUsage {
                resource: resource.into(),
                wanted,
                used,
            }),
            None => quota::limit(&self.root, project, size.bytes, size.inodes)
                .at(format!("set quota of project {project}")),
        }
    }

    /// Marks an adopted container's number.
    pub(crate) fn adopt(&self, project: u32) {
        self.projects().adopt(project);
    }

    /// The container's files are gone: no limit is left, the number is free.
    pub(crate) fn release(&self, project: u32) {
        if let Err(error) = self.clear(project) {
            tracing::warn!(project, %error, "the quota of a destroyed container remains");
        }
        self.projects().free(project);
    }

    /// Removes the limits of a number.
    pub(crate) fn clear(&self, project: u32) -> Result<()> {
        quota::limit(&self.root, project, 0, 0).at(format!("clear quota of project {project}"))
    }

    /// Numbers of this depot that the kernel limits.
    pub(crate) fn limited(&self) -> Vec<u32> {
        limited(&self.root, self.range)
    }

    /// Numbers that belong to containers, also to those being made.
    pub(crate) fn in_use(&self) -> Vec<u32> {
        self.projects().held().iter().copied().collect()
    }
}

/// Removes every limit of the depot at `root`, and the record of its range.
pub(crate) fn forget(root: &Path) -> Result<()> {
    let path = root.join(RECORD);
    // Absent where images limit disks.
    let Ok(range) = read_json::<Range>(&path) else {
        return Ok(());
    };
    for project in limited(root, range) {
        let step = format!("clear quota of project {project}");
        quota::limit(root, project, 0, 0).at(step)?;
    }
    fs::remove_file(&path).at(format!("remove {}", path.display()))
}

fn limited(root: &Path, range: Range) -> Vec<u32> {
    let next = |from: u32| match quota::limited_from(root, from) {
        Ok(found) => found.filter(|project| range.contains(*project)),
        Err(error) => {
            tracing::debug!(%error, "projects cannot be listed");
            None
        }
    };
    std::iter::successors(next(range.first()), |project| next(project + 1)).collect()
}

/// Whether a project's limit is kept on the file system of `root`.
fn trial(root: &Path, project: u32) -> Result<()> {
    let dir = root.join(TRIAL);
    files::remove_tree(&dir).at("remove an older trial of quotas")?;
    fs::create_dir(&dir).at("mkdir for a trial of quotas")?;
    let outcome = try_out(&dir, project);
    files::remove_tree(&dir).at("remove the trial of quotas")?;
    // Fails where there are no quotas; then there is nothing to forget either.
    let _ = quota::limit(root, project, 0, 0);
    outcome.at("trial of project quotas")
}

fn try_out(dir: &Path, project: u32) -> io::Result<()> {
    quota::assign(dir, project)?;
    quota::limit(dir, project, TRIAL_BYTES, TRIAL_INODES)?;
    // Whoever may pass limits would prove nothing: the thread gives that up, for good.
    let written = std::thread::scope(|scope| scope.spawn(|| overfill(dir)).join());
    match written.unwrap_or_else(|_| Err(io::Error::other("the trial panicked"))) {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EDQUOT | libc::ENOSPC)) => Ok(()),
        Err(e) => Err(e),
        Ok(()) => Err(io::Error::other("the limit is counted, but not kept")),
    }
}

fn overfill(dir: &Path) -> io::Result<()> {
    creds::keep_to_limits()?;
    let mut file = fs::File::create_new(dir.join("file"))?;
    file.write_all(&vec![1; 4 * TRIAL_BYTES as usize])?;
    file.sync_all()
}

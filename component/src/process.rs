//! What a daemon's process begins with: files that only their owner reads, and all the descriptors it may have.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

/// Who reads the files a daemon makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewFiles {
    /// Nobody but its own user: 0600 and 0700.
    Private,
    /// Containers too: 0644 and 0755. For a DEA: what it unpacks for an instance is read by the instance's users, which are not the
    /// DEA's. Its directory as a whole is private, so that on the host nobody else comes that far.
    ForContainers,
}

/// Sets the process up. To be called before anything is opened.
pub fn prepare(files: NewFiles) {
    umask(Mode::from_raw_mode(match files {
        NewFiles::Private => 0o077,
        NewFiles::ForContainers => 0o022,
    }));
    raise_descriptors();
}

/// Descriptors up to the hard limit: what a shell gives, often 1,024, is meant for programs that use `select`.
fn raise_descriptors() {
    let hard = getrlimit(Resource::Nofile).maximum;
    let all = Rlimit {
        current: hard,
        maximum: hard,
    };
    // What is refused stays as it is; `descriptors` says what there is.
    let _ = setrlimit(Resource::Nofile, all);
}

/// Descriptors this process may have.
pub fn descriptors() -> usize {
    let soft = getrlimit(Resource::Nofile).current;
    soft.and_then(|most| usize::try_from(most).ok())
        .unwrap_or(usize::MAX)
}

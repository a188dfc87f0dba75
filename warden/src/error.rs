//! What can go wrong with a container, named by the step that failed.

/// Result of every verb.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One failed verb. `step` is the exact kernel operation or stage
/// (`"mount overlay"`, `"write memory.limit_in_bytes"`), so that a log line
/// alone tells where creation stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No container of that handle.
    #[error("unknown container handle {0}")]
    UnknownHandle(String),
    /// A container of that handle exists already.
    #[error("container handle {0} already exists")]
    HandleTaken(String),
    /// No such job in the container.
    #[error("container {handle} has no job {job}")]
    UnknownJob {
        /// Container.
        handle: String,
        /// Job id asked for.
        job: String,
    },
    /// What stands at a path inside is not read.
    #[cfg(feature = "host")]
    #[error("{path}: {why}")]
    Unreadable {
        /// The path, as the container names it.
        path: String,
        /// Why.
        why: crate::Unreadable,
    },
    /// A handle that cannot be a directory, a cgroup and a host name.
    #[error(
        "container handle {0:?} must be 1 to 64 letters, digits, '-', '_' or '.', and start with a letter or digit"
    )]
    BadHandle(String),
    /// A limit that nothing could run with.
    #[error("limit of {resource}: {message}")]
    BadLimit {
        /// `memory`, `pids`, …
        resource: &'static str,
        /// The figure and what is possible.
        message: String,
    },
    /// A limit below what is in use now; nothing was changed.
    #[error(
        "limit of {resource}: {wanted} is below the {used} in use; stop jobs first or give more"
    )]
    BelowUsage {
        /// `memory`, `disk` (bytes) or `disk_inodes` (files).
        resource: String,
        /// The limit asked for.
        wanted: u64,
        /// What is in use.
        used: u64,
    },
    /// The root file system asked for does not exist.
    #[error("stack {path}: {why}; build it, or name another rootfs")]
    NoStack {
        /// Its directory.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The host lacks something that containers of this backend need.
    #[error("this host lacks {feature}: {why}")]
    Missing {
        /// The kernel's feature or program.
        feature: &'static str,
        /// How it was noticed and what to do.
        why: String,
    },
    /// Another process serves the depot, and the verb is its own to do.
    #[error("{verb}: depot {depot} is served by {holder}; ask that one, or stop it and try again")]
    Served {
        /// The verb.
        verb: &'static str,
        /// The depot's directory.
        depot: String,
        /// The process that holds the lock.
        holder: String,
    },
    /// A pool (ports, subnets, uids) is empty.
    #[error("no {what} left in the pool {pool}; raise the pool size or stop instances")]
    Exhausted {
        /// `port`, `subnet`, `uid range` or `project number`.
        what: &'static str,
        /// The configured pool, as text.
        pool: String,
    },
    /// A step of a verb failed.
    #[error("{step}: {source}")]
    Step {
        /// The step, in words of the kernel.
        step: String,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// The keeper or init reported a failure in its own words.
    #[error("{step}: {message}")]
    Keeper {
        /// The step it was in.
        step: String,
        /// Its message.
        message: String,
    },
    /// The verb does not exist on this backend or kernel.
    #[error("{verb} is not supported by the {backend} backend: {why}")]
    Unsupported {
        /// The verb.
        verb: &'static str,
        /// The backend.
        backend: &'static str,
        /// Reason.
        why: String,
    },
}

impl Error {
    /// A failed step with the operating system's reason.
    pub fn step(step: impl Into<String>, source: std::io::Error) -> Self {
        Self::Step {
            step: step.into(),
            source,
        }
    }

    /// A failed step with the calling thread's errno.
    pub fn last_os(step: impl Into<String>) -> Self {
        Self::step(step, std::io::Error::last_os_error())
    }
}

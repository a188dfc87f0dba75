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
    /// A pool (ports, subnets, uids) is empty.
    #[error("no {what} left in the pool {pool}; raise the pool size or stop instances")]
    Exhausted {
        /// `port`, `subnet` or `uid range`.
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

//! What goes wrong, with what to type next.

use std::path::PathBuf;

/// A failed command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory.
    #[error("{path}: {what}: {source}", path = path.display())]
    File {
        /// Path.
        path: PathBuf,
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A file of ours is damaged.
    #[error("{path}: {reason}\nNext: `bloomery down` ends what runs; then remove the file", path = path.display())]
    Damaged {
        /// Path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A program of the platform is missing.
    #[error("{} is not installed beside bloomery\nNext: ./x build makes every program", .0.display())]
    NoProgram(PathBuf),
    /// It runs already.
    #[error("the platform in {data_dir} is up already (supervisor {pid})\nNext: `bloomery status`, or `bloomery down`", data_dir = data_dir.display())]
    AlreadyUp {
        /// Data directory.
        data_dir: PathBuf,
        /// The supervisor.
        pid: u32,
    },
    /// It does not run.
    #[error("there is no platform in {}\nNext: `bloomery up`", .0.display())]
    NotUp(PathBuf),
    /// A component did not become ready.
    #[error("{name} is not ready after {seconds} s: {why}\nIts last log lines ({log}):\n{tail}", log = log.display())]
    NotReady {
        /// Component.
        name: String,
        /// Waited.
        seconds: u64,
        /// Last evidence.
        why: String,
        /// Log file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// No free port.
    #[error("no free port from {0} on")]
    NoPort(u16),
    /// A build of a stack.
    #[error(transparent)]
    Stack(#[from] crate::stack::StackError),
    /// A flag.
    #[error("{0}")]
    Usage(String),
    /// Another program that we called failed.
    #[error("{program}: {reason}")]
    Program {
        /// Program.
        program: String,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// A failed file operation.
    pub fn file(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, what, source }
    }
}

//! What a build of a stack fails of, with what to do next.

use std::path::PathBuf;

/// A failed build.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// Not root.
    #[error(
        "making a stack needs root: files of a root file system have many owners\nNext: the same command with sudo"
    )]
    NotRoot,
    /// A program is missing.
    #[error("{program} is missing\nNext: apt-get install {package}")]
    NoProgram {
        /// Program.
        program: &'static str,
        /// Debian's package.
        package: &'static str,
    },
    /// The host's apt knows no such release.
    #[error(
        "this host's apt sources name no {release}; the stack is made of its packages\n\
         Next: bloomery stack build --sources FILE, a file in apt's format that names {release} main"
    )]
    NoSources {
        /// Debian's name of the release.
        release: &'static str,
    },
    /// Not enough room.
    #[error("{} has {free_mb} MB free; a build of this profile needs {needed_mb} MB\nNext: --out DIR on a larger file system, or --profile base", dir.display())]
    NoRoom {
        /// Where.
        dir: PathBuf,
        /// Free.
        free_mb: u64,
        /// Needed.
        needed_mb: u64,
    },
    /// Somebody else builds there.
    #[error("another build is at work in {}\nNext: wait for its end, or --out another directory", .0.display())]
    Busy(PathBuf),
    /// A program of the build failed.
    #[error("{step} failed ({program}: {status}). Its last lines:\n{tail}\nAll of them: {log}\nNext: the same command goes on with the packages fetched so far", log = log.display())]
    Step {
        /// Which step.
        step: &'static str,
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// Its last lines.
        tail: String,
        /// All of them.
        log: PathBuf,
    },
    /// No name for an imported stack.
    #[error(
        "{0:?} cannot be the name of an imported stack: up to 63 lower-case letters, digits, `-`, `_` and `.`, \
         beginning with a letter or digit; `host` and `debian12` are taken\n\
         Next: another name; `--stack-alias` of `bloomery up` gives a stack further ones"
    )]
    BadName(String),
    /// The tarball could not be unpacked.
    #[error("{} could not be unpacked (tar: {status}). tar's last lines:\n{tail}\nNext: a tar of a root file system, plain or packed by gzip, bzip2, xz or zstd", tarball.display())]
    Unpack {
        /// Which.
        tarball: PathBuf,
        /// How tar ended.
        status: String,
        /// Its last lines.
        tail: String,
    },
    /// What the tarball holds is no root file system.
    #[error(
        "this is no root file system: {why}. At its top: {found}\n\
         Next: a tar of what would be /, e.g. of `docker export CONTAINER` or `tar -C ROOT -czf FILE .`"
    )]
    NoSystem {
        /// What is wrong.
        why: &'static str,
        /// Names at its top.
        found: String,
    },
    /// A file or directory.
    #[error("{what} {}: {source}", path.display())]
    File {
        /// What was being done.
        what: &'static str,
        /// Path.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl StackError {
    /// A failed file operation.
    pub fn file(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }
}

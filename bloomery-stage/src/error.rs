//! Why a staging failed, with the type name that the controller knows.

use std::path::PathBuf;

/// A failed staging.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// No buildpack recognised the app.
    #[error(
        "An application could not be detected by any available buildpack (tried: {tried}). \
             Add the file a buildpack looks for (requirements.txt, Staticfile, Procfile …) or choose one with -b NAME"
    )]
    NoAppDetected {
        /// Names of the buildpacks asked.
        tried: String,
    },
    /// compile ended with another status than 0.
    #[error(
        "Buildpack compilation step failed (exit status {status}); its last lines above say why"
    )]
    CompileFailed {
        /// Exit status.
        status: i32,
    },
    /// compile took too long.
    #[error("Buildpack compilation step did not end within {seconds} s")]
    CompileTimedOut {
        /// The limit.
        seconds: u64,
    },
    /// release failed or printed something unusable.
    #[error("Buildpack release step failed: {0}")]
    ReleaseFailed(String),
    /// A buildpack's URL that is not fetched.
    #[error("buildpack {url}: {reason}")]
    BadUrl {
        /// URL without credentials.
        url: String,
        /// Why.
        reason: String,
    },
    /// Its host has no address.
    #[error(
        "buildpack host {host} has no IPv4 address; is the name right, and does this host resolve it?"
    )]
    Unresolved {
        /// Host.
        host: String,
    },
    /// Its address is not permitted.
    #[error(
        "the buildpack's host {host} is {address}, and staging may not reach {address} port {port}. \
         The operator permits it with: bloomery up --allow {address}:{port}"
    )]
    NotAllowed {
        /// Host.
        host: String,
        /// Its first address.
        address: std::net::Ipv4Addr,
        /// Port.
        port: u16,
    },
    /// The stack lacks what fetches it.
    #[error("this stack has no {tool}, which {what} needs; choose a stack that has it")]
    NoTool {
        /// Program.
        tool: &'static str,
        /// For what.
        what: &'static str,
    },
    /// The archive could not be had.
    #[error("download of the buildpack {url} failed: {reason}")]
    Download {
        /// URL without credentials.
        url: String,
        /// Why.
        reason: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error("the repository {url} has no branch, tag or commit {reference}")]
    UnknownReference {
        /// URL without credentials.
        url: String,
        /// What follows `#`.
        reference: String,
    },
    /// What was fetched is something else.
    #[error("{url} is not a buildpack: it has no {missing}")]
    NotABuildpack {
        /// URL without credentials.
        url: String,
        /// The first missing script.
        missing: &'static str,
    },
    /// The buildpack's repository could not be cloned.
    #[error("git clone of the buildpack {url} failed: {reason}")]
    Clone {
        /// URL without credentials.
        url: String,
        /// git's words.
        reason: String,
    },
    /// The Procfile is no map.
    #[error("Procfile: {0}")]
    BadProcfile(String),
    /// The package cannot be unpacked.
    #[error("app package: {0}")]
    BadPackage(String),
    /// A file or directory.
    #[error("{path}: {source}")]
    File {
        /// Path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A program of the stack could not be run.
    #[error("this stack cannot run {program}: {source}")]
    Program {
        /// Program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl StageError {
    /// The controller's name for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoAppDetected { .. } => "NoAppDetectedError",
            Self::CompileFailed { .. } => "BuildpackCompileFailed",
            Self::CompileTimedOut { .. } => "StagingTimeExpired",
            Self::ReleaseFailed(_) => "BuildpackReleaseFailed",
            _ => "StagingError",
        }
    }

    /// A failed file operation.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

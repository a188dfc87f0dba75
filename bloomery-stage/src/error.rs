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

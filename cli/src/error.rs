//! What goes wrong, worded for the person who typed the command: what happened,
//! and after `TIP:` what to type next.

use std::path::PathBuf;

/// A failed command.
#[derive(Debug, thiserror::Error)]
pub enum CfError {
    /// The controller refused.
    #[error("Server error, status code: {status}, error code: {code}, message: {description}")]
    Api {
        /// HTTP status.
        status: u16,
        /// v2 code.
        code: i64,
        /// `CF-…`.
        error_code: String,
        /// Text.
        description: String,
    },
    /// The controller could not be reached.
    #[error(
        "Error performing request: {url}: {reason}\nTIP: is the platform up? `bloomery status` shows it; `cf api URL` changes the target."
    )]
    Unreachable {
        /// URL.
        url: String,
        /// Why.
        reason: String,
    },
    /// No `cf api` yet.
    #[error("No API endpoint set.\nTIP: Use `cf api URL` or `cf login -a URL`.")]
    NoTarget,
    /// Not logged in, or the session is over.
    #[error("Not logged in.\nTIP: Use `cf login` to log in.")]
    NotLoggedIn,
    /// Wrong user or password.
    #[error(
        "Credentials were rejected, please try again.\nTIP: Use `cf login -u USER` or `cf auth USER PASSWORD`."
    )]
    Rejected,
    /// No org or space chosen.
    #[error("No org and space targeted.\nTIP: Use `cf target -o ORG -s SPACE`.")]
    NoSpace,
    /// No org chosen.
    #[error("No org targeted.\nTIP: Use `cf target -o ORG`.")]
    NoOrg,
    /// Something named does not exist.
    #[error("{kind} {name} not found{hint}")]
    NotFound {
        /// App, org, …
        kind: &'static str,
        /// Its name.
        name: String,
        /// What to type next, on its own line, or empty.
        hint: String,
    },
    /// The manifest is wrong.
    #[error("{path}:{line}: {message}", path = path.display())]
    Manifest {
        /// File.
        path: PathBuf,
        /// Line.
        line: usize,
        /// Text.
        message: String,
    },
    /// No such command.
    #[error("'{name}' is not a registered command. See 'cf help'{hint}")]
    UnknownCommand {
        /// What was typed.
        name: String,
        /// Near names, or empty.
        hint: String,
    },
    /// The command has said all there is to say and ends with this code.
    #[error("ended with exit code {0}")]
    Exit(u8),
    /// Something typed is wrong.
    #[error("Incorrect usage: {0}")]
    Usage(String),
    /// Staging failed.
    #[error("{reason}\n\nTIP: use `cf logs {app} --recent` for more information")]
    Staging {
        /// App.
        app: String,
        /// Why.
        reason: String,
    },
    /// The app did not start.
    #[error(
        "Start unsuccessful: {reason}\n\nTIP: use `cf logs {app} --recent` for more information, `cf events {app}` for the exits"
    )]
    Start {
        /// App.
        app: String,
        /// Why.
        reason: String,
    },
    /// A local file.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An answer that is not what the API promises.
    #[error("Invalid JSON response from server: {0}")]
    BadAnswer(String),
    /// Anything else, said in full.
    #[error("{0}")]
    Other(String),
}

impl CfError {
    /// A failed file operation.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// The document of `--json`: code, what happened, what to type next.
    pub fn document(&self) -> serde_json::Value {
        let text = self.to_string();
        let (description, next) = text.split_once("TIP: ").unwrap_or((&text, ""));
        let described = match self {
            Self::Api { description, .. } => description.as_str(),
            _ => description.trim(),
        };
        serde_json::json!({"error": {
            "code": self.name(), "description": described, "next": next.trim(),
        }})
    }

    /// The controller's `CF-…` name, or one of ours.
    fn name(&self) -> &str {
        match self {
            Self::Api { error_code, .. } if !error_code.is_empty() => error_code,
            Self::Api { .. } => "CLI-ServerError",
            Self::Unreachable { .. } => "CLI-Unreachable",
            Self::NoTarget => "CLI-NoTarget",
            Self::NotLoggedIn => "CLI-NotLoggedIn",
            Self::Rejected => "CLI-CredentialsRejected",
            Self::NoSpace | Self::NoOrg => "CLI-NothingTargeted",
            Self::NotFound { .. } => "CLI-NotFound",
            Self::Manifest { .. } => "CLI-ManifestInvalid",
            Self::UnknownCommand { .. } => "CLI-UnknownCommand",
            Self::Usage(_) => "CLI-IncorrectUsage",
            Self::Staging { .. } => "CLI-StagingFailed",
            Self::Start { .. } => "CLI-StartUnsuccessful",
            Self::File { .. } => "CLI-FileError",
            Self::BadAnswer(_) => "CLI-InvalidAnswer",
            Self::Exit(_) | Self::Other(_) => "CLI-Failed",
        }
    }

    /// The v2 code of an API error.
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Api { code, .. } => Some(*code),
            _ => None,
        }
    }
}

//! `staging_info.yml`: the result, for the DEA and for every start of the droplet.

use std::path::Path;

use serde::Serialize;

use crate::error::StageError;
use crate::procfile::ProcessTypes;

/// A good result.
#[derive(Debug, Serialize)]
pub struct Info {
    /// Directory of the buildpack used.
    pub buildpack_path: String,
    /// What detect printed; none when the buildpack was chosen.
    pub detected_buildpack: Option<String>,
    /// Command of `web`.
    pub start_command: Option<String>,
    /// Procfile, or the buildpack's default process types.
    pub effective_procfile: ProcessTypes,
}

#[derive(Serialize)]
struct Failed {
    staging_error: Failure,
}

#[derive(Serialize)]
struct Failure {
    r#type: &'static str,
    message: String,
}

/// The start command: the user's, the Procfile's `web`, the buildpack's default.
pub fn start_command(
    user: Option<&str>,
    procfile: &ProcessTypes,
    defaults: &ProcessTypes,
) -> Option<String> {
    let given = user.map(str::to_owned);
    given
        .or_else(|| procfile.get("web").cloned())
        .or_else(|| defaults.get("web").cloned())
}

/// Writes the result.
pub fn write(dest: &Path, info: &Info) -> Result<(), StageError> {
    write_yaml(dest, info)
}

/// Writes a failure in the result's place.
pub fn write_failure(dest: &Path, error: &StageError) -> Result<(), StageError> {
    let failure = Failure {
        r#type: error.kind(),
        message: error.to_string(),
    };
    write_yaml(
        dest,
        &Failed {
            staging_error: failure,
        },
    )
}

fn write_yaml(dest: &Path, value: &impl Serialize) -> Result<(), StageError> {
    let path = dest.join("staging_info.yml");
    let text = serde_saphyr::to_string(value)
        .map_err(|e| StageError::file(&path)(std::io::Error::other(e.to_string())))?;
    std::fs::create_dir_all(dest)
        .and_then(|()| std::fs::write(&path, text))
        .map_err(StageError::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(command: &str) -> ProcessTypes {
        ProcessTypes::from([("web".to_owned(), command.to_owned())])
    }

    #[test]
    fn the_users_command_beats_the_procfile_which_beats_the_buildpack() {
        let (procfile, defaults) = (types("from procfile"), types("from release"));
        assert_eq!(
            start_command(Some("mine"), &procfile, &defaults).as_deref(),
            Some("mine")
        );
        assert_eq!(
            start_command(None, &procfile, &defaults).as_deref(),
            Some("from procfile")
        );
        assert_eq!(
            start_command(None, &ProcessTypes::new(), &defaults).as_deref(),
            Some("from release")
        );
        assert_eq!(
            start_command(None, &ProcessTypes::new(), &ProcessTypes::new()),
            None
        );
    }
}

//! `staging_info.yml`: what the buildpack runner says about its result.

use serde::{Deserialize, Serialize};

/// The file's keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StagingInfo {
    /// What detect printed.
    pub detected_buildpack: Option<String>,
    /// Where the buildpack stood inside.
    pub buildpack_path: Option<String>,
    /// The command of `web`.
    pub start_command: Option<String>,
    /// Present instead when the staging failed.
    pub staging_error: Option<StagingFailure>,
}

/// A typed failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagingFailure {
    /// `NoAppDetectedError`, `BuildpackCompileFailed`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Text.
    pub message: String,
}

impl StagingInfo {
    /// Reads the file.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|e| format!("staging_info.yml: {e}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_are_read_and_other_keys_ignored() {
        let good = "buildpack_path: /x\ndetected_buildpack: Python\nstart_command: gunicorn app\neffective_procfile:\n  web: y\n";
        let info = StagingInfo::parse(good).expect("good");
        assert_eq!(info.start_command.as_deref(), Some("gunicorn app"));
        let bad = "staging_error:\n  type: NoAppDetectedError\n  message: none\n";
        assert_eq!(
            StagingInfo::parse(bad)
                .expect("good")
                .staging_error
                .map(|e| e.kind)
                .as_deref(),
            Some("NoAppDetectedError")
        );
        assert!(StagingInfo::parse("- 1").is_err());
    }
}

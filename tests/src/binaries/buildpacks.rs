//! Buildpacks made by a story.

use reqwest::Method;
use serde_json::{Value, json};

use super::archives::{Entry, zip_of};
use super::platform::Platform;

/// A buildpack whose three scripts are these shell lines.
#[derive(Debug, Clone, Copy)]
pub struct Scripts<'a> {
    /// Ends with 0 when the app is its own.
    pub detect: &'a str,
    /// Does the work.
    pub compile: &'a str,
    /// Prints the process types.
    pub release: &'a str,
}

impl Scripts<'_> {
    /// File names and contents.
    pub fn files(&self) -> [(&'static str, String); 3] {
        let script = |text: &str| format!("#!/bin/sh\n{text}\n");
        [
            ("bin/detect", script(self.detect)),
            ("bin/compile", script(self.compile)),
            ("bin/release", script(self.release)),
        ]
    }

    /// The archive that a controller takes.
    pub fn zip(&self) -> Vec<u8> {
        let files = self.files();
        let entries: Vec<Entry<'_>> = files
            .iter()
            .map(|(name, text)| Entry::Program(name, text))
            .collect();
        zip_of(&entries)
    }
}

impl Platform {
    /// Installs a buildpack at a position (1 is first) and returns its path in the API.
    pub fn install_buildpack(&self, name: &str, position: u32, scripts: Scripts<'_>) -> String {
        let wanted = json!({"name": name, "position": position});
        let made = self.api(Method::POST, "/v2/buildpacks", Some(wanted));
        let made = made.unwrap_or_else(|e| panic!("buildpack {name}: {e}"));
        let guid = match &made.json()["metadata"]["guid"] {
            Value::String(guid) => guid.clone(),
            _ => panic!("buildpack {name}: {made:?}"),
        };
        let path = format!("/v2/buildpacks/{guid}");
        let answer = self.upload(&format!("{path}/bits"), "buildpack", scripts.zip(), &[]);
        assert_eq!(answer.status, 201, "{answer:?}");
        path
    }
}

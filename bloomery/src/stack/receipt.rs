//! `receipt.json`: what a build made, and of what.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::StackError;
use super::profile::Profile;

/// The receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Name of the stack.
    pub name: String,
    /// Selection of packages; none of an imported one.
    pub profile: Option<Profile>,
    /// What an imported one is; none when nothing tells.
    #[serde(default)]
    pub description: Option<String>,
    /// Digest of the root file system's tar; also the name of its directory.
    pub sha1: String,
    /// Digest of the recipe.
    pub recipe: String,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of packages that were fetched for it, those of interrupted builds included.
    pub fetched_bytes: u64,
    /// Seconds the last run took.
    pub seconds: u64,
    /// Installed packages, `name version` each.
    pub packages: Vec<String>,
}

/// Its file name.
pub const FILE: &str = "receipt.json";

impl Receipt {
    /// The receipt in a stack's directory; none when there is none or it is damaged.
    pub fn read(dir: &Path) -> Option<Self> {
        let text = std::fs::read(dir.join(FILE)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// What the stack is, in a line, for `cf stacks`.
    pub fn described(&self) -> String {
        let what = match (&self.profile, &self.description) {
            (Some(profile), _) => format!("Debian 12, profile {}", profile.name()),
            (None, Some(description)) => description.clone(),
            (None, None) => "Imported".into(),
        };
        match self.packages.len() {
            0 => what,
            packages => format!("{what}, {packages} packages"),
        }
    }

    /// Writes it at once or not at all.
    pub fn write(&self, dir: &Path) -> Result<(), StackError> {
        let (path, new) = (dir.join(FILE), dir.join("receipt.json.new"));
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, &path))
            .map_err(StackError::file("write", path))
    }
}

/// `name version` of every installed package in dpkg's status file.
pub fn installed(status: &str) -> Vec<String> {
    let stanza = |text: &str| {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        field("Status")?
            .ends_with(" installed")
            .then_some(())
            .and_then(|()| Some(format!("{} {}", field("Package")?, field("Version")?)))
    };
    status.split("\n\n").filter_map(stanza).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_packages_count() {
        let status = "Package: bash\nStatus: install ok installed\nVersion: 5.2-1\nDescription: x\n y\n\n\
                      Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n";
        assert_eq!(installed(status), ["bash 5.2-1"]);
    }

    #[test]
    fn a_damaged_receipt_is_no_receipt() {
        let dir = tempfile::tempdir().expect("tempdir");
        assert_eq!(Receipt::read(dir.path()), None);
        std::fs::write(dir.path().join(FILE), "{").expect("write");
        assert_eq!(Receipt::read(dir.path()), None);
    }
}

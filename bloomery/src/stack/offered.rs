//! The stacks that `up` gives to controller and DEAs: the host's own, what was built,
//! and other names for it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::receipt::Receipt;

/// One stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// Name.
    pub name: String,
    /// For `cf stacks`.
    pub description: String,
    /// Root file system; none = the host's own.
    pub rootfs: Option<PathBuf>,
}

impl Offered {
    /// As the controller's configuration has it.
    pub fn for_controller(&self) -> Value {
        json!({"name": self.name, "description": self.description})
    }

    /// As the DEA's configuration has it.
    pub fn for_dea(&self) -> Value {
        json!({"name": self.name, "rootfs": self.rootfs})
    }
}

/// The host's stack, the built ones below `dir`, and the aliases (`NAME=STACK`) of those.
pub fn all(dir: &Path, aliases: &[String]) -> Vec<Offered> {
    let mut stacks = vec![Offered {
        name: "host".into(),
        description: "The host's own system, read-only".into(),
        rootfs: None,
    }];
    stacks.extend(built(dir));
    for alias in aliases {
        let found = alias
            .split_once('=')
            .and_then(|(name, of)| Some((name, stacks.iter().find(|s| s.name == of)?.clone())));
        // An alias of what is not built waits until it is.
        let Some((name, of)) = found else { continue };
        if stacks.iter().all(|s| s.name != name) {
            let description = format!("Another name for {}", of.name);
            stacks.push(Offered {
                name: name.into(),
                description,
                ..of
            });
        }
    }
    stacks
}

fn built(dir: &Path) -> Vec<Offered> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut stacks: Vec<Offered> = entries
        .filter_map(|entry| {
            let receipt = Receipt::read(&entry.path())?;
            let rootfs = entry.path().join(&receipt.sha1);
            rootfs.join("bin").exists().then(|| Offered {
                description: receipt.described(),
                name: receipt.name,
                rootfs: Some(rootfs),
            })
        })
        .collect();
    stacks.sort_by(|a, b| a.name.cmp(&b.name));
    stacks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::profile::Profile;

    fn names(stacks: &[Offered]) -> Vec<&str> {
        stacks.iter().map(|s| s.name.as_str()).collect()
    }

    #[test]
    fn a_built_stack_and_its_alias_share_one_root_and_a_half_built_one_is_left_out() {
        let dir = tempfile::tempdir().expect("tempdir");
        let aliases = ["cflinuxfs2=debian12".to_owned()];
        assert_eq!(names(&all(dir.path(), &aliases)), ["host"]);
        let stack = dir.path().join("debian12");
        std::fs::create_dir_all(&stack).expect("mkdir");
        let receipt = Receipt {
            name: "debian12".into(),
            profile: Some(Profile::Base),
            description: None,
            sha1: "ab".into(),
            recipe: String::new(),
            bytes: 0,
            fetched_bytes: 0,
            seconds: 0,
            packages: Vec::new(),
        };
        receipt.write(&stack).expect("receipt");
        assert_eq!(names(&all(dir.path(), &aliases)), ["host"]);
        std::fs::create_dir_all(stack.join("ab/bin")).expect("mkdir");
        let stacks = all(dir.path(), &aliases);
        assert_eq!(names(&stacks), ["host", "debian12", "cflinuxfs2"]);
        assert_eq!(stacks[1].rootfs, stacks[2].rootfs);
    }
}

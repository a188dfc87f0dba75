//! Directories and hostile archives for the scenarios.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Directories of one scenario: `into` is where copies go, `outside` is what
/// must stay as it is.
pub(crate) struct Stage {
    pub(crate) dir: PathBuf,
    pub(crate) into: PathBuf,
    pub(crate) outside: PathBuf,
}

impl Stage {
    pub(crate) fn new(scratch: &Path, name: &str, way: &str) -> Self {
        let dir = scratch.join(format!("{name}-{way}"));
        let stage = Self {
            into: dir.join("into"),
            outside: dir.join("outside"),
            dir,
        };
        fs::create_dir_all(&stage.into).unwrap();
        fs::create_dir_all(&stage.outside).unwrap();
        // A container's root may write here if it gets here at all.
        fs::set_permissions(&stage.outside, fs::Permissions::from_mode(0o777)).unwrap();
        stage
    }

    /// Whether anything was put outside, or its owner or mode changed.
    pub(crate) fn is_harmed(&self) -> bool {
        let meta = fs::metadata(&self.outside).unwrap();
        let owner = meta.uid();
        fs::read_dir(&self.outside).unwrap().count() > 0
            || owner != 0
            || meta.permissions().mode() & 0o7777 != 0o777
    }

    pub(crate) fn file(&self, name: &str) -> String {
        let path = self.dir.join(name);
        fs::write(&path, "x").unwrap();
        path.display().to_string()
    }

    /// An archive that a hostile container might answer with.
    pub(crate) fn archive(&self, kind: &str) -> PathBuf {
        let archive = self.dir.join(format!("{kind}.tar"));
        let tree = self.dir.join(format!("tree-{kind}"));
        let _ = fs::remove_dir_all(&tree);
        fs::create_dir(&tree).unwrap();
        let mut member = kind.to_owned();
        let mut options = vec!["-P".to_owned()];
        match kind {
            "setuid" => {
                fs::write(tree.join(kind), "x").unwrap();
                fs::set_permissions(tree.join(kind), fs::Permissions::from_mode(0o6755)).unwrap();
            }
            "device" => {
                let made = Command::new("mknod")
                    .arg(tree.join(kind))
                    .args(["c", "1", "5"])
                    .status();
                assert!(made.unwrap().success());
            }
            "link" => symlink(&self.outside, tree.join(kind)).unwrap(),
            "through-link" => {
                fs::create_dir(tree.join("link")).unwrap();
                fs::write(tree.join("link/taken"), "x").unwrap();
                // The member alone: its directory would replace the link.
                member = "link/taken".into();
            }
            _ => {
                fs::write(tree.join(kind), "x").unwrap();
                options.push("--transform=s,.*,../outside/taken,".into());
            }
        }
        let mut tar = Command::new("tar");
        tar.arg("-C")
            .arg(&tree)
            .args(options)
            .arg("-cf")
            .arg(&archive)
            .arg(member);
        assert!(tar.status().unwrap().success());
        archive
    }
}

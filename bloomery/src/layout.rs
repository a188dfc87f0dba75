//! Where things stand in the data directory.

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Paths of one platform.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The data directory.
    pub root: PathBuf,
    /// The directory of our programs.
    pub programs: PathBuf,
    /// The system buildpacks.
    pub buildpacks: PathBuf,
}

impl Layout {
    /// The layout below `root`, which is made absolute.
    pub fn new(root: &Path) -> Result<Self, Error> {
        let root = std::path::absolute(root).map_err(Error::file("resolve", root))?;
        let own =
            std::env::current_exe().map_err(Error::file("find own program", "/proc/self/exe"))?;
        let programs = own.parent().map(Path::to_path_buf).unwrap_or_default();
        let buildpacks = find_buildpacks(&programs);
        Ok(Self {
            root,
            programs,
            buildpacks,
        })
    }

    /// Makes the data directory, which only its owner enters; one of before is closed too.
    pub fn make_root(&self) -> Result<(), Error> {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.root);
        let private = std::fs::Permissions::from_mode(0o700);
        made.and_then(|()| std::fs::set_permissions(&self.root, private))
            .map_err(Error::file("make the directory", &self.root))
    }

    /// Settings chosen at the first `up`.
    pub fn settings(&self) -> PathBuf {
        self.root.join("settings.json")
    }

    /// What runs.
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// Generated configuration of a component.
    pub fn config(&self, name: &str) -> PathBuf {
        self.root.join("config").join(format!("{name}.yml"))
    }

    /// The bus users in the syntax of a real `nats-server`, to be included by its configuration.
    pub fn nats_server_users(&self) -> PathBuf {
        self.root.join("config/nats-server-users.conf")
    }

    /// Log file of a component.
    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }

    /// Data of a component.
    pub fn data(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Built stacks.
    pub fn stacks(&self) -> PathBuf {
        self.root.join("stacks")
    }

    /// The administrator's password.
    pub fn admin_password(&self) -> PathBuf {
        self.root.join("admin-password")
    }

    /// A program of ours.
    pub fn program(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.programs.join(name);
        if path.is_file() {
            Ok(path)
        } else {
            Err(Error::NoProgram(path))
        }
    }

    /// The depots of every DEA that ever ran here.
    pub fn depots(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.root)
            .into_iter()
            .flatten()
            .flatten();
        let deas = entries.filter(|e| e.file_name().to_string_lossy().starts_with("dea-"));
        deas.map(|e| e.path().join("depot"))
            .filter(|p| p.is_dir())
            .collect()
    }
}

/// Installed beside the programs, or in the source tree that they were built in.
fn find_buildpacks(programs: &Path) -> PathBuf {
    let mut places = vec![
        programs.join("buildpacks"),
        programs.join("../share/bloomery/buildpacks"),
    ];
    places.extend(
        programs
            .ancestors()
            .skip(1)
            .take(4)
            .map(|dir| dir.join("buildpacks")),
    );
    places.push(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../buildpacks"));
    let is_one = |dir: &PathBuf| dir.join("python/bin/detect").is_file();
    places
        .iter()
        .find(|dir| is_one(dir))
        .cloned()
        .unwrap_or_else(|| programs.join("buildpacks"))
}

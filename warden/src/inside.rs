//! Reading from the host what a container names: a path is resolved below the container's root, as the container's user and
//! with that user's rights, and only regular files and directories are opened. A device, a FIFO or a socket is never opened,
//! so that nothing there can act on being looked at, or keep its reader waiting.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::sys::{creds, files};
use crate::{Error, Result};

/// What stands at a path inside a container.
#[derive(Debug)]
pub enum Inside {
    /// A regular file, open for reading at its start. It may grow while it is read.
    File {
        /// The file.
        file: File,
        /// Its apparent size now, bytes: holes count.
        size: u64,
    },
    /// A directory.
    Directory {
        /// Its entries by name.
        entries: BTreeMap<String, Entry>,
        /// Whether that is all of them.
        is_whole: bool,
    },
}

/// One entry of a directory, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Directory,
    /// Anything else, with its apparent size in bytes.
    Other(u64),
}

/// Why nothing is read at a path inside a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// There is nothing, or links that lead nowhere.
    Absent,
    /// The container's user may not read it.
    Denied,
    /// It is neither a regular file nor a directory: `a FIFO`, `a socket`, `a device`, `a file of the kernel`.
    Kind(&'static str),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("no such file or directory in the container"),
            Self::Denied => f.write_str("the container's user may not read it"),
            Self::Kind(kind) => write!(f, "it is {kind}; only regular files are read"),
        }
    }
}

/// Looks at `path` below `root` as the user `id` of the host (`None`: as ourselves). At most `most` entries of a directory.
pub(crate) fn look(root: &Path, path: &str, id: Option<u32>, most: usize) -> Result<Inside> {
    let step = |error| Error::step("look into a container", error);
    // The way to a container's root is closed to its users.
    let root = OwnedFd::from(File::open(root).map_err(step)?);
    let looked = creds::with_file_rights_of(id, || at(&root, Path::new(path), most));
    match looked.map_err(step)? {
        Ok(inside) => Ok(inside),
        Err(Failed::Unreadable(why)) => Err(Error::Unreadable {
            path: path.to_owned(),
            why,
        }),
        Err(Failed::Io(error)) => Err(step(error)),
    }
}

enum Failed {
    Unreadable(Unreadable),
    Io(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(
                libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::ENAMETOOLONG | libc::EINVAL,
            ) => Self::Unreadable(Unreadable::Absent),
            Some(libc::EACCES | libc::EPERM) => Self::Unreadable(Unreadable::Denied),
            _ => Self::Io(error),
        }
    }
}

/// A handle on what is there, which opens nothing.
fn handle(root: &OwnedFd, path: &Path) -> io::Result<File> {
    files::open_in_root(root.as_fd(), path, libc::O_PATH, 0).map(File::from)
}

fn at(root: &OwnedFd, path: &Path, most: usize) -> Result<Inside, Failed> {
    let found = handle(root, path)?;
    let meta = found.metadata()?;
    if let Some(kind) = unreadable_kind(&found, meta.file_type())? {
        return Err(Failed::Unreadable(Unreadable::Kind(kind)));
    }
    if meta.is_dir() {
        return list(root, path, &found, most);
    }
    // The same file, whatever stands at the path by now.
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(by_descriptor(&found))?;
    Ok(Inside::File {
        size: file.metadata()?.len(),
        file,
    })
}

fn by_descriptor(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

fn unreadable_kind(file: &File, kind: fs::FileType) -> io::Result<Option<&'static str>> {
    let special = [
        (kind.is_fifo(), "a FIFO"),
        (kind.is_socket(), "a socket"),
        (kind.is_char_device() || kind.is_block_device(), "a device"),
        // Endless, or waiting, though they call themselves regular.
        (files::is_of_the_kernel(file)?, "a file of the kernel"),
    ];
    Ok(special
        .into_iter()
        .find(|(is, _)| *is)
        .map(|(_, name)| name))
}

fn list(root: &OwnedFd, path: &Path, dir: &File, most: usize) -> Result<Inside, Failed> {
    let (mut entries, mut is_whole) = (BTreeMap::new(), true);
    for entry in fs::read_dir(by_descriptor(dir))? {
        if entries.len() == most {
            is_whole = false;
            break;
        }
        let name = entry?.file_name();
        // What leads nowhere is not shown, as by a shell that follows links.
        if let Ok(meta) = handle(root, &path.join(&name)).and_then(|found| found.metadata()) {
            let entry = match meta.is_dir() {
                true => Entry::Directory,
                false => Entry::Other(meta.len()),
            };
            entries.insert(name.to_string_lossy().into_owned(), entry);
        }
    }
    Ok(Inside::Directory { entries, is_whole })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A root with the things a hostile app may put into its home.
    fn root() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        fs::create_dir_all(home.join("sub")).unwrap();
        fs::write(home.join("plain"), "text").unwrap();
        fs::write(dir.path().join("secret"), "of the container").unwrap();
        files::make_fifo(&home.join("fifo")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(home.join("socket")).unwrap());
        let sparse = File::create(home.join("sparse")).unwrap();
        sparse.set_len(3 << 30).unwrap();
        for (name, to) in [
            ("inner", "plain"),
            ("absolute", "/home/plain"),
            ("out", "../../../../../../etc/passwd"),
            ("out_absolute", "/etc/passwd"),
            ("zero", "/dev/zero"),
            ("magic", "/proc/self/root/etc/passwd"),
            ("loop", "loop"),
            ("to_fifo", "fifo"),
        ] {
            symlink(to, home.join(name)).unwrap();
        }
        dir
    }

    fn refusal(root: &Path, path: &str) -> Unreadable {
        match look(root, path, None, 10) {
            Err(Error::Unreadable { why, .. }) => why,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn only_regular_files_below_the_root_are_read() {
        let dir = root();
        for path in [
            "home/plain",
            "/home/plain",
            "home/inner",
            "home/absolute",
            "../home/plain",
        ] {
            let Inside::File { mut file, size } = look(dir.path(), path, None, 10).unwrap() else {
                panic!("{path}");
            };
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            assert_eq!((text.as_str(), size), ("text", 4), "{path}");
        }
        for path in [
            "home/out",
            "home/out_absolute",
            "home/zero",
            "home/magic",
            "home/loop",
            "nothing",
            "home/plain/x",
            "a\0b",
        ] {
            assert_eq!(refusal(dir.path(), path), Unreadable::Absent, "{path}");
        }
        for (path, kind) in [
            ("home/fifo", "a FIFO"),
            ("home/to_fifo", "a FIFO"),
            ("home/socket", "a socket"),
        ] {
            assert_eq!(refusal(dir.path(), path), Unreadable::Kind(kind), "{path}");
        }
        for path in ["dev/zero", "proc/kmsg", "proc/self/mem"] {
            assert!(
                matches!(
                    refusal(Path::new("/"), path),
                    Unreadable::Kind(_) | Unreadable::Denied
                ),
                "{path}"
            );
        }
    }

    #[test]
    fn holes_count() {
        let dir = root();
        let found = look(dir.path(), "home/sparse", None, 10).unwrap();
        assert!(matches!(found, Inside::File { size, .. } if size == 3 << 30));
    }

    #[test]
    fn a_directory_is_listed_up_to_a_bound() {
        let dir = root();
        let listed = |most| match look(dir.path(), "home", None, most).unwrap() {
            Inside::Directory { entries, is_whole } => (entries, is_whole),
            Inside::File { .. } => panic!("a file"),
        };
        let (entries, is_whole) = listed(100);
        assert!(is_whole);
        assert_eq!(entries["sub"], Entry::Directory);
        assert_eq!(entries["plain"], Entry::Other(4));
        assert_eq!(entries["absolute"], Entry::Other(4));
        assert!(!entries.contains_key("out_absolute"), "{entries:?}");
        let (entries, is_whole) = listed(3);
        assert_eq!((entries.len(), is_whole), (3, false));
    }

    /// Root of the host reads, but with the rights of the container's user.
    #[test]
    fn what_the_user_may_not_read_is_not_read_for_it() {
        if !files::is_root() {
            eprintln!("SKIPPED: not root");
            return;
        }
        let dir = root();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let secret = dir.path().join("secret");
        let open = |id| look(dir.path(), "secret", id, 10).map(drop);
        for (mode, stranger) in [(0o644, true), (0o640, false), (0o600, false)] {
            fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
            open(None).unwrap();
            assert_eq!(open(Some(0x4000_07d0)).is_ok(), stranger, "{mode:o}");
        }
        std::os::unix::fs::chown(&secret, Some(0x4000_07d0), None).unwrap();
        open(Some(0x4000_07d0)).unwrap();
        // The calling thread still has its own rights.
        fs::read("/proc/self/mem").map(drop).unwrap_or_default();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
        open(None).unwrap();
    }
}

//! Zips that clients send: read without trust, written so that equal content gives equal bytes.
//!
//! Entries are extracted into numbered files, never under their own names, so no name can lead outside. Blocking code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::archive_layout;
use crate::limits::{ZIP_ENTRIES, ZIP_PART_BYTES, ZIP_PATH_BYTES};

/// Bytes copied at once.
const COPY_BUFFER: usize = 64 * 1024;
/// Mode of a file whose mode nobody gave.
const DEFAULT_MODE: u32 = 0o644;

/// Characters that make a name look like another: they reorder the text around them.
const REORDERS: [char; 9] = [
    '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}',
    '\u{2069}',
];

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not a zip, or damaged.
    #[error("it is not a readable zip archive: {0}")]
    Unreadable(String),
    /// An entry that must not be.
    #[error("entry {entry:?} {reason}")]
    Entry {
        /// Its name.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Too much.
    #[error("{0}")]
    TooLarge(String),
    /// A local file could not be written: no room, most often.
    #[error("{}: {source}", path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A local file failed.
    #[error("local file: {0}")]
    Io(#[from] io::Error),
}

/// Turns the failure of a local file into an error that names it.
fn local(path: &Path) -> impl Fn(io::Error) -> ArchiveError {
    let path = path.to_owned();
    move |source| ArchiveError::Local {
        path: path.clone(),
        source,
    }
}

/// One file of a tree.
#[derive(Debug, Clone)]
pub struct Member {
    /// Where its content is.
    pub content: PathBuf,
    /// Unix permission bits.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
}

/// Files by their path; directories only where they are empty.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, Member>,
    directories: BTreeSet<String>,
}

impl Tree {
    /// Adds a file under a path a client gave.
    ///
    /// # Errors
    /// [`ArchiveError::Entry`] naming the path.
    pub fn add(&mut self, path: &str, member: Member) -> Result<(), ArchiveError> {
        self.files.insert(safe_path(path)?, member);
        Ok(())
    }

    /// The files by path.
    pub fn files(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.files.iter()
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.files.values().map(|member| member.size).sum()
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// A path must not be a file and a directory at once.
    fn check(&self) -> Result<(), ArchiveError> {
        if let Some(path) = self
            .directories
            .iter()
            .find(|path| self.files.contains_key(*path))
        {
            return Err(refused(path, "is a file and a directory"));
        }
        for path in self.files.keys().chain(&self.directories) {
            let mut parent = path.as_str();
            while let Some((above, _)) = parent.rsplit_once('/') {
                if self.files.contains_key(above) {
                    return Err(refused(
                        path,
                        format!("lies below {above:?}, which is a file"),
                    ));
                }
                parent = above;
            }
        }
        Ok(())
    }

    /// Writes the tree as a zip. Equal trees give equal bytes: sorted, without times.
    ///
    /// # Errors
    /// [`ArchiveError`] when paths clash or a file fails.
    pub fn write_zip(&self, out: &Path) -> Result<(), ArchiveError> {
        self.check()?;
        let file = File::create(out).map_err(local(out))?;
        let mut zip = ZipWriter::new(io::BufWriter::new(file));
        for directory in &self.directories {
            zip.add_directory(directory.as_str(), options(0o755, 0))
                .map_err(unreadable)?;
        }
        for (path, member) in &self.files {
            zip.start_file(path.as_str(), options(member.mode, member.size))
                .map_err(unreadable)?;
            let mut content = File::open(&member.content).map_err(local(&member.content))?;
            io::copy(&mut content, &mut zip).map_err(local(out))?;
        }
        let full = |error: zip::result::ZipError| local(out)(error.into());
        zip.finish().map_err(full)?.flush().map_err(local(out))?;
        Ok(())
    }
}

fn options(mode: u32, size: u64) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(mode & 0o777)
        .last_modified_time(zip::DateTime::default())
        .large_file(size >= u64::from(u32::MAX))
}

/// Opens a client's zip and refuses one that has too many entries or contradicts itself.
///
/// # Errors
/// [`ArchiveError`].
pub(crate) fn open(zip: &Path) -> Result<ZipArchive<io::BufReader<File>>, ArchiveError> {
    let file = File::open(zip)?;
    let too_many = || ArchiveError::TooLarge(format!("it has more than {ZIP_ENTRIES} entries"));
    // The directory is read into memory as a whole.
    if archive_layout::announced(&file)? > ZIP_ENTRIES as u64 {
        return Err(too_many());
    }
    let reader = io::BufReader::new(file.try_clone()?);
    let mut archive = ZipArchive::new(reader).map_err(unreadable)?;
    if archive.len() > ZIP_ENTRIES {
        return Err(too_many());
    }
    archive_layout::check(&mut archive, &file)?;
    Ok(archive)
}

/// Extracts a client's zip into numbered files in `into`. At most `limit` bytes come out, whatever the headers claim.
///
/// # Errors
/// [`ArchiveError`] naming the entry: links, special files, absolute paths and `..` are refused.
pub fn extract(zip: &Path, into: &Path, limit: u64) -> Result<Tree, ArchiveError> {
    let mut archive = open(zip)?;
    let mut tree = Tree::default();
    let mut left = limit;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(unreadable)?;
        let name = entry.name().map_err(unreadable)?.into_owned();
        let path = safe_path(&name)?;
        refuse_special(&name, entry.unix_mode())?;
        if entry.is_dir() {
            if entry.size() > 0 {
                return Err(refused(&name, "is a directory with content"));
            }
            tree.directories.insert(path);
            continue;
        }
        let mode = entry.unix_mode().map_or(DEFAULT_MODE, |mode| mode & 0o777);
        let content = into.join(format!("n{index}"));
        let size = copy_bounded(&mut entry, &name, &content, left)?;
        left = left.checked_sub(size).ok_or_else(|| {
            ArchiveError::TooLarge(format!(
                "unpacked, it is larger than {limit} bytes (at entry {name:?})"
            ))
        })?;
        if size != entry.size() {
            let text = format!("announces {} bytes and has {size}", entry.size());
            return Err(refused(&name, text));
        }
        let member = Member {
            content,
            mode,
            size,
        };
        if tree.files.insert(path, member).is_some() {
            return Err(refused(&name, "is there twice"));
        }
    }
    tree.check()?;
    Ok(tree)
}

/// Copies at most one byte more than `limit`: that byte tells that there is too much. A damaged entry is the sender's fault, a
/// file that cannot be written is ours.
fn copy_bounded(
    from: &mut impl Read,
    entry: &str,
    to: &Path,
    limit: u64,
) -> Result<u64, ArchiveError> {
    let mut out = File::create(to).map_err(local(to))?;
    let mut from = from.take(limit.saturating_add(1));
    let mut buffer = vec![0; COPY_BUFFER];
    let mut copied = 0;
    loop {
        let read = from
            .read(&mut buffer)
            .map_err(|error| refused(entry, format!("cannot be unpacked: {error}")))?;
        if read == 0 {
            return Ok(copied);
        }
        out.write_all(&buffer[..read]).map_err(local(to))?;
        copied += read as u64;
    }
}

fn refuse_special(name: &str, mode: Option<u32>) -> Result<(), ArchiveError> {
    match mode.unwrap_or(0) & 0o170_000 {
        0 | 0o100_000 | 0o040_000 => Ok(()),
        0o120_000 => Err(refused(
            name,
            "is a symbolic link; only files and directories are allowed",
        )),
        _ => Err(refused(
            name,
            "is a special file; only files and directories are allowed",
        )),
    }
}

/// The path with single slashes, or why it may not be used.
///
/// # Errors
/// [`ArchiveError::Entry`].
pub fn safe_path(name: &str) -> Result<String, ArchiveError> {
    if name.is_empty() || name.len() > ZIP_PATH_BYTES {
        return Err(refused(
            name,
            format!("has no usable name (1 to {ZIP_PATH_BYTES} bytes)"),
        ));
    }
    if name.starts_with('/') || name.contains('\\') || name.as_bytes().get(1) == Some(&b':') {
        return Err(refused(
            name,
            "has an absolute path or a backslash; use relative paths with /",
        ));
    }
    if name
        .chars()
        .any(|c| c.is_control() || REORDERS.contains(&c))
    {
        return Err(refused(name, "has a control character in its name"));
    }
    let parts: Vec<&str> = name
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return Err(refused(name, "leads out of the archive with .."));
    }
    if parts.is_empty() {
        return Err(refused(name, "has no usable name"));
    }
    if parts.iter().any(|part| part.len() > ZIP_PART_BYTES) {
        return Err(refused(
            name,
            format!("has a part of more than {ZIP_PART_BYTES} bytes"),
        ));
    }
    Ok(parts.join("/"))
}

fn refused(entry: &str, reason: impl Into<String>) -> ArchiveError {
    ArchiveError::Entry {
        entry: entry.chars().take(200).collect(),
        reason: reason.into(),
    }
}

fn unreadable(error: zip::result::ZipError) -> ArchiveError {
    ArchiveError::Unreadable(error.to_string())
}

/// Packs a directory as a zip, with its modes; for buildpacks installed from a folder.
///
/// # Errors
/// [`ArchiveError`] when something cannot be read; links are followed.
pub fn pack_directory(directory: &Path, out: &Path) -> Result<(), ArchiveError> {
    let mut tree = Tree::default();
    collect(directory, "", &mut tree)?;
    tree.write_zip(out)
}

fn collect(directory: &Path, prefix: &str, tree: &mut Tree) -> Result<(), ArchiveError> {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let meta = std::fs::metadata(entry.path())?;
        if meta.is_dir() {
            collect(&entry.path(), &format!("{path}/"), tree)?;
        } else {
            let mode = meta.permissions().mode() & 0o777;
            tree.add(
                &path,
                Member {
                    content: entry.path(),
                    mode,
                    size: meta.len(),
                },
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn write_member(dir: &Path, name: &str, text: &str) -> Member {
        let content = dir.join(name);
        std::fs::write(&content, text).unwrap();
        Member {
            content,
            mode: 0o755,
            size: text.len() as u64,
        }
    }

    #[test]
    fn unsafe_names_are_refused_by_name() {
        for bad in [
            "../x",
            "a/../../x",
            "/etc/passwd",
            "C:/x",
            "a\\b",
            "",
            "a\nb",
            ".",
        ] {
            assert!(safe_path(bad).is_err(), "{bad:?}");
        }
        assert_eq!(safe_path("./a//b/").unwrap(), "a/b");
    }

    #[test]
    fn names_inside_archives_are_bounded() {
        let part = "a".repeat(ZIP_PART_BYTES);
        for (name, fits) in [
            (part.clone(), true),
            (format!("{part}a"), false),
            (format!("{part}/{part}/{part}/{part}"), true),
            (format!("{part}/{part}/{part}/{part}/"), true),
            (format!("{part}/{part}/{part}/{part}/a"), false),
            ("a/".repeat(ZIP_PATH_BYTES * 50), false),
        ] {
            assert_eq!(safe_path(&name).is_ok(), fits, "{} bytes", name.len());
        }
    }

    /// A zip of so many empty files.
    fn many(path: &Path, count: usize) {
        let mut zip = ZipWriter::new(io::BufWriter::new(File::create(path).unwrap()));
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for at in 0..count {
            zip.start_file(at.to_string(), stored).unwrap();
        }
        zip.finish().unwrap();
    }

    #[test]
    fn entries_of_a_zip_are_counted_before_they_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("many.zip");
        for (count, fits) in [(ZIP_ENTRIES, true), (ZIP_ENTRIES + 1, false)] {
            many(&path, count);
            let opened = open(&path);
            assert_eq!(opened.is_ok(), fits, "{count}: {:?}", opened.err());
        }
        // What is announced is enough: nothing of this directory is there.
        let mut forged = b"PK\x06\x06".to_vec();
        forged.extend_from_slice(&44u64.to_le_bytes());
        forged.extend_from_slice(&[0; 12]);
        forged.extend_from_slice(&(100 * ZIP_ENTRIES as u64).to_le_bytes());
        forged.extend_from_slice(&(100 * ZIP_ENTRIES as u64).to_le_bytes());
        forged.extend_from_slice(&[0; 16]);
        forged.extend_from_slice(b"PK\x06\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0");
        forged.extend_from_slice(
            b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0",
        );
        std::fs::write(&path, forged).unwrap();
        assert!(matches!(open(&path), Err(ArchiveError::TooLarge(_))));
    }

    #[test]
    fn equal_trees_give_equal_bytes_and_keep_modes() {
        let dir = tempfile::tempdir().unwrap();
        let zips: Vec<PathBuf> = ["one", "two"]
            .iter()
            .map(|name| {
                let mut tree = Tree::default();
                tree.add("run.sh", write_member(dir.path(), "run", "#!/bin/sh"))
                    .unwrap();
                tree.add("lib/a.txt", write_member(dir.path(), "a", "text"))
                    .unwrap();
                let out = dir.path().join(name);
                tree.write_zip(&out).unwrap();
                out
            })
            .collect();
        assert_eq!(
            std::fs::read(&zips[0]).unwrap(),
            std::fs::read(&zips[1]).unwrap()
        );
        let out = dir.path().join("out");
        std::fs::create_dir(&out).unwrap();
        let tree = extract(&zips[0], &out, 1000).unwrap();
        let modes: Vec<_> = tree
            .files()
            .map(|(path, member)| (path.as_str(), member.mode))
            .collect();
        assert_eq!(modes, [("lib/a.txt", 0o755), ("run.sh", 0o755)]);
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let mut tree = Tree::default();
        tree.add(
            "zeros",
            write_member(dir.path(), "z", &"0".repeat(1_000_000)),
        )
        .unwrap();
        let zip = dir.path().join("bomb.zip");
        tree.write_zip(&zip).unwrap();
        assert!(std::fs::metadata(&zip).unwrap().len() < 10_000);
        let error = extract(&zip, dir.path(), 100_000).unwrap_err();
        assert!(error.to_string().contains("100000 bytes"), "{error}");
        assert!(std::fs::metadata(dir.path().join("n0")).unwrap().len() <= 100_001);
    }

    #[test]
    fn a_path_that_is_file_and_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut tree = Tree::default();
        tree.add("a", write_member(dir.path(), "a", "x")).unwrap();
        tree.add("a/b", write_member(dir.path(), "b", "x")).unwrap();
        assert!(tree.write_zip(&dir.path().join("zip")).is_err());
    }
}

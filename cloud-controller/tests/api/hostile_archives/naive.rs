//! Extractors as they are often written: they believe the archive. They work in a sandbox, and what they do to it is the harm.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::forge::{DEFLATED, STORED, crc};

/// What an archive does to whoever believes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// Something lies outside the folder it was extracted to.
    Outside,
    /// A link was made.
    Link,
    /// A device, a pipe or a socket was asked for.
    Special,
    /// A file took the place of another one.
    Overwritten,
    /// Two names are one where case or accents do not count.
    Collides,
    /// More came out than a whole disk is worth (a million bytes here), or more files than anybody has.
    TooMuch,
    /// The content is not what the archive says it is.
    Altered,
    /// Two honest readers see different things.
    Ambiguous,
    /// A name that a terminal, a shell or another system takes for something else.
    Treacherous,
    /// More rights than a file may have.
    Privileged,
    /// It cannot be read; whoever goes on without looking has nothing, or half.
    Broken,
}

/// Bytes and files after which the naive extractor is stopped.
const ENOUGH_BYTES: usize = 1_000_000;
const ENOUGH_FILES: usize = 100_000;

/// An entry as one of the readers sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    name: Vec<u8>,
    content: Result<Vec<u8>, &'static str>,
    honest: bool,
    mode: u32,
}

/// Everything a naive extractor does with this archive.
pub fn harms(zip: &[u8], sandbox: &Path) -> BTreeSet<Harm> {
    let mut harms = BTreeSet::new();
    let Some(seen) = by_directory(zip) else {
        harms.insert(Harm::Broken);
        return harms;
    };
    if by_stream(zip) != seen.iter().map(|one| one.name.clone()).collect::<Vec<_>>() {
        harms.insert(Harm::Ambiguous);
    }
    let root = sandbox.join("one/two/root");
    fs::create_dir_all(&root).unwrap();
    let (mut total, mut written) = (0, BTreeSet::new());
    if seen.len() > ENOUGH_FILES {
        harms.insert(Harm::TooMuch);
        return harms;
    }
    for one in &seen {
        look_at_name(&one.name, &mut harms);
        let content = match &one.content {
            Ok(content) => content,
            Err(_) => {
                harms.insert(Harm::Broken);
                continue;
            }
        };
        if !one.honest {
            harms.insert(Harm::Altered);
        }
        total += content.len();
        if total > ENOUGH_BYTES {
            harms.insert(Harm::TooMuch);
            break;
        }
        put(&root, one, content, &mut written, &mut harms);
    }
    if leaves_something_outside(sandbox, &root) {
        harms.insert(Harm::Outside);
    }
    harms
}

/// Joins, follows links, overwrites.
fn put(
    root: &Path,
    one: &Seen,
    content: &[u8],
    written: &mut BTreeSet<PathBuf>,
    harms: &mut BTreeSet<Harm>,
) {
    use std::os::unix::ffi::OsStrExt as _;
    let path = root.join(std::ffi::OsStr::from_bytes(&one.name));
    let plain: PathBuf = path.components().collect();
    if one.name.ends_with(b"/") {
        if !content.is_empty() {
            harms.insert(Harm::Altered);
        }
        if written.contains(&plain) {
            harms.insert(Harm::Overwritten);
        }
        let _ = fs::create_dir_all(&path);
        return;
    }
    if !written.insert(plain.clone()) {
        harms.insert(Harm::Overwritten);
    }
    let lowered = plain
        .to_string_lossy()
        .to_lowercase()
        .replace("e\u{301}", "é");
    let twin = |other: &&PathBuf| {
        **other != plain
            && other
                .to_string_lossy()
                .to_lowercase()
                .replace("e\u{301}", "é")
                == lowered
    };
    if written.iter().any(|other| twin(&other)) {
        harms.insert(Harm::Collides);
    }
    let parent = path.parent().unwrap_or(root);
    if fs::create_dir_all(parent).is_err() {
        harms.insert(Harm::Broken);
        return;
    }
    match one.mode & 0o170_000 {
        0o120_000 => {
            harms.insert(Harm::Link);
            let _ = symlink(String::from_utf8_lossy(content).as_ref(), &path);
            return;
        }
        0 | 0o100_000 | 0o040_000 => {}
        _ => {
            harms.insert(Harm::Special);
            return;
        }
    }
    if one.mode & 0o7000 != 0 {
        harms.insert(Harm::Privileged);
    }
    match fs::File::create(&path).and_then(|mut file| file.write_all(content)) {
        Ok(()) => {
            let mode = fs::Permissions::from_mode(one.mode & 0o777);
            let _ = fs::set_permissions(&path, mode);
        }
        Err(_) => {
            harms.insert(Harm::Broken);
        }
    }
}

/// What other systems, terminals and shells make of a name.
fn look_at_name(name: &[u8], harms: &mut BTreeSet<Harm>) {
    let text = String::from_utf8_lossy(name);
    let windows = text.replace('\\', "/");
    let drive = windows.as_bytes().get(1) == Some(&b':');
    if windows != text || drive {
        harms.insert(Harm::Treacherous);
    }
    let reorders = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.chars().any(|c| c.is_control() || reorders(c)) || std::str::from_utf8(name).is_err() {
        harms.insert(Harm::Treacherous);
    }
}

fn leaves_something_outside(sandbox: &Path, root: &Path) -> bool {
    let mut open = vec![sandbox.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path == root {
                continue;
            }
            if !root.starts_with(&path) {
                return true;
            }
            open.push(path);
        }
    }
    false
}

/// Believes the directory at the end, as the last record says where it is.
fn by_directory(zip: &[u8]) -> Option<Vec<Seen>> {
    let end = zip.windows(4).rposition(|at| at == b"PK\x05\x06")?;
    let count = n16(zip, end + 10)?;
    if n16(zip, end + 4)? != 0 {
        return None;
    }
    let mut at = n32(zip, end + 16)? as usize;
    if count == u16::MAX {
        return many(zip);
    }
    let mut seen = Vec::new();
    for _ in 0..count {
        if zip.get(at..at + 4)? != b"PK\x01\x02" {
            return None;
        }
        let lengths = [n16(zip, at + 28)?, n16(zip, at + 30)?, n16(zip, at + 32)?].map(usize::from);
        let name = zip.get(at + 46..at + 46 + lengths[0])?.to_vec();
        seen.push(Seen {
            mode: n32(zip, at + 38)? >> 16,
            name,
            ..content(zip, at, n32(zip, at + 42)? as usize)
        });
        at += 46 + lengths.iter().sum::<usize>();
    }
    (!seen.is_empty()).then_some(seen)
}

/// More entries than two bytes count: as many as there are headers.
fn many(zip: &[u8]) -> Option<Vec<Seen>> {
    let empty = Seen {
        name: Vec::new(),
        content: Ok(Vec::new()),
        honest: true,
        mode: 0,
    };
    let count = zip.windows(4).filter(|at| *at == b"PK\x01\x02").count();
    Some(vec![empty; count])
}

/// The content of the directory's entry `at`, whose bytes begin at `local`.
fn content(zip: &[u8], at: usize, local: usize) -> Seen {
    let mut seen = Seen {
        name: Vec::new(),
        content: Err("not there"),
        honest: true,
        mode: 0,
    };
    let read = || -> Option<(u16, u16, u32, &[u8], usize)> {
        let begin =
            local + 30 + usize::from(n16(zip, local + 26)?) + usize::from(n16(zip, local + 28)?);
        let packed = zip.get(begin..begin + n32(zip, at + 20)? as usize)?;
        Some((
            n16(zip, at + 8)?,
            n16(zip, at + 10)?,
            n32(zip, at + 16)?,
            packed,
            n32(zip, at + 24)? as usize,
        ))
    };
    let Some((flags, method, told, packed, size)) = read() else {
        return seen;
    };
    seen.content = match method {
        _ if flags & 1 != 0 => Err("encrypted"),
        STORED => Ok(packed.to_vec()),
        DEFLATED => {
            let mut out = Vec::new();
            let source = flate2::read::DeflateDecoder::new(packed);
            let read = source.take(ENOUGH_BYTES as u64 + 1).read_to_end(&mut out);
            read.map(|_| out).map_err(|_| "damaged")
        }
        _ => Err("unknown method"),
    };
    if let Ok(content) = &seen.content {
        seen.honest = content.len() == size && crc(content) == told;
    }
    seen
}

/// Believes the headers before each entry, as readers of a stream do.
fn by_stream(zip: &[u8]) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    let mut at = zip
        .windows(4)
        .position(|at| at == b"PK\x03\x04")
        .unwrap_or(zip.len());
    while zip.get(at..at + 4) == Some(b"PK\x03\x04") {
        let next = || -> Option<(Vec<u8>, usize)> {
            let lengths = [n16(zip, at + 26)?, n16(zip, at + 28)?].map(usize::from);
            let name = zip.get(at + 30..at + 30 + lengths[0])?.to_vec();
            Some((
                name,
                at + 30 + lengths[0] + lengths[1] + n32(zip, at + 18)? as usize,
            ))
        };
        let Some((name, after)) = next() else { break };
        names.push(name);
        at = after;
    }
    names
}

fn n16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn n32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

//! Zips written byte by byte, so that every field can lie.

use std::io::Write as _;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// Names and texts are UTF-8.
pub const UTF8: u16 = 1 << 11;
pub const STORED: u16 = 0;
pub const DEFLATED: u16 = 8;

/// One entry; what is `None` is told truthfully.
#[derive(Clone, Default)]
pub struct Entry {
    pub name: Vec<u8>,
    /// Name before the entry's bytes, when another than in the directory.
    pub local_name: Option<Vec<u8>>,
    /// The bytes in the file, packed already.
    pub packed: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub crc: u32,
    pub size: u32,
    /// Packed size, when it lies.
    pub packed_size: Option<u32>,
    /// Unix mode with the file type.
    pub mode: u32,
    /// Extra fields of the directory.
    pub extra: Vec<u8>,
    /// The entry whose bytes are used instead of own ones.
    pub shares: Option<usize>,
    /// Is in the file and not in the directory.
    pub hidden: bool,
}

/// A file with content as it is.
pub fn stored(name: &str, content: &[u8]) -> Entry {
    Entry {
        name: name.into(),
        packed: content.to_vec(),
        flags: UTF8,
        crc: crc(content),
        size: content.len() as u32,
        mode: 0o100_644,
        ..Entry::default()
    }
}

/// A file with packed content.
pub fn deflated(name: &str, content: &[u8]) -> Entry {
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(content).unwrap();
    Entry {
        packed: packer.finish().unwrap(),
        method: DEFLATED,
        ..stored(name, content)
    }
}

/// An entry of a file type (`0o120_000` a link, `0o020_000` a device …).
pub fn special(name: &str, kind: u32, content: &str) -> Entry {
    Entry {
        mode: kind | 0o777,
        ..stored(name, content.as_bytes())
    }
}

pub fn crc(content: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    crc.sum()
}

/// What the record at the end says, when it lies.
#[derive(Clone, Default)]
pub struct Ending {
    pub count: Option<u16>,
    pub directory_at: Option<u32>,
    pub directory_size: Option<u32>,
    pub disk: u16,
    pub comment: Vec<u8>,
    /// Bytes before everything.
    pub prefix: Vec<u8>,
    /// Bytes after everything.
    pub suffix: Vec<u8>,
}

pub fn forge(entries: &[Entry]) -> Vec<u8> {
    forge_with(entries, &Ending::default())
}

pub fn forge_with(entries: &[Entry], ending: &Ending) -> Vec<u8> {
    let mut out = ending.prefix.clone();
    let mut offsets = Vec::new();
    for entry in entries {
        if let Some(other) = entry.shares {
            offsets.push(offsets[other]);
            continue;
        }
        offsets.push(out.len() as u32);
        put32(&mut out, LOCAL);
        put16(&mut out, 20);
        fields(
            &mut out,
            entry,
            entry.local_name.as_ref().unwrap_or(&entry.name).len(),
            0,
        );
        out.extend(entry.local_name.as_ref().unwrap_or(&entry.name));
        out.extend(&entry.packed);
    }
    let begin = out.len() as u32;
    let listed = || {
        entries
            .iter()
            .zip(&offsets)
            .filter(|(entry, _)| !entry.hidden)
    };
    for (entry, offset) in listed() {
        central(&mut out, entry, *offset);
    }
    let size = out.len() as u32 - begin;
    let count = listed().count() as u16;
    put32(&mut out, END);
    for word in [
        ending.disk,
        ending.disk,
        ending.count.unwrap_or(count),
        ending.count.unwrap_or(count),
    ] {
        put16(&mut out, word);
    }
    put32(&mut out, ending.directory_size.unwrap_or(size));
    put32(&mut out, ending.directory_at.unwrap_or(begin));
    put16(&mut out, ending.comment.len() as u16);
    out.extend(&ending.comment);
    out.extend(&ending.suffix);
    out
}

fn central(out: &mut Vec<u8>, entry: &Entry, offset: u32) {
    put32(out, CENTRAL);
    // Made on Unix: the upper half of the attributes is a mode.
    put16(out, 3 << 8 | 20);
    put16(out, 20);
    fields(out, entry, entry.name.len(), entry.extra.len());
    for _ in 0..3 {
        put16(out, 0);
    }
    put32(out, entry.mode << 16);
    put32(out, offset);
    out.extend(&entry.name);
    out.extend(&entry.extra);
}

/// What local header and directory have in common.
fn fields(out: &mut Vec<u8>, entry: &Entry, name: usize, extra: usize) {
    put16(out, entry.flags);
    put16(out, entry.method);
    put32(out, 0x0021_0000);
    put32(out, entry.crc);
    put32(out, entry.packed_size.unwrap_or(entry.packed.len() as u32));
    put32(out, entry.size);
    put16(out, name as u16);
    put16(out, extra as u16);
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend(value.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend(value.to_le_bytes());
}

//! Archives written entry by entry, hostile ones too.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// One entry of an archive.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// Name, content; executable.
    Program(&'a str, &'a str),
    /// Name, content; whatever the name says.
    File(&'a str, &'a str),
    /// Name, target.
    Symlink(&'a str, &'a str),
}

/// A zip archive with exactly these entries and names.
pub fn zip_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for entry in entries {
        add(&mut writer, *entry).expect("an archive in memory can be written");
    }
    writer
        .finish()
        .expect("an archive in memory can be finished")
        .into_inner()
}

fn add(writer: &mut ZipWriter<Cursor<Vec<u8>>>, entry: Entry<'_>) -> zip::result::ZipResult<()> {
    let plain = SimpleFileOptions::default();
    let (name, content, options) = match entry {
        Entry::Symlink(name, target) => return writer.add_symlink(name, target, plain),
        Entry::Program(name, content) => (name, content, plain.unix_permissions(0o755)),
        Entry::File(name, content) => (name, content, plain.unix_permissions(0o644)),
    };
    writer.start_file(name, options)?;
    writer.write_all(content.as_bytes())?;
    Ok(())
}

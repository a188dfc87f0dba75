//! How the entries of a zip lie in its file, looked at before anything is unpacked.
//!
//! A zip says everything twice: once before each entry's bytes, once in the directory at its end. Readers believe one or the
//! other; an archive where the two differ, where entries share bytes or where the directory hides some means different things to
//! different programs. None of that comes from an honest packer.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::FileExt as _;

use zip::ZipArchive;

use crate::archive::ArchiveError;

/// An entry of the directory without its name, and where in it the lengths of name, extra fields and comment stand.
const LISTING: usize = 46;
const LISTING_LENGTHS: usize = 28;
/// A local header without its name, and where in it the lengths of name and extra fields stand.
const LOCAL_HEADER: usize = 30;
const NAME_LENGTH: usize = 26;
/// The record at the end without its comment, its signature, and where in it the number of entries stands.
const END_RECORD: usize = 22;
const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
const END_COUNT: usize = 10;
const END_SIZE: usize = 12;
/// What stands directly before the end of archives with more entries or bytes than the record there can count.
const LOCATOR: usize = 20;
const LOCATOR_SIGNATURE: [u8; 4] = *b"PK\x06\x07";
/// Where in it the place of the other record stands; that record's part up to its counts, its signature, and where in it they stand.
const LOCATOR_PLACE: usize = 8;
const LARGE_RECORD: usize = 40;
const LARGE_SIGNATURE: [u8; 4] = *b"PK\x06\x06";
const LARGE_COUNT: usize = 32;
/// A count that stands elsewhere, because it is larger than two bytes hold.
const COUNT_ELSEWHERE: u16 = u16::MAX;
/// Longest comment, and with it the part of the file in which the record at the end begins.
const MAX_COMMENT: u64 = u16::MAX as u64;

/// How many entries the archive says that it has: looked at before its directory is read into memory.
///
/// # Errors
/// [`ArchiveError::Unreadable`] when it does not say.
pub(crate) fn announced(file: &File) -> Result<u64, ArchiveError> {
    let end = End::find(file)?;
    if !end.is_large {
        return Ok(end.count.unwrap_or(COUNT_ELSEWHERE).into());
    }
    let unreadable = |_| ArchiveError::Unreadable("its end leads nowhere".into());
    let mut place = [0; LOCATOR];
    file.read_exact_at(&mut place, end.at - LOCATOR as u64)?;
    let mut record = [0; LARGE_RECORD];
    file.read_exact_at(&mut record, long(&place, LOCATOR_PLACE))
        .map_err(unreadable)?;
    match record.starts_with(&LARGE_SIGNATURE) {
        true => Ok(long(&record, LARGE_COUNT)),
        false => Err(ArchiveError::Unreadable("its end leads nowhere".into())),
    }
}

/// Refuses archives that contradict themselves.
///
/// # Errors
/// [`ArchiveError`] naming the entry.
pub(crate) fn check<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    file: &File,
) -> Result<(), ArchiveError> {
    let end = End::find(file)?;
    end.check_count(archive.len())?;
    let mut spans = Vec::with_capacity(archive.len());
    // Without entries the directory ends where it begins.
    let mut listed = if archive.is_empty() { end.directory } else { 0 };
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(unreadable)?;
        let begin = entry.header_start();
        let data = entry.data_start().unwrap_or(begin);
        let name = entry.name_raw().to_vec();
        if entry.encrypted() {
            return Err(refused(&name, "is encrypted; pack it without a password"));
        }
        check_name(file, begin, &name)?;
        listed = listed.max(end_of_listing(file, entry.central_header_start())?);
        spans.push((begin, data.saturating_add(entry.compressed_size()), name));
    }
    end.check_listing(listed)?;
    check_spans(spans)
}

/// Where the directory's part about an entry ends.
fn end_of_listing(file: &File, begin: u64) -> Result<u64, ArchiveError> {
    let mut header = [0; LISTING];
    file.read_exact_at(&mut header, begin)?;
    let lengths = [LISTING_LENGTHS, LISTING_LENGTHS + 2, LISTING_LENGTHS + 4];
    let variable: u64 = lengths
        .iter()
        .map(|at| u64::from(number(&header, *at)))
        .sum();
    Ok(begin + LISTING as u64 + variable)
}

/// Entries must not share bytes: that is how small archives become very large ones.
fn check_spans(mut spans: Vec<(u64, u64, Vec<u8>)>) -> Result<(), ArchiveError> {
    spans.sort_unstable();
    if let Some((begin, _, name)) = spans.first().filter(|span| span.0 > 0) {
        let text = format!("is the first, and {begin} bytes of something else stand before it");
        return Err(refused(name, &text));
    }
    for pair in spans.windows(2) {
        if pair[1].0 < pair[0].1 {
            return Err(refused(&pair[1].2, "shares its bytes with another entry"));
        }
    }
    Ok(())
}

/// The record at the end of the file.
struct End {
    /// Where it begins.
    at: u64,
    /// The number of entries it announces, unless that is too large to stand here.
    count: Option<u16>,
    /// Where the directory begins: as far before the record as the record says that it is long.
    directory: u64,
    /// Whether another record, for large archives, stands between the directory and this one.
    is_large: bool,
}

impl End {
    fn find(file: &File) -> Result<End, ArchiveError> {
        let size = file.metadata()?.len();
        let begin = size.saturating_sub(END_RECORD as u64 + MAX_COMMENT + LOCATOR as u64);
        let mut tail = vec![0; usize::try_from(size - begin).unwrap_or(0)];
        file.read_exact_at(&mut tail, begin)?;
        let found = tail
            .windows(END_RECORD)
            .rposition(|at| at.starts_with(&END_SIGNATURE));
        let at = found.ok_or_else(|| ArchiveError::Unreadable("it has no end".into()))?;
        let size = u64::from(number(&tail, at + END_SIZE))
            | u64::from(number(&tail, at + END_SIZE + 2)) << 16;
        let locator = at.checked_sub(LOCATOR).map(|at| &tail[at..]);
        Ok(End {
            at: begin + at as u64,
            count: Some(number(&tail, at + END_COUNT)).filter(|count| *count != COUNT_ELSEWHERE),
            directory: (begin + at as u64).saturating_sub(size),
            is_large: locator.is_some_and(|text| text.starts_with(&LOCATOR_SIGNATURE)),
        })
    }

    /// Entries of the same name are one to the reader; the record still counts them all.
    fn check_count(&self, distinct: usize) -> Result<(), ArchiveError> {
        match self.count {
            Some(declared) if usize::from(declared) != distinct => {
                Err(ArchiveError::Unreadable(format!(
                    "its directory announces {declared} entries and holds {distinct} different names"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Behind the last entry it counts the directory must end.
    fn check_listing(&self, listed: u64) -> Result<(), ArchiveError> {
        if self.is_large || listed == self.at {
            return Ok(());
        }
        Err(ArchiveError::Unreadable(
            "its directory holds more than it announces".into(),
        ))
    }
}

/// The name before the entry's bytes must be that of the directory, or have it among its extra fields (a second spelling in UTF-8).
fn check_name(file: &File, begin: u64, name: &[u8]) -> Result<(), ArchiveError> {
    let mut header = [0; LOCAL_HEADER];
    file.read_exact_at(&mut header, begin)?;
    let lengths = [
        number(&header, NAME_LENGTH),
        number(&header, NAME_LENGTH + 2),
    ]
    .map(usize::from);
    let mut rest = vec![0; lengths[0] + lengths[1]];
    file.read_exact_at(&mut rest, begin + LOCAL_HEADER as u64)?;
    let (local, extra) = rest.split_at(lengths[0]);
    let is_spelled = !name.is_empty() && extra.windows(name.len()).any(|part| part == name);
    if local == name || is_spelled {
        return Ok(());
    }
    let other = String::from_utf8_lossy(local);
    Err(refused(
        name,
        &format!("is called {other:?} elsewhere in the archive"),
    ))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

fn number(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn refused(name: &[u8], reason: &str) -> ArchiveError {
    ArchiveError::Entry {
        entry: String::from_utf8_lossy(name).chars().take(200).collect(),
        reason: reason.to_owned(),
    }
}

fn unreadable(error: zip::result::ZipError) -> ArchiveError {
    ArchiveError::Unreadable(error.to_string())
}

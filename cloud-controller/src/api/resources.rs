//! Lists of files that clients say we have, read as they come: an array is cut into its entries without being kept, and each entry is
//! bounded before it is parsed. Pure.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;

use crate::limits::{RESOURCE_BYTES, RESOURCE_LIST_BYTES, RESOURCES};

/// Why a list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ListError {
    /// Not an array of objects in JSON.
    #[error("the list is not a JSON array of files: {0}")]
    NotJson(String),
    /// An entry that means nothing.
    #[error("entry {at} of the list{}: {why}", of(path))]
    Entry {
        /// Its number, from 1.
        at: usize,
        /// Its path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Too much of it.
    #[error("the list has more than {0}; send fewer files (.cfignore)")]
    TooLarge(String),
}

fn of(path: &str) -> String {
    match path {
        "" => String::new(),
        path => format!(" ({path:?})"),
    }
}

/// A file the client says we have.
#[derive(Debug, Deserialize)]
pub(super) struct Resource<'a> {
    #[serde(borrow, default)]
    sha1: Cow<'a, str>,
    #[serde(default)]
    pub(super) size: u64,
    #[serde(borrow, rename = "fn", default)]
    pub(super) path: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) mode: Option<Cow<'a, str>>,
}

impl Resource<'_> {
    /// The digest, in lower case; absent where the entry is no file: old clients list directories as sha1 "0" and size 0.
    fn digest(&self) -> Result<Option<String>, &'static str> {
        match &*self.sha1 {
            "0" | "" if self.size == 0 => Ok(None),
            text => match is_sha1(text) {
                true => Ok(Some(text.to_ascii_lowercase())),
                false => Err("its sha1 is not 40 hexadecimal digits"),
            },
        }
    }
}

/// Whether a text is a sha1 in hexadecimal digits.
pub(super) fn is_sha1(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Where in an array the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Before,
    First,
    Entry,
    Next,
    After,
}

/// Cuts a JSON array into its entries while it comes.
#[derive(Debug)]
pub(super) struct ListReader {
    at: At,
    depth: usize,
    quoted: bool,
    escaped: bool,
    entry: Vec<u8>,
    entries: usize,
    bytes: usize,
}

impl Default for ListReader {
    fn default() -> ListReader {
        ListReader {
            at: At::Before,
            depth: 0,
            quoted: false,
            escaped: false,
            entry: Vec::new(),
            entries: 0,
            bytes: 0,
        }
    }
}

/// An entry as it was read: its digest if it is a file, itself, and its JSON as it came.
pub(super) struct Read<'a> {
    pub(super) digest: Option<String>,
    pub(super) resource: Resource<'a>,
    pub(super) json: &'a [u8],
}

impl ListReader {
    /// Takes the next bytes; `each` is given every entry that they complete. Entries with fields of another type than wanted are
    /// an error where `strict`, and passed over where not, as the original did.
    ///
    /// # Errors
    /// The first thing that is wrong, or what `each` says.
    pub(super) fn take(
        &mut self,
        chunk: &[u8],
        strict: bool,
        each: &mut impl FnMut(Read<'_>) -> Result<(), ListError>,
    ) -> Result<(), ListError> {
        self.bytes += chunk.len();
        if self.bytes > RESOURCE_LIST_BYTES {
            return Err(too_large(RESOURCE_LIST_BYTES, "bytes"));
        }
        for byte in chunk {
            if self.step(*byte)? {
                let entry = std::mem::take(&mut self.entry);
                self.complete(&entry, strict, each)?;
                self.entry = entry;
                self.entry.clear();
            }
        }
        Ok(())
    }

    /// The list must be whole now.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn finish(&self) -> Result<(), ListError> {
        match self.at {
            At::After => Ok(()),
            _ => Err(ListError::NotJson("it ends too early".into())),
        }
    }

    /// True when the byte ends an entry, which stands in `entry` then.
    fn step(&mut self, byte: u8) -> Result<bool, ListError> {
        let blank = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match (self.at, byte) {
            (At::Entry, byte) => return self.inside(byte),
            _ if blank => {}
            (At::Before, b'[') => self.at = At::First,
            (At::First, b']') => self.at = At::After,
            (At::First | At::Next, byte) if !matches!(byte, b',' | b']') => {
                self.at = At::Entry;
                self.count()?;
                return self.inside(byte);
            }
            _ => {
                let what = format!("there is a {:?} where none may be", char::from(byte));
                return Err(ListError::NotJson(what));
            }
        }
        Ok(false)
    }

    fn count(&mut self) -> Result<(), ListError> {
        self.entries += 1;
        match self.entries > RESOURCES {
            true => Err(too_large(RESOURCES, "files")),
            false => Ok(()),
        }
    }

    fn inside(&mut self, byte: u8) -> Result<bool, ListError> {
        if self.quoted {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.quoted = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => self.quoted = true,
                b'{' | b'[' => self.depth += 1,
                b',' | b']' if self.depth == 0 => {
                    self.at = if byte == b',' { At::Next } else { At::After };
                    return Ok(true);
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        if self.entry.len() == RESOURCE_BYTES {
            return Err(self.unfit("", "it has more than 8192 bytes"));
        }
        self.entry.push(byte);
        Ok(false)
    }

    fn complete(
        &self,
        entry: &[u8],
        strict: bool,
        each: &mut impl FnMut(Read<'_>) -> Result<(), ListError>,
    ) -> Result<(), ListError> {
        let text = std::str::from_utf8(entry)
            .map_err(|error| ListError::NotJson(format!("not in UTF-8: {error}")))?;
        let resource: Resource<'_> = match serde_json::from_str(text) {
            Ok(resource) => resource,
            Err(error) if error.is_data() && !strict => return Ok(()),
            Err(error) => {
                return Err(ListError::NotJson(format!(
                    "entry {}: {error}",
                    self.entries
                )));
            }
        };
        let digest = resource
            .digest()
            .map_err(|why| self.unfit(&resource.path, why))?;
        each(Read {
            digest,
            resource,
            json: entry,
        })
    }

    fn unfit(&self, path: &str, why: &'static str) -> ListError {
        ListError::Entry {
            at: self.entries,
            path: path.chars().take(200).collect(),
            why,
        }
    }
}

fn too_large(limit: usize, what: &str) -> ListError {
    ListError::TooLarge(format!("{limit} {what}"))
}

/// One file of a [`Resources`]; its texts lie there.
#[derive(Debug)]
struct Entry {
    path: Range<usize>,
    mode: Option<Range<usize>>,
    sha1: Range<usize>,
    size: u64,
}

/// The files of a list. Two allocations however many there are: they go back to the system at once when the list goes.
#[derive(Debug, Default)]
pub(super) struct Resources {
    texts: String,
    entries: Vec<Entry>,
    named: u64,
}

/// A file of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) path: &'a str,
    pub(super) mode: Option<&'a str>,
    pub(super) sha1: &'a str,
    pub(super) size: u64,
}

impl Resources {
    /// Keeps an entry, if it is a file.
    pub(super) fn add(&mut self, read: &Read<'_>) {
        let Some(digest) = &read.digest else {
            return;
        };
        let path = self.text(&read.resource.path);
        let mode = read.resource.mode.as_deref().map(|mode| self.text(mode));
        let sha1 = self.text(digest);
        self.named = self.named.saturating_add(read.resource.size);
        self.entries.push(Entry {
            path,
            mode,
            sha1,
            size: read.resource.size,
        });
    }

    fn text(&mut self, text: &str) -> Range<usize> {
        let from = self.texts.len();
        self.texts.push_str(text);
        from..self.texts.len()
    }

    /// Bytes of memory it takes.
    pub(super) fn held(&self) -> usize {
        self.texts.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Bytes of all files, as the list says.
    pub(super) fn named(&self) -> u64 {
        self.named
    }

    /// The files, in their order.
    pub(super) fn files(&self) -> impl Iterator<Item = Known<'_>> + Clone {
        self.entries.iter().map(|entry| Known {
            path: &self.texts[entry.path.clone()],
            mode: entry.mode.clone().map(|mode| &self.texts[mode]),
            sha1: &self.texts[entry.sha1.clone()],
            size: entry.size,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SHA1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

    /// Reads a list in pieces of so many bytes: the paths, as JSON and from memory.
    fn read(text: &[u8], piece: usize, strict: bool) -> Result<Vec<String>, ListError> {
        let (mut reader, mut kept, mut raw) = (ListReader::default(), Resources::default(), 0);
        for chunk in text.chunks(piece) {
            reader.take(chunk, strict, &mut |read| {
                let whole: serde_json::Value = serde_json::from_slice(read.json).unwrap();
                assert!(whole.is_object());
                kept.add(&read);
                raw += usize::from(read.digest.is_some());
                Ok(())
            })?;
        }
        reader.finish()?;
        assert_eq!(raw, kept.files().count());
        assert!(kept.files().all(|file| is_sha1(file.sha1)));
        Ok(kept.files().map(|file| file.path.to_owned()).collect())
    }

    #[test]
    fn a_list_is_cut_into_its_entries_wherever_the_bytes_are_cut() {
        let text = format!(
            r#" [ {{"sha1":"{SHA1}","size":3,"fn":"a]}},[","mode":"0644","x":{{"y":["\"",{{}}]}}}} ,
               {{"sha1":"0","size":0,"fn":"dir"}},{{"sha1":"{}","size":0,"fn":"b\\\"ä\u0041"}}, {{"size":0}} ] "#,
            SHA1.to_uppercase()
        );
        let whole: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(whole.len(), 4);
        for piece in [1, 2, 3, 7, 64, 4096] {
            assert_eq!(
                read(text.as_bytes(), piece, true).unwrap(),
                ["a]},[", "b\\\"äA"]
            );
        }
        assert_eq!(read(b"[]", 1, true), Ok(vec![]));
    }

    #[test]
    fn what_is_no_list_of_files_is_refused_with_the_reason() {
        for bad in [
            &b""[..],
            b"[",
            b"{}",
            b"7",
            b"[]x",
            b"[,]",
            b"[{}",
            b"[{},]",
            b"[{},,{}]",
            b"[{]]",
            b"[{\"sha1\":}]",
            b"[{\"fn\":\"\xff\"}]",
            b"[{} {}]",
            b"[]]",
            b"[\"",
            b"[}]",
        ] {
            assert!(
                matches!(read(bad, 3, false), Err(ListError::NotJson(_))),
                "{bad:?}"
            );
        }
        // Entries of another kind were never an error of a match.
        for odd in [
            "[7]",
            "[null,[1],\"x\"]",
            r#"[{"sha1":7}]"#,
            r#"[{"size":-1}]"#,
        ] {
            assert_eq!(read(odd.as_bytes(), 5, false), Ok(vec![]), "{odd}");
            assert!(read(odd.as_bytes(), 5, true).is_err(), "{odd}");
        }
        for digits in [
            "x".repeat(5000),
            "a".repeat(39),
            "a".repeat(41),
            "g".repeat(40),
            "../../etc/passwd".into(),
        ] {
            let list = format!(
                r#"[{{"sha1":"{SHA1}","size":1}},{{"sha1":"{digits}","size":1,"fn":"n"}}]"#
            );
            let error = read(list.as_bytes(), 100, false).unwrap_err();
            assert!(matches!(error, ListError::Entry { at: 2, .. }), "{error}");
        }
    }

    #[test]
    fn an_entry_is_bounded_before_it_is_parsed() {
        let frame = r#"{"fn":""}"#.len();
        for (length, fits) in [
            (RESOURCE_BYTES, true),
            (RESOURCE_BYTES + 1, false),
            (RESOURCE_BYTES * 100, false),
        ] {
            let list = format!(r#"[{{"fn":"{}"}}]"#, "a".repeat(length - frame));
            assert_eq!(read(list.as_bytes(), 1000, true).is_ok(), fits, "{length}");
        }
        // Nothing is kept of what does not end.
        let mut reader = ListReader::default();
        reader.take(b"[{", true, &mut |_| Ok(())).unwrap();
        assert!((0..).any(|_| reader.take(&[b'['; 1000], true, &mut |_| Ok(())).is_err()));
        assert!(reader.entry.capacity() <= 2 * RESOURCE_BYTES);
    }

    #[test]
    fn a_list_holds_so_many_files_and_no_more() {
        let mut reader = ListReader::default();
        let mut count = 0;
        let mut take = |text: &[u8]| {
            reader.take(text, true, &mut |_| {
                count += 1;
                Ok(())
            })
        };
        take(b"[{}").unwrap();
        for _ in 1..RESOURCES {
            take(b",{}").unwrap();
        }
        let error = take(b",{}").unwrap_err();
        assert!(matches!(error, ListError::TooLarge(_)), "{error}");
        assert_eq!(count, RESOURCES);
    }

    #[test]
    fn a_list_in_memory_is_two_allocations() {
        let mut kept = Resources::default();
        let mut reader = ListReader::default();
        let entry = format!(r#"{{"sha1":"{SHA1}","size":4,"fn":"some/path","mode":"0644"}}"#);
        let list = format!("[{}]", vec![entry; 1000].join(","));
        reader
            .take(list.as_bytes(), true, &mut |read| {
                kept.add(&read);
                Ok(())
            })
            .unwrap();
        assert_eq!((kept.files().count(), kept.named()), (1000, 4000));
        assert!(
            kept.held() < 2 * list.len(),
            "{} of {}",
            kept.held(),
            list.len()
        );
    }
}

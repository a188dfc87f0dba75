//! The log of one job on disk: numbered lines in a row of segment files, the
//! oldest of which are removed when the whole grows past its limit.
//!
//! A segment is named after the number of its first line. A record is
//! `len u32, seq u64, at_ns i64, stream u8, data`, little-endian; `len` counts
//! the data only.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::Stream;

const HEAD: usize = 21;
/// The ring is cut into this many segments, so it keeps at least 7/8 of its size.
const SEGMENTS: u64 = 8;

/// One segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    first: u64,
    len: u64,
}

/// The writer's side, also the index for readers.
#[derive(Debug)]
pub(crate) struct Ring {
    dir: PathBuf,
    segment_bytes: u64,
    segments: VecDeque<Segment>,
    out: File,
    next: u64,
}

/// Where a reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Number of the line wanted next.
    pub(crate) next: u64,
    /// Segment it was last in, and the offset of `next` there.
    place: Option<(u64, u64)>,
}

impl Cursor {
    /// A reader that wants line `from` first (0 counts as 1).
    pub(crate) fn at(from: u64) -> Self {
        Self {
            next: from.max(1),
            place: None,
        }
    }
}

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A line.
    Line {
        seq: u64,
        at_ns: i64,
        stream: Stream,
        data: Vec<u8>,
    },
    /// Lines that were dropped before this reader came.
    Gap { from: u64, to: u64 },
    /// Nothing more at present.
    Nothing,
}

impl Ring {
    /// An empty log in the new directory `dir`.
    pub(crate) fn create(dir: &Path, ring_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let segment_bytes = (ring_bytes / SEGMENTS).max(4096);
        let out = open_segment(dir, 1)?;
        let segments = VecDeque::from([Segment { first: 1, len: 0 }]);
        Ok(Self {
            dir: dir.to_owned(),
            segment_bytes,
            segments,
            out,
            next: 1,
        })
    }

    /// Appends a line and returns its number.
    pub(crate) fn push(&mut self, at_ns: i64, stream: Stream, data: &[u8]) -> io::Result<u64> {
        self.roll_if_full()?;
        let seq = self.next;
        let mut record = Vec::with_capacity(HEAD + data.len());
        record.extend_from_slice(&(data.len() as u32).to_le_bytes());
        record.extend_from_slice(&seq.to_le_bytes());
        record.extend_from_slice(&at_ns.to_le_bytes());
        record.push(u8::from(stream == Stream::Stderr));
        record.extend_from_slice(data);
        let segment = self.segments.back_mut().expect("a ring has a segment");
        self.out.write_all_at(&record, segment.len)?;
        segment.len += record.len() as u64;
        self.next += 1;
        Ok(seq)
    }

    fn roll_if_full(&mut self) -> io::Result<()> {
        if self
            .segments
            .back()
            .is_some_and(|s| s.len < self.segment_bytes)
        {
            return Ok(());
        }
        self.out = open_segment(&self.dir, self.next)?;
        self.segments.push_back(Segment {
            first: self.next,
            len: 0,
        });
        while self.segments.len() as u64 > SEGMENTS {
            if let Some(old) = self.segments.pop_front() {
                fs::remove_file(segment_path(&self.dir, old.first))?;
            }
        }
        Ok(())
    }

    /// Number the next line will get.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The item after the cursor; moves the cursor past it.
    pub(crate) fn read(&self, cursor: &mut Cursor) -> io::Result<Item> {
        let oldest = self.segments.front().expect("a ring has a segment").first;
        if cursor.next < oldest {
            let gap = Item::Gap {
                from: cursor.next,
                to: oldest - 1,
            };
            *cursor = Cursor::at(oldest);
            return Ok(gap);
        }
        if cursor.next >= self.next {
            return Ok(Item::Nothing);
        }
        let (file, segment, mut offset) = self.seek(cursor)?;
        loop {
            let (seq, at_ns, stream, len) = read_head(&file, offset)?;
            let data_at = offset + HEAD as u64;
            offset = data_at + len as u64;
            if seq < cursor.next {
                continue;
            }
            let mut data = vec![0; len];
            file.read_exact_at(&mut data, data_at)?;
            *cursor = Cursor {
                next: seq + 1,
                place: Some((segment, offset)),
            };
            return Ok(Item::Line {
                seq,
                at_ns,
                stream,
                data,
            });
        }
    }

    /// The segment that holds `cursor.next` and an offset at or before it.
    fn seek(&self, cursor: &Cursor) -> io::Result<(File, u64, u64)> {
        let index = self.segments.partition_point(|s| s.first <= cursor.next) - 1;
        let first = self.segments[index].first;
        let offset = match cursor.place {
            Some((segment, offset)) if segment == first => offset,
            _ => 0,
        };
        Ok((File::open(segment_path(&self.dir, first))?, first, offset))
    }
}

fn read_head(file: &File, offset: u64) -> io::Result<(u64, i64, Stream, usize)> {
    let mut head = [0u8; HEAD];
    file.read_exact_at(&mut head, offset)?;
    let number = |at: usize| {
        let mut bytes = [0u8; 8];
        bytes.copy_from_slice(&head[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let stream = if head[20] == 0 {
        Stream::Stdout
    } else {
        Stream::Stderr
    };
    Ok((number(4), number(12) as i64, stream, len))
}

fn segment_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}"))
}

fn open_segment(dir: &Path, first: u64) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(segment_path(dir, first))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn filled(lines: u64, bytes: u64) -> (tempfile::TempDir, Ring) {
        let dir = tempfile::tempdir().unwrap();
        let mut ring = Ring::create(&dir.path().join("log"), bytes).unwrap();
        for n in 1..=lines {
            let stream = if n % 2 == 0 {
                Stream::Stderr
            } else {
                Stream::Stdout
            };
            assert_eq!(
                ring.push(n as i64, stream, format!("line {n}").as_bytes())
                    .unwrap(),
                n
            );
        }
        (dir, ring)
    }

    fn drain(ring: &Ring, from: u64) -> (Option<(u64, u64)>, Vec<u64>) {
        let (mut cursor, mut gap, mut seqs) = (Cursor::at(from), None, Vec::new());
        loop {
            match ring.read(&mut cursor).unwrap() {
                Item::Line { seq, data, .. } => {
                    assert_eq!(data, format!("line {seq}").into_bytes());
                    seqs.push(seq);
                }
                Item::Gap { from, to } => assert!(gap.replace((from, to)).is_none()),
                Item::Nothing => return (gap, seqs),
            }
        }
    }

    #[test]
    fn every_line_is_read_once_in_order() {
        let (_dir, ring) = filled(1000, 1 << 20);
        assert_eq!(drain(&ring, 1), (None, (1..=1000).collect()));
        assert_eq!(drain(&ring, 700), (None, (700..=1000).collect()));
        assert_eq!(drain(&ring, 1001), (None, vec![]));
    }

    #[test]
    fn overwritten_lines_are_reported_exactly() {
        let (_dir, ring) = filled(20_000, 64 << 10);
        let (gap, seqs) = drain(&ring, 1);
        let (from, to) = gap.unwrap();
        assert_eq!(from, 1);
        assert_eq!(seqs, (to + 1..=20_000).collect::<Vec<_>>());
        assert!(seqs.len() > 1000);
    }

    #[test]
    fn disk_use_stays_bounded() {
        let (dir, _ring) = filled(50_000, 64 << 10);
        let total: u64 = fs::read_dir(dir.path().join("log"))
            .unwrap()
            .map(|e| e.unwrap().metadata().unwrap().len())
            .sum();
        assert!(total < 80 << 10, "{total}");
    }
}

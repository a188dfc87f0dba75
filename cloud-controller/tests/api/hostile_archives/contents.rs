//! Archives whose contents, sizes, counts or kinds are not what they say.

use super::cases::Becomes::{Harmless, Refused};
use super::cases::{Case, case, file};
use super::forge::{Ending, Entry, UTF8, deflated, forge, forge_with, stored};
use super::naive::Harm;

/// Small archives that become large. The limit in the tests is 1,000,000 bytes.
pub fn bombs() -> Vec<Case> {
    let zeros = vec![0; 4_000_000];
    let larger = Refused("larger than");
    let mut cases = vec![
        case(
            "bomb: one file",
            Harm::TooMuch,
            larger,
            forge(&[deflated("zeros", &zeros)]),
        ),
        case(
            "bomb: behind good files",
            Harm::TooMuch,
            Refused("larger than"),
            forge(&[file("a"), file("b"), deflated("zeros", &zeros)]),
        ),
    ];
    let many: Vec<Entry> = (0..30)
        .map(|n| deflated(&format!("z{n}"), &zeros[..40_000]))
        .collect();
    cases.push(case(
        "bomb: many small ones",
        Harm::TooMuch,
        Refused("larger than"),
        forge(&many),
    ));
    let told_small = Entry {
        size: 10,
        ..deflated("zeros", &zeros)
    };
    cases.push(case(
        "bomb: said to be small",
        Harm::TooMuch,
        Refused("larger than"),
        forge(&[told_small]),
    ));
    let inner = deflated("zeros", &zeros[..200_000]);
    let shared: Vec<Entry> = (0..40)
        .map(|n| Entry {
            name: format!("s{n:02}").into_bytes(),
            shares: (n > 0).then_some(0),
            ..inner.clone()
        })
        .collect();
    cases.push(case(
        "bomb: forty entries, one content",
        Harm::TooMuch,
        Refused("elsewhere"),
        forge(&shared),
    ));
    let mut quoted = vec![deflated("a", &zeros[..30_000])];
    quoted[0].packed_size = Some(quoted[0].packed.len() as u32 + 40);
    quoted.push(stored("b", &[7; 300]));
    cases.push(case(
        "entries over each other",
        Harm::Ambiguous,
        Refused("shares its bytes"),
        forge(&quoted),
    ));
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for n in 0..200_001 {
        zip.start_file(format!("{n}"), options).unwrap();
    }
    let zip = zip.finish().unwrap().into_inner();
    cases.push(case(
        "bomb: 200,001 files",
        Harm::TooMuch,
        Refused("200000 entries"),
        zip,
    ));
    cases
}

/// Sizes, sums and names that are not so.
pub fn lies() -> Vec<Case> {
    let good = || deflated("a", b"some content, some content");
    let plain = || stored("a", b"some content");
    let change = |mut entry: Entry, change: fn(&mut Entry)| {
        change(&mut entry);
        forge(&[entry])
    };
    vec![
        case(
            "size too large",
            Harm::Altered,
            Refused("announces"),
            change(good(), |e| e.size += 1),
        ),
        case(
            "size too small",
            Harm::Altered,
            Refused("declared"),
            change(good(), |e| e.size -= 1),
        ),
        case(
            "size zero",
            Harm::Altered,
            Refused("declared"),
            change(good(), |e| e.size = 0),
        ),
        case(
            "size of four billion",
            Harm::Altered,
            Refused("announces"),
            change(good(), |e| e.size = u32::MAX - 1),
        ),
        case(
            "packed size beyond the file",
            Harm::Broken,
            Refused(""),
            change(plain(), |e| e.packed_size = Some(1_000_000)),
        ),
        case(
            "packed size beyond the entry",
            Harm::Altered,
            Refused(""),
            change(plain(), |e| e.packed_size = Some(20)),
        ),
        case(
            "packed size too small",
            Harm::Altered,
            Refused(""),
            change(plain(), |e| e.packed_size = Some(5)),
        ),
        case(
            "packed size cuts the data",
            Harm::Broken,
            Refused(""),
            change(good(), |e| e.packed_size = Some(5)),
        ),
        case(
            "wrong sum of plain data",
            Harm::Altered,
            Refused("cannot be unpacked"),
            change(plain(), |e| e.crc ^= 1),
        ),
        case(
            "wrong sum of packed data",
            Harm::Altered,
            Refused("cannot be unpacked"),
            change(good(), |e| e.crc ^= 1),
        ),
        case(
            "sum zero",
            Harm::Altered,
            Refused("cannot be unpacked"),
            change(good(), |e| e.crc = 0),
        ),
        case(
            "damaged data",
            Harm::Altered,
            Refused("cannot be unpacked"),
            change(good(), |e| e.packed[2] ^= 0xff),
        ),
        case(
            "another name inside",
            Harm::Ambiguous,
            Refused("is called"),
            change(good(), |e| e.local_name = Some(b"../evil".to_vec())),
        ),
        case(
            "another name of the same length inside",
            Harm::Ambiguous,
            Refused("is called"),
            change(good(), |e| e.local_name = Some(b"b".to_vec())),
        ),
        case(
            "a directory with content",
            Harm::Altered,
            Refused("directory with content"),
            {
                forge(&[Entry {
                    mode: 0o040_755,
                    ..stored("d/", b"content")
                }])
            },
        ),
        case(
            "eight-byte sizes that lie",
            Harm::Altered,
            Refused(""),
            change(good(), |e| {
                e.size = u32::MAX;
                e.extra = eight_bytes(1 << 40);
            }),
        ),
        case(
            "eight-byte sizes cut short",
            Harm::Altered,
            Refused(""),
            change(good(), |e| {
                e.size = u32::MAX;
                e.extra = vec![1, 0, 8, 0, 1, 2];
            }),
        ),
        case(
            "eight-byte sizes that are missing",
            Harm::Altered,
            Refused(""),
            change(good(), |e| e.size = u32::MAX),
        ),
        case(
            "eight-byte packed size",
            Harm::Broken,
            Refused(""),
            change(good(), |e| {
                e.packed_size = Some(u32::MAX);
                e.extra = eight_bytes(u64::MAX);
            }),
        ),
        case("a hidden entry", Harm::Ambiguous, Harmless(&["a"]), {
            forge(&[
                good(),
                Entry {
                    hidden: true,
                    ..stored("../evil", b"evil")
                },
            ])
        }),
    ]
}

/// The extra field with eight-byte sizes.
fn eight_bytes(size: u64) -> Vec<u8> {
    let mut field = vec![1, 0, 8, 0];
    field.extend(size.to_le_bytes());
    field
}

/// What cannot be opened: passwords and methods nobody uses.
pub fn closed() -> Vec<Case> {
    let with = |flags: u16, method: u16| {
        let entry = Entry {
            flags: UTF8 | flags,
            method,
            ..stored("a", b"content content")
        };
        forge(&[file("good"), entry])
    };
    let mut cases = vec![
        case("encrypted", Harm::Broken, Refused("encrypted"), with(1, 0)),
        case(
            "encrypted and packed",
            Harm::Broken,
            Refused("encrypted"),
            with(1, 8),
        ),
        case("encrypted with AES", Harm::Broken, Refused(""), with(1, 99)),
        case(
            "encrypted strongly",
            Harm::Broken,
            Refused("encrypted"),
            with(1 | 1 << 6, 0),
        ),
    ];
    for method in [
        1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 16, 18, 19, 20, 93, 94, 95, 96, 97, 98, 0x7fff,
    ] {
        cases.push(case(
            format!("method {method}"),
            Harm::Broken,
            Refused(""),
            with(0, method),
        ));
    }
    cases
}

/// Records at the end that lie.
pub fn endings() -> Vec<Case> {
    let entries = || vec![stored("a", b"one"), stored("b", b"two")];
    let ending = |change: fn(&mut Ending)| {
        let mut ending = Ending::default();
        change(&mut ending);
        forge_with(&entries(), &ending)
    };
    let whole = forge(&entries());
    let other = forge(&[stored("c", b"another")]);
    vec![
        case(
            "counts one less",
            Harm::Ambiguous,
            Refused(""),
            ending(|e| e.count = Some(1)),
        ),
        case(
            "counts one more",
            Harm::Broken,
            Refused(""),
            ending(|e| e.count = Some(3)),
        ),
        case(
            "counts none",
            Harm::Broken,
            Refused(""),
            ending(|e| e.count = Some(0)),
        ),
        case(
            "counts 65,534",
            Harm::Broken,
            Refused(""),
            ending(|e| e.count = Some(65_534)),
        ),
        case(
            "directory beyond the end",
            Harm::Broken,
            Refused(""),
            ending(|e| e.directory_at = Some(1 << 30)),
        ),
        case(
            "directory in the middle",
            Harm::Broken,
            Refused(""),
            ending(|e| e.directory_at = Some(7)),
        ),
        case(
            "several disks",
            Harm::Broken,
            Refused(""),
            ending(|e| e.disk = 3),
        ),
        case("another archive as comment", Harm::Broken, Refused(""), {
            let comment = other.clone();
            forge_with(
                &entries(),
                &Ending {
                    comment,
                    ..Ending::default()
                },
            )
        }),
        case(
            "two archives in one",
            Harm::Broken,
            Refused(""),
            [whole.clone(), other].concat(),
        ),
        case(
            "cut at the end",
            Harm::Broken,
            Refused("not a readable zip"),
            whole[..whole.len() - 10].to_vec(),
        ),
        case(
            "cut in the directory",
            Harm::Broken,
            Refused("not a readable zip"),
            whole[..whole.len() - 60].to_vec(),
        ),
        case(
            "cut in the middle",
            Harm::Broken,
            Refused("not a readable zip"),
            whole[..40].to_vec(),
        ),
        case(
            "cut in front",
            Harm::Broken,
            Refused(""),
            whole[20..].to_vec(),
        ),
        case("only an end", Harm::Broken, Harmless(&[]), forge(&[])),
        case(
            "nothing",
            Harm::Broken,
            Refused("not a readable zip"),
            Vec::new(),
        ),
    ]
}

/// Files that are something else.
pub fn no_zips() -> Vec<Case> {
    let mut tar = vec![0; 1024];
    tar[..4].copy_from_slice(b"evil");
    tar[257..262].copy_from_slice(b"ustar");
    [
        ("a tar", tar),
        ("a gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec()),
        ("a 7z", b"7z\xbc\xaf\x27\x1c".to_vec()),
        ("a program", b"\x7fELF\x02\x01\x01".to_vec()),
        ("a page", b"<html>not found</html>".to_vec()),
        (
            "noise",
            (0..4096_u32)
                .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
                .collect(),
        ),
    ]
    .into_iter()
    .map(|(what, bytes)| case(what, Harm::Broken, Refused("not a readable zip"), bytes))
    .collect()
}

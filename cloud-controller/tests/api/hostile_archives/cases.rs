//! The archives, each with the harm it does and what becomes of it here.

use std::path::Path;

use super::contents;
use super::forge::{Entry, crc, deflated, forge, special, stored};
use super::naive::Harm;

/// One hostile archive.
pub struct Case {
    pub name: String,
    pub zip: Vec<u8>,
    pub harm: Harm,
    /// A word of the refusal; or the paths it is reduced to, when nothing in it can do harm.
    pub becomes: Becomes,
}

pub enum Becomes {
    Refused(&'static str),
    Harmless(&'static [&'static str]),
}
use Becomes::{Harmless, Refused};

const LINK: u32 = 0o120_000;

/// All of them; absolute paths lead into `sandbox`.
pub fn all(sandbox: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for family in [
        leaving(sandbox),
        links(sandbox),
        specials(),
        doubles(),
        contents::bombs(),
        contents::lies(),
        contents::closed(),
        contents::endings(),
        names(),
        contents::no_zips(),
    ] {
        cases.extend(family);
    }
    cases
}

pub fn case(name: impl Into<String>, harm: Harm, becomes: Becomes, zip: Vec<u8>) -> Case {
    Case {
        name: name.into(),
        zip,
        harm,
        becomes,
    }
}

/// Paths that lead out.
fn leaving(sandbox: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    let traversals = [
        "../evil",
        "../../evil",
        "a/../../evil",
        "./../evil",
        "a/b/../../../evil",
        "..//evil",
        ".././evil",
        "a/./../../evil",
        "../evil/",
        "../rooted/evil",
        "a/..//..//evil",
        "../.profile",
        "../one.txt",
        "x/y/z/../../../../evil",
        "./././../evil",
    ];
    for path in traversals {
        cases.push(case(
            format!("traversal {path}"),
            Harm::Outside,
            Refused("leads out"),
            forge(&[file(path)]),
        ));
    }
    let after = forge(&[file("good.txt"), file("../evil")]);
    cases.push(case(
        "a traversal behind a good file",
        Harm::Outside,
        Refused("leads out"),
        after,
    ));
    let root = sandbox.display();
    for path in [
        format!("{root}/abs"),
        format!("/{root}/abs"),
        format!("//{root}/abs"),
        format!("{root}/./abs"),
        format!("{root}/x/../abs"),
        format!("{root}/abs/"),
    ] {
        cases.push(case(
            format!("absolute {path}"),
            Harm::Outside,
            Refused("absolute"),
            forge(&[file(&path)]),
        ));
    }
    for path in [
        "..\\evil",
        "a\\..\\..\\evil",
        "\\\\host\\share\\evil",
        "C:\\evil",
        "C:evil",
        "c:/evil",
        "a\\b",
        "..\\../evil",
    ] {
        cases.push(case(
            format!("backslash {path}"),
            Harm::Treacherous,
            Refused("backslash"),
            forge(&[file(path)]),
        ));
    }
    cases
}

/// An empty directory or a small file.
pub fn file(path: &str) -> Entry {
    if path.ends_with('/') {
        return Entry {
            mode: 0o040_755,
            ..stored(path, b"")
        };
    }
    stored(path, b"evil")
}

fn links(sandbox: &Path) -> Vec<Case> {
    let target = |to: &str| format!("{}/{to}", sandbox.display());
    let alone = [
        ("to a file outside", "/etc/passwd".to_owned()),
        ("to secrets of processes", "/proc/self/environ".to_owned()),
        ("relative and out", "../../outside".to_owned()),
        ("to itself", "link".to_owned()),
        ("to nothing", "missing".to_owned()),
        ("to the root", "/".to_owned()),
        ("with an empty target", String::new()),
        ("with a long target", "x/".repeat(3000)),
        ("within the archive", "good.txt".to_owned()),
    ];
    let mut cases: Vec<Case> = alone
        .iter()
        .map(|(what, to)| {
            let zip = forge(&[file("good.txt"), special("link", LINK, to)]);
            case(
                format!("link {what}"),
                Harm::Link,
                Refused("symbolic link"),
                zip,
            )
        })
        .collect();
    let through = [
        (
            "absolute",
            vec![special("l", LINK, &target("")), file("l/evil")],
        ),
        ("relative", vec![special("l", LINK, ".."), file("l/evil")]),
        (
            "a chain",
            vec![
                special("a", LINK, "."),
                special("a/b", LINK, ".."),
                special("c", LINK, "b/.."),
                file("c/evil"),
            ],
        ),
        (
            "deep",
            vec![special("d/l", LINK, "../.."), file("d/l/evil")],
        ),
        (
            "the file itself",
            vec![special("f", LINK, &target("evil")), file("f")],
        ),
    ];
    for (what, entries) in through {
        let zip = forge(&entries);
        cases.push(case(
            format!("written through a link: {what}"),
            Harm::Outside,
            Refused(if what == "the file itself" {
                "different names"
            } else {
                "symbolic link"
            }),
            zip,
        ));
    }
    let packed = Entry {
        mode: LINK | 0o777,
        ..deflated("link", b"/etc/passwd")
    };
    cases.push(case(
        "a packed link",
        Harm::Link,
        Refused("symbolic link"),
        forge(&[packed]),
    ));
    cases
}

fn specials() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, kind) in [
        ("character device", 0o020_000),
        ("block device", 0o060_000),
        ("pipe", 0o010_000),
        ("socket", 0o140_000),
    ] {
        for path in ["special", "dev/special"] {
            let zip = forge(&[special(path, kind, "")]);
            cases.push(case(
                format!("{what} {path}"),
                Harm::Special,
                Refused("special file"),
                zip,
            ));
        }
    }
    for (what, bits) in [
        ("setuid", 0o4755),
        ("setgid", 0o2755),
        ("sticky", 0o1777),
        ("all bits", 0o7777),
    ] {
        let entry = Entry {
            mode: 0o100_000 | bits,
            ..file("run")
        };
        cases.push(case(
            what,
            Harm::Privileged,
            Harmless(&["run"]),
            forge(&[entry]),
        ));
    }
    cases
}

fn doubles() -> Vec<Case> {
    let pairs: [(&str, &[&str], &str); 9] = [
        ("the same name twice", &["a", "a"], "different names"),
        (
            "the same name three times",
            &["a", "b", "a", "a"],
            "different names",
        ),
        ("a dot before", &["a", "./a"], "twice"),
        ("two slashes", &["d/a", "d//a"], "twice"),
        ("a dot between", &["d/a", "d/./a"], "twice"),
        (
            "a file, then a directory",
            &["a", "a/"],
            "file and a directory",
        ),
        (
            "a directory, then a file",
            &["a/", "a"],
            "file and a directory",
        ),
        (
            "a file, then something in it",
            &["a", "a/b"],
            "which is a file",
        ),
        (
            "something in it, then the file",
            &["a/b", "a"],
            "which is a file",
        ),
    ];
    let mut cases = Vec::new();
    for (what, paths, word) in pairs {
        let entries: Vec<Entry> = paths.iter().map(|path| file(path)).collect();
        let harm = if paths.contains(&"a/b") || paths[0] == "a/" {
            Harm::Broken
        } else {
            Harm::Overwritten
        };
        cases.push(case(
            format!("double: {what}"),
            harm,
            Refused(word),
            forge(&entries),
        ));
    }
    let collisions: [(&str, &'static [&'static str]); 3] = [
        ("case", &["README", "readme"]),
        ("case of a directory", &["Lib/a", "lib/a"]),
        ("composed and decomposed", &["cafe\u{301}", "café"]),
    ];
    for (what, paths) in collisions {
        let entries: Vec<Entry> = paths.iter().map(|path| file(path)).collect();
        cases.push(case(
            format!("collision: {what}"),
            Harm::Collides,
            Harmless(paths),
            forge(&entries),
        ));
    }
    cases
}

/// Names that are not what they seem.
fn names() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, name) in [
        ("a line break", "a\nb"),
        ("a zero byte", "a\0../evil"),
        ("an escape sequence", "\u{1b}[2Jclear"),
        ("a bell", "a\u{7}"),
        ("a backspace", "good\u{8}\u{8}evil"),
        ("a carriage return", "evil\rgood"),
        ("a delete", "a\u{7f}"),
        ("a tab", "a\tb"),
        ("reordered text", "annexe\u{202e}gpj.sh"),
        ("isolated text", "a\u{2066}b"),
        ("a control of eight bits", "a\u{85}b"),
    ] {
        let harm = if name.contains('\0') {
            Harm::Broken
        } else {
            Harm::Treacherous
        };
        cases.push(case(
            format!("name with {what}"),
            harm,
            Refused("control character"),
            forge(&[file(name)]),
        ));
    }
    let bytes = |what: &str, name: &[u8], read: &'static [&'static str]| {
        let entry = Entry {
            name: name.to_vec(),
            ..file("x")
        };
        let what = format!("name {what}");
        case(what, Harm::Treacherous, Harmless(read), forge(&[entry]))
    };
    // Read as the old coding of DOS: odd, and inside.
    cases.push(bytes(
        "that is no UTF-8",
        b"a\xff\xfe",
        &["a\u{a0}\u{25a0}"],
    ));
    let dots = b"\xc0\xae\xc0\xae/evil";
    cases.push(bytes("with dots in too many bytes", dots, &["└«└«/evil"]));
    let long = |what: &str, name: String, word: &'static str| {
        case(
            format!("name {what}"),
            Harm::Broken,
            Refused(word),
            forge(&[file(&name)]),
        )
    };
    cases.push(long("of 256 bytes", "a".repeat(256), "255 bytes"));
    cases.push(long(
        "of 256 bytes in a folder",
        format!("d/{}/b", "a".repeat(256)),
        "255 bytes",
    ));
    cases.push(long(
        "of 1,025 bytes",
        format!("{}/{}", "a".repeat(1000), "b".repeat(24)),
        "1 to 1024 bytes",
    ));
    cases.push(long(
        "of 5,000 bytes in folders",
        "abcdefghi/".repeat(500) + "f",
        "1 to 1024 bytes",
    ));
    cases.push(long(
        "of 65,000 bytes",
        "a".repeat(65_000),
        "1 to 1024 bytes",
    ));
    for name in ["", "."] {
        cases.push(long(
            &format!("{name:?}"),
            name.to_owned(),
            "no usable name",
        ));
    }
    let second = Entry {
        extra: second_name(b"x", "../evil"),
        flags: 0,
        ..file("x")
    };
    let zip = forge(&[second, file("\u{202e}x")]);
    cases.push(case(
        "a second name in an extra field",
        Harm::Treacherous,
        Refused(""),
        zip,
    ));
    cases
}

/// The extra field with a name in UTF-8, for a name that has another coding.
fn second_name(name: &[u8], other: &str) -> Vec<u8> {
    let mut field = b"up".to_vec();
    field.extend((5 + other.len() as u16).to_le_bytes());
    field.push(1);
    field.extend(crc(name).to_le_bytes());
    field.extend(other.as_bytes());
    field
}

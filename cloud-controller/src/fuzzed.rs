//! What must hold for every input, stated once for the fuzz target (`cloud-controller/fuzz`) and for the test that replays its corpus.
//!
//! The target takes this file and the two of the archive reader by their paths: the crate as a whole would bring a database and a web
//! server along.

use std::path::Path;

use crate::archive::{self, ArchiveError, Tree};

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;

/// What may come out of an archive here, bytes.
const LIMIT: u64 = 100_000;

/// What there is of a file: path, mode, content.
type Content = (String, u32, Vec<u8>);

/// An archive is refused, or what comes out of it is bounded, has names that stay inside, and is the same once it was packed again.
pub(crate) fn archive(data: &[u8]) {
    let dir = tempfile::tempdir().expect("there is room for files");
    let dir = dir.path();
    let given = dir.join("given.zip");
    std::fs::write(&given, data).expect("there is room for files");
    let tree = match unpacked(&given, &dir.join("given")) {
        Ok(tree) => tree,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(tree.size() <= LIMIT, "more came out than may");
    let content = contents(&tree);
    let (once, twice) = (dir.join("once.zip"), dir.join("twice.zip"));
    tree.write_zip(&once).expect("what came out can be packed");
    let again = unpacked(&once, &dir.join("once")).expect("what we packed can be unpacked");
    assert_eq!(contents(&again), content, "another tree came back");
    again.write_zip(&twice).expect("and packed again");
    let read = |path| std::fs::read(path).expect("it was written before");
    assert_eq!(read(&once), read(&twice), "equal trees, other bytes");
}

fn unpacked(zip: &Path, into: &Path) -> Result<Tree, ArchiveError> {
    std::fs::create_dir(into).expect("there is room for files");
    let tree = archive::extract(zip, into, LIMIT);
    for entry in std::fs::read_dir(into).expect("it was made above") {
        let file = entry.and_then(|entry| entry.metadata());
        let size = file.expect("files stay where they are").len();
        assert!(size <= LIMIT + 1, "a file was written beyond the limit");
    }
    tree
}

fn contents(tree: &Tree) -> Vec<Content> {
    let files = tree.files().map(|(path, member)| {
        let same = archive::safe_path(path).expect("it was safe before");
        assert_eq!(&same, path, "a path has one spelling");
        assert!(
            !path.starts_with('/') && path.split('/').all(|part| !["", ".", ".."].contains(&part)),
            "{path:?} leads elsewhere"
        );
        let content = std::fs::read(&member.content).expect("it was written before");
        assert_eq!(content.len() as u64, member.size, "{path:?}");
        (path.clone(), member.mode, content)
    });
    files.collect()
}

#[cfg(test)]
mod tests {
    use super::replay::Replay;

    #[test]
    fn archives_are_refused_or_come_back_the_same() {
        let replay = Replay {
            target: "archive",
            more: Vec::new(),
            spice: b"PK/.\\\x00\x01\xff",
            mutations: 2_000,
            longest: 2_000,
        };
        replay.run(super::archive);
    }
}

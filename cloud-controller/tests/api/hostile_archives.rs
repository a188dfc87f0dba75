//! More than a hundred hostile archives. Each first does its harm to an extractor that believes it; then it is refused here, or reduced to
//! something harmless, and nothing lies anywhere it should not.
#![allow(unreachable_pub)]

mod cases;
mod contents;
mod forge;
mod naive;

use std::path::{Path, PathBuf};

use self::cases::{Becomes, Case};
use crate::support::Platform;
use cloud_controller::archive;
use serde_json::json;

/// What may come out of an archive here, bytes.
const LIMIT: u64 = 1_000_000;

/// Everything below a directory, sorted.
fn listing(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                open.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What our reader makes of it: the paths, or the refusal. Fails when anything but numbered files in its own folder was written.
fn ours(case: &Case) -> Result<Vec<(String, u32)>, String> {
    let dir = tempfile::tempdir().unwrap();
    let (zip, into) = (dir.path().join("in.zip"), dir.path().join("into"));
    std::fs::write(&zip, &case.zip).unwrap();
    std::fs::create_dir(&into).unwrap();
    let read = archive::extract(&zip, &into, LIMIT);
    for path in listing(dir.path()) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let numbered = path.parent() == Some(&into)
            && name
                .strip_prefix('n')
                .is_some_and(|n| n.parse::<u32>().is_ok())
            && path.symlink_metadata().unwrap().is_file();
        assert!(
            path == zip || path == into || numbered,
            "{}: wrote {}",
            case.name,
            path.display()
        );
    }
    let paths = |tree: archive::Tree| {
        let files = tree.files();
        files
            .map(|(path, member)| (path.clone(), member.mode))
            .collect()
    };
    read.map(paths).map_err(|error| error.to_string())
}

#[test]
fn each_archive_does_its_harm_to_a_naive_extractor_and_none_here() {
    let home = tempfile::tempdir().unwrap();
    let sandbox = home.path().join("sandbox");
    let cases = cases::all(&sandbox);
    assert!(cases.len() >= 100, "only {}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let _ = std::fs::remove_dir_all(&sandbox);
        std::fs::create_dir_all(&sandbox).unwrap();
        let harms = naive::harms(&case.zip, &sandbox);
        if !harms.contains(&case.harm) {
            wrong.push(format!(
                "{}: meant to do {:?}, did {harms:?}",
                case.name, case.harm
            ));
        }
        match (&case.becomes, ours(case)) {
            (Becomes::Refused(word), Err(text)) if text.contains(word) => {}
            (Becomes::Harmless(paths), Ok(files)) => {
                let plain = files
                    .iter()
                    .all(|(path, mode)| paths.contains(&path.as_str()) && mode & !0o777 == 0);
                if !plain || files.len() != paths.len() {
                    wrong.push(format!("{}: became {files:?}", case.name));
                }
            }
            (Becomes::Refused(word), other) => wrong.push(format!(
                "{}: not refused with {word:?} but {other:?}",
                case.name
            )),
            (_, other) => wrong.push(format!("{}: {other:?}", case.name)),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// Pseudo-random numbers from a fixed seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

#[test]
fn archives_damaged_at_random_are_read_or_refused_and_nothing_leads_outside() {
    let home = tempfile::tempdir().unwrap();
    let small = |case: &Case| (1..10_000).contains(&case.zip.len());
    let cases: Vec<Case> = cases::all(home.path()).into_iter().filter(small).collect();
    let mut dice = Dice(0x5eed);
    for _ in 0..2000 {
        let chosen = &cases[dice.roll(cases.len())];
        let mut zip = chosen.zip.clone();
        for _ in 0..=dice.roll(4) {
            let at = dice.roll(zip.len());
            match dice.roll(3) {
                0 => zip[at] = dice.roll(256) as u8,
                1 => zip[at] ^= 1 << dice.roll(8),
                _ => zip.truncate(at + 1),
            }
        }
        let damaged = Case {
            name: format!("{}, damaged", chosen.name),
            zip,
            harm: chosen.harm,
            becomes: Becomes::Refused(""),
        };
        for (path, _) in ours(&damaged).unwrap_or_default() {
            let parts: Vec<&str> = path.split('/').collect();
            assert!(
                !path.starts_with('/') && !parts.contains(&"..") && !parts.contains(&""),
                "{path:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploaded_they_answer_with_a_v2_error_and_leave_nothing_behind() {
    let platform = Platform::start_with(|config| config.limits.max_package_bytes = LIMIT).await;
    let app = platform.create_app_with_bits("victim").await;
    let package = platform
        .get(&format!("/v2/apps/{app}/download"))
        .await
        .bytes;
    let sandbox = platform.dir.path().join("sandbox");
    let kept = |platform: &Platform| listing(&platform.dir.path().join("blobs"));
    let before = kept(&platform);
    for case in cases::all(&sandbox) {
        if matches!(case.becomes, Becomes::Harmless(_)) {
            continue;
        }
        let answer = platform.upload_bits(&app, json!([]), Some(case.zip)).await;
        let body = answer.expect(400);
        let code = body["code"].as_u64().unwrap();
        assert!(matches!(code, 160_001 | 150_001), "{}: {body}", case.name);
        assert!(
            !body["description"].as_str().unwrap().is_empty(),
            "{}",
            case.name
        );
        assert_eq!(kept(&platform), before, "{}", case.name);
        assert!(!sandbox.exists(), "{}", case.name);
    }
    let scratch = std::fs::read_dir(platform.dir.path()).unwrap();
    let names = scratch.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name.starts_with("cc-")).collect();
    assert!(left.is_empty(), "{left:?}");
    let after = platform
        .get(&format!("/v2/apps/{app}/download"))
        .await
        .bytes;
    assert_eq!(after, package, "the package of before stays");
}

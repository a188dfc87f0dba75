//! Whole stagings with buildpacks made by the test, and what they leave for the DEA.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bloomery_stage::error::StageError;
use bloomery_stage::plan::Plan;

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        let bench = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let mut zip = zip::ZipWriter::new(fs::File::create(bench.path("app.zip")).unwrap());
        for (name, text) in files {
            zip.start_file(*name, zip::write::SimpleFileOptions::default())
                .unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn buildpack(&self, name: &str, detect: &str, compile: &str, release: &str) -> String {
        let dir = self.path(name);
        fs::create_dir_all(dir.join("bin")).unwrap();
        for (script, text) in [
            ("detect", detect),
            ("compile", compile),
            ("release", release),
        ] {
            let path = dir.join("bin").join(script);
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        dir.display().to_string()
    }

    fn plan(&self, buildpacks: &[String]) -> Plan {
        let text = |name: &str| self.path(name).display().to_string();
        Plan {
            package: text("app.zip"),
            cache_archive: None,
            source_dir: text("unstaged"),
            dest_dir: text("staged"),
            cache_dir: text("cache"),
            buildpack_dirs: buildpacks.to_vec(),
            chosen_dir: None,
            git_url: None,
            egress: None,
            command: None,
            timeout_secs: 30,
        }
    }

    fn info(&self) -> String {
        fs::read_to_string(self.path("staged/staging_info.yml")).unwrap()
    }
}

fn exists(path: &Path) -> bool {
    path.exists()
}

#[test]
fn the_first_buildpack_that_detects_compiles_and_its_command_is_kept() {
    let bench = Bench::new(&[("hello.txt", "hi")]);
    let no = bench.buildpack("no", "exit 1", "exit 9", "exit 9");
    let yes = bench.buildpack(
        "yes",
        "echo Mine",
        "touch $1/compiled $2/kept",
        "echo 'default_process_types:'; echo '  web: run-it'",
    );
    bloomery_stage::run(&bench.plan(&[no, yes])).unwrap();
    assert!(exists(&bench.path("staged/app/compiled")) && exists(&bench.path("cache/kept")));
    let info = bench.info();
    assert!(
        info.contains("detected_buildpack: Mine") && info.contains("start_command: run-it"),
        "{info}"
    );
}

#[test]
fn an_app_that_nobody_detects_is_told_who_was_asked() {
    let bench = Bench::new(&[("hello.txt", "hi")]);
    let no = bench.buildpack("picky", "exit 1", "", "");
    let error = bloomery_stage::run(&bench.plan(&[no])).unwrap_err();
    assert!(
        matches!(error, StageError::NoAppDetected { .. }) && error.to_string().contains("picky"),
        "{error}"
    );
    assert!(bench.info().contains("NoAppDetectedError"));
}

#[test]
fn a_buildpack_that_exits_1_fails_the_staging_by_name() {
    let bench = Bench::new(&[("hello.txt", "hi")]);
    let bad = bench.buildpack("bad", "echo Bad", "exit 1", "");
    let error = bloomery_stage::run(&bench.plan(&[bad])).unwrap_err();
    assert!(
        matches!(error, StageError::CompileFailed { status: 1 }),
        "{error}"
    );
    assert!(bench.info().contains("BuildpackCompileFailed"));
}

/// The child sleeps in a process of its own: ending only the script would not do.
#[test]
fn a_buildpack_that_hangs_is_ended_with_everything_it_started() {
    let bench = Bench::new(&[("hello.txt", "hi")]);
    let mark = bench.path("child");
    let compile = format!("sh -c 'echo $$ > {}; sleep 600' & wait", mark.display());
    let hangs = bench.buildpack("hangs", "echo Hangs", &compile, "");
    let plan = Plan {
        timeout_secs: 4,
        ..bench.plan(&[hangs])
    };
    let error = bloomery_stage::run(&plan).unwrap_err();
    assert!(
        matches!(error, StageError::CompileTimedOut { seconds: 4 }),
        "{error}"
    );
    assert!(bench.info().contains("StagingTimeExpired"));
    let child = fs::read_to_string(mark).unwrap();
    assert!(
        ends_soon(child.trim()),
        "the buildpack's child {child} still runs"
    );
}

/// The signal has been sent; on a busy machine its receiver takes a while to notice.
fn ends_soon(pid: &str) -> bool {
    let ended = || {
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    };
    (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        ended()
    })
}

#[test]
fn a_release_that_prints_no_map_fails_the_staging() {
    let bench = Bench::new(&[("hello.txt", "hi")]);
    let odd = bench.buildpack("odd", "echo Odd", "true", "echo '- a'");
    let error = bloomery_stage::run(&bench.plan(&[odd])).unwrap_err();
    assert!(matches!(error, StageError::ReleaseFailed(_)), "{error}");
}

#[test]
fn a_package_that_leads_out_is_refused() {
    let bench = Bench::new(&[("../escaped", "hi")]);
    let any = bench.buildpack("any", "echo Any", "true", "true");
    let error = bloomery_stage::run(&bench.plan(&[any])).unwrap_err();
    assert!(matches!(error, StageError::BadPackage(_)), "{error}");
    assert!(!exists(&bench.path("escaped")));
}

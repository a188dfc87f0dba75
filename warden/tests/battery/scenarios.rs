//! Attempts on the host's side: what a hostile container or stack makes the
//! host do when files cross the border. Each is shown to do harm first, with
//! the plain tool one would take.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use warden::{
    Backend, BindMount, Container, LinuxBackend, LinuxConfig, Output, Pipes, ProcessSpec, Rootfs,
    User,
};

use crate::lab::{self, Lab};
use crate::walls::Down;

/// A named attempt: whether harm is done by the plain way, and by ours.
struct Scenario {
    name: &'static str,
    tries: &'static str,
    plain: fn(&mut Lab, &Stage) -> bool,
    ours: fn(&mut Lab, &Stage) -> bool,
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "copy_in_link",
        tries: "a link in the container sends what is copied in to the host",
        plain: |lab, stage| {
            let container = lab.create(Down::default(), |_| {});
            plant_link(lab, &container, &stage.outside);
            let path = lab
                .runtime
                .block_on(container.info())
                .unwrap()
                .container_path;
            let _ = fs::write(path.join("home/vcap/in/taken"), "x");
            stage.is_harmed()
        },
        ours: |lab, stage| {
            let container = lab.create(Down::default(), |_| {});
            plant_link(lab, &container, &stage.outside);
            let file = stage.file("taken");
            wardenctl(
                lab,
                &["copy-in", container.handle(), &file, "/home/vcap/in"],
            );
            stage.is_harmed()
        },
    },
    Scenario {
        name: "copy_out_setuid",
        tries: "a setuid file becomes the host root's by being copied out",
        plain: |_, stage| {
            untar(stage, "setuid");
            mode_of(&stage.into.join("setuid")) & 0o6000 != 0
        },
        ours: |lab, stage| {
            copy_out(lab, stage, "setuid");
            assert!(stage.into.join("setuid").exists(), "it was copied");
            mode_of(&stage.into.join("setuid")) & 0o6000 != 0
        },
    },
    Scenario {
        name: "copy_out_device",
        tries: "a device file is made on the host by being copied out",
        plain: |_, stage| {
            untar(stage, "device");
            is_device(&stage.into.join("device"))
        },
        ours: |lab, stage| {
            copy_out(lab, stage, "device");
            is_device(&stage.into.join("device"))
        },
    },
    Scenario {
        name: "copy_out_link",
        tries: "a link copied out sends the next copy elsewhere on the host",
        plain: |_, stage| {
            untar(stage, "link");
            untar(stage, "through-link");
            stage.is_harmed()
        },
        ours: |lab, stage| {
            copy_out(lab, stage, "link");
            copy_out(lab, stage, "through-link");
            stage.is_harmed()
        },
    },
    Scenario {
        name: "copy_out_dotdot",
        tries: "a name with .. leaves the directory that is copied to",
        plain: |_, stage| {
            let archive = fs::File::open(stage.archive("dotdot")).unwrap();
            let mut tar = Command::new("tar");
            // -P: what a naive reader of archives does.
            tar.arg("-C")
                .arg(&stage.into)
                .args(["-P", "-xf", "-"])
                .stdin(archive)
                .stderr(Stdio::null());
            let _ = tar.status().unwrap();
            stage.is_harmed()
        },
        ours: |lab, stage| {
            copy_out(lab, stage, "dotdot");
            stage.is_harmed()
        },
    },
    Scenario {
        name: "bind_dotdot",
        tries: "the target of a bind leads out of the root by ..",
        plain: |_, stage| {
            let root = stage.dir.join("naive");
            fs::create_dir_all(&root).unwrap();
            let _ = fs::create_dir_all(root.join("../outside/taken"));
            stage.is_harmed()
        },
        ours: |lab, stage| {
            let dst = format!("{}{}/taken", "/..".repeat(20), stage.outside.display());
            lab.create(Down::default(), |spec| {
                spec.bind_mounts.push(bind(stage, dst))
            });
            stage.is_harmed()
        },
    },
    Scenario {
        name: "bind_link",
        tries: "a link of the stack leads the target of a bind out of the root",
        plain: |_, stage| {
            let root = hostile_stack(stage);
            let _ = fs::create_dir_all(root.join("etc/taken"));
            stage.is_harmed()
        },
        ours: |lab, stage| {
            let root = hostile_stack(stage);
            try_create(lab, root, Some(bind(stage, "/etc/taken".into())));
            stage.is_harmed()
        },
    },
    Scenario {
        name: "stack_link",
        tries: "a link of the stack sends resolv.conf, hosts and owners to the host",
        plain: |_, stage| {
            let root = hostile_stack(stage);
            let _ = fs::write(root.join("etc/resolv.conf"), "x");
            stage.is_harmed()
        },
        ours: |lab, stage| {
            let root = hostile_stack(stage);
            try_create(lab, root, None);
            stage.is_harmed()
        },
    },
];

pub(crate) fn copies_binds_and_logs_stay_where_they_belong() {
    let Some(mut lab) = Lab::new() else { return };
    let mut wrong = Vec::new();
    for scenario in SCENARIOS {
        let stage = Stage::new(lab.scratch.path(), scenario.name, "plain");
        let plain = (scenario.plain)(&mut lab, &stage);
        let stage = Stage::new(lab.scratch.path(), scenario.name, "ours");
        let ours = (scenario.ours)(&mut lab, &stage);
        println!(
            "{:<18} plain way: harm {plain}, ours: harm {ours}",
            scenario.name
        );
        if !plain || ours {
            let (name, tries) = (scenario.name, scenario.tries);
            wrong.push(format!(
                "{name} ({tries}): expected harm by the plain way only, seen {plain} and {ours}"
            ));
        }
    }
    log_flood(&mut lab, &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Directories of one scenario: `into` is where copies go, `outside` is what
/// must stay as it is.
struct Stage {
    dir: PathBuf,
    into: PathBuf,
    outside: PathBuf,
}

impl Stage {
    fn new(scratch: &Path, name: &str, way: &str) -> Self {
        let dir = scratch.join(format!("{name}-{way}"));
        let stage = Self {
            into: dir.join("into"),
            outside: dir.join("outside"),
            dir,
        };
        fs::create_dir_all(&stage.into).unwrap();
        fs::create_dir_all(&stage.outside).unwrap();
        // A container's root may write here if it gets here at all.
        fs::set_permissions(&stage.outside, fs::Permissions::from_mode(0o777)).unwrap();
        stage
    }

    /// Whether anything was put outside, or its owner or mode changed.
    fn is_harmed(&self) -> bool {
        let meta = fs::metadata(&self.outside).unwrap();
        let owner = std::os::unix::fs::MetadataExt::uid(&meta);
        fs::read_dir(&self.outside).unwrap().count() > 0
            || owner != 0
            || meta.permissions().mode() & 0o7777 != 0o777
    }

    fn file(&self, name: &str) -> String {
        let path = self.dir.join(name);
        fs::write(&path, "x").unwrap();
        path.display().to_string()
    }

    /// An archive that a hostile container might answer with.
    fn archive(&self, kind: &str) -> PathBuf {
        let archive = self.dir.join(format!("{kind}.tar"));
        let tree = self.dir.join(format!("tree-{kind}"));
        let _ = fs::remove_dir_all(&tree);
        fs::create_dir(&tree).unwrap();
        let mut member = kind.to_owned();
        let mut options = vec!["-P".to_owned()];
        match kind {
            "setuid" => {
                fs::write(tree.join(kind), "x").unwrap();
                fs::set_permissions(tree.join(kind), fs::Permissions::from_mode(0o6755)).unwrap();
            }
            "device" => {
                let made = Command::new("mknod")
                    .arg(tree.join(kind))
                    .args(["c", "1", "5"])
                    .status();
                assert!(made.unwrap().success());
            }
            "link" => symlink(&self.outside, tree.join(kind)).unwrap(),
            "through-link" => {
                fs::create_dir(tree.join("link")).unwrap();
                fs::write(tree.join("link/taken"), "x").unwrap();
                // The member alone: its directory would replace the link.
                member = "link/taken".into();
            }
            _ => {
                fs::write(tree.join(kind), "x").unwrap();
                options.push("--transform=s,.*,../outside/taken,".into());
            }
        }
        let mut tar = Command::new("tar");
        tar.arg("-C")
            .arg(&tree)
            .args(options)
            .arg("-cf")
            .arg(&archive)
            .arg(member);
        assert!(tar.status().unwrap().success());
        archive
    }
}

fn untar(stage: &Stage, kind: &str) {
    let mut tar = Command::new("tar");
    tar.arg("-C")
        .arg(&stage.into)
        .arg("-xf")
        .arg(stage.archive(kind));
    assert!(tar.status().unwrap().success(), "the plain way works");
}

/// Copies out of a container whose `tar` answers with the archive.
fn copy_out(lab: &mut Lab, stage: &Stage, kind: &str) {
    let archive = stage.archive(kind);
    fs::set_permissions(&archive, fs::Permissions::from_mode(0o644)).unwrap();
    let container = lab.create(Down::default(), |spec| {
        spec.bind_mounts.push(BindMount {
            src: archive,
            dst: "/evil.tar".into(),
            writable: false,
        });
    });
    // The operator's root job owns the root directory, and with it /bin.
    let script = "rm /bin && mkdir /bin && ln -s /usr/bin/bash /bin/bash && printf '#!/bin/bash\\nexec /usr/bin/cat /evil.tar\\n' > /bin/tar && chmod 755 /bin/tar";
    job(lab, &container, script, User::Root);
    wardenctl(
        lab,
        &[
            "copy-out",
            container.handle(),
            "/etc/hostname",
            &stage.into.display().to_string(),
        ],
    );
}

fn plant_link(lab: &Lab, container: &Arc<dyn Container>, to: &Path) {
    job(
        lab,
        container,
        &format!("ln -s {} /home/vcap/in", to.display()),
        User::Vcap,
    );
}

fn job(lab: &Lab, container: &Arc<dyn Container>, script: &str, user: User) {
    let mut spec = ProcessSpec::script(script);
    spec.user = user;
    spec.dir = Some("/".into());
    let (exit, lines) = lab.runtime.block_on(lab::run(container, spec)).unwrap();
    assert_eq!(exit.code, 0, "{script}: {lines:?}");
}

/// Its failure is as good as its harmless success.
fn wardenctl(lab: &Lab, words: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wardenctl"));
    command
        .arg("--depot")
        .arg(lab.scratch.path().join("depot"))
        .args(words);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    println!("wardenctl {}: {} {}", words[0], output.status, said.trim());
    assert!(!said.contains("Usage"), "{said}");
}

fn bind(stage: &Stage, dst: String) -> BindMount {
    BindMount {
        src: stage.into.clone(),
        dst: dst.into(),
        writable: false,
    }
}

/// A root file system whose directories are links to the host.
fn hostile_stack(stage: &Stage) -> PathBuf {
    let root = stage.dir.join("stack");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::create_dir_all(root.join("usr")).unwrap();
    for name in ["etc", "home", "tmp"] {
        symlink(&stage.outside, root.join(name)).unwrap();
    }
    root
}

/// The creation may fail, with a clear error; what matters is the harm.
fn try_create(lab: &mut Lab, root: PathBuf, bind: Option<BindMount>) {
    let spec = warden::ContainerSpec {
        handle: Some("hostile-0".into()),
        rootfs: Rootfs::Dir(root),
        bind_mounts: bind.into_iter().collect(),
        limits: Default::default(),
        net_out: vec![],
        properties: Default::default(),
        grace_time: None,
    };
    match lab.runtime.block_on(lab.backend().create(spec)) {
        Ok(_) => lab
            .runtime
            .block_on(lab.backend().destroy("hostile-0"))
            .unwrap(),
        Err(error) => println!("refused: {error}"),
    }
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).map_or(0, |m| m.permissions().mode())
}

fn is_device(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_char_device())
}

const LINES: u64 = 60_000;
const RING: u64 = 1 << 20;

/// A job prints far more than is kept: the disk holds what the ring allows, and
/// each line is either delivered or in a gap record. The control is a large ring.
fn log_flood(lab: &mut Lab, wrong: &mut Vec<String>) {
    for (ring, small) in [(RING, true), (256 << 20, false)] {
        let (bytes, accounted) = flood(lab, ring);
        println!(
            "log_flood          ring {ring}: {bytes} bytes on disk, {accounted} of {LINES} lines accounted for"
        );
        if (bytes <= 2 * RING) != small || accounted != LINES {
            wrong.push(format!(
                "log_flood: ring {ring}, {bytes} bytes, {accounted} lines"
            ));
        }
    }
}

fn flood(lab: &mut Lab, ring: u64) -> (u64, u64) {
    let base = lab.scratch.path().join(format!("flood-{ring}"));
    fs::create_dir(&base).unwrap();
    let config = LinuxConfig {
        depot: base.join("depot"),
        ring_bytes: ring,
        ..lab::config(lab.scratch.path())
    };
    let depot = config.depot.clone();
    let found = lab.runtime.block_on(async {
        let backend = LinuxBackend::open(config).await.unwrap();
        let mut spec = warden::ContainerSpec {
            handle: Some("flood-0".into()),
            rootfs: Rootfs::Host,
            bind_mounts: vec![],
            limits: Default::default(),
            net_out: vec![],
            properties: Default::default(),
            grace_time: None,
        };
        spec.limits.memory_bytes = Some(96 << 20);
        let container = backend.create(spec).await.unwrap();
        let script = format!(
            "for ((i = 0; i < {LINES}; i++)); do echo {}; done",
            "x".repeat(100)
        );
        let job = container
            .run(ProcessSpec::script(script), Pipes::default())
            .await
            .unwrap();
        container.wait(&job).await.unwrap();
        let bytes = size(&depot.join("c/flood-0/jobs"));
        let mut output = container.attach(&job, 1).await.unwrap();
        let mut accounted = 0;
        while let Some(item) = output.recv().await {
            accounted += match item {
                Output::Line { .. } => 1,
                Output::Gap { from, to } => to - from + 1,
            };
        }
        backend.destroy("flood-0").await.unwrap();
        (bytes, accounted)
    });
    lab::tear_down(&depot, lab.scratch.path());
    found
}

fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size(&entry.path()),
            _ => entry.metadata().map_or(0, |m| m.len()),
        })
        .sum()
}

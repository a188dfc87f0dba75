//! Attempts on the host's side: what a hostile container or stack makes the
//! host do when files cross the border. Each is shown to do harm first, with
//! the plain tool one would take.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use warden::{Backend, BindMount, Container, ProcessSpec, Rootfs, User};

use crate::flood::log_flood;
use crate::lab::{self, Lab};
use crate::stage::Stage;
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
    let mut spec = lab::bare_spec("hostile-0".into(), Rootfs::Dir(root));
    spec.bind_mounts.extend(bind);
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

//! The same attempts under `runc` with the spec that `runc spec` writes: only
//! the program and its environment are put in, and a root file system that
//! holds the attacker and its libraries.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use warden::User;

use crate::attacker::FACT;
use crate::judge;
use crate::lab::{self, Lab};
use crate::row::{Row, is_one_of};
use crate::rows;

pub(crate) fn blocks_all_that_runc_blocks() {
    if Command::new("runc")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI=true, but runc is missing"
        );
        eprintln!("SKIPPED: runc is missing");
        return;
    }
    let Some(mut lab) = Lab::new() else { return };
    let bundle = Bundle::new(&lab);
    let (mut wrong, mut through) = (Vec::new(), 0);
    println!(
        "{:<20} {:<14} {:<14} what is tried",
        "attempt", "bloomery", "runc"
    );
    for row in rows::all().filter(|row| !row.root.is_empty()) {
        let ours = lab.attempt(row, User::Root, judge::down(row, &[]));
        let theirs = bundle.attempt(row);
        let mark = match (blocked(row, &ours), blocked(row, &theirs)) {
            (false, true) => {
                wrong.push(row.name);
                "  <-- runc blocks, bloomery does not"
            }
            (true, false) => {
                through += 1;
                "  (runc lets it through)"
            }
            _ => "",
        };
        println!(
            "{:<20} {ours:<14} {theirs:<14} {}{mark}",
            row.name, row.tries
        );
    }
    println!("runc's default spec lets {through} attempts through that bloomery blocks");
    assert!(
        wrong.is_empty(),
        "runc blocks, bloomery does not: {wrong:?}"
    );
}

fn blocked(row: &Row, outcome: &str) -> bool {
    !is_one_of(outcome, row.succeeds)
}

/// A directory that runc takes.
struct Bundle {
    dir: PathBuf,
    spec: Value,
    state: PathBuf,
}

impl Bundle {
    fn new(lab: &Lab) -> Self {
        let dir = lab.scratch.path().join("bundle");
        let root = dir.join("rootfs");
        for name in ["proc", "dev", "sys", "tmp", "battery", "bound"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        let tool = lab::tool(lab.scratch.path());
        for name in ["attacker", "setuid"] {
            let copy = root.join("battery").join(name);
            fs::copy(&tool, &copy).unwrap();
        }
        libraries(&tool, &root);
        let made = Command::new("runc").arg("spec").current_dir(&dir).status();
        assert!(made.unwrap().success(), "runc spec");
        let spec = fs::read(dir.join("config.json")).unwrap();
        let mut spec: Value = serde_json::from_slice(&spec).unwrap();
        spec["process"]["terminal"] = false.into();
        add_facts(&mut spec["process"]["env"], lab);
        Self {
            state: lab.scratch.path().join("runc"),
            dir,
            spec,
        }
    }

    fn attempt(&self, row: &Row) -> String {
        let mut spec = self.spec.clone();
        // As a child, so that pid 1 is somebody else, as in our containers.
        let child = json!(["/battery/attacker", "attack", "as-child", row.name]);
        let itself = json!(["/proc/self/exe", "attack", row.name]);
        spec["process"]["args"] = if row.as_self { itself } else { child };
        let text = serde_json::to_vec(&spec).unwrap();
        fs::write(self.dir.join("config.json"), text).unwrap();
        let name = format!("bloomery-battery-{}-{}", std::process::id(), row.name);
        let mut runc = Command::new("timeout");
        runc.args(["-k", "1", "30", "runc", "--root"])
            .arg(&self.state);
        runc.arg("run").arg("--bundle").arg(&self.dir).arg(&name);
        let output = runc.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let result = text
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix(crate::attacker::RESULT));
        result.map_or_else(
            || format!("exit {}", output.status.code().unwrap_or(-1)),
            str::to_owned,
        )
    }
}

/// The containers of this one have no gateway; the rest is as in the lab.
fn add_facts(env: &mut Value, lab: &Lab) {
    let Value::Array(env) = env else { return };
    let mut add = |name: &str, value: &str| env.push(format!("{name}={value}").into());
    for (name, value) in lab.facts() {
        add(name, value);
    }
    for (name, value) in [
        ("BUS", "10.254.0.1:4222"),
        ("GATEWAY", "10.254.0.1:2222"),
        ("KEEPER", "2"),
    ] {
        add(&format!("{FACT}{name}"), value);
    }
}

/// Copies what the program is linked with to the same places below `root`.
fn libraries(program: &Path, root: &Path) {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for path in text.split_whitespace().filter(|word| word.starts_with('/')) {
        let copy = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(path, copy).unwrap();
    }
}

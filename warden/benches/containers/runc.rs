//! The peer: `runc run` with the same root, limits, namespaces and filter list.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// First uid of the peer's user namespace.
const BASE: u32 = 0x7000_0000;
/// Our own list of system calls, read as text.
const LIST: &str = include_str!("../../src/wshd/seccomp/list.rs");

/// A directory runc can run.
pub(crate) struct Bundle {
    dir: PathBuf,
}

impl Bundle {
    /// `None`, with a word on it, when there is no runc.
    pub(crate) fn prepare(depot: &Path, dir: &Path) -> Option<Self> {
        let found = Command::new("runc").arg("--version").output();
        if !found.is_ok_and(|out| out.status.success()) {
            eprintln!("no runc on this host: the column stays empty");
            return None;
        }
        let dir = dir.join("runc");
        fs::create_dir_all(dir.join("rootfs")).unwrap();
        let skeleton = fs::read_dir(depot.join("stacks")).unwrap().flatten().next();
        let copied = Command::new("cp")
            .arg("-a")
            .arg(skeleton.unwrap().path())
            .arg(dir.join("lower"))
            .status();
        assert!(copied.unwrap().success());
        // This runc cannot shift owners, so they are shifted once, outside of the measurement.
        shift(&dir.join("lower"));
        fs::write(dir.join("config.json"), config().to_string()).unwrap();
        Some(Self { dir })
    }

    /// Mounts the overlay, runs the job, removes all.
    pub(crate) fn life(&self, round: usize) -> Duration {
        let began = Instant::now();
        let (upper, work) = (self.dir.join("upper"), self.dir.join("work"));
        for path in [&upper, &work] {
            fs::create_dir(path).unwrap();
        }
        lchown(&upper, Some(BASE), Some(BASE)).unwrap();
        let root = self.dir.join("rootfs");
        let options = format!(
            "lowerdir={},upperdir={},workdir={},volatile",
            self.dir.join("lower").display(),
            upper.display(),
            work.display()
        );
        mount_overlay(&root, &options);
        let status = Command::new("runc")
            .arg("run")
            .arg("--bundle")
            .arg(&self.dir)
            .arg(format!("bloomery-bench-{}-{round}", std::process::id()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "runc run");
        unmount(&root);
        for path in [&upper, &work] {
            fs::remove_dir_all(path).unwrap();
        }
        began.elapsed()
    }
}

fn shift(path: &Path) {
    let meta = fs::symlink_metadata(path).unwrap();
    lchown(path, Some(BASE + meta.uid()), Some(BASE + meta.gid())).unwrap();
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap().flatten() {
            shift(&entry.path());
        }
    }
}

fn text(path: &Path) -> CString {
    CString::new(path.to_str().unwrap()).unwrap()
}

fn mount_overlay(root: &Path, options: &str) {
    let (root, options) = (text(root), CString::new(options).unwrap());
    let kind = c"overlay".as_ptr();
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: all pointers are valid strings that live through the call.
    let done = unsafe { libc::mount(kind, root.as_ptr(), kind, flags, options.as_ptr().cast()) };
    assert_eq!(done, 0, "mount: {}", std::io::Error::last_os_error());
}

fn unmount(root: &Path) {
    let root = text(root);
    // SAFETY: root is a valid string.
    let done = unsafe { libc::umount2(root.as_ptr(), libc::MNT_DETACH) };
    assert_eq!(done, 0, "umount: {}", std::io::Error::last_os_error());
}

fn config() -> Value {
    let ids = json!([{"containerID": 0, "hostID": BASE, "size": 65536}]);
    let kinds = ["pid", "network", "ipc", "uts", "mount", "user", "cgroup"];
    let namespaces: Vec<Value> = kinds.iter().map(|kind| json!({"type": kind})).collect();
    json!({
        "ociVersion": "1.0.2",
        "hostname": "bench",
        "root": {"path": "rootfs", "readonly": false},
        "process": {
            "terminal": false,
            "user": {"uid": 2000, "gid": 2000},
            "args": ["/bin/true"],
            "env": ["PATH=/bin:/usr/bin"],
            "cwd": "/",
            "noNewPrivileges": true,
            "capabilities": {"bounding": [], "effective": [], "permitted": []},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 16384, "soft": 16384}]
        },
        "mounts": mounts(),
        "linux": {
            "uidMappings": ids,
            "gidMappings": ids,
            "namespaces": namespaces,
            "resources": {
                "memory": {"limit": 256 << 20, "swap": 256 << 20},
                "cpu": {"shares": 512},
                "pids": {"limit": 512}
            },
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO",
                "architectures": ["SCMP_ARCH_X86_64"],
                "syscalls": [{"names": calls(), "action": "SCMP_ACT_ALLOW"}]
            }
        }
    })
}

fn mounts() -> Value {
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["bind", "ro", "nosuid", "nodev"]}
    ])
}

/// The names of the calls on our list.
fn calls() -> Vec<String> {
    let words = LIST.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut names: Vec<String> = words
        .filter_map(|word| word.strip_prefix("SYS_"))
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
}

//! Disk limits by project quota, on a file system made for the test. Kernels
//! without quotas say so; the virtual machine's has them, and must.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use warden::{Backend, Container, DiskLimits, Error, Limits, LinuxBackend, LinuxConfig};

use crate::contract::{plain_spec, script, until};
use crate::limits::disk_ends_at_32_mib;
use crate::{Scratch, config, end_depot, may_run};

/// An ext4 file system with project quotas, in a file.
pub(crate) struct Ground(tempfile::TempDir);

impl Ground {
    /// With enforcement.
    pub(crate) fn with_quotas() -> Option<Self> {
        Self::mount("loop,prjquota")
    }

    fn mount(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let (image, at) = (dir.path().join("image"), dir.path().join("mounted"));
        let file = std::fs::File::create(&image).unwrap();
        file.set_len(256 << 20).unwrap();
        std::fs::create_dir(&at).unwrap();
        let made = Command::new("mkfs.ext4")
            .args(["-q", "-O", "quota,project", "-E", "quotatype=prjquota"])
            .arg(&image)
            .status();
        assert!(made.unwrap().success());
        let mount = Command::new("mount")
            .args(["-o", options])
            .args([&image, &at])
            .output()
            .unwrap();
        if mount.status.success() {
            return Some(Self(dir));
        }
        let why = String::from_utf8_lossy(&mount.stderr).into_owned();
        let line = std::fs::read_to_string("/proc/cmdline").unwrap();
        assert!(!line.contains("bloomery.vm=1"), "{why}");
        eprintln!("SKIPPED: no project quotas in this kernel: {}", why.trim());
        None
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("mounted")
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// The kernel's `if_nextdqblk`: limit, soft limit, use of bytes, the same of
/// files, two times; then which fields count, and whose they are.
#[repr(C)]
#[derive(Default)]
struct Block {
    fields: [u64; 8],
    valid: u32,
    id: u32,
}

fn quotactl(on: &Path, command: u32, project: u32, block: &mut Block) -> bool {
    const PROJECTS: u32 = 2;
    let on = std::fs::File::open(on).unwrap();
    // SAFETY: block is the largest structure of these commands and outlives the call.
    unsafe {
        libc::syscall(
            libc::SYS_quotactl_fd,
            on.as_raw_fd(),
            command << 8 | PROJECTS,
            project,
            std::ptr::from_mut(block),
        ) == 0
    }
}

/// Every project that the file system of the depot limits or counts.
pub(crate) fn known(on: &Path) -> Vec<String> {
    const NEXT: u32 = 0x80_0009;
    let mut found = Vec::new();
    let mut next = 1;
    loop {
        let mut block = Block::default();
        if !quotactl(on, NEXT, next, &mut block) {
            return found;
        }
        if block.fields[..6].iter().any(|figure| *figure > 0) {
            found.push(format!("project {}", block.id));
        }
        next = block.id + 1;
    }
}

fn set_limit(on: &Path, project: u32, kib: u64) {
    const SET: u32 = 0x80_0008;
    let mut block = Block {
        fields: [kib, 0, 0, 0, 0, 0, 0, 0],
        valid: 1,
        id: 0,
    };
    assert!(quotactl(on, SET, project, &mut block));
}

async fn on_quotas() -> Option<(Scratch, LinuxBackend)> {
    if !may_run() {
        return None;
    }
    let dir = Scratch::on_quotas()?;
    let backend = LinuxBackend::open(eager(&dir)).await.unwrap();
    Some((dir, backend))
}

fn eager(dir: &Scratch) -> LinuxConfig {
    LinuxConfig {
        reconcile_seconds: 1,
        ..config(dir.depot())
    }
}

async fn limited(backend: &LinuxBackend, limits: Limits) -> Arc<dyn Container> {
    let mut spec = plain_spec();
    spec.limits = limits;
    backend.create(spec).await.unwrap()
}

fn disk(mib: u64, inodes: Option<u64>) -> Limits {
    Limits {
        disk_bytes: Some(mib << 20),
        disk_inodes: inodes,
        ..Limits::default()
    }
}

#[tokio::test]
async fn quotas_are_used_where_the_kernel_keeps_them() {
    let Some((dir, backend)) = on_quotas().await else {
        return;
    };
    let way = backend.capacity().await.unwrap().disk_limits;
    assert_eq!(way, DiskLimits::ProjectQuota);
    let container = limited(&backend, disk(32, None)).await;
    let other = limited(&backend, disk(32, None)).await;
    disk_ends_at_32_mib(&container, "project_quota", "Disk quota exceeded").await;
    let (_, seen) = script(&container, "df --output=size -m / | tail -n 1").await;
    assert_eq!(seen[0].trim(), "32");
    assert!(
        !dir.depot()
            .join("c")
            .join(container.handle())
            .join("disk.img")
            .exists()
    );
    // One's files are not counted for another.
    let used = other.info().await.unwrap().disk_bytes;
    assert!(used < 1 << 20, "{used}");
    for container in [container, other] {
        backend.destroy(container.handle()).await.unwrap();
    }
    until("the kernel knows no project", async || {
        known(&dir.depot()).is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_file_system_that_counts_but_does_not_refuse_gets_images() {
    if !may_run() {
        return;
    }
    let Some(dir) = Scratch::on(Ground::mount("loop")) else {
        return;
    };
    let backend = LinuxBackend::open(config(dir.depot())).await.unwrap();
    let container = limited(&backend, disk(32, None)).await;
    disk_ends_at_32_mib(&container, "disk_image", "No space left on device").await;
    backend.destroy(container.handle()).await.unwrap();
}

#[tokio::test]
async fn files_end_at_their_limit() {
    let Some((_dir, backend)) = on_quotas().await else {
        return;
    };
    let container = limited(&backend, disk(32, Some(100))).await;
    let text = "for i in $(seq 200); do : > file$i || exit 9; done";
    let (exit, lines) = script(&container, text).await;
    assert_eq!(exit.code, 9);
    assert!(lines[0].contains("Disk quota exceeded"), "{lines:?}");
    assert_eq!(container.info().await.unwrap().disk_inodes, 100);
    backend.destroy(container.handle()).await.unwrap();
}

#[tokio::test]
async fn a_quota_changes_while_the_container_runs_but_not_below_its_use() {
    let Some((_dir, backend)) = on_quotas().await else {
        return;
    };
    let container = limited(&backend, disk(8, None)).await;
    let fill = "head -c 20M /dev/zero > file && echo fits";
    let (_, lines) = script(&container, fill).await;
    assert!(lines[0].contains("Disk quota exceeded"), "{lines:?}");
    container.limit(&disk(40, None)).await.unwrap();
    assert_eq!(script(&container, fill).await.1, ["fits"]);
    let info = container.info().await.unwrap();
    assert_eq!(info.limits.disk_bytes, Some(40 << 20));
    let error = container.limit(&disk(10, None)).await.unwrap_err();
    assert!(
        matches!(&error, Error::BelowUsage { resource, used, .. } if resource == "disk" && *used > 20 << 20),
        "{error}"
    );
    backend.destroy(container.handle()).await.unwrap();
}

/// `FS_IOC_FSSETXATTR` with another project, and without inheritance;
/// `FS_IOC_SETFLAGS` without inheritance.
const LEAVE: &str = r#"python3 -c '
import fcntl, os, struct
def tried(what):
    try: what(); return 0
    except OSError as e: return e.errno
for name in ["/home/vcap/app", "/home/vcap/file"]:
    fd = os.open(name, os.O_RDONLY)
    now = bytearray(28)
    got = tried(lambda: fcntl.ioctl(fd, 0x801c581f, now))
    flags, a, b, project, *rest = struct.unpack("<5I8s", bytes(now))
    other = struct.pack("<5I8s", flags, a, b, project + 1, *rest)
    alone = struct.pack("<5I8s", flags ^ 0x200, a, b, project, *rest)
    print(got, tried(lambda: fcntl.ioctl(fd, 0x401c5820, other)) > 0, tried(lambda: fcntl.ioctl(fd, 0x401c5820, alone)) > 0)
    print(project > 0)
'"#;

#[tokio::test]
async fn a_file_cannot_leave_its_project_from_inside() {
    let Some((_dir, backend)) = on_quotas().await else {
        return;
    };
    let container = limited(&backend, disk(32, None)).await;
    let text = format!(": > file; {LEAVE}");
    let (_, lines) = script(&container, &text).await;
    assert_eq!(lines, ["0 True True", "True", "0 True True", "True"]);
    backend.destroy(container.handle()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_container_keeps_its_quota_and_orphans_lose_theirs() {
    let Some((dir, backend)) = on_quotas().await else {
        return;
    };
    let depot = dir.depot();
    let container = limited(&backend, disk(32, None)).await;
    let own = known(&depot);
    assert_eq!(own.len(), 1, "{own:?}");
    drop(backend);
    let number: u32 = own[0].trim_start_matches("project ").parse().unwrap();
    // One of the depot's own range, and one of somebody else's.
    let (orphan, foreign) = (number + 7, number + 70_000);
    set_limit(&depot, orphan, 100);
    set_limit(&depot, foreign, 100);
    let backend = LinuxBackend::open(eager(&dir)).await.unwrap();
    let left = [number, foreign].map(|project| format!("project {project}"));
    assert_eq!(known(&depot), left);
    set_limit(&depot, orphan, 100);
    until("the orphan is gone again", async || known(&depot) == left).await;
    let container = backend.lookup(container.handle()).await.unwrap();
    disk_ends_at_32_mib(&container, "project_quota", "Disk quota exceeded").await;
    backend.destroy(container.handle()).await.unwrap();
    until("its quota is gone", async || known(&depot) == left[1..]).await;
}

#[tokio::test]
async fn teardown_removes_quotas_with_no_backend_alive() {
    let Some((dir, backend)) = on_quotas().await else {
        return;
    };
    let _container = limited(&backend, disk(32, None)).await;
    drop(backend);
    end_depot(&dir.depot());
    assert!(!dir.depot().exists());
    assert_eq!(known(dir.0.path()), [""; 0]);
}

//! Files that lead to the host, and files that would give rights.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown};
use std::process::Command;

use super::{
    CAPS, NO_NEW_PRIVS, NODEV, NOSUID, READ_ONLY_DEV, READ_ONLY_PROC, READ_ONLY_STACK, USERNS,
};
use crate::attacker::fact;
use crate::row::{Row, held, in_vm, row};
use crate::sys::call;
use crate::walls::Wall;

pub(super) const ROWS: &[Row] = &[
    row(
        "core_pattern",
        "have the kernel run a program for each core file",
        "EACCES",
        &[READ_ONLY_PROC, USERNS],
        core_pattern,
    ),
    row(
        "sysrq",
        "open sysrq-trigger for writing",
        "EACCES|ENOENT",
        &[READ_ONLY_PROC, USERNS],
        sysrq,
    )
    .in_vm(),
    row(
        "net_sysctl",
        "change a sysctl of its own network",
        "EACCES",
        &[READ_ONLY_PROC, CAPS],
        net_sysctl,
    ),
    row(
        "write_usr",
        "put a file into the stack's /usr, which is the host's",
        "EROFS",
        &[READ_ONLY_STACK],
        write_usr,
    )
    .vcap("EROFS|EACCES")
    .in_vm(),
    row(
        "write_dev",
        "put a file into /dev",
        "EROFS",
        &[READ_ONLY_DEV],
        write_dev,
    )
    .vcap("EROFS|EACCES"),
    row(
        "write_bind",
        "write through a read-only bind",
        "EROFS",
        &[Wall::ReadOnlyBind],
        write_bind,
    )
    .root_only(),
    row(
        "leave_by_dotdot",
        "open a file of the host by ..",
        "ENOENT",
        &[Wall::Container],
        leave_by_dotdot,
    ),
    row(
        "exe_of_init",
        "open the keeper's program through /proc/self/exe for writing",
        "EACCES",
        &[USERNS],
        own_exe,
    )
    .as_self(),
    row(
        "setuid_file",
        "run a setuid file of the stack",
        "held",
        &[NO_NEW_PRIVS, NOSUID],
        setuid_file,
    )
    .vcap_only(),
    row(
        "setuid",
        "become root of the container",
        "EPERM",
        &[CAPS],
        setuid,
    )
    .vcap_only(),
    row(
        "chown",
        "give a file to somebody else",
        "EPERM",
        &[CAPS],
        chown_away,
    ),
    row(
        "mknod",
        "make a device file",
        "EPERM",
        &[CAPS, USERNS],
        mknod,
    ),
    row(
        "dev_kmsg",
        "make /dev/kmsg and read it",
        "EPERM",
        &[CAPS, USERNS, NODEV],
        dev_kmsg,
    ),
    row(
        "dev_mem",
        "make /dev/mem and open it",
        "EPERM",
        &[CAPS, USERNS, NODEV],
        dev_mem,
    )
    .in_vm(),
    row(
        "dev_is_small",
        "find a device in /dev besides the harmless ones",
        "held",
        &[Wall::Container],
        foreign_device,
    ),
];

fn open_for_writing(path: &str) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

fn core_pattern() -> io::Result<()> {
    const PATH: &str = "/proc/sys/kernel/core_pattern";
    let mut file = open_for_writing(PATH)?;
    if in_vm() {
        file.write_all(b"|/bin/false")?;
    }
    Ok(())
}

fn sysrq() -> io::Result<()> {
    open_for_writing("/proc/sysrq-trigger").map(drop)
}

fn net_sysctl() -> io::Result<()> {
    open_for_writing("/proc/sys/net/ipv4/ip_forward")?.write_all(b"0")
}

/// Makes a file and takes it away again.
fn create(path: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?;
    fs::remove_file(path)
}

fn write_usr() -> io::Result<()> {
    create("/usr/bloomery-battery")
}

fn write_dev() -> io::Result<()> {
    create("/dev/bloomery-battery")
}

fn write_bind() -> io::Result<()> {
    create("/bound/bloomery-battery")
}

fn leave_by_dotdot() -> io::Result<()> {
    let canary = fact("CANARY")?;
    File::open(format!("{}{canary}", "/..".repeat(20))).map(drop)
}

fn own_exe() -> io::Result<()> {
    may_write("/proc/self/exe")
}

/// Opens without changing a byte. "Busy" comes after the permission: only the
/// fact that the program runs is in the way, and a copy of it would not be.
pub(super) fn may_write(path: &str) -> io::Result<()> {
    match open_for_writing(path) {
        Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) => Ok(()),
        other => other.map(drop),
    }
}

fn setuid_file() -> io::Result<()> {
    let output = Command::new("/battery/setuid")
        .args(["attack", "euid"])
        .output()?;
    match output.stdout.as_slice() {
        b"0" => Ok(()),
        other => Err(held(&format!("euid {}", String::from_utf8_lossy(other)))),
    }
}

fn setuid() -> io::Result<()> {
    call!(SYS_setuid, 0).map(drop)
}

fn chown_away() -> io::Result<()> {
    let path = format!("/tmp/battery-chown-{}", call!(SYS_geteuid)?);
    let _ = fs::remove_file(&path);
    File::create(&path)?;
    chown(path, Some(1234), Some(1234))
}

/// Makes a character device at `/tmp/battery-device`.
fn make_device(major: u32, minor: u32) -> io::Result<()> {
    let _ = fs::remove_file("/tmp/battery-device");
    let device = libc::makedev(major, minor);
    call!(
        SYS_mknodat,
        libc::AT_FDCWD,
        c"/tmp/battery-device",
        libc::S_IFCHR | 0o666,
        device
    )
    .map(drop)
}

fn mknod() -> io::Result<()> {
    make_device(1, 5)
}

fn dev_kmsg() -> io::Result<()> {
    make_device(1, 11)?;
    File::open("/tmp/battery-device").map(drop)
}

fn dev_mem() -> io::Result<()> {
    make_device(1, 1)?;
    File::open("/tmp/battery-device").map(drop)
}

fn foreign_device() -> io::Result<()> {
    // null zero full random urandom tty, ptmx, terminals.
    let harmless = |device: u64| match (libc::major(device), libc::minor(device)) {
        (1, minor) => [3, 5, 7, 8, 9].contains(&minor),
        (5, minor) => [0, 2].contains(&minor),
        (major, _) => (136..144).contains(&major),
    };
    for entry in fs::read_dir("/dev")?.chain(fs::read_dir("/dev/pts")?) {
        let meta = fs::metadata(entry?.path());
        let device = meta.is_ok_and(|m| {
            let kind = m.file_type();
            kind.is_block_device() || kind.is_char_device() && !harmless(m.rdev())
        });
        if device {
            return Ok(());
        }
    }
    Err(held("only harmless devices"))
}

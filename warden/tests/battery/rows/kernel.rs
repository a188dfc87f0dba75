//! Interfaces of the kernel that change the machine or widen what can be attacked.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{CAPS, KEYRING, PIDNS, SECCOMP, USERNS};
use crate::row::{Row, row};
use crate::sys::{call, past};

/// Rights over the machine: the filter, the empty capability sets, and a user
/// namespace in which even all capabilities mean nothing to the machine.
const MACHINE: &[crate::walls::Wall] = &[SECCOMP, CAPS, USERNS];

pub(super) const ROWS: &[Row] = &[
    row("bpf", "list BPF maps", "EPERM", MACHINE, bpf),
    row(
        "perf",
        "count events of a whole CPU",
        "EPERM",
        MACHINE,
        perf,
    ),
    row("io_uring", "set up a ring", "EPERM", &[SECCOMP], io_uring),
    row(
        "userfaultfd",
        "take over page faults",
        "EPERM",
        &[SECCOMP],
        userfaultfd,
    ),
    row("kexec", "unload a prepared kernel", "EPERM", MACHINE, kexec).in_vm(),
    row(
        "load_module",
        "load a module",
        "EPERM",
        MACHINE,
        load_module,
    )
    .in_vm(),
    row(
        "remove_module",
        "remove a module",
        "EPERM",
        MACHINE,
        remove_module,
    )
    .in_vm(),
    row(
        "reboot",
        "switch Ctrl-Alt-Del off",
        "EPERM",
        &[SECCOMP, CAPS, USERNS, PIDNS],
        reboot,
    )
    .in_vm(),
    row("settime", "set the clock", "EPERM", MACHINE, settime).in_vm(),
    row(
        "adjust_clock",
        "change the length of a tick",
        "EPERM",
        MACHINE,
        adjust_clock,
    )
    .in_vm(),
    row("swapoff", "take swap away", "EPERM", MACHINE, swapoff),
    row(
        "accounting",
        "switch process accounting to a file",
        "EPERM",
        MACHINE,
        accounting,
    ),
    row(
        "syslog",
        "ask for the kernel's log",
        "EPERM",
        MACHINE,
        syslog,
    ),
    row("vhangup", "hang the terminal up", "EPERM", MACHINE, vhangup),
    row(
        "fanotify",
        "watch all files of the root's file system",
        "EPERM",
        MACHINE,
        fanotify,
    ),
    row(
        "open_by_handle",
        "open a file by its number",
        "EPERM",
        MACHINE,
        open_by_handle,
    ),
    row(
        "personality",
        "make every page executable",
        "EPERM",
        &[SECCOMP],
        personality,
    ),
    row(
        "add_key",
        "put a key into a keyring",
        "EPERM",
        &[SECCOMP],
        add_key,
    ),
    row(
        "foreign_key",
        "find a key of the session that made the container",
        "EPERM",
        &[SECCOMP, KEYRING],
        foreign_key,
    ),
    row(
        "join_keyring",
        "leave the session keyring",
        "EPERM",
        &[SECCOMP],
        join_keyring,
    ),
];

fn bpf() -> io::Result<()> {
    const MAP_GET_NEXT_ID: i32 = 12;
    let mut attr = [0u8; 64];
    let result = call!(SYS_bpf, MAP_GET_NEXT_ID, &mut attr[..], 12);
    // There may be none.
    past(result, &[libc::ENOENT])
}

fn perf() -> io::Result<()> {
    const SOFTWARE: u8 = 1;
    const SIZE: u8 = 64;
    let mut attr = [0u8; 112];
    (attr[0], attr[4]) = (SOFTWARE, SIZE);
    let (any_process, first_cpu) = (-1, 0);
    call!(SYS_perf_event_open, &attr, any_process, first_cpu, -1, 0).map(drop)
}

fn io_uring() -> io::Result<()> {
    let mut params = [0u8; 120];
    call!(SYS_io_uring_setup, 1, &mut params[..]).map(drop)
}

fn userfaultfd() -> io::Result<()> {
    const USER_MODE_ONLY: i32 = 1;
    call!(SYS_userfaultfd, USER_MODE_ONLY).map(drop)
}

fn kexec() -> io::Result<()> {
    // No segments: nothing is prepared, and what was is forgotten.
    call!(SYS_kexec_load, 0, 0, 0, 0).map(drop)
}

fn load_module() -> io::Result<()> {
    past(call!(SYS_finit_module, -1, c"", 0), &[libc::EBADF])
}

fn remove_module() -> io::Result<()> {
    let result = call!(
        SYS_delete_module,
        c"bloomery_no_such_module",
        libc::O_NONBLOCK
    );
    past(result, &[libc::ENOENT])
}

fn reboot() -> io::Result<()> {
    const MAGIC: (u32, u32) = (0xfee1_dead, 672_274_793);
    const CAD_OFF: i32 = 0;
    call!(SYS_reboot, MAGIC.0, MAGIC.1, CAD_OFF, 0).map(drop)
}

fn settime() -> io::Result<()> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(io::Error::other)?;
    let mut time = [0u8; 16];
    time[..8].copy_from_slice(&now.as_secs().to_ne_bytes());
    call!(SYS_clock_settime, libc::CLOCK_REALTIME, &time).map(drop)
}

fn adjust_clock() -> io::Result<()> {
    const TICK: u32 = 0x4000;
    const USUAL: i64 = 10_000;
    // struct timex: modes first, tick as its twelfth word.
    let mut timex = [0u8; 208];
    timex[..4].copy_from_slice(&TICK.to_ne_bytes());
    timex[88..96].copy_from_slice(&USUAL.to_ne_bytes());
    call!(SYS_adjtimex, &mut timex[..]).map(drop)
}

fn swapoff() -> io::Result<()> {
    past(call!(SYS_swapoff, c"/nowhere"), &[libc::ENOENT])
}

fn accounting() -> io::Result<()> {
    past(call!(SYS_acct, c"/nowhere"), &[libc::ENOENT])
}

fn syslog() -> io::Result<()> {
    const SIZE_UNREAD: i32 = 9;
    call!(SYS_syslog, SIZE_UNREAD, 0, 0).map(drop)
}

fn vhangup() -> io::Result<()> {
    call!(SYS_vhangup).map(drop)
}

fn fanotify() -> io::Result<()> {
    const CLASS_CONTENT: i32 = 4;
    call!(SYS_fanotify_init, CLASS_CONTENT, 0).map(drop)
}

fn open_by_handle() -> io::Result<()> {
    let root = std::fs::File::open("/")?;
    // Eight bytes of type 1: an inode number and a generation.
    let mut handle = [0u8; 16];
    (handle[0], handle[4], handle[8]) = (8, 1, 2);
    let fd = std::os::fd::AsRawFd::as_raw_fd(&root);
    let result = call!(SYS_open_by_handle_at, fd, &mut handle[..], libc::O_RDONLY);
    past(result, &[libc::ESTALE, libc::EOPNOTSUPP])
}

fn personality() -> io::Result<()> {
    const READ_IMPLIES_EXEC: i32 = 0x040_0000;
    call!(SYS_personality, READ_IMPLIES_EXEC).map(drop)
}

const SESSION: i32 = -3;

fn add_key() -> io::Result<()> {
    call!(SYS_add_key, c"user", c"battery", b"x", 1, SESSION).map(drop)
}

fn foreign_key() -> io::Result<()> {
    const SEARCH: i32 = 10;
    call!(SYS_keyctl, SEARCH, SESSION, c"user", crate::outer::KEY, 0).map(drop)
}

fn join_keyring() -> io::Result<()> {
    const JOIN: i32 = 1;
    call!(SYS_keyctl, JOIN, 0).map(drop)
}

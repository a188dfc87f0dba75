//! What only this architecture has.

use std::io;

use super::{CAPS, SECCOMP, USERNS};
use crate::row::{Row, held, row};
use crate::sys::{call, getpid_32};

pub(super) const ROWS: &[Row] = &[
    row(
        "io_ports",
        "open all ports of the machine",
        "EPERM",
        &[SECCOMP, CAPS, USERNS],
        io_ports,
    )
    .in_vm(),
    row(
        "segments",
        "read the table of segments",
        "EPERM",
        &[SECCOMP],
        segments,
    ),
    row(
        "gate_of_32_bit",
        "call the kernel as a 32-bit program",
        "SIGSYS",
        &[SECCOMP],
        gate_of_32_bit,
    ),
];

fn io_ports() -> io::Result<()> {
    call!(SYS_iopl, 3).map(drop)
}

fn segments() -> io::Result<()> {
    let mut table = [0u8; 64];
    call!(SYS_modify_ldt, 0, &mut table[..], 64).map(drop)
}

fn gate_of_32_bit() -> io::Result<()> {
    match getpid_32() {
        pid if pid == std::process::id() as i32 => Ok(()),
        other => Err(held(&format!("getpid answered {other}"))),
    }
}

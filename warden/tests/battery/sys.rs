//! System calls by number, for attempts the C library has no function for.

use std::ffi::CStr;
use std::io;

/// One argument: a number, or memory that lives through the call.
pub(crate) enum Arg<'a> {
    Number(i64),
    Text(&'a CStr),
    Read(&'a [u8]),
    Write(&'a mut [u8]),
}

macro_rules! from_number {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Arg<'_> {
            fn from(number: $kind) -> Self {
                Arg::Number(number as i64)
            }
        }
    )*};
}
from_number!(i32, i64, u32, u64, usize);

impl<'a> From<&'a CStr> for Arg<'a> {
    fn from(text: &'a CStr) -> Self {
        Arg::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Arg::Read(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Arg<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Arg::Read(bytes)
    }
}

impl<'a> From<&'a mut [u8]> for Arg<'a> {
    fn from(bytes: &'a mut [u8]) -> Self {
        Arg::Write(bytes)
    }
}

/// A raw system call; the result or errno.
pub(crate) fn by_number(nr: libc::c_long, args: &mut [Arg<'_>]) -> io::Result<i64> {
    let mut raw = [0i64; 6];
    for (slot, arg) in raw.iter_mut().zip(args) {
        *slot = match arg {
            Arg::Number(number) => *number,
            Arg::Text(text) => text.as_ptr() as i64,
            Arg::Read(bytes) => bytes.as_ptr() as i64,
            Arg::Write(bytes) => bytes.as_mut_ptr() as i64,
        };
    }
    let [a, b, c, d, e, f] = raw;
    // SAFETY: pointers lead to borrowed memory; the callers' lengths are those
    // of their buffers. Numbers that the kernel takes for addresses are 0.
    match unsafe { libc::syscall(nr, a, b, c, d, e, f) } {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

/// `call!(SYS_chroot, c"/tmp")`.
macro_rules! call {
    ($nr:ident $(, $arg:expr)* $(,)?) => {
        $crate::sys::by_number(libc::$nr, &mut [$($crate::sys::Arg::from($arg)),*])
    };
}
pub(crate) use call;

/// Errors that come only after the permission was granted count as success.
pub(crate) fn past(result: io::Result<i64>, errors: &[i32]) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error().is_some_and(|e| errors.contains(&e)) => Ok(()),
        other => other.map(drop),
    }
}

/// Forks; the child runs `body` and ends with its result. Returns its pid.
pub(crate) fn fork(body: impl FnOnce() -> i32) -> io::Result<i32> {
    // SAFETY: the attacker has one thread, so the child may do anything.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = body();
            // SAFETY: ends the process, no destructor of the parent's runs.
            unsafe { libc::_exit(code) }
        }
        pid => Ok(pid),
    }
}

/// `kill(2)`.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    call!(SYS_kill, pid, signal).map(drop)
}

/// Waits for a child; its raw status.
pub(crate) fn wait(pid: i32) -> io::Result<i32> {
    let mut status = 0;
    // SAFETY: status is writable.
    match unsafe { libc::waitpid(pid, &mut status, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(status),
    }
}

/// Maps a System V segment of `bytes` and writes to each page.
pub(crate) fn fill_segment(bytes: usize) -> io::Result<()> {
    let id = call!(SYS_shmget, libc::IPC_PRIVATE, bytes, 0o1600)?;
    // SAFETY: the address is the kernel's choice; every byte written lies
    // within the segment, which is detached right after.
    unsafe {
        let start = libc::shmat(id as i32, std::ptr::null(), 0);
        libc::shmctl(id as i32, libc::IPC_RMID, std::ptr::null_mut());
        if start as isize == -1 {
            return Err(io::Error::last_os_error());
        }
        for page in (0..bytes).step_by(4096) {
            start.cast::<u8>().add(page).write_volatile(1);
        }
        libc::shmdt(start);
    }
    Ok(())
}

/// The number of `getpid` by the gate of 32-bit programs.
#[cfg(target_arch = "x86_64")]
pub(crate) fn getpid_32() -> i32 {
    let mut number = 20;
    // SAFETY: getpid has no argument; the gate changes no other register that
    // the compiler is not told of.
    unsafe {
        std::arch::asm!("int 0x80", inout("eax") number, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    number
}

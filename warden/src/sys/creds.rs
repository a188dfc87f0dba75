//! Identities, capabilities, resource limits, keyrings, seccomp.

use std::io;
use std::ptr;

use super::cvt;

const CAP_V3: u32 = 0x2008_0522;

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The capabilities init keeps to be able to start jobs.
pub(crate) const INIT_CAPS: u64 =
    1 << CAP_KILL | 1 << CAP_SETGID | 1 << CAP_SETUID | 1 << CAP_SETPCAP | 1 << CAP_SYS_ADMIN;

const CAP_KILL: u32 = 5;
const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;
const CAP_SETPCAP: u32 = 8;
const CAP_SYS_ADMIN: u32 = 21;

/// Becomes uid and gid `id` with no supplementary group.
pub(crate) fn become_id(id: u32) -> io::Result<()> {
    // SAFETY: an empty group list needs no memory.
    unsafe {
        cvt(libc::setgroups(0, ptr::null()).into())?;
        cvt(libc::setresgid(id, id, id).into())?;
        cvt(libc::setresuid(id, id, id).into()).map(drop)
    }
}

/// Runs `work` on a thread of its own that reaches files with the rights of user and group `id`, without groups and without
/// the capabilities that pass permissions; `None`: with the caller's.
#[cfg(feature = "host")]
pub(crate) fn with_file_rights_of<T: Send>(
    id: Option<u32>,
    work: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    let Some(id) = id else { return Ok(work()) };
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            take_file_rights_of(id)?;
            Ok(work())
        });
        let panicked = |_| Err(io::Error::other("the thread that looks at files panicked"));
        thread.join().unwrap_or_else(panicked)
    })
}

/// For the calling thread only: these calls, made without the C library's help, change no other.
#[cfg(feature = "host")]
fn take_file_rights_of(id: u32) -> io::Result<()> {
    // SAFETY: numbers only; an empty group list needs no memory.
    unsafe {
        cvt(libc::syscall(libc::SYS_setgroups, 0, ptr::null::<u32>()))?;
        libc::syscall(libc::SYS_setfsgid, id);
        libc::syscall(libc::SYS_setfsuid, id);
        // They report no error; asked with an impossible number they say what holds.
        let now = (
            libc::syscall(libc::SYS_setfsgid, u32::MAX),
            libc::syscall(libc::SYS_setfsuid, u32::MAX),
        );
        if now == (id.into(), id.into()) {
            return Ok(());
        }
    }
    Err(io::Error::from_raw_os_error(libc::EPERM))
}

/// Becomes `id` and keeps every capability through the next exec. For the
/// security battery's controls only.
pub(crate) fn become_id_with_caps(id: u32) -> io::Result<()> {
    use super::process::prctl;
    prctl(libc::PR_SET_KEEPCAPS, 1)?;
    become_id(id)?;
    let all = own_permitted()?;
    write_caps(all, all)?;
    for cap in 0..64u64 {
        if all & (1 << cap) != 0 {
            raise_ambient(cap)?;
        }
    }
    Ok(())
}

fn raise_ambient(cap: u64) -> io::Result<()> {
    let raise = libc::PR_CAP_AMBIENT_RAISE as u64;
    // SAFETY: numbers only; the unused arguments must be zero.
    cvt(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, cap, 0u64, 0u64) }.into()).map(drop)
}

fn own_permitted() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("CapPrm:"));
    line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok())
        .ok_or_else(|| io::Error::other("no CapPrm in /proc/self/status"))
}

/// The calling thread gives up the right to pass limits of resources.
#[cfg(feature = "host")]
pub(crate) fn keep_to_limits() -> io::Result<()> {
    const CAP_SYS_RESOURCE: u64 = 24;
    set_caps(own_permitted()? & !(1 << CAP_SYS_RESOURCE))
}

/// Effective and permitted = `caps`, inheritable = none.
pub(crate) fn set_caps(caps: u64) -> io::Result<()> {
    write_caps(caps, 0)
}

fn write_caps(caps: u64, inheritable: u64) -> io::Result<()> {
    let header = CapHeader {
        version: CAP_V3,
        pid: 0,
    };
    let low = CapData {
        effective: caps as u32,
        permitted: caps as u32,
        inheritable: inheritable as u32,
    };
    let high = (caps >> 32) as u32;
    let data = [
        low,
        CapData {
            effective: high,
            permitted: high,
            inheritable: (inheritable >> 32) as u32,
        },
    ];
    // SAFETY: version 3 takes a header and two data words, both given.
    cvt(unsafe { libc::syscall(libc::SYS_capset, ptr::from_ref(&header), data.as_ptr()) }).map(drop)
}

/// Removes every capability but `keep` from the bounding set.
pub(crate) fn limit_bounding(keep: u64) -> io::Result<()> {
    for cap in 0..64u64 {
        if keep & (1 << cap) == 0 {
            match super::process::prctl(libc::PR_CAPBSET_DROP, cap) {
                // Past the last capability this kernel knows.
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => break,
                other => other?,
            }
        }
    }
    Ok(())
}

/// Removes all ambient capabilities.
pub(crate) fn clear_ambient() -> io::Result<()> {
    super::process::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64)
}

/// A new, empty session keyring.
pub(crate) fn new_session_keyring() -> io::Result<()> {
    const JOIN_SESSION_KEYRING: i32 = 1;
    let null = ptr::null::<libc::c_char>();
    // SAFETY: a null name asks for an anonymous keyring.
    cvt(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, null) }).map(drop)
}

/// Forbids gaining privileges by exec.
pub(crate) fn no_new_privs() -> io::Result<()> {
    super::process::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

/// Sets soft and hard limit of `resource`, lowered to the present hard limit.
pub(crate) fn limit(resource: u32, value: u64) -> io::Result<()> {
    // SAFETY: the structure is a plain pair of numbers owned here.
    unsafe {
        let mut now: libc::rlimit = std::mem::zeroed();
        cvt(libc::getrlimit(resource as _, &mut now).into())?;
        let value = value.min(now.rlim_max);
        let new = libc::rlimit {
            rlim_cur: value,
            rlim_max: value,
        };
        cvt(libc::setrlimit(resource as _, &new).into()).map(drop)
    }
}

/// One classic BPF instruction as the kernel takes it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Insn {
    pub(crate) code: u16,
    pub(crate) jt: u8,
    pub(crate) jf: u8,
    pub(crate) k: u32,
}

/// Loads a seccomp filter for the calling thread.
pub(crate) fn load_filter(program: &[Insn]) -> io::Result<()> {
    #[repr(C)]
    struct Prog {
        len: u16,
        filter: *const Insn,
    }
    let prog = Prog {
        len: program.len() as u16,
        filter: program.as_ptr(),
    };
    // SAFETY: prog describes a live slice; the kernel checks its contents.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            ptr::from_ref(&prog),
        )
    };
    cvt(ret).map(drop)
}

//! Unix sockets with descriptors in their messages, and poll.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use super::cvt;

/// Most descriptors one message may carry.
const MAX_FDS: usize = 16;

/// A connected pair that keeps message borders.
pub(crate) fn seqpacket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel fills two descriptors on success.
    unsafe {
        cvt(libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()).into())?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

/// Sends `data` with descriptors; never raises SIGPIPE.
pub(crate) fn send(sock: BorrowedFd<'_>, data: &[u8], fds: &[RawFd]) -> io::Result<usize> {
    if fds.len() > MAX_FDS {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut iov = libc::iovec {
        iov_base: data.as_ptr() as *mut _,
        iov_len: data.len(),
    };
    let mut control = Control::default();
    // SAFETY: the header points to live buffers of the stated sizes; the
    // control buffer is aligned and large enough for MAX_FDS descriptors.
    unsafe {
        let mut msg: libc::msghdr = zeroed();
        msg.msg_iov = &mut iov;
        msg.msg_iovlen = 1;
        if !fds.is_empty() {
            let bytes = size_of_val(fds);
            msg.msg_control = control.0.as_mut_ptr().cast();
            msg.msg_controllen = libc::CMSG_SPACE(bytes as u32) as _;
            let head = libc::CMSG_FIRSTHDR(&msg);
            (*head).cmsg_level = libc::SOL_SOCKET;
            (*head).cmsg_type = libc::SCM_RIGHTS;
            (*head).cmsg_len = libc::CMSG_LEN(bytes as u32) as _;
            ptr::copy_nonoverlapping(fds.as_ptr().cast(), libc::CMSG_DATA(head), bytes);
        }
        cvt(libc::sendmsg(sock.as_raw_fd(), &msg, libc::MSG_NOSIGNAL) as libc::c_long)
            .map(|n| n as usize)
    }
}

/// Receives into `buf`; returns the byte count (0 = closed) and descriptors.
pub(crate) fn recv(sock: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut iov = libc::iovec {
        iov_base: buf.as_mut_ptr().cast(),
        iov_len: buf.len(),
    };
    let mut control = Control::default();
    // SAFETY: as in `send`; received descriptors are owned from here on.
    unsafe {
        let mut msg: libc::msghdr = zeroed();
        msg.msg_iov = &mut iov;
        msg.msg_iovlen = 1;
        msg.msg_control = control.0.as_mut_ptr().cast();
        msg.msg_controllen = size_of::<Control>() as _;
        let flags = libc::MSG_CMSG_CLOEXEC;
        let n = cvt(libc::recvmsg(sock.as_raw_fd(), &mut msg, flags) as libc::c_long)?;
        Ok((n as usize, descriptors(&msg)))
    }
}

/// # Safety
/// `msg` must come from a successful `recvmsg` whose control buffer is alive.
unsafe fn descriptors(msg: &libc::msghdr) -> Vec<OwnedFd> {
    let mut out = Vec::new();
    // SAFETY: the macros walk the buffer the kernel filled.
    unsafe {
        let mut head = libc::CMSG_FIRSTHDR(msg);
        while !head.is_null() {
            if (*head).cmsg_level == libc::SOL_SOCKET && (*head).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*head).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data: *const RawFd = libc::CMSG_DATA(head).cast();
                for i in 0..bytes / size_of::<RawFd>() {
                    out.push(OwnedFd::from_raw_fd(data.add(i).read_unaligned()));
                }
            }
            head = libc::CMSG_NXTHDR(msg, head);
        }
    }
    out
}

/// Room for MAX_FDS descriptors, aligned like a `cmsghdr`.
#[repr(C, align(8))]
struct Control([u8; 96]);

impl Default for Control {
    fn default() -> Self {
        Self([0; 96])
    }
}

/// What to wait for on one descriptor, and what happened.
pub(crate) type PollFd = libc::pollfd;

/// A wait for readability.
pub(crate) fn readable(fd: RawFd) -> PollFd {
    PollFd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    }
}

/// Waits at most `timeout_ms` (-1 = for ever). An interruption is zero events.
pub(crate) fn poll(fds: &mut [PollFd], timeout_ms: i32) -> io::Result<usize> {
    // SAFETY: pointer and length describe the slice.
    let ret = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as _, timeout_ms) };
    not_interrupted(cvt(ret.into()))
}

/// As [`poll`], but SIGCHLD (blocked otherwise) ends the wait.
pub(crate) fn poll_with_sigchld(fds: &mut [PollFd], timeout_ms: i32) -> io::Result<usize> {
    let wait = libc::timespec {
        tv_sec: (timeout_ms / 1000).into(),
        tv_nsec: (timeout_ms % 1000) as i64 * 1_000_000,
    };
    let wait_ptr = if timeout_ms < 0 {
        ptr::null()
    } else {
        ptr::from_ref(&wait)
    };
    // SAFETY: the set is initialised; pointer and length describe the slice.
    let ret = unsafe {
        let mut none: libc::sigset_t = zeroed();
        libc::sigemptyset(&mut none);
        libc::ppoll(fds.as_mut_ptr(), fds.len() as _, wait_ptr, &none)
    };
    not_interrupted(cvt(ret.into()))
}

fn not_interrupted(result: io::Result<libc::c_long>) -> io::Result<usize> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(0),
        other => other.map(|n| n as usize),
    }
}

/// A netlink socket of that family in the network namespace the caller is in.
pub(crate) fn netlink(family: i32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: the result is a fresh descriptor.
    unsafe {
        let fd = cvt(libc::socket(libc::AF_NETLINK, kind, family).into())?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Reads that wait longer than so many seconds fail with EAGAIN.
#[cfg(feature = "host")]
pub(crate) fn set_patience(socket: &impl AsRawFd, seconds: u64) -> io::Result<()> {
    let time = libc::timeval {
        tv_sec: seconds as _,
        tv_usec: 0,
    };
    // SAFETY: pointer and length describe `time`.
    cvt(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVTIMEO,
            ptr::from_ref(&time).cast(),
            size_of::<libc::timeval>() as u32,
        )
    }
    .into())
    .map(drop)
}

/// Number of a network interface.
pub(crate) fn interface_index(name: &str) -> io::Result<u32> {
    let name = super::cstr(name)?;
    // SAFETY: name is a valid string.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

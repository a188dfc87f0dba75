//! Terminals.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::cvt;
use crate::WindowSize;

/// A new terminal of the devpts at `/dev/ptmx`: the controlling side, and the
/// side for a program.
pub(crate) fn open(size: WindowSize) -> io::Result<(OwnedFd, OwnedFd)> {
    let controller = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open("/dev/ptmx")?;
    let unlock: libc::c_int = 0;
    // SAFETY: the argument points to a live number.
    cvt(unsafe { libc::ioctl(controller.as_raw_fd(), libc::TIOCSPTLCK, &unlock) }.into())?;
    resize(&controller, size)?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the result is a fresh descriptor.
    let program = unsafe {
        let fd = cvt(libc::ioctl(controller.as_raw_fd(), libc::TIOCGPTPEER, flags).into())?;
        OwnedFd::from_raw_fd(fd as i32)
    };
    Ok((controller.into(), program))
}

/// Tells the terminal its size.
pub(crate) fn resize(controller: &File, size: WindowSize) -> io::Result<()> {
    let text = libc::winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the argument points to a live structure.
    cvt(unsafe { libc::ioctl(controller.as_raw_fd(), libc::TIOCSWINSZ, &text) }.into()).map(drop)
}

/// Makes a terminal the caller's controlling one; the caller leads its session.
pub(crate) fn take(program: &OwnedFd) -> io::Result<()> {
    // SAFETY: no memory involved.
    cvt(unsafe { libc::ioctl(program.as_raw_fd(), libc::TIOCSCTTY, 0) }.into()).map(drop)
}

/// Size of the terminal behind a descriptor; `None` when it is none.
#[cfg(feature = "host")]
pub(crate) fn size_of_terminal(terminal: &impl AsRawFd) -> Option<WindowSize> {
    // SAFETY: all-zero is a valid winsize, filled by the call.
    unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        cvt(libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &mut size).into()).ok()?;
        Some(WindowSize {
            rows: size.ws_row,
            columns: size.ws_col,
        })
    }
}

/// The operator's terminal, handing every key on; its old state comes back on drop.
#[cfg(feature = "host")]
#[derive(Debug)]
pub(crate) struct RawTerminal {
    fd: i32,
    old: libc::termios,
}

#[cfg(feature = "host")]
impl RawTerminal {
    /// Switches the terminal behind `fd`; `None` when it is none.
    pub(crate) fn enter(fd: i32) -> Option<Self> {
        // SAFETY: all-zero is a valid termios, filled by the first call.
        unsafe {
            let mut old: libc::termios = std::mem::zeroed();
            cvt(libc::tcgetattr(fd, &mut old).into()).ok()?;
            let mut raw = old;
            libc::cfmakeraw(&mut raw);
            cvt(libc::tcsetattr(fd, libc::TCSANOW, &raw).into()).ok()?;
            Some(Self { fd, old })
        }
    }
}

#[cfg(feature = "host")]
impl Drop for RawTerminal {
    fn drop(&mut self) {
        // SAFETY: `old` was filled by the kernel. Nothing can be done about a failure.
        unsafe { libc::tcsetattr(self.fd, libc::TCSANOW, &self.old) };
    }
}

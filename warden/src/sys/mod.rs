//! Thin, safe wrappers over the system calls the crate needs. All `unsafe` of
//! the crate is in this folder; nothing here decides anything.

pub(crate) mod creds;
pub(crate) mod files;
pub(crate) mod loopdev;
pub(crate) mod mount;
pub(crate) mod process;
pub(crate) mod pty;
pub(crate) mod quota;
pub(crate) mod socket;
#[cfg(feature = "host")]
pub(crate) mod spawn;

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::{Error, Result};

/// Turns a raw return value into a result carrying errno.
pub(crate) fn cvt(ret: libc::c_long) -> io::Result<libc::c_long> {
    if ret < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(ret)
    }
}

/// A path as a C string; a NUL inside is an invalid argument.
pub(crate) fn cpath(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// A text as a C string; a NUL inside is an invalid argument.
pub(crate) fn cstr(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Names the step an operation belongs to.
pub(crate) trait At<T> {
    /// Converts the failure into [`Error::Step`].
    fn at(self, step: impl Into<String>) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, step: impl Into<String>) -> Result<T> {
        self.map_err(|e| Error::step(step, e))
    }
}

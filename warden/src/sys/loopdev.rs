//! Loop devices: a file becomes a disk that disappears with its last mount.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::cvt;

const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
#[cfg(feature = "host")]
const LOOP_CLR_FD: libc::c_ulong = 0x4C01;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

#[repr(C)]
struct LoopInfo64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

/// How the ext4 file system of an image is mounted. What is deleted goes back to
/// the host at once; what is written is not forced to the host's disk, since no
/// image outlives the host: each unmount would else wait for the host's journal,
/// and everybody else on that disk with it.
pub(crate) const OPTIONS: [&str; 2] = ["discard", "nobarrier"];

/// Attaches `image` to a free loop device. The device is released when both
/// the returned file is closed and the last mount of it is gone.
pub(crate) fn attach(image: &Path) -> io::Result<(String, File)> {
    let backing = OpenOptions::new().read(true).write(true).open(image)?;
    let control = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/loop-control")?;
    // Others look for free devices at the same time: whoever loses tries the next.
    for _ in 0..64 {
        // SAFETY: this ioctl takes no argument.
        let number =
            cvt(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) }.into())?;
        let path = format!("/dev/loop{number}");
        let device = OpenOptions::new().read(true).write(true).open(&path)?;
        match configure(&device, &backing) {
            Ok(()) => return Ok((path, device)),
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EBUSY))
}

/// Gives a device free; one that is mounted becomes free with its last mount.
#[cfg(feature = "host")]
pub(crate) fn detach(device: &Path) -> io::Result<()> {
    let device = File::open(device)?;
    // SAFETY: this ioctl takes no argument.
    match cvt(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CLR_FD as _) }.into()) {
        // Free already.
        Err(e) if e.raw_os_error() == Some(libc::ENXIO) => Ok(()),
        other => other.map(drop),
    }
}

fn configure(device: &File, backing: &File) -> io::Result<()> {
    // SAFETY: all-zero is a valid configuration; pointers live for the call.
    unsafe {
        let mut config: LoopConfig = std::mem::zeroed();
        config.fd = backing.as_raw_fd() as u32;
        config.info.flags = LO_FLAGS_AUTOCLEAR;
        cvt(libc::ioctl(
            device.as_raw_fd(),
            LOOP_CONFIGURE as _,
            std::ptr::from_ref(&config),
        )
        .into())
        .map(drop)
    }
}

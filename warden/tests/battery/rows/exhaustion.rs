//! Using up what others need too. Every loop ends far below what the host has.

use std::fs::{self, File};
use std::io::{self, Seek, Write};

use super::{CAPS, RLIMITS, USERNS};
use crate::row::{Row, row};
use crate::sys::{call, fill_segment, fork, kill, wait};
use crate::walls::Wall;

pub(super) const ROWS: &[Row] = &[
    row(
        "fork_bomb",
        "more processes than allowed",
        "EAGAIN",
        &[Wall::Pids],
        fork_bomb,
    ),
    row(
        "memory_hog",
        "more memory than allowed",
        "SIGKILL",
        &[Wall::Memory],
        memory_hog,
    ),
    row(
        "segment_hog",
        "the same by System V segments",
        "SIGKILL",
        &[Wall::Memory],
        segment_hog,
    ),
    row(
        "mlock",
        "nail memory down",
        "EPERM|ENOMEM",
        &[CAPS, USERNS],
        mlock,
    ),
    row(
        "fd_exhaustion",
        "more descriptors than allowed",
        "EMFILE",
        &[RLIMITS],
        fd_exhaustion,
    ),
    row(
        "disk_fill",
        "more bytes than the disk has",
        "ENOSPC",
        &[Wall::Disk],
        disk_fill,
    ),
    row(
        "huge_file",
        "a huge file in one call",
        "ENOSPC",
        &[Wall::Disk],
        huge_file,
    ),
    row(
        "sparse_file",
        "a sparse file, filled at its far end",
        "ENOSPC",
        &[Wall::Disk],
        sparse_file,
    ),
    row(
        "inode_flood",
        "more files than the disk has",
        "ENOSPC",
        &[Wall::Inodes],
        inode_flood,
    ),
];

const MIB: usize = 1 << 20;

fn fork_bomb() -> io::Result<()> {
    let mut children = Vec::new();
    let mut result = Ok(());
    for _ in 0..200 {
        match fork(|| call!(SYS_ppoll, 0, 0, 0, 0, 0).is_ok().into()) {
            Ok(child) => children.push(child),
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    for child in children {
        kill(child, libc::SIGKILL)?;
        wait(child)?;
    }
    result
}

fn memory_hog() -> io::Result<()> {
    // Written page by page: zeroes would need none.
    std::hint::black_box(vec![1u8; 160 * MIB]);
    Ok(())
}

fn segment_hog() -> io::Result<()> {
    fill_segment(160 * MIB)
}

fn mlock() -> io::Result<()> {
    let memory = vec![0u8; 32 * MIB];
    call!(SYS_mlock, &memory[..], memory.len()).map(drop)
}

fn fd_exhaustion() -> io::Result<()> {
    let null = File::open("/dev/null")?;
    // Above the limit of a job, below that of the tests themselves.
    (0..17_000)
        .map(|_| null.try_clone())
        .collect::<io::Result<Vec<_>>>()
        .map(drop)
}

const BIG: &str = "/tmp/battery-big";

/// Does something with a new file and removes it again.
fn with_file(work: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let _ = fs::remove_file(BIG);
    let result = File::create(BIG).and_then(|mut file| work(&mut file));
    let _ = fs::remove_file(BIG);
    result
}

fn write_mebibytes(file: &mut File, count: usize) -> io::Result<()> {
    let piece = vec![7u8; MIB];
    (0..count).try_for_each(|_| file.write_all(&piece))?;
    file.sync_all()
}

fn disk_fill() -> io::Result<()> {
    with_file(|file| write_mebibytes(file, 24))
}

fn huge_file() -> io::Result<()> {
    use std::os::fd::AsRawFd;
    with_file(|file| call!(SYS_fallocate, file.as_raw_fd(), 0, 0, 40 * MIB).map(drop))
}

fn sparse_file() -> io::Result<()> {
    with_file(|file| {
        file.set_len(2 << 30)?;
        file.seek(io::SeekFrom::End(0))?;
        write_mebibytes(file, 24)
    })
}

fn inode_flood() -> io::Result<()> {
    let dir = std::path::Path::new("/tmp/battery-many");
    let _ = fs::remove_dir_all(dir);
    fs::create_dir(dir)?;
    let result = (0..1500).try_for_each(|n| File::create(dir.join(n.to_string())).map(drop));
    fs::remove_dir_all(dir)?;
    result
}

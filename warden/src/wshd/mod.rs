//! `wshd`: the program that keeps one container. Two roles in one image:
//!
//! * the *keeper* stays outside. It builds the container (`build`), then
//!   serves the control socket, stores output and exit records (`keeper`).
//! * the *init* is pid 1 inside (`init`): it starts jobs and reaps.
//!
//! Single-threaded on purpose: after `clone3` without exec the child goes on
//! with the same heap, which is sound only if no other thread can hold a lock.

mod build;
mod clients;
mod guards;
mod init;
mod init_mounts;
mod job;
mod jobs;
mod keeper;
mod msg;
mod network;
mod oom;
mod plain;
mod ring;
mod rootfs;
mod seccomp;
mod verbs;
mod warm;

pub use guards::{Guard, Guards};

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::sys::{At, process};
use crate::wire::{self, KeeperSpec, Reply, names};
use crate::{Error, Result};

/// Runs the keeper for the container directory in `argv[1]` until the
/// container is destroyed; returns the exit code. Descriptor 0 must be a
/// socket: it receives one frame, ready or failed.
pub fn main(args: impl IntoIterator<Item = std::ffi::OsString>) -> i32 {
    main_with(args, Guards::ALL)
}

/// The same with a choice of walls. For the security battery's own keeper only.
#[doc(hidden)]
pub fn main_with(args: impl IntoIterator<Item = std::ffi::OsString>, guards: Guards) -> i32 {
    let Some(dir) = args.into_iter().nth(1).map(PathBuf::from) else {
        eprintln!("usage: wshd CONTAINER_DIRECTORY (started by a warden backend, not by hand)");
        return 2;
    };
    match run(&dir, guards) {
        Ok(()) => 0,
        Err(error) => {
            log(&error.to_string());
            answer_starter(&wire::json_frame(&clients::failed(&error)));
            1
        }
    }
}

fn run(dir: &Path, guards: Guards) -> Result<()> {
    detach()?;
    let spec = read_spec(dir)?;
    let built = build::build(&spec, dir, guards)?;
    let mut keeper = keeper::Keeper::new(spec, dir.to_owned(), built)?;
    let ready = Reply::Ready {
        keeper_pid: std::process::id() as i32,
        init_pid: keeper.init_pid(),
    };
    if !answer_starter(&wire::json_frame(&ready)) {
        keeper.destroy()?;
        return Err(Error::Keeper {
            step: "answer".into(),
            message: "the backend is gone".into(),
        });
    }
    keeper.serve()
}

/// Own session, nothing inherited but descriptors 0–2.
fn detach() -> Result<()> {
    process::close_from(3).at("close_range")?;
    // Already a leader when started by hand from a shell: then this fails, harmlessly.
    let _ = process::setsid();
    process::umask(0o022);
    process::set_name(c"wshd: keeper");
    process::prepare_sigchld().at("sigaction SIGCHLD")
}

fn read_spec(dir: &Path) -> Result<KeeperSpec> {
    let path = dir.join(names::SPEC);
    let text = std::fs::read(&path).at(format!("read {}", path.display()))?;
    serde_json::from_slice(&text).map_err(|e| Error::Keeper {
        step: format!("parse {}", path.display()),
        message: e.to_string(),
    })
}

/// Writes the one answer to descriptor 0 and gives the descriptor up. False
/// when nobody listens any more.
fn answer_starter(frame: &[u8]) -> bool {
    // SAFETY: descriptor 0 is ours and used nowhere else.
    let socket = unsafe { OwnedFd::from_raw_fd(0) };
    let sent = crate::sys::socket::send(socket.as_fd(), frame, &[]).is_ok();
    if let Ok(null) = File::options().read(true).open("/dev/null") {
        // Keeps number 0 taken, so that no later descriptor becomes stdin.
        let _ = process::dup_to(std::os::fd::AsRawFd::as_raw_fd(&null), 0);
        std::mem::forget(socket);
    }
    sent
}

/// One line in `keeper.log`.
fn log(text: &str) {
    let _ = writeln!(std::io::stderr(), "{} {text}", now_ns() / 1_000_000);
}

/// Unix time in nanoseconds.
fn now_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| d.as_nanos() as i64)
}

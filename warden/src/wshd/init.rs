//! Pid 1 of a container. It builds its own view of the world, gives up every
//! right it does not need, and then starts jobs and reaps.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use super::guards::{Guard, Guards};
use super::msg::{self, FromInit, ToInit};
use super::{init_mounts, job};
use crate::step::Step;
use crate::sys::creds::{self, Insn};
use crate::sys::{At, process, socket};
use crate::wire::KeeperSpec;
use crate::{Error, Result};

/// The keeper's socket in init: its only descriptor besides 0–2.
pub(super) const SOCKET: i32 = 3;

/// The child side of `clone3`. Never returns.
pub(super) fn main(sock: &OwnedFd, spec: &KeeperSpec, filter: &[Insn], guards: Guards) -> ! {
    let code = match take_socket(sock) {
        Err(_) => 1,
        Ok(sock) => match set_up(&sock, spec, filter, guards) {
            Ok(()) => serve(&sock, &Pidns(guards)),
            Err(error) => report(&sock, &error),
        },
    };
    process::exit_now(code)
}

/// Moves the socket to its number and closes everything above.
pub(super) fn take_socket(sock: &OwnedFd) -> Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    process::dup_to(sock.as_raw_fd(), SOCKET).at("dup2 of the socket")?;
    process::close_from(SOCKET as u32 + 1).at("close_range")?;
    // SAFETY: number 3 was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(SOCKET) })
}

/// Tells the keeper why the set-up failed.
pub(super) fn report(sock: &OwnedFd, error: &Error) -> i32 {
    // If the keeper is gone too there is nobody to tell.
    let _ = msg::send(sock, &msg::failure(error), &[]);
    1
}

fn set_up(sock: &OwnedFd, spec: &KeeperSpec, filter: &[Insn], guards: Guards) -> Result<()> {
    process::die_with_parent().at("prctl PR_SET_PDEATHSIG")?;
    process::set_name(c"wshd: init");
    expect(sock, |m| matches!(m, ToInit::Mapped))?;
    creds::become_id(0).at("become root of the container")?;
    let fds = expect(sock, |m| matches!(m, ToInit::RootReady))?;
    let root = fds
        .into_iter()
        .next()
        .ok_or_else(|| msg::protocol("the root's descriptor is missing"))?;
    init_mounts::enter(&root, guards)?;
    drop(root);
    process::set_hostname(&spec.handle).at("sethostname")?;
    Step::InitMounts.inject(spec.fail_after)?;
    lock(filter, guards)?;
    Step::InitLock.inject(spec.fail_after)?;
    msg::send(sock, &FromInit::Ready, &[])
}

fn expect(sock: &OwnedFd, wanted: impl Fn(&ToInit) -> bool) -> Result<Vec<OwnedFd>> {
    match msg::recv::<ToInit>(sock)? {
        Some((message, fds)) if wanted(&message) => Ok(fds),
        Some((message, _)) => Err(msg::protocol(format!("init got {message:?} too early"))),
        None => Err(msg::protocol("the keeper is gone")),
    }
}

/// Everything a job must not be able to do, init cannot do either: jobs inherit
/// it, so nothing can be forgotten at a later start.
fn lock(filter: &[Insn], guards: Guards) -> Result<()> {
    process::setsid().at("setsid")?;
    if guards.has(Guard::Keyring) {
        creds::new_session_keyring().at("keyctl JOIN_SESSION_KEYRING")?;
    }
    if guards.has(Guard::Capabilities) {
        creds::limit_bounding(creds::INIT_CAPS).at("prctl PR_CAPBSET_DROP")?;
        creds::set_caps(creds::INIT_CAPS).at("capset")?;
    }
    process::set_dumpable(!guards.has(Guard::Undumpable)).at("prctl PR_SET_DUMPABLE")?;
    standard_streams_to_null()?;
    process::prepare_sigchld().at("sigaction SIGCHLD")?;
    // A change of credentials cleared it.
    process::die_with_parent().at("prctl PR_SET_PDEATHSIG")?;
    if guards.has(Guard::NoNewPrivs) {
        creds::no_new_privs().at("prctl PR_SET_NO_NEW_PRIVS")?;
    }
    if guards.has(Guard::Seccomp) {
        creds::load_filter(filter).at("seccomp")?;
    }
    Ok(())
}

/// Descriptors 0–2 on `/dev/null`.
pub(super) fn standard_streams_to_null() -> Result<()> {
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .at("open /dev/null")?;
    for fd in 0..3 {
        process::dup_to(null.as_raw_fd(), fd).at("dup2 /dev/null")?;
    }
    Ok(())
}

/// How an init reaches the processes below it.
pub(super) trait Below {
    /// Signals all of them. May find none.
    fn signal(&self, signal: i32);
    /// How jobs are started.
    fn job_kind(&self) -> job::Kind;
}

/// A pid namespace: the kernel knows who is inside.
struct Pidns(Guards);

impl Below for Pidns {
    fn signal(&self, signal: i32) {
        // ESRCH: nobody is there.
        let _ = process::kill_namespace(signal);
    }

    fn job_kind(&self) -> job::Kind {
        job::Kind::Isolated(self.0)
    }
}

/// The loop of init until the keeper is gone; returns the exit code.
pub(super) fn serve(sock: &OwnedFd, below: &impl Below) -> i32 {
    let mut signalled = false;
    loop {
        if reap(sock, &mut signalled).is_err() {
            return 1;
        }
        let mut fds = [socket::readable(sock.as_raw_fd())];
        match socket::poll_with_sigchld(&mut fds, -1) {
            Ok(0) => continue,
            Ok(_) => {}
            Err(_) => return 1,
        }
        match msg::recv::<ToInit>(sock) {
            Ok(Some((message, fds))) => {
                if handle(sock, message, fds, below, &mut signalled).is_err() {
                    return 1;
                }
            }
            Ok(None) | Err(_) => return 0,
        }
    }
}

fn handle(
    sock: &OwnedFd,
    message: ToInit,
    fds: Vec<OwnedFd>,
    below: &impl Below,
    signalled: &mut bool,
) -> Result<()> {
    match message {
        ToInit::Run { stdin, tty } => {
            let answer = match job::start(fds, stdin, tty, below.job_kind()) {
                Ok(pid) => FromInit::Started { pid },
                Err(error) => msg::failure(&error),
            };
            msg::send(sock, &answer, &[])
        }
        ToInit::Signal(signal) => {
            below.signal(signal);
            *signalled = true;
            Ok(())
        }
        early => Err(msg::protocol(format!("init got {early:?} late"))),
    }
}

/// Reports every finished child; after a signal also the end of the last one.
fn reap(sock: &OwnedFd, signalled: &mut bool) -> Result<()> {
    loop {
        match process::reap() {
            Ok(Some((pid, status))) => {
                msg::send(sock, &FromInit::Exited { pid, status }, &[])?;
            }
            Ok(None) => return Ok(()),
            Err(_) => {
                if std::mem::take(signalled) {
                    msg::send(sock, &FromInit::Quiet, &[])?;
                }
                return Ok(());
            }
        }
    }
}

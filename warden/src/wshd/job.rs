//! From init to a running job: fork, give up the rest, exec.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::guards::{Guard, Guards};
use super::msg;
use super::rootfs::VCAP;
use crate::sys::process::{self, Side};
use crate::sys::{At, creds, cstr, files, pty, socket};
use crate::{Error, ProcessSpec, Result, User, WindowSize};

/// What surrounds the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Inside a container, behind these walls.
    Isolated(Guards),
    /// A process of the host; `home` stands for `/home/vcap`.
    Plain { home: String },
}

/// The descriptor on which a child says why it could not start.
const ERRORS: i32 = 3;

/// Bytes a job may lock into memory: the kernel's default.
const MEMLOCK: u64 = 8 << 20;

/// Starts the job described by the first descriptor; returns its pid once the
/// program runs.
pub(super) fn start(
    fds: Vec<OwnedFd>,
    stdin: bool,
    tty: Option<WindowSize>,
    kind: Kind,
) -> Result<i32> {
    let mut fds = fds.into_iter();
    let mut next = || {
        fds.next()
            .ok_or_else(|| msg::protocol("a descriptor is missing"))
    };
    let spec = msg::unpack(next()?)?;
    let stdin = if stdin { Some(next()?) } else { None };
    let (stdout, stderr) = (next()?, next()?);
    let procs: Vec<OwnedFd> = fds.collect();
    let (ours, theirs) = files::pipe().at("pipe for errors of the job")?;
    match process::fork().at("fork of the job")? {
        Side::Child => {
            drop(ours);
            let streams = Streams {
                stdin,
                stdout,
                stderr,
                errors: theirs,
                tty,
            };
            let error = become_job(&spec, streams, procs, &kind);
            tell(&error);
            process::exit_now(127)
        }
        Side::Parent(pid) => {
            drop(theirs);
            let said = listen(ours)?;
            if said.is_empty() {
                Ok(pid)
            } else {
                Err(parse(&said))
            }
        }
    }
}

struct Streams {
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: OwnedFd,
    errors: OwnedFd,
    tty: Option<WindowSize>,
}

/// The child says `step\nmessage`; silence and end of file mean success.
fn tell(error: &Error) {
    let text = match error {
        Error::Step { step, source } => format!("{step}\n{source}"),
        other => format!("start of the job\n{other}"),
    };
    // SAFETY: number 3 is the error pipe of this child, which ends right after.
    let mut pipe = unsafe { File::from_raw_fd(ERRORS) };
    let _ = pipe.write_all(text.as_bytes());
}

fn listen(pipe: OwnedFd) -> Result<String> {
    let mut said = Vec::new();
    File::from(pipe)
        .read_to_end(&mut said)
        .at("read the job's errors")?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn parse(said: &str) -> Error {
    let (step, message) = said.split_once('\n').unwrap_or(("start of the job", said));
    Error::Keeper {
        step: step.into(),
        message: message.into(),
    }
}

/// Everything between fork and exec; returns only on failure.
fn become_job(spec: &ProcessSpec, streams: Streams, procs: Vec<OwnedFd>, kind: &Kind) -> Error {
    match prepare(spec, streams, procs, kind) {
        Ok((argv, env)) => run(spec, &argv, &env),
        Err(error) => error,
    }
}

fn prepare(
    spec: &ProcessSpec,
    streams: Streams,
    procs: Vec<OwnedFd>,
    kind: &Kind,
) -> Result<(Vec<CString>, Vec<CString>)> {
    // First of all, so that `tell` has its number whatever fails later. The
    // socket that had it is init's own and must not be seen by a job.
    let streams = place(streams)?;
    for file in procs {
        File::from(file)
            .write_all(b"0")
            .at("join the job's cgroup")?;
    }
    process::setsid().at("setsid")?;
    let env = environment(spec, kind);
    let tty = streams.tty;
    connect(streams)?;
    match kind {
        Kind::Isolated(guards) => {
            if guards.has(Guard::ResourceLimits) {
                limit(spec)?;
            }
            give_up(if spec.user == User::Root { 0 } else { VCAP }, *guards)?;
        }
        Kind::Plain { .. } => {
            limit(spec)?;
            process::die_with_parent().at("prctl PR_SET_PDEATHSIG")?;
        }
    }
    if let Some(size) = tty {
        terminal(size)?;
    }
    process::umask(0o022);
    process::reset_signals();
    let dir = spec.dir.as_deref().unwrap_or_else(|| value(&env, "HOME"));
    std::env::set_current_dir(dir).at(format!("chdir {dir}"))?;
    let argv = spec
        .argv
        .iter()
        .map(|arg| cstr(arg))
        .collect::<Result<_, _>>()
        .at("argv")?;
    let env = env
        .iter()
        .map(|(k, v)| cstr(&format!("{k}={v}")))
        .collect::<Result<_, _>>();
    Ok((argv, env.at("environment")?))
}

/// The error pipe gets its number; everything else is moved out of its way.
fn place(streams: Streams) -> Result<Streams> {
    use std::os::fd::AsFd;
    let errors = process::dup_above(streams.errors.as_fd(), 10).at("dup of the error pipe")?;
    process::dup_to(errors.as_raw_fd(), ERRORS).at("dup2 of the error pipe")?;
    process::close_on_exec(ERRORS).at("close-on-exec of the error pipe")?;
    Ok(Streams { errors, ..streams })
}

fn connect(streams: Streams) -> Result<()> {
    if let Some(stdin) = &streams.stdin {
        process::dup_to(stdin.as_raw_fd(), 0).at("dup2 stdin")?;
    }
    process::dup_to(streams.stdout.as_raw_fd(), 1).at("dup2 stdout")?;
    process::dup_to(streams.stderr.as_raw_fd(), 2).at("dup2 stderr")?;
    // Their numbers are closed by the call below, not by their owners.
    std::mem::forget(streams);
    process::close_from(ERRORS as u32 + 1).at("close_range")
}

/// A terminal of the container's own devpts becomes 0–2; its controlling side
/// goes out through the socket that was given as stdin.
fn terminal(size: WindowSize) -> Result<()> {
    let (controller, program) = pty::open(size).at("open a terminal")?;
    // SAFETY: `connect` put the socket there, and it stays open until the dup below.
    let socket = unsafe { BorrowedFd::borrow_raw(0) };
    socket::send(socket, b"t", &[controller.as_raw_fd()]).at("send the terminal")?;
    pty::take(&program).at("ioctl TIOCSCTTY")?;
    for fd in 0..3 {
        process::dup_to(program.as_raw_fd(), fd).at("dup2 of the terminal")?;
    }
    Ok(())
}

fn limit(spec: &ProcessSpec) -> Result<()> {
    creds::limit(libc::RLIMIT_CORE as _, 0).at("setrlimit core")?;
    // Whatever the backend's own are: a service manager may have lifted them.
    creds::limit(libc::RLIMIT_MEMLOCK as _, MEMLOCK).at("setrlimit memlock")?;
    creds::limit(libc::RLIMIT_RTPRIO as _, 0).at("setrlimit rtprio")?;
    creds::limit(libc::RLIMIT_NICE as _, 0).at("setrlimit nice")?;
    creds::limit(libc::RLIMIT_NOFILE as _, spec.nofile.unwrap_or(16_384)).at("setrlimit nofile")
}

fn give_up(uid: u32, guards: Guards) -> Result<()> {
    if guards.has(Guard::CgroupNamespace) {
        process::unshare(libc::CLONE_NEWCGROUP).at("unshare CLONE_NEWCGROUP")?;
    }
    if !guards.has(Guard::Capabilities) {
        return creds::become_id_with_caps(uid).at("setresuid with all capabilities");
    }
    creds::limit_bounding(0).at("prctl PR_CAPBSET_DROP")?;
    creds::become_id(uid).at("setresuid")?;
    creds::clear_ambient().at("prctl PR_CAP_AMBIENT_CLEAR_ALL")?;
    creds::set_caps(0).at("capset")
}

/// The four defaults first, unless given, then exactly what was asked for.
fn environment(spec: &ProcessSpec, kind: &Kind) -> Vec<(String, String)> {
    let (user, home, path) = match (spec.user, kind) {
        (User::Vcap, Kind::Isolated(_)) => ("vcap", "/home/vcap", "/bin:/usr/bin"),
        (User::Root, Kind::Isolated(_)) => ("root", "/root", "/sbin:/bin:/usr/sbin:/usr/bin"),
        (User::Vcap, Kind::Plain { home }) => ("vcap", home.as_str(), "/bin:/usr/bin"),
        (User::Root, Kind::Plain { home }) => {
            ("root", home.as_str(), "/sbin:/bin:/usr/sbin:/usr/bin")
        }
    };
    let defaults = [
        ("HOME", home),
        ("USER", user),
        ("PATH", path),
        ("LANG", "en_US.UTF-8"),
    ];
    let mut env: Vec<(String, String)> = Vec::new();
    for (name, text) in defaults {
        if !spec.env.iter().any(|(given, _)| given == name) {
            env.push((name.into(), text.into()));
        }
    }
    for (name, text) in &spec.env {
        env.retain(|(earlier, _)| earlier != name);
        env.push((name.clone(), text.clone()));
    }
    env
}

fn value<'a>(env: &'a [(String, String)], name: &str) -> &'a str {
    env.iter()
        .find(|(n, _)| n == name)
        .map_or("/", |(_, v)| v.as_str())
}

fn run(spec: &ProcessSpec, argv: &[CString], env: &[CString]) -> Error {
    let Some(name) = spec.argv.first() else {
        return Error::step("exec", std::io::Error::from_raw_os_error(libc::EINVAL));
    };
    let path = env
        .iter()
        .find_map(|e| e.to_str().ok()?.strip_prefix("PATH="))
        .unwrap_or_default();
    let mut last = std::io::Error::from_raw_os_error(libc::ENOENT);
    for program in candidates(name, path) {
        let Ok(program) = cstr(&program) else {
            continue;
        };
        let error = process::exec(&program, argv, env);
        // The next directory may have it; any other reason is the answer.
        if error.raw_os_error() != Some(libc::ENOENT) {
            last = error;
            break;
        }
    }
    Error::step(format!("exec {name}"), last)
}

fn candidates(name: &str, path: &str) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    path.split(':')
        .map(|dir| Path::new(dir).join(name).to_string_lossy().into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(env: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut spec = ProcessSpec::script("true");
        spec.env = env
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        environment(&spec, &Kind::Isolated(Guards::ALL))
    }

    fn names(env: &[(String, String)]) -> Vec<&str> {
        env.iter().map(|(k, _)| k.as_str()).collect()
    }

    #[test]
    fn defaults_come_first() {
        assert_eq!(
            names(&with(&[("A", "1")])),
            ["HOME", "USER", "PATH", "LANG", "A"]
        );
    }

    #[test]
    fn a_given_variable_replaces_the_default_and_the_last_one_wins() {
        let env = with(&[("PATH", "/a"), ("X", "1"), ("PATH", "/b")]);
        assert_eq!(names(&env), ["HOME", "USER", "LANG", "X", "PATH"]);
        assert_eq!(value(&env, "PATH"), "/b");
    }

    #[test]
    fn a_bare_name_is_looked_up_in_path() {
        assert_eq!(candidates("ls", "/a:/b"), ["/a/ls", "/b/ls"]);
        assert_eq!(candidates("./ls", "/a:/b"), ["./ls"]);
    }
}

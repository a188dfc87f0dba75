//! Inside: runs one attempt and prints its outcome as `RESULT word`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::row::outcome;
use crate::rows;
use crate::sys::call;

/// First word of the line that carries the outcome.
pub(crate) const RESULT: &str = "RESULT ";
/// Facts about the surroundings come by environment variables of this prefix.
pub(crate) const FACT: &str = "BATTERY_";

/// `attack NAME`, or one of the helpers `as-child NAME`, `euid`, `serve PORT`, `sleep`.
pub(crate) fn main(args: &[String]) -> ExitCode {
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["euid"] => print!("{}", call!(SYS_geteuid).unwrap_or(-1)),
        ["serve", port] => serve(port.parse().unwrap_or(0)),
        ["sleep"] => sleep_with_parent(),
        ["as-child", name] => as_child(name),
        [name] => attack(name),
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

fn attack(name: &str) {
    let Some(row) = rows::all().find(|row| row.name == name) else {
        println!("{RESULT}no such attempt");
        return;
    };
    if fact("LAZY_REAPER").is_ok() {
        let _ = call!(SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    }
    let result = (row.attack)();
    if let Err(error) = &result {
        println!("{error}");
    }
    println!("{RESULT}{}", outcome(&result));
}

/// The attempt in a process of its own.
fn as_child(name: &str) {
    let child = Command::new("/proc/self/exe")
        .args(["attack", name])
        .status();
    match child.map(|status| status.signal()) {
        Ok(None) => {}
        Ok(Some(libc::SIGKILL)) => println!("{RESULT}SIGKILL"),
        Ok(Some(libc::SIGSYS)) => println!("{RESULT}SIGSYS"),
        other => println!("{RESULT}{other:?}"),
    }
}

/// A fact about the surroundings.
pub(crate) fn fact(name: &str) -> io::Result<String> {
    std::env::var(format!("{FACT}{name}")).map_err(|_| io::Error::other(format!("no fact {name}")))
}

/// Connects and reads the greeting of the lab's listeners.
pub(crate) fn greeted_by(address: &str) -> io::Result<()> {
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(3))?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let mut greeting = [0; 5];
    stream.read_exact(&mut greeting)
}

/// Greets everybody who connects.
pub(crate) fn greet(listener: TcpListener) {
    for mut stream in listener.incoming().flatten() {
        // Who hangs up first loses the greeting.
        let _ = stream.write_all(b"hello");
    }
}

fn serve(port: u16) {
    match TcpListener::bind(("0.0.0.0", port)) {
        Ok(listener) => {
            println!("up");
            greet(listener);
        }
        Err(error) => println!("{error}"),
    }
}

fn sleep_with_parent() {
    let _ = call!(SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    std::thread::sleep(Duration::from_secs(600));
}

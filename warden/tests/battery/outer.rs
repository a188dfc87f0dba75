//! The outside of the containers, made by the test: namespaces of its own for
//! network, mounts, System V objects and names. No route leads out of them.

use std::ffi::CStr;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;
use std::sync::{Once, mpsc};

use crate::attacker::greet;
use crate::sys::call;

/// Name of a key in the session keyring of the test.
pub(crate) const KEY: &CStr = c"bloomery-battery";
/// Abstract socket of the test.
pub(crate) const ABSTRACT: &[u8] = b"bloomery-battery";
/// Number of a System V segment of the test.
pub(crate) const SEGMENT: i32 = 0x0b10_0e41;
/// The host's address in the outer network.
pub(crate) const HOST: &str = "192.0.2.77";
/// A stranger there.
pub(crate) const STRANGER: &str = "192.0.2.1";
/// The address at which clouds answer with secrets.
pub(crate) const METADATA: &str = "169.254.169.254";
/// Ports of what a platform has on its host.
pub(crate) const BUS: u16 = 4222;
pub(crate) const CONTROLLER: u16 = 9022;
pub(crate) const OTHER_DAEMON: u16 = 2222;

/// Leaves the host's namespaces for ones without a way out. Must be called
/// while the program has one thread; once is enough.
pub(crate) fn enter() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let flags =
            libc::CLONE_NEWNET | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
        call!(SYS_unshare, flags).unwrap();
        call!(SYS_mount, 0, c"/", 0, libc::MS_REC | libc::MS_PRIVATE, 0).unwrap();
        plant_key_and_segment();
        ip("link set lo up");
        world();
        for port in [BUS, CONTROLLER, OTHER_DAEMON] {
            listen(&format!("0.0.0.0:{port}"));
        }
        listen_abstract();
    });
}

fn plant_key_and_segment() {
    const JOIN: i32 = 1;
    const SESSION: i32 = -3;
    call!(SYS_keyctl, JOIN, 0).unwrap();
    call!(SYS_add_key, c"user", KEY, b"x", 1, SESSION).unwrap();
    call!(SYS_shmget, SEGMENT, 4096, libc::IPC_CREAT | 0o666).unwrap();
}

/// A second network namespace behind a link: the rest of the world. It belongs
/// to a thread and ends with the program.
fn world() {
    let (tell, told) = mpsc::channel();
    let (answer, answered) = mpsc::channel();
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || {
        call!(SYS_unshare, libc::CLONE_NEWNET).unwrap();
        tell.send(call!(SYS_gettid).unwrap()).unwrap();
        answered.recv().unwrap();
        ip("link set lo up");
        ip(&format!("addr add {STRANGER}/24 dev world0"));
        ip(&format!("addr add {METADATA}/32 dev world0"));
        ip("link set world0 up");
        ip(&format!("route add default via {HOST}"));
        listen(&format!("{STRANGER}:80"));
        listen(&format!("{METADATA}:80"));
        ready.send(()).unwrap();
        loop {
            std::thread::park();
        }
    });
    let thread: i64 = told.recv().unwrap();
    ip("link add host0 type veth peer name world0");
    ip(&format!("link set world0 netns {thread}"));
    ip(&format!("addr add {HOST}/24 dev host0"));
    ip("link set host0 up");
    ip(&format!("route add default via {STRANGER}"));
    answer.send(()).unwrap();
    is_ready.recv().unwrap();
}

fn ip(words: &str) {
    let status = Command::new("ip").args(words.split(' ')).status().unwrap();
    assert!(status.success(), "ip {words}");
}

/// Listens in the caller's network namespace and greets.
fn listen(address: &str) {
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || greet(listener));
}

fn listen_abstract() {
    let address = SocketAddr::from_abstract_name(ABSTRACT).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    std::thread::spawn(move || listener.incoming().for_each(drop));
}

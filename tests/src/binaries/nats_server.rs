//! The original's bus: Debian's `nats-server` on a free port.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::wait::eventually;

/// A running `nats-server`, ended when dropped.
#[derive(Debug)]
pub struct NatsServer {
    child: Child,
    port: u16,
}

impl NatsServer {
    /// Starts one; none when it is not installed.
    ///
    /// # Panics
    /// With `CI=true` when it is not installed: a missing peer is a failure there.
    pub fn start() -> Option<Self> {
        Self::with(&[])
    }

    /// The same with further arguments, such as a configuration.
    ///
    /// # Panics
    /// As [`NatsServer::start`].
    pub fn with(arguments: &[&str]) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("a bound port").port();
        drop(free);
        let mut command = Command::new("nats-server");
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
        command.args(arguments);
        command
            .env("PATH", path)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                let is_ci = std::env::var("CI").is_ok_and(|v| v == "true");
                assert!(!is_ci, "nats-server cannot be run: {error}");
                eprintln!("skipped: nats-server cannot be run: {error}");
                return None;
            }
        };
        eventually("nats-server listens", || {
            TcpStream::connect(("127.0.0.1", port))
        });
        Some(Self { child, port })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

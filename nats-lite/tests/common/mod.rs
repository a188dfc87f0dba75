//! The two servers every conversation is held with, and a raw client.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

pub mod certificates;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nats_lite::config::{Config, User};

/// How long a conversation waits before it counts as failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server under test, stopped on drop.
pub enum Server {
    Lite(Option<Box<nats_lite::Running>>, tokio::runtime::Runtime),
    Real(Child, SocketAddr, tempfile::TempDir),
}

impl Server {
    /// nats-lite, inside this process and a multi-thread runtime.
    pub fn lite(config: Config) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let running = runtime.block_on(nats_lite::start(config)).unwrap();
        Self::Lite(Some(Box::new(running)), runtime)
    }

    /// What nats-lite says of itself; its configuration has to open the page.
    pub fn varz(&self) -> serde_json::Value {
        let Self::Lite(running, _) = self else {
            unreachable!("started as nats-lite")
        };
        let addr = running.as_ref().unwrap().monitor_addr().unwrap();
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(b"GET /varz HTTP/1.0\r\n\r\n").unwrap();
        let text = std::io::read_to_string(stream).unwrap();
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// The original, if this machine has one. With `CI=true` a missing peer is a failure.
    pub fn real(config: &Config) -> Option<Self> {
        let Some(program) = find_program("nats-server") else {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "CI needs nats-server on PATH or in /usr/sbin"
            );
            eprintln!("SKIPPED: no nats-server on this machine");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.conf");
        std::fs::write(&file, original_config(config)).unwrap();
        let mut command = Command::new(program);
        command
            .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
            .arg(dir.path())
            .arg("-c")
            .arg(&file);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ports = dir.path().join(format!("nats-server_{}.ports", child.id()));
        let addr = wait_for("nats-server to say its port", || {
            assert!(
                child.try_wait().unwrap().is_none(),
                "nats-server ended at once"
            );
            read_port(&ports)
        });
        Some(Self::Real(child, addr, dir))
    }

    pub fn addr(&self) -> SocketAddr {
        match self {
            Self::Lite(running, _) => running.as_ref().unwrap().addr(),
            Self::Real(_, addr, _) => *addr,
        }
    }

    pub fn connect(&self) -> Wire {
        let stream = TcpStream::connect(self.addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut wire = Wire {
            stream,
            buffer: Vec::new(),
            info: serde_json::Value::Null,
        };
        wire.info = wire.read_info();
        wire
    }

    /// A client past the greeting, without anything special.
    pub fn client(&self) -> Wire {
        self.client_with("{\"verbose\":false}")
    }

    pub fn client_with(&self, options: &str) -> Wire {
        let mut wire = self.connect();
        wire.send(&format!("CONNECT {options}\r\nPING\r\n"));
        wire.expect("PONG\r\n");
        wire
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match self {
            Self::Lite(running, runtime) => {
                if let Some(running) = running.take() {
                    runtime.block_on(running.shutdown());
                }
            }
            Self::Real(child, ..) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// A client that says exactly what the test says.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What the server said first.
    pub info: serde_json::Value,
}

impl Wire {
    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Sends without caring whether the server still listens.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The very next bytes are these.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        while self.buffer.len() < text.len() && self.fill() > 0 {}
        // The original measures the round trip with a ping soon after CONNECT.
        if self.buffer.starts_with(b"PING\r\n") && !text.starts_with("PING") {
            self.buffer.drain(..6);
            self.send("PONG\r\n");
            return self.expect(text);
        }
        let got = &self.buffer[..text.len().min(self.buffer.len())];
        assert_eq!(String::from_utf8_lossy(got), text);
        self.buffer.drain(..text.len());
    }

    /// Nothing was pending: the answer to a ping is the next thing to arrive.
    #[track_caller]
    pub fn expect_silence(&mut self) {
        self.send("PING\r\n");
        self.expect("PONG\r\n");
    }

    #[track_caller]
    pub fn expect_closed(&mut self) {
        while self.fill() > 0 {}
        assert_eq!(
            String::from_utf8_lossy(&self.buffer),
            "",
            "bytes before the end"
        );
    }

    /// Reads one line; its end is cut off.
    #[track_caller]
    pub fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return String::from_utf8(line).unwrap().trim_end().to_owned();
            }
            assert!(
                self.fill() > 0,
                "closed in the middle of {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        }
    }

    /// Counts messages until the answer to a ping.
    pub fn count_messages(&mut self) -> usize {
        self.send("PING\r\n");
        let mut count = 0;
        loop {
            match self.line() {
                line if line == "PONG" => return count,
                line if line.starts_with("MSG ") => count += 1,
                _ => {}
            }
        }
    }

    /// Waits for more bytes and counts the complete lines among them that start like this.
    pub fn take_lines_starting_with(&mut self, start: &str) -> usize {
        assert!(self.fill() > 0, "closed while lines were expected");
        let end = self.buffer.iter().rposition(|&byte| byte == b'\n');
        let whole: Vec<u8> = self.buffer.drain(..end.map_or(0, |at| at + 1)).collect();
        let lines = whole.split(|&byte| byte == b'\n');
        lines
            .filter(|line| line.starts_with(start.as_bytes()))
            .count()
    }

    /// Reads and drops everything until the server closes; returns the number of bytes.
    pub fn drain_to_end(&mut self) -> usize {
        let mut total = 0;
        while self.fill() > 0 {
            total += std::mem::take(&mut self.buffer).len();
        }
        total
    }

    fn fill(&mut self) -> usize {
        let mut bytes = [0; 65_536];
        match self.stream.read(&mut bytes) {
            Ok(count) => {
                self.buffer.extend_from_slice(&bytes[..count]);
                count
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
                ) =>
            {
                0
            }
            Err(error) => panic!(
                "no answer: {error}; so far {:?}",
                String::from_utf8_lossy(&self.buffer)
            ),
        }
    }

    fn read_info(&mut self) -> serde_json::Value {
        let line = self.line();
        let json = line
            .strip_prefix("INFO ")
            .unwrap_or_else(|| panic!("expected INFO, got {line}"));
        serde_json::from_str(json).unwrap()
    }
}

/// Polls a condition; fails after [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/bin")]);
    dirs.map(|dir| dir.join(name)).find(|file| file.is_file())
}

pub fn read_port(ports: &Path) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(ports).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    value["nats"][0]
        .as_str()?
        .strip_prefix("nats://")?
        .parse()
        .ok()
}

/// Our configuration in the original's words.
fn original_config(config: &Config) -> String {
    let limits = &config.limits;
    let mut text = format!(
        "max_subscriptions: {}\nmax_payload: {}\nmax_control_line: {}\nmax_pending: {}\nmax_connections: {}\nping_interval: \"{}ms\"\nping_max: {}\n",
        limits.max_subscriptions,
        limits.max_payload,
        limits.max_control_line,
        limits.max_pending,
        limits.max_connections,
        (limits.ping_interval * 1000.0) as u64,
        limits.max_pings_out
    );
    if let Some(token) = &config.token {
        writeln!(text, "authorization {{ token: {token:?} }}").unwrap();
    }
    if let Some(user) = &config.no_auth_user {
        writeln!(text, "no_auth_user: {user}").unwrap();
    }
    if !config.users.is_empty() {
        writeln!(
            text,
            "authorization {{ timeout: {}\n users: [",
            limits.auth_timeout
        )
        .unwrap();
        for user in &config.users {
            writeln!(text, "  {}", original_user(user)).unwrap();
        }
        text.push_str(" ]\n}\n");
    }
    text
}

fn original_user(user: &User) -> String {
    let rule = |allow: &Option<Vec<String>>, deny: &[String]| {
        let allow = allow
            .as_ref()
            .map(|allow| format!("allow: {allow:?}, "))
            .unwrap_or_default();
        format!("{{ {allow}deny: {deny:?} }}")
    };
    if let Some(nkey) = &user.nkey {
        return format!("{{ nkey: {nkey} }}");
    }
    if let Some(responses) = &user.responses {
        let (name, password, max) = (&user.user, &user.password, responses.max);
        return format!(
            "{{ user: {name:?}, password: {password:?}, permissions: {{ subscribe: {:?}, allow_responses: {{ max: {max}, expires: \"{}s\" }} }} }}",
            user.subscribe.as_deref().unwrap_or_default(),
            responses.expires
        );
    }
    let (publish, subscribe) = (
        rule(&user.publish, &user.deny_publish),
        rule(&user.subscribe, &user.deny_subscribe),
    );
    let (name, password) = (&user.user, &user.password);
    format!(
        "{{ user: {name:?}, password: {password:?}, permissions: {{ publish: {publish}, subscribe: {subscribe} }} }}"
    )
}

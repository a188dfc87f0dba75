//! A real nats-server, started with the users we generate, keeps a stolen DEA password as harmless as nats-lite does.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bus::permissions::Role;
use bus::server_config::{BusUser, nats_server_config};

const PATIENCE: Duration = Duration::from_secs(20);

/// Passwords are made to upset a careless writer of that syntax.
fn users() -> Vec<BusUser> {
    let user = |name: &str, role: Role| BusUser {
        name: name.into(),
        password: format!("{name} \"$x\\#{{"),
        role,
    };
    vec![
        user("controller", Role::Controller),
        user("router", Role::Router),
        user("health-manager", Role::HealthManager),
        user("dea-0", Role::Dea("0-aaa".into())),
        user("dea-1", Role::Dea("1-bbb".into())),
    ]
}

struct Server {
    child: Child,
    dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The original, if this machine has one. With `CI=true` a missing peer is a failure.
fn start() -> Option<(Server, String)> {
    let program = [
        "/usr/sbin/nats-server",
        "/usr/local/bin/nats-server",
        "/usr/bin/nats-server",
    ]
    .into_iter()
    .find(|path| Path::new(path).is_file());
    let Some(program) = program else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI needs nats-server"
        );
        eprintln!("SKIPPED: no nats-server here");
        return None;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bus.conf");
    std::fs::write(&file, nats_server_config(&users())).unwrap();
    let child = Command::new(program)
        .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
        .arg(dir.path())
        .arg("-c")
        .arg(&file)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut server = Server { child, dir };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ended = server.child.try_wait().unwrap();
        assert!(ended.is_none(), "nats-server refused the configuration");
        if let Some(address) = address(&server) {
            return Some((server, address));
        }
        assert!(Instant::now() < deadline, "nats-server names no port");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn address(server: &Server) -> Option<String> {
    let name = format!("nats-server_{}.ports", server.child.id());
    let text = std::fs::read_to_string(server.dir.path().join(name)).ok()?;
    let ports: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(
        ports["nats"][0]
            .as_str()?
            .trim_start_matches("nats://")
            .to_owned(),
    )
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: &str, name: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self(BufReader::new(stream));
        let password = users()
            .into_iter()
            .find(|user| user.name == name)
            .unwrap()
            .password;
        let hello = serde_json::json!({"verbose": false, "pedantic": false, "user": name, "pass": password});
        assert!(client.line().starts_with("INFO "));
        client.send(&format!("CONNECT {hello}\r\n"));
        assert_eq!(client.answers(), [""; 0], "{name} is not known");
        client
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(
            self.0.read_line(&mut line).unwrap() > 0,
            "the server closed the connection"
        );
        line.trim_end().to_owned()
    }

    /// Everything the server says until it answers a ping, without its own pings.
    fn answers(&mut self) -> Vec<String> {
        self.send("PING\r\n");
        let lines = std::iter::from_fn(|| Some(self.line()).filter(|line| line != "PONG"));
        lines.filter(|line| line != "PING").collect()
    }

    #[track_caller]
    fn refused(&mut self, operation: &str) {
        self.send(operation);
        let said = self.answers();
        let violation = |line: &String| line.starts_with("-ERR 'Permissions Violation");
        assert!(
            said.len() == 1 && violation(&said[0]),
            "{operation:?} gave {said:?}"
        );
    }

    #[track_caller]
    fn allowed(&mut self, operation: &str) {
        self.send(operation);
        assert_eq!(self.answers(), [""; 0], "{operation:?}");
    }
}

#[test]
fn a_stolen_dea_password_opens_that_dea_only() {
    let Some((_server, address)) = start() else {
        return;
    };
    let mut thief = Client::connect(&address, "dea-0");
    for subject in [
        "dea.1-bbb.start",
        "dea.0-aaa.start",
        "staging.1-bbb.start",
        "dea.stop",
        "dea.update",
        "hm9000.start",
        "hm9000.stop",
        "_INBOX.controller.1",
        "_INBOX.dea-1.1",
    ] {
        thief.refused(&format!("PUB {subject} 2\r\n{{}}\r\n"));
    }
    for subject in [
        ">",
        "dea.*.start",
        "dea.1-bbb.start",
        "staging.*.start",
        "staging.1-bbb.start",
        "_INBOX.>",
        "_INBOX.controller.>",
    ] {
        thief.refused(&format!("SUB {subject} 9\r\n"));
    }
    thief.allowed("SUB dea.0-aaa.start 1\r\nSUB staging.0-aaa.start 2\r\nSUB _INBOX.dea-0.> 3\r\n");
    thief.allowed("PUB dea.heartbeat 2\r\n{}\r\nPUB router.register 2\r\n{}\r\n");
}

#[test]
fn the_controller_reaches_the_dea_it_means_and_hears_its_answer() {
    let Some((_server, address)) = start() else {
        return;
    };
    let mut dea = Client::connect(&address, "dea-0");
    let mut neighbour = Client::connect(&address, "dea-1");
    dea.allowed("SUB dea.0-aaa.start 1\r\n");
    neighbour.allowed("SUB dea.1-bbb.start 1\r\n");
    let mut controller = Client::connect(&address, "controller");
    controller.allowed(
        "SUB _INBOX.controller.> 7\r\nPUB dea.0-aaa.start _INBOX.controller.1 2\r\n{}\r\n",
    );
    assert_eq!(
        dea.answers(),
        ["MSG dea.0-aaa.start 1 _INBOX.controller.1 2", "{}"]
    );
    assert_eq!(neighbour.answers(), [""; 0]);
    dea.allowed("PUB _INBOX.controller.1 2\r\nok\r\n");
    assert_eq!(controller.answers(), ["MSG _INBOX.controller.1 7 2", "ok"]);
}

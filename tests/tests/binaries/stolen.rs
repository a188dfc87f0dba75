//! What somebody can do on the bus who has the password of one DEA.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use tests::binaries::{PATIENCE, Platform, may_run};

/// A connection with the credentials of `dea-0`.
struct Thief {
    lines: BufReader<TcpStream>,
}

impl Thief {
    fn enter(platform: &Platform) -> Self {
        let settings = platform.settings();
        let port = settings["bus_port"].as_u64().unwrap() as u16;
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut thief = Self {
            lines: BufReader::new(stream),
        };
        assert!(thief.line().starts_with("INFO "));
        let password = settings["secrets"]["bus-dea-0"].as_str().unwrap();
        let connect = serde_json::json!({"user": "dea-0", "pass": password, "verbose": false});
        thief.say(&format!("CONNECT {connect}"));
        assert_eq!(thief.complaints(), "", "the credentials are real");
        thief
    }

    fn say(&mut self, line: &str) {
        let stream = self.lines.get_mut();
        write!(stream, "{line}\r\n").unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the server closed the connection");
        line
    }

    /// What the server objects to in everything said so far.
    fn complaints(&mut self) -> String {
        self.say("PING");
        let mut all = String::new();
        loop {
            let line = self.line();
            match line.trim() {
                "PONG" => return all,
                objection if objection.starts_with("-ERR") => all += &line,
                // Messages that its own subscriptions bring.
                _ => {}
            }
        }
    }
}

#[test]
fn a_stolen_dea_password_gives_no_orders_and_hears_no_others_secrets() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&["--deas", "2"]);
    let settings = platform.settings();
    let id = |name: &str| settings["dea_ids"][name].as_str().unwrap().to_owned();
    let (own, other) = (id("dea-0"), id("dea-1"));
    let mut thief = Thief::enter(&platform);
    // The control: what the DEA itself does is allowed.
    thief.say(&format!("SUB staging.{own}.start 1"));
    thief.say("SUB _INBOX.dea-0.x 2");
    thief.say("PUB dea.heartbeat 2\r\n{}");
    assert_eq!(thief.complaints(), "");
    let heard = [
        format!("staging.{other}.start"),
        "staging.*.start".into(),
        format!("dea.{other}.start"),
        "_INBOX.>".into(),
        "_INBOX.controller.>".into(),
        ">".into(),
    ];
    for subject in heard {
        thief.say(&format!("SUB {subject} 9"));
        let complaint = thief.complaints();
        let expected = format!("Permissions Violation for Subscription to \"{subject}\"");
        assert!(complaint.contains(&expected), "{subject}: {complaint:?}");
    }
    let said = [
        format!("dea.{other}.start"),
        format!("staging.{other}.start"),
        "dea.stop".into(),
        "dea.update".into(),
        "hm9000.start".into(),
        "hm9000.stop".into(),
        "cloudcontroller.bulk.credentials.default".into(),
        "_INBOX.controller.1".into(),
        "_INBOX.dea-1.1".into(),
    ];
    for subject in said {
        thief.say(&format!("PUB {subject} 2\r\n{{}}"));
        let complaint = thief.complaints();
        let expected = format!("Permissions Violation for Publish to \"{subject}\"");
        assert!(complaint.contains(&expected), "{subject}: {complaint:?}");
    }
}

//! The program as an operator starts it.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nats-lite"));
    command
        .env_remove("NATS_LITE_USER")
        .env_remove("NATS_LITE_PASSWORD")
        .env_remove("NATS_LITE_CONFIG");
    command
}

fn terminate(child: &Child) {
    let sent = Command::new("kill")
        .arg("-TERM")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(sent.success());
}

/// Lines from the program's stderr until one contains `text`.
fn read_until(lines: &mut impl BufRead, text: &str) -> String {
    let mut all = String::new();
    while !all.contains(text) {
        assert!(
            lines.read_line(&mut all).unwrap() > 0,
            "ended without {text:?}: {all}"
        );
    }
    all
}

#[test]
fn says_where_it_listens_and_stops_on_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let mut child = program()
        .args(["-p", "-1", "-m", "-1", "--ports_file_dir"])
        .arg(dir.path())
        .arg("--pid")
        .arg(&pid_file)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let said = read_until(&mut log, "Server is ready");
    let addr =
        common::read_port(&dir.path().join(format!("nats-lite_{}.ports", child.id()))).unwrap();
    assert!(
        said.contains(&format!("Listening for client connections on {addr}")),
        "{said}"
    );
    assert_eq!(
        std::fs::read_to_string(&pid_file).unwrap(),
        child.id().to_string()
    );
    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(b"CONNECT {}\r\nPING\r\n").unwrap();
    // A server that has not read everything resets the connection when it ends.
    let mut client = BufReader::new(client);
    let greeting = read_until(&mut client, "PONG");
    assert!(greeting.starts_with("INFO "), "{greeting}");
    terminate(&child);
    assert!(child.wait().unwrap().success());
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert_eq!(
        rest, "",
        "clients must think of reconnecting, not of an error"
    );
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "files left behind"
    );
}

#[test]
fn monitoring_counts_connections_and_messages() {
    let config = nats_lite::Config {
        http: Some("127.0.0.1:0".parse().unwrap()),
        ..nats_lite::Config::on_free_port()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let running = runtime.block_on(nats_lite::start(config)).unwrap();
    let mut client = TcpStream::connect(running.addr()).unwrap();
    client
        .write_all(b"CONNECT {\"name\":\"me\"}\r\nSUB a 1\r\nPUB a 2\r\nhi\r\n")
        .unwrap();
    let page = |path: &str| -> String {
        let mut stream = TcpStream::connect(running.monitor_addr().unwrap()).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let text = std::io::read_to_string(stream).unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    let get = |path: &str| -> serde_json::Value { serde_json::from_str(&page(path)).unwrap() };
    let varz = common::wait_for("the message to be counted", || {
        Some(get("/varz")).filter(|varz| varz["out_msgs"] == 1)
    });
    assert_eq!(
        (
            &varz["connections"],
            &varz["subscriptions"],
            &varz["in_bytes"]
        ),
        (&1.into(), &1.into(), &2.into())
    );
    let connz = get("/connz?subs=1&sort=msgs_to&limit=5&auth=1");
    let row = &connz["connections"][0];
    assert_eq!(
        (&row["name"], &row["subscriptions_list"][0]),
        (&"me".into(), &"a".into())
    );
    assert_eq!(
        (&connz["limit"], &row["kind"]),
        (&5.into(), &"Client".into())
    );
    assert_eq!(
        get("/connz?offset=1")["connections"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
    assert!(
        varz["cpu"].is_number() && varz["buffered_bytes"] == 0,
        "{varz}"
    );
    let measured = common::wait_for("the round trip to be measured", || {
        let mut answer = [0; 4096];
        let count = client.read(&mut answer).unwrap();
        if answer[..count].ends_with(b"PING\r\n") {
            client.write_all(b"PONG\r\n").unwrap();
        }
        let connz = get("/connz");
        Some(connz["connections"][0]["rtt"].as_str()?.to_owned())
    });
    assert!(measured.ends_with('s'), "{measured}");
    let subsz = get("/subsz?subs=1");
    assert_eq!(
        (
            &subsz["num_subscriptions"],
            &subsz["subscriptions_list"][0]["subject"]
        ),
        (&1.into(), &"a".into())
    );
    assert_eq!(get("/routez")["num_routes"], 0);
    assert_eq!(varz["write_deadline"], 10_000_000_000_u64);
    assert_eq!(get("/healthz")["status"], "ok");
    assert!(get("/other")["error"].is_string());
    let metrics = page("/metrics");
    for line in ["nats_lite_out_msgs 1", "nats_lite_connections 1", "# EOF"] {
        assert!(metrics.lines().any(|l| l == line), "no {line}: {metrics}");
    }
    runtime.block_on(running.shutdown());
}

#[test]
fn a_bad_configuration_is_refused_with_all_its_problems() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"listn: 127.0.0.1:1\nlimits:\n  max_pending: many\n")
        .unwrap();
    let output = program()
        .arg("--check-config")
        .arg("--config")
        .arg(file.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("line 1: listn: unknown key") && said.contains("line 3: limits.max_pending"),
        "{said}"
    );
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"listen: 127.0.0.1:1\nhttp: 127.0.0.1:2\nserver_name: three\n")
        .unwrap();
    let output = program()
        .env("NATS_LITE__LISTEN", "127.0.0.1:4001")
        .env("NATS_LITE__HTTP", "127.0.0.1:4002")
        .args(["--port", "5001", "--print-config", "--config"])
        .arg(file.path())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    for part in ["127.0.0.1:5001", "127.0.0.1:4002", "three"] {
        assert!(printed.contains(part), "no {part} in {printed}");
    }
}

#[test]
fn a_bad_variable_is_refused_with_the_problems_of_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"listn: 127.0.0.1:1\n").unwrap();
    let output = program()
        .env("NATS_LITE__LIMITS__MAX_PAYLOAD", "hunter2")
        .arg("--check-config")
        .arg("--config")
        .arg(file.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("line 1: listn: unknown key")
            && said.contains("\nlimits.max_payload: expected a whole number")
            && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn printed_configuration_has_no_secrets() {
    let output = program()
        .env("NATS_LITE_USER", "dea")
        .env("NATS_LITE_PASSWORD", "hunter2")
        .arg("--print-config")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && printed.contains("dea") && !printed.contains("hunter2"),
        "{printed}"
    );
}

#[test]
fn a_port_in_use_is_explained() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = program()
        .args([
            "-a",
            "127.0.0.1",
            "-p",
            &taken.local_addr().unwrap().port().to_string(),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("cannot listen for clients"),
        "{said}"
    );
}

#[test]
fn signals_reload_the_file_reopen_the_log_and_end_a_lame_duck() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let write = |password: &str| {
        let text = format!(
            "port: -1\nhost: 127.0.0.1\npid_file: {:?}\nlame_duck_grace_period: \"10ms\"\nlogtime: true\nauthorization {{ user: a, password: {password} }}\n",
            path("pid").display().to_string()
        );
        std::fs::write(path("bus.conf"), text).unwrap();
    };
    write("one");
    let mut child = program()
        .arg("-c")
        .arg(path("bus.conf"))
        .arg("-l")
        .arg(path("log"))
        .arg("--ports_file_dir")
        .arg(dir.path())
        .spawn()
        .unwrap();
    let log_says = |file: &str, text: &str| {
        common::wait_for(text, || {
            let log = std::fs::read_to_string(path(file)).ok()?;
            log.contains(text).then_some(log)
        })
    };
    let log = log_says("log", "Server is ready");
    assert!(
        log.contains("[INF] Listening for client connections on 127.0.0.1:"),
        "{log}"
    );
    assert!(
        log.contains("[WRN] line 5, column 1: logtime: has no effect"),
        "{log}"
    );
    let addr = common::read_port(&path(&format!("nats-lite_{}.ports", child.id()))).unwrap();
    let order = |name: &str| {
        let target = format!("{name}={}", path("pid").display());
        let status = program().arg("--signal").arg(target).status().unwrap();
        assert!(status.success(), "--signal {name}");
    };
    write("two");
    order("reload");
    log_says("log", "Reloaded server configuration");
    let mut client = TcpStream::connect(addr).unwrap();
    client
        .write_all(b"CONNECT {\"user\":\"a\",\"pass\":\"two\"}\r\n")
        .unwrap();
    read_until(&mut BufReader::new(&client), "+OK");
    std::fs::write(path("bus.conf"), "port: nonsense\n").unwrap();
    order("reload");
    log_says("log", "Failed to reload server configuration");
    std::fs::rename(path("log"), path("log.1")).unwrap();
    order("reopen");
    log_says("log", "File log re-opened");
    order("ldm");
    assert!(child.wait().unwrap().success());
    log_says("log", "Server Exiting..");
    assert!(!path("pid").exists());
}

#[test]
fn stop_and_quit_reach_the_process_with_that_number() {
    for (order, code) in [("quit", Some(0)), ("term", Some(0)), ("stop", None)] {
        let mut child = program()
            .args(["-p", "-1", "-DV"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let said = read_until(&mut log, "Server is ready");
        let port = said.split("127.0.0.1:").nth(1).unwrap();
        let port = port.split_whitespace().next().unwrap();
        let _client = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        // -D makes the log tell of clients.
        read_until(&mut log, "client connected");
        let target = format!("{order}={}", child.id());
        let status = program().args(["--signal", &target]).status().unwrap();
        assert!(status.success(), "--signal {target}");
        // The rest of the log must go somewhere, or the server waits for its reader.
        std::io::copy(&mut log, &mut std::io::sink()).unwrap();
        assert_eq!(child.wait().unwrap().code(), code, "{order}");
    }
}

#[test]
fn a_configuration_file_can_be_tested_alone() {
    let dir = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        let file = dir.path().join("bus.conf");
        std::fs::write(&file, text).unwrap();
        let output = program().arg("-t").arg("-c").arg(file).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said) = check("port: 4222\n");
    assert!(code == Some(0) && said.contains("is valid"), "{said}");
    let (code, said) = check("port: 4222\nauthorization {\n  bar: x\n}\njetstream: on\n");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("line 3, column 3: bar: unknown field"),
        "{said}"
    );
    assert!(
        said.contains("run nats-server with this file instead"),
        "{said}"
    );
}

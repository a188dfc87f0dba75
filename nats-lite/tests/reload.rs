//! What a running server can be told: new users, new limits, and to send its clients away.
#![allow(clippy::unwrap_used)]

mod common;

use common::Server;
use nats_lite::ReloadError;
use nats_lite::config::{Config, User};
use nats_lite::limits::Limits;

fn user(name: &str, password: &str, subscribe: &[&str]) -> User {
    User {
        user: name.into(),
        password: password.into(),
        subscribe: Some(subscribe.iter().map(ToString::to_string).collect()),
        ..User::default()
    }
}

fn with_users(users: Vec<User>) -> Config {
    Config {
        users,
        ..Config::on_free_port()
    }
}

fn hello(name: &str, password: &str) -> String {
    format!("{{\"verbose\":false,\"protocol\":1,\"user\":{name:?},\"pass\":{password:?}}}")
}

fn reload(server: &mut Server, config: Config) -> Result<(), ReloadError> {
    match server {
        Server::Lite(running, _) => running.as_mut().unwrap().reload(config),
        Server::Real(..) => panic!("the original is told by a signal"),
    }
}

#[test]
fn a_reload_changes_rights_and_keeps_the_clients_it_still_knows() {
    let before = vec![
        user("a", "1", &[">"]),
        user("b", "1", &[">"]),
        user("c", "1", &[">"]),
    ];
    let mut server = Server::lite(with_users(before));
    let mut kept = server.client_with(&hello("a", "1"));
    kept.send("SUB x 1\r\nSUB y 2\r\n");
    kept.expect_silence();
    let mut changed = server.client_with(&hello("b", "1"));
    let mut gone = server.client_with(&hello("c", "1"));
    let after = vec![user("a", "1", &["x"]), user("b", "2", &[">"])];
    reload(&mut server, with_users(after)).unwrap();
    kept.expect("-ERR 'Permissions Violation for Subscription to \"y\" (sid \"2\")'\r\n");
    for client in [&mut changed, &mut gone] {
        client.expect("-ERR 'Authorization Violation'\r\n");
        client.expect_closed();
    }
    let mut fresh = server.client_with(&hello("b", "2"));
    fresh.send("PUB x 1\r\n!\r\nPUB y 1\r\n!\r\n");
    fresh.expect_silence();
    kept.expect("MSG x 1 1\r\n!\r\n");
    kept.expect_silence();
}

#[test]
fn a_reload_changes_limits_and_tells_the_clients() {
    let mut server = Server::lite(Config::on_free_port());
    let mut client = server.client_with("{\"verbose\":false,\"protocol\":1}");
    let limits = Limits {
        max_payload: 10,
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..Config::on_free_port()
    };
    reload(&mut server, config).unwrap();
    assert!(client.line().contains("\"max_payload\":10,"));
    client.send("PUB x 11\r\n");
    client.expect("-ERR 'Maximum Payload Violation'\r\n");
    client.expect_closed();
}

#[test]
fn a_reload_changes_the_limits_of_connections_subscriptions_and_time() {
    let mut server = Server::lite(Config::on_free_port());
    let mut old = server.client();
    old.send("SUB a 1\r\nSUB b 2\r\n");
    old.expect_silence();
    let limits = Limits {
        max_connections: 1,
        max_subscriptions: 2,
        max_control_line: 64,
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..Config::on_free_port()
    };
    reload(&mut server, config).unwrap();
    old.send("SUB c 3\r\n");
    old.expect("-ERR 'maximum subscriptions exceeded'\r\n");
    let refused = std::net::TcpStream::connect(server.addr()).unwrap();
    let said = std::io::read_to_string(refused).unwrap_or_default();
    assert!(said.contains("maximum connections exceeded"), "{said}");
    old.send(&format!("PUB {} 0\r\n", "x".repeat(100)));
    old.expect("-ERR 'maximum control line exceeded'\r\n");
    old.expect_closed();
}

#[test]
fn a_reload_that_cannot_be_done_changes_nothing() {
    let mut server = Server::lite(with_users(vec![user("a", "1", &[">"])]));
    let mut client = server.client_with(&hello("a", "1"));
    let twins = vec![user("b", "1", &[">"]), user("b", "1", &[">"])];
    let refused = reload(&mut server, with_users(twins)).unwrap_err();
    assert!(matches!(refused, ReloadError::Config(_)), "{refused}");
    let moved = Config {
        listen: "127.0.0.1:1".parse().unwrap(),
        ..Config::on_free_port()
    };
    let refused = reload(&mut server, moved).unwrap_err();
    assert!(matches!(refused, ReloadError::Fixed("listen")), "{refused}");
    client.expect_silence();
    server.client_with(&hello("a", "1")).expect_silence();
}

fn short_goodbye() -> Config {
    Config {
        limits: Limits {
            lame_duck_grace_period: 0.05,
            lame_duck_duration: 0.05,
            ..Limits::default()
        },
        ..Config::on_free_port()
    }
}

#[test]
fn a_lame_duck_tells_its_clients_and_ends() {
    let server = Server::lite(short_goodbye());
    let mut modern = server.client_with("{\"verbose\":false,\"protocol\":1}");
    let mut old = server.client();
    let Server::Lite(running, runtime) = &server else {
        unreachable!("started as nats-lite")
    };
    let running = running.as_ref().unwrap();
    running.lame_duck();
    assert!(modern.line().contains("\"ldm\":true"));
    for client in [&mut modern, &mut old] {
        client.expect_closed();
    }
    let ended = async { tokio::time::timeout(common::PATIENCE, running.ended()).await };
    runtime.block_on(ended).expect("the server ends by itself");
    assert!(std::net::TcpStream::connect(running.addr()).is_err());
}

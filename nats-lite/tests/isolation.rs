//! One slow, hostile or half-open client never delays another, and all of them together hold no more than they may.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Server, Wire};
use nats_lite::config::{Config, Tls, User};
use nats_lite::limits::Limits;

const PAYLOAD: usize = 16_384;

fn limited(limits: Limits) -> Config {
    Config {
        http: Some("127.0.0.1:0".parse().unwrap()),
        limits,
        ..Config::on_free_port()
    }
}

fn varz(server: &Server, key: &str) -> u64 {
    server.varz()[key].as_u64().unwrap()
}

/// A subscriber that has said so and never reads again.
fn stuck(server: &Server, subject: &str) -> Wire {
    let mut wire = server.client();
    wire.send(&format!("SUB {subject} 1\r\n"));
    wire.expect_silence();
    wire
}

fn publish(wire: &mut Wire, subject: &str, messages: usize) {
    let message = format!("PUB {subject} {PAYLOAD}\r\n{}\r\n", "x".repeat(PAYLOAD));
    for _ in 0..messages {
        wire.send(&message);
    }
    wire.expect_silence();
}

#[test]
fn a_healthy_consumer_is_done_while_the_stuck_one_still_holds_its_connection() {
    const MESSAGES: usize = 1500;
    let server = Server::lite(limited(Limits::default()));
    let _stuck = stuck(&server, "flood");
    let mut healthy = server.client();
    healthy.send("SUB flood 1\r\n");
    healthy.expect_silence();
    let reader = std::thread::spawn(move || {
        let body = format!("{}\r\n", "x".repeat(PAYLOAD));
        for _ in 0..MESSAGES {
            healthy.expect(&format!("MSG flood 1 {PAYLOAD}\r\n"));
            healthy.expect(&body);
        }
    });
    publish(&mut server.client(), "flood", MESSAGES);
    reader.join().unwrap();
    // It is owed what it has not read, was not cut off for it, and nobody waited for it.
    assert_eq!(varz(&server, "slow_consumers"), 0);
    assert!(varz(&server, "buffered_bytes") > 1 << 20);
    common::wait_for("only the stuck one to be left", || {
        (varz(&server, "connections") == 1).then_some(())
    });
}

#[test]
fn clients_that_stop_in_the_middle_of_something_delay_nobody() {
    let users = vec![
        User {
            user: "a".into(),
            password: bcrypt::hash("slow", 10).unwrap(),
            ..User::default()
        },
        User {
            user: "b".into(),
            password: "quick".into(),
            ..User::default()
        },
    ];
    let limits = Limits {
        auth_timeout: 60.0,
        ..Limits::default()
    };
    let server = Server::lite(Config {
        users,
        ..limited(limits)
    });
    let known = "{\"verbose\":false,\"user\":\"b\",\"pass\":\"quick\"}";
    let mut half = Vec::new();
    // Nothing at all, half a verb, half a line, half a payload, and passwords that take long to compare.
    for said in ["", "CON", "CONNECT {\"user\":", ""] {
        let mut wire = server.connect();
        wire.send(said);
        half.push(wire);
    }
    let mut payload = server.client_with(known);
    payload.send("PUB x 1000000\r\nhalf");
    half.push(payload);
    for _ in 0..8 {
        let mut wire = server.connect();
        wire.send("CONNECT {\"user\":\"a\",\"pass\":\"wrong\"}\r\n");
        half.push(wire);
    }
    let mut client = server.client_with(known);
    client.send("SUB x 1\r\nPUB x 2\r\nhi\r\n");
    client.expect("MSG x 1 2\r\nhi\r\n");
    // The comparisons take long together; the conversation was over before the last of them.
    let last = half.last_mut().unwrap();
    last.expect("-ERR 'Authorization Violation'\r\n");
    last.expect_closed();
}

#[test]
fn a_half_open_handshake_delays_nobody() {
    let files = common::certificates::Files::new();
    let tls = Tls {
        allow_non_tls: true,
        timeout: 60.0,
        ..files.tls()
    };
    let server = Server::lite(Config {
        tls: Some(tls),
        ..limited(Limits::default())
    });
    let mut half = server.connect();
    // The start of a handshake record whose rest never comes.
    half.try_send(b"\x16\x03\x01\x02\x00\x01\x00");
    let mut client = server.client();
    client.send("SUB x 1\r\nPUB x 2\r\nhi\r\n");
    client.expect("MSG x 1 2\r\nhi\r\n");
    assert_eq!(varz(&server, "connections"), 2);
}

#[test]
fn a_flood_of_one_client_leaves_the_others_their_turn() {
    let server = Server::lite(limited(Limits::default()));
    let mut flooder = server.client();
    let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let enough = ended.clone();
    let flood = std::thread::spawn(move || {
        let piece = "PUB flood 8\r\n12345678\r\n".repeat(3000);
        while !enough.load(std::sync::atomic::Ordering::Relaxed) {
            flooder.send(&piece);
        }
    });
    let mut asker = server.client();
    asker.send("SUB inbox 1\r\n");
    let mut service = server.client();
    service.send("SUB service 1\r\n");
    service.expect_silence();
    for number in 0..200 {
        asker.send(&format!("PUB service inbox 3\r\n{number:03}\r\n"));
        service.expect(&format!("MSG service 1 inbox 3\r\n{number:03}\r\n"));
        service.send(&format!("PUB inbox 3\r\n{number:03}\r\n"));
        asker.expect(&format!("MSG inbox 1 3\r\n{number:03}\r\n"));
    }
    assert!(!flood.is_finished(), "there was no flood");
    ended.store(true, std::sync::atomic::Ordering::Relaxed);
    flood.join().unwrap();
}

#[test]
fn whoever_holds_most_is_cut_off_when_all_together_hold_too_much() {
    let limits = Limits {
        max_buffered: 24 << 20,
        ..Limits::default()
    };
    let server = Server::lite(limited(limits));
    let mut much = stuck(&server, "flood.*");
    let mut little = stuck(&server, "flood.some");
    let mut publisher = server.client();
    publish(&mut publisher, "flood.some", 700);
    assert_eq!(
        varz(&server, "slow_consumers"),
        0,
        "11 MB each are within the bound"
    );
    publish(&mut publisher, "flood.other", 1000);
    common::wait_for("the largest holder to be cut off", || {
        (varz(&server, "slow_consumers") == 1).then_some(())
    });
    assert!(varz(&server, "buffered_bytes") <= 24 << 20);
    let received = much.drain_to_end();
    assert!(
        received < 1700 * PAYLOAD,
        "it got everything: {received} bytes"
    );
    for _ in 0..700 {
        little.expect(&format!("MSG flood.some 1 {PAYLOAD}\r\n"));
        little.expect(&format!("{}\r\n", "x".repeat(PAYLOAD)));
    }
    little.expect_silence();
    common::wait_for("the buffers to be empty", || {
        (varz(&server, "buffered_bytes") == 0).then_some(())
    });
}

#[test]
fn unfinished_messages_count_as_memory_held() {
    let limits = Limits {
        max_buffered: 4 << 20,
        ..Limits::default()
    };
    let server = Server::lite(limited(limits));
    let mut hoarders: Vec<Wire> = (0..10).map(|_| server.client()).collect();
    let half = format!("PUB x 1000000\r\n{}", "x".repeat(900_000));
    for hoarder in &mut hoarders {
        hoarder.try_send(half.as_bytes());
    }
    common::wait_for("hoarders to be cut off", || {
        (varz(&server, "connections") <= 5).then_some(())
    });
    assert!(varz(&server, "buffered_bytes") <= 4 << 20);
    server.client().expect_silence();
    drop(hoarders);
    common::wait_for("everything to be given back", || {
        (varz(&server, "buffered_bytes") == 0).then_some(())
    });
}

#[test]
fn who_takes_nothing_until_the_write_deadline_is_cut_off() {
    let limits = Limits {
        write_deadline: 0.3,
        ..Limits::default()
    };
    let server = Server::lite(limited(limits));
    let _stuck = stuck(&server, "flood");
    publish(&mut server.client(), "flood", 1500);
    common::wait_for("the write deadline", || {
        (varz(&server, "slow_consumers") == 1).then_some(())
    });
    common::wait_for("its buffers to be given back", || {
        (varz(&server, "buffered_bytes") == 0).then_some(())
    });
}

//! Two million messages with clients that come and go leave nothing behind; fifty million with BLOOMERY_FULL=1.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::Server;
use nats_lite::config::Config;

const MESSAGES: usize = 20_000;

/// Rounds of [`MESSAGES`] each.
fn rounds() -> usize {
    match std::env::var("BLOOMERY_FULL").as_deref() {
        Ok("1") => 2500,
        _ => 100,
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// One publisher, one subscriber that counts its bytes, and two that leave in the middle of something.
fn round(server: &Server) {
    let mut subscriber = server.client();
    subscriber.send("SUB soak.* 1\r\nSUB soak.> crew 2\r\n");
    subscriber.expect_silence();
    let mut leaver = server.client();
    leaver.send("SUB soak.> 1\r\nUNSUB 1 10\r\nSUB soak.x crew 3\r\nPUB half 10\r\nhal");
    let reader = std::thread::spawn(move || {
        let mut lines = 0;
        while lines < MESSAGES {
            lines += subscriber.take_lines_starting_with("MSG soak.x 1 ");
        }
        lines
    });
    let mut publisher = server.client();
    publisher.send(&"PUB soak.x 5\r\nhello\r\n".repeat(MESSAGES));
    drop(leaver);
    publisher.expect_silence();
    assert_eq!(reader.join().unwrap(), MESSAGES);
}

#[test]
fn two_million_messages_leave_no_subscription_no_byte_and_no_descriptor() {
    let server = Server::lite(Config {
        http: Some("127.0.0.1:0".parse().unwrap()),
        ..Config::on_free_port()
    });
    round(&server);
    let settled = |what| {
        common::wait_for(what, || {
            let now = server.varz();
            (now["connections"] == 0 && now["subscriptions"] == 0).then_some(now)
        })
    };
    let before = settled("the first clients to be forgotten");
    let files = open_files();
    for _ in 1..rounds() {
        round(&server);
    }
    let after = settled("all clients to be forgotten");
    assert_eq!(after["in_msgs"], (rounds() * MESSAGES) as u64);
    assert_eq!(after["buffered_bytes"], 0, "bytes of nobody");
    common::wait_for("the descriptors to be closed", || {
        (open_files() <= files).then_some(())
    });
    let growth = after["mem"]
        .as_u64()
        .unwrap()
        .saturating_sub(before["mem"].as_u64().unwrap());
    // The process also holds the test's clients; a byte per message would be 2 MB more.
    assert!(growth < 64 << 20, "memory grew by {growth} bytes");
}

#[test]
fn half_a_message_is_held_within_the_payload_limit() {
    let server = Server::lite(Config::on_free_port());
    let mut client = server.client();
    client.send("PUB x 1048577\r\n");
    client.expect("-ERR 'Maximum Payload Violation'\r\n");
    client.expect_closed();
    let mut endless = TcpStream::connect(server.addr()).unwrap();
    let mut sent = 0;
    while sent < 64 << 20 && endless.write_all(&[b'A'; 4096]).is_ok() {
        sent += 4096;
    }
    let mut said = Vec::new();
    // A reset is as good as an end here.
    let _ = endless.read_to_end(&mut said);
    assert!(sent < 64 << 20, "the server took {sent} bytes of one line");
}

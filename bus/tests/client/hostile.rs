//! Whatever any user may publish: the messages around it arrive, on the same connection.

use bus::{Anything, Bus, Delivery, Subscription};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::servers::{Raw, Server, within};

/// A subject that every daemon hears.
const HEARD: &str = "vcap.component.discover";

fn published(subject: &[u8], reply: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = [b"PUB ", subject, b" ", reply].concat();
    bytes.extend_from_slice(format!(" {}\r\n", payload.len()).as_bytes());
    [&bytes, payload, b"\r\n"].concat()
}

fn with_header(reply: &[u8], block: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = [b"HPUB ", HEARD.as_bytes(), b" ", reply].concat();
    let sizes = format!(" {} {}\r\n", block.len(), block.len() + payload.len());
    bytes.extend_from_slice(sizes.as_bytes());
    [&bytes, block, payload, b"\r\n"].concat()
}

fn hostile_inputs() -> Vec<Vec<u8>> {
    let heard = HEARD.as_bytes();
    let deep = "[".repeat(100_000);
    let mut inputs = vec![
        published(heard, b"", b""),
        published(heard, b"", b"\xff\xfe\x00"),
        published(heard, b"", b"{\"a\":"),
        published(heard, b"", deep.as_bytes()),
        published(heard, b"", &vec![b'x'; 1_000_000]),
        published(heard, b"_INBOX.\xc3\x28", b"{}"),
        published(heard, b"\xff", b"{}"),
        published(heard, b"dea.stop", b"{}"),
        published(heard, b"_INBOX.>", b"{}"),
        published(b"wild.\xff\xfe", b"", b"{}"),
        published(b"wild.\x01", b"", b"{}"),
    ];
    // nats.rs#1612 first.
    let blocks: [&[u8]; 12] = [
        b"NATS/1.0\r\nA: x\ry\r\n\r\n",
        b"xx",
        b"",
        b"NATS/1.0\r\nno colon\r\n\r\n",
        b"NATS/1.0\r\n: empty\r\n\r\n",
        b"NATS/1.0\r\nA\xff: \xfe\r\n\r\n",
        b"NATS/1.0\r\nA b: c\r\n\r\n",
        b"NATS/1.0 503\r\n\r\n",
        b"NATS/1.0 9999 x\r\n\r\n",
        b"NATS/1.0 abc\r\n\r\n",
        b"NATS/1.0\r\nA: b\r\n",
        b"HTTP/1.1\r\n\r\n",
    ];
    for block in blocks {
        inputs.push(with_header(b"", block, b"{}"));
        inputs.push(with_header(b"_INBOX.x", block, b""));
    }
    inputs
}

/// The client's ears, and an attacker that may be cut off by the server.
struct Stage {
    bus: Bus,
    heard: Subscription<Value>,
    _wild: Subscription<Anything>,
    marks: u64,
}

impl Stage {
    async fn new(server: &Server) -> Self {
        let bus = server.client().await;
        Self {
            heard: bus.subscribe_to(HEARD).await.unwrap(),
            _wild: bus.subscribe_to("wild.*").await.unwrap(),
            bus,
            marks: 0,
        }
    }

    /// Sends an input between two good messages, in one piece, and demands both.
    async fn survives(&mut self, server: &Server, input: &[u8]) {
        let mut attacker: Raw = server.raw();
        let mut friend = server.raw();
        self.marks += 2;
        friend.send(&published(
            HEARD.as_bytes(),
            b"",
            (self.marks - 1).to_string().as_bytes(),
        ));
        friend.settle();
        attacker.send(input);
        attacker.settle();
        friend.send(&published(
            HEARD.as_bytes(),
            b"_INBOX.friend",
            self.marks.to_string().as_bytes(),
        ));
        self.expect(self.marks - 1).await;
        let last = self.expect(self.marks).await;
        assert_eq!(last.reply.as_deref(), Some("_INBOX.friend"));
        let generation = *self.bus.connection_changes().borrow();
        assert_eq!(generation, 1, "the connection was lost over {input:?}");
        assert!(self.bus.health().is_ok());
    }

    async fn expect(&mut self, mark: u64) -> Delivery<Value> {
        within("the message beside a hostile one", async {
            loop {
                let delivery = self.heard.next().await;
                if delivery.body == mark {
                    return delivery;
                }
            }
        })
        .await
    }
}

#[tokio::test]
async fn hostile_messages_cost_nobody_else_a_message() {
    for server in Server::both("").await {
        let mut stage = Stage::new(&server).await;
        for input in hostile_inputs() {
            stage.survives(&server, &input).await;
        }
        assert!(stage.bus.dropped() > 0);
    }
}

fn any_publication() -> impl Strategy<Value = Vec<u8>> {
    let subject = prop_oneof![
        Just(HEARD.as_bytes().to_vec()),
        prop::collection::vec(33u8..=255, 1..12).prop_map(|token| [b"wild.", &token[..]].concat()),
    ];
    let reply = prop::collection::vec(33u8..=255, 0..20);
    let payload = prop::collection::vec(any::<u8>(), 0..200);
    let line = prop_oneof![
        Just(b"NATS/1.0\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
        "[ -~]{0,12}:[ -~]{0,12}\r\n".prop_map(String::into_bytes),
    ];
    let block = prop::collection::vec(line, 0..5).prop_map(|lines| lines.concat());
    prop_oneof![
        (subject, reply.clone(), payload.clone()).prop_map(|(s, r, p)| published(&s, &r, &p)),
        (reply, block, payload).prop_map(|(r, b, p)| with_header(&r, &b, &p)),
    ]
}

#[tokio::test]
async fn any_publication_costs_nobody_else_a_message() {
    let strategy = any_publication();
    for server in Server::both("").await {
        let mut stage = Stage::new(&server).await;
        let mut runner = TestRunner::new(Config::default());
        for _ in 0..150 {
            let input = strategy.new_tree(&mut runner).unwrap().current();
            stage.survives(&server, &input).await;
        }
    }
}

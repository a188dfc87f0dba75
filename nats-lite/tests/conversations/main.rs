//! Transcripts of what clients and server say to each other.
//!
//! Every conversation is held twice: with nats-lite and with the original
//! server, so that a wrong expectation cannot hide a wrong server.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

use common::Server;
use nats_lite::config::Config;

macro_rules! conversation {
    ($name:ident, $config:expr, $talk:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn nats_lite() {
                let talk: fn(&Server) = $talk;
                talk(&Server::lite($config));
            }

            #[test]
            fn nats_server() {
                let talk: fn(&Server) = $talk;
                if let Some(server) = Server::real(&$config) {
                    talk(&server);
                }
            }
        }
    };
}

mod access;
mod limits;

fn plain() -> Config {
    Config::on_free_port()
}

conversation!(info_names_what_clients_need, plain(), |server| {
    let info = server.connect().info;
    assert_eq!(
        (
            info["max_payload"].as_u64(),
            info["headers"].as_bool(),
            info["proto"].as_u64()
        ),
        (Some(1_048_576), Some(true), Some(1))
    );
    assert_eq!(info["port"].as_u64(), Some(u64::from(server.addr().port())));
    assert!(
        info["server_id"].as_str().is_some_and(|id| id.len() >= 32)
            && info["client_id"].as_u64().is_some()
    );
    assert_eq!(
        (info["client_ip"].as_str(), info["auth_required"].as_bool()),
        (Some("127.0.0.1"), None)
    );
    assert_eq!(
        (info["version"].as_str(), info["server_name"].is_string()),
        (Some("2.9.10"), true)
    );
});

conversation!(info_has_the_keys_of_the_original, plain(), |server| {
    let info = server.connect().info;
    let mut keys: Vec<&String> = info.as_object().unwrap().keys().collect();
    keys.sort();
    let expected = [
        "client_id",
        "client_ip",
        "go",
        "headers",
        "host",
        "max_payload",
        "port",
        "proto",
        "server_id",
        "server_name",
        "version",
    ];
    assert_eq!(keys, expected);
});

conversation!(a_message_reaches_its_subscriber, plain(), |server| {
    let mut client = server.client();
    client.send("SUB foo 1\r\nPUB foo 5\r\nhello\r\n");
    client.expect("MSG foo 1 5\r\nhello\r\n");
    client.send("PUB foo reply.to 0\r\n\r\n");
    client.expect("MSG foo 1 reply.to 0\r\n\r\n");
    client.send("PUB other 2\r\nno\r\n");
    client.expect_silence();
});

conversation!(operations_may_arrive_byte_by_byte, plain(), |server| {
    let mut client = server.client();
    for byte in "SUB foo  1\r\npub\tfoo 7\r\na\r\nb\r\nc\r\nPING\r\n".chars() {
        client.send(&byte.to_string());
    }
    client.expect("MSG foo 1 7\r\na\r\nb\r\nc\r\nPONG\r\n");
});

conversation!(wildcards_match_tokens, plain(), |server| {
    let mut client = server.client();
    client.send("SUB foo.* 1\r\nPUB foo.bar 1\r\nx\r\n");
    client.expect("MSG foo.bar 1 1\r\nx\r\n");
    client.send("PUB foo 1\r\nx\r\nPUB foo.bar.baz 1\r\nx\r\n");
    client.expect_silence();
    client.send("SUB *.bar.> 2\r\nPUB foo.bar.baz.qux 1\r\ny\r\n");
    client.expect("MSG foo.bar.baz.qux 2 1\r\ny\r\n");
    client.send("PUB foo.bar 1\r\nz\r\n");
    client.expect("MSG foo.bar 1 1\r\nz\r\n");
    client.expect_silence();
});

conversation!(verbose_clients_get_ok, plain(), |server| {
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":true}\r\n");
    client.expect("+OK\r\n");
    client.send("SUB foo 1\r\n");
    client.expect("+OK\r\n");
    client.send("PUB bar 0\r\n\r\n");
    client.expect("+OK\r\n");
    client.send("UNSUB 1\r\n");
    client.expect("+OK\r\n");
});

conversation!(clients_that_say_nothing_are_verbose, plain(), |server| {
    let mut client = server.connect();
    client.send("CONNECT {}\r\n");
    client.expect("+OK\r\n");
});

conversation!(echo_off_spares_the_publisher, plain(), |server| {
    let mut quiet = server.client_with("{\"verbose\":false,\"echo\":false}");
    let mut other = server.client();
    other.send("SUB foo 9\r\n");
    other.expect_silence();
    quiet.send("SUB foo 1\r\nPUB foo 2\r\nhi\r\n");
    quiet.expect_silence();
    other.expect("MSG foo 9 2\r\nhi\r\n");
});

conversation!(unsubscribe_ends_delivery, plain(), |server| {
    let mut client = server.client();
    client.send("SUB foo 1\r\nPUB foo 1\r\na\r\nUNSUB 1\r\nPUB foo 1\r\nb\r\n");
    client.expect("MSG foo 1 1\r\na\r\n");
    client.expect_silence();
});

conversation!(auto_unsubscribe_counts_deliveries, plain(), |server| {
    let mut client = server.client();
    client.send("SUB foo 1\r\nUNSUB 1 2\r\n");
    client.send("PUB foo 1\r\na\r\nPUB foo 1\r\nb\r\nPUB foo 1\r\nc\r\n");
    client.expect("MSG foo 1 1\r\na\r\nMSG foo 1 1\r\nb\r\n");
    client.expect_silence();
    // Messages that came before count as well.
    client.send("SUB bar 2\r\nPUB bar 1\r\na\r\nPUB bar 1\r\nb\r\nUNSUB 2 2\r\nPUB bar 1\r\nc\r\n");
    client.expect("MSG bar 2 1\r\na\r\nMSG bar 2 1\r\nb\r\n");
    client.expect_silence();
});

conversation!(a_queue_group_shares_the_work, plain(), |server| {
    let mut members = [server.client(), server.client(), server.client()];
    for member in &mut members {
        member.send("SUB work.* crew 1\r\n");
        member.expect_silence();
    }
    let mut watcher = server.client();
    watcher.send("SUB work.> 1\r\n");
    watcher.expect_silence();
    let mut publisher = server.client();
    publisher.send(&"PUB work.item 2\r\nok\r\n".repeat(300));
    publisher.expect_silence();
    let counts = members.each_mut().map(common::Wire::count_messages);
    assert_eq!(counts.iter().sum::<usize>(), 300, "{counts:?}");
    assert!(counts.iter().all(|&count| count > 20), "{counts:?}");
    assert_eq!(watcher.count_messages(), 300);
});

conversation!(
    headers_travel_and_are_hidden_from_those_without,
    plain(),
    |server| {
        let mut modern = server.client_with("{\"verbose\":false,\"headers\":true}");
        let mut old = server.client();
        old.send("SUB foo 5\r\n");
        old.expect_silence();
        modern.send("SUB foo 1\r\nHPUB foo r 22 24\r\nNATS/1.0\r\nBar: Baz\r\n\r\nOK\r\n");
        modern.expect("HMSG foo 1 r 22 24\r\nNATS/1.0\r\nBar: Baz\r\n\r\nOK\r\n");
        old.expect("MSG foo 5 r 2\r\nOK\r\n");
    }
);

conversation!(
    a_request_nobody_hears_is_answered_with_503,
    plain(),
    |server| {
        let mut client =
            server.client_with("{\"verbose\":false,\"headers\":true,\"no_responders\":true}");
        client.send("SUB _INBOX.me.* 1\r\nPUB nobody.home _INBOX.me.7 2\r\nhi\r\n");
        client.expect("HMSG _INBOX.me.7 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
        client.send("SUB somebody 2\r\nPUB somebody _INBOX.me.8 0\r\n\r\n");
        client.expect("MSG somebody 2 _INBOX.me.8 0\r\n\r\n");
        client.expect_silence();
    }
);

conversation!(no_responders_needs_headers, plain(), |server| {
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":false,\"no_responders\":true}\r\n");
    assert!(
        client
            .line()
            .to_lowercase()
            .contains("no responders requires headers")
    );
    client.expect_closed();
});

conversation!(garbage_is_an_unknown_operation, plain(), |server| {
    let mut client = server.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    client.expect("-ERR 'Unknown Protocol Operation'\r\n");
    client.expect_closed();
});

conversation!(
    a_payload_of_the_wrong_length_is_refused,
    plain(),
    |server| {
        let mut client = server.client();
        client.send("PUB foo 2\r\nabcd\r\n");
        client.expect("-ERR 'Unknown Protocol Operation'\r\n");
        client.expect_closed();
    }
);

conversation!(
    a_bad_subject_is_an_error_but_no_divorce,
    plain(),
    |server| {
        let mut client = server.client();
        client.send("SUB foo..bar 1\r\n");
        client.expect("-ERR 'Invalid Subject'\r\n");
        client.send("SUB foo.>.bar 2\r\n");
        client.expect("-ERR 'Invalid Subject'\r\n");
        client.expect_silence();
    }
);

/// Operations with senseless arguments, and what the server says before it closes.
const FATAL: [(&str, &str); 19] = [
    ("SUB foo\r\n", ""),
    ("SUB a b c d\r\n", ""),
    ("PUB a\r\n", ""),
    ("PUB a x\r\n", ""),
    ("PUB a -1\r\n", ""),
    ("PUB a b c 1\r\n", ""),
    ("PUB a 9999999999\r\n", ""),
    ("UNSUB 1 2 3\r\n", ""),
    ("HPUB a 5 4\r\n", ""),
    ("HPUB a 1\r\nx\r\n", ""),
    ("-ERR 'x'\r\n", ""),
    ("CONNECT {\"verbose\":1}\r\n", ""),
    ("CONNECT []\r\n", ""),
    ("CONNECT\r\n", ""),
    ("SUB\r\n", "-ERR 'Unknown Protocol Operation'\r\n"),
    ("UNSUB\r\n", "-ERR 'Unknown Protocol Operation'\r\n"),
    ("\r\n", "-ERR 'Unknown Protocol Operation'\r\n"),
    (
        "MSG a 1 1\r\nx\r\n",
        "-ERR 'Unknown Protocol Operation'\r\n",
    ),
    (
        "PUB a 1\r\nx\nPING\r\n",
        "-ERR 'Unknown Protocol Operation'\r\n",
    ),
];

conversation!(senseless_operations_end_the_connection, plain(), |server| {
    for (operation, said) in FATAL {
        let mut client = server.client_with("{\"verbose\":false,\"headers\":true}");
        client.send(operation);
        client.expect(said);
        client.expect_closed();
    }
});

conversation!(odd_operations_are_taken_as_meant, plain(), |server| {
    let mut client = server.client_with("{\"verbose\":false,\"pedantic\":false}");
    client.send("PING now\r\nPINGS\r\n");
    client.expect("PONG\r\nPONG\r\n");
    client.send("PONG\r\n+OK\r\nINFO {}\r\nUNSUB 99\r\nUNSUB 1 x\r\n");
    client.expect_silence();
    client.send("SUB a*b 1\r\nPUB a*b 1\r\nx\r\n");
    client.expect("MSG a*b 1 1\r\nx\r\n");
    let sid = "1".repeat(100);
    client.send(&format!("SUB long {sid}\r\nPUB long 1\r\nx\r\n"));
    client.expect(&format!("MSG long {sid} 1\r\nx\r\n"));
    client.send("SUB b q..x 7\r\nPUB b 1\r\nx\r\n");
    client.expect("MSG b 7 1\r\nx\r\n");
    client.send("PUB a..b 1\r\nx\r\nPUB > 1\r\nx\r\n");
    client.expect_silence();
});

conversation!(
    a_subscription_id_names_one_subscription,
    plain(),
    |server| {
        let mut client = server.client();
        client.send("SUB a 1\r\nSUB b 1\r\nPUB b 1\r\ny\r\nPUB a 1\r\nx\r\n");
        client.expect("MSG a 1 1\r\nx\r\n");
        client.send("UNSUB 1 3\r\nUNSUB 1 x\r\nPUB a 1\r\nx\r\n");
        client.expect_silence();
    }
);

conversation!(before_connect_a_client_is_verbose, plain(), |server| {
    let mut client = server.connect();
    client.send("PING\r\n");
    client.expect("PONG\r\n");
    client.send("SUB a 1\r\n");
    client.expect("+OK\r\n");
    client.send("PUB a 1\r\nx\r\n");
    client.expect("+OK\r\nMSG a 1 1\r\nx\r\n");
});

conversation!(pedantic_clients_hear_of_bad_subjects, plain(), |server| {
    let mut client = server.client_with("{\"verbose\":false,\"pedantic\":true}");
    client.send("PUB a.* 1\r\nx\r\nPUB a..b 1\r\nx\r\n");
    client.expect("-ERR 'Invalid Publish Subject'\r\n-ERR 'Invalid Publish Subject'\r\n");
    client.send("PUB a b..c 1\r\nx\r\n");
    client.expect_silence();
});

conversation!(a_later_protocol_is_refused, plain(), |server| {
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":false,\"protocol\":2}\r\n");
    client.expect("-ERR 'invalid client protocol'\r\n");
    client.expect_closed();
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":false,\"protocol\":1,\"lang\":\"x\",\"version\":\"1\",\"name\":null}\r\nPING\r\n");
    client.expect("PONG\r\n");
});

conversation!(headers_need_a_client_that_knows_them, plain(), |server| {
    let mut client = server.client();
    client.send("HPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n");
    client.expect_closed();
});

conversation!(
    no_responders_reach_plain_subscriptions_only,
    plain(),
    |server| {
        let options = "{\"verbose\":false,\"headers\":true,\"no_responders\":true}";
        let mut client = server.client_with(options);
        client.send("SUB r crew 1\r\nPUB nobody r 1\r\nx\r\n");
        client.expect_silence();
        client.send("SUB s 2\r\nUNSUB 2 1\r\nPUB nobody s 1\r\nx\r\nPUB nobody s 1\r\nx\r\n");
        for _ in 0..2 {
            client.expect("HMSG s 2 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
        }
    }
);

conversation!(connect_takes_every_option_clients_send, plain(), |server| {
    let options = "{\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"echo\":true,\"headers\":true,\"no_responders\":true,\"name\":\"n\",\"lang\":\"rust\",\"version\":\"1\",\"protocol\":1,\"jwt\":\"\",\"nkey\":null,\"sig\":\"\",\"user\":\"\",\"pass\":\"\",\"auth_token\":\"\",\"unknown\":[1]}";
    let mut client = server.client_with(options);
    client.send("SUB a 1\r\nPUB a 1\r\nx\r\n");
    client.expect("MSG a 1 1\r\nx\r\n");
});

conversation!(
    each_subscriber_hears_each_publisher_in_order,
    plain(),
    |server| {
        const MESSAGES: usize = 2000;
        let mut reader = server.client();
        reader.send("SUB order.* 1\r\nSUB order.> 2\r\n");
        reader.expect_silence();
        let addr: Vec<common::Wire> = (0..3).map(|_| server.client()).collect();
        let writers = addr.into_iter().enumerate().map(|(id, mut wire)| {
            std::thread::spawn(move || {
                for number in 0..MESSAGES {
                    wire.send(&format!("PUB order.{id} 6\r\n{number:06}\r\n"));
                }
                wire.expect_silence();
            })
        });
        let writers: Vec<_> = writers.collect();
        let mut next = std::collections::HashMap::new();
        for _ in 0..3 * 2 * MESSAGES {
            let head = reader.line();
            let number: usize = reader.line().parse().unwrap();
            let expected = next.entry(head.clone()).or_insert(0);
            assert_eq!(number, *expected, "{head}");
            *expected += 1;
        }
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
    }
);

/// As client libraries connect.
const EASY: &str = "{\"verbose\":false,\"pedantic\":false,\"headers\":true}";

// nats-server#1860 and its kind: an empty token matches nothing.
conversation!(subjects_with_empty_tokens_reach_nobody, plain(), |server| {
    let mut client = server.client_with(EASY);
    client.send("SUB > 1\r\nSUB s.* 2\r\nSUB s.> 3\r\nSUB *.x 4\r\n");
    for subject in ["s..x", "s.", ".x", "s.a.", "..", "."] {
        client.send(&format!("PUB {subject} 1\r\n!\r\n"));
    }
    client.expect_silence();
    client.send("PUB t reply..x 1\r\n!\r\n");
    client.expect("MSG t 1 reply..x 1\r\n!\r\n");
});

conversation!(header_blocks_are_passed_as_they_are, plain(), |server| {
    let mut client = server.client_with(EASY);
    client.send("SUB s 1\r\nHPUB s 0 2\r\nhi\r\n");
    client.expect("MSG s 1 2\r\nhi\r\n");
    client.send("HPUB s r 0 0\r\n\r\n");
    client.expect("MSG s 1 r 0\r\n\r\n");
    client.send("HPUB s 2 4\r\nxxhi\r\n");
    client.expect("HMSG s 1 2 4\r\nxxhi\r\n");
    client.send("HPUB s 4 2\r\nhi\r\n");
    client.expect_closed();
});

// A client's name must not cost it its connection.
conversation!(names_that_are_not_unicode_are_accepted, plain(), |server| {
    let names: [&[u8]; 5] = [
        b"\\ud800",
        b"a\\udc00\\n\\\\ud800",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\\ud83d\\ude00\\\"",
    ];
    for name in names {
        let mut client = server.connect();
        let hello = [b"CONNECT {\"verbose\":false,\"name\":\"", name, b"\"}\r\n"].concat();
        assert!(client.try_send(&hello));
        client.send("PING\r\n");
        client.expect("PONG\r\n");
    }
});

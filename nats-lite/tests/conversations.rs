//! Transcripts of what clients and server say to each other.
//!
//! Every conversation is held twice: with nats-lite and with the original
//! server, so that a wrong expectation cannot hide a wrong server.
#![allow(clippy::unwrap_used)]

mod common;

use common::Server;
use nats_lite::config::{Config, Responses, User};
use nats_lite::limits::Limits;

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

fn plain() -> Config {
    Config::on_free_port()
}

fn limited(limits: Limits) -> Config {
    Config {
        limits,
        ..Config::on_free_port()
    }
}

fn user(name: &str) -> User {
    User {
        user: name.into(),
        password: "secret".into(),
        ..User::default()
    }
}

fn subjects(list: &[&str]) -> Option<Vec<String>> {
    Some(list.iter().map(ToString::to_string).collect())
}

fn guarded() -> Config {
    let dea = User {
        publish: subjects(&["dea.*", "_INBOX.>"]),
        subscribe: subjects(&["dea.>", "_INBOX.>"]),
        ..user("dea")
    };
    let guest = User {
        deny_publish: vec!["dea.>".into()],
        deny_subscribe: vec!["dea.>".into()],
        ..user("guest")
    };
    Config {
        users: vec![user("admin"), dea, guest],
        ..Config::on_free_port()
    }
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
    a_large_payload_is_refused_at_the_header,
    limited(Limits {
        max_payload: 100,
        ..Limits::default()
    }),
    |server| {
        let mut client = server.client();
        client.send(&format!(
            "SUB foo 1\r\nPUB foo 100\r\n{}\r\n",
            "x".repeat(100)
        ));
        client.expect("MSG foo 1 100\r\n");
        client.expect(&format!("{}\r\n", "x".repeat(100)));
        client.send("PUB foo 101\r\n");
        client.expect("-ERR 'Maximum Payload Violation'\r\n");
        client.expect_closed();
    }
);

conversation!(an_endless_line_is_refused, plain(), |server| {
    let mut client = server.client();
    client.try_send(format!("SUB {} 1\r\n", "a".repeat(5000)).as_bytes());
    assert!(
        client
            .line()
            .to_lowercase()
            .contains("maximum control line exceeded")
    );
});

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

conversation!(
    subscriptions_beyond_the_limit_are_refused,
    limited(Limits {
        max_subscriptions: 2,
        ..Limits::default()
    }),
    |server| {
        let mut client = server.client();
        client.send("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n");
        client.expect("-ERR 'maximum subscriptions exceeded'\r\n");
        client.send("PUB c 1\r\nx\r\nUNSUB 1\r\nSUB c 3\r\nPUB c 1\r\nx\r\n");
        client.expect("MSG c 3 1\r\nx\r\n");
    }
);

fn token() -> Config {
    Config {
        token: Some("t0ken".into()),
        ..Config::on_free_port()
    }
}

conversation!(a_token_opens, token(), |server| {
    server.client_with("{\"verbose\":false,\"auth_token\":\"t0ken\"}");
    for wrong in ["{\"auth_token\":\"x\"}", "{\"user\":\"t0ken\"}", "{}"] {
        let mut client = server.connect();
        client.send(&format!("CONNECT {wrong}\r\n"));
        client.expect("-ERR 'Authorization Violation'\r\n");
        client.expect_closed();
    }
});

fn hashed() -> Config {
    let password = bcrypt::hash("hunter2", 4).unwrap();
    Config {
        users: vec![User {
            password,
            ..user("a")
        }],
        ..Config::on_free_port()
    }
}

conversation!(a_hashed_password_opens, hashed(), |server| {
    let mut client = server.connect();
    client.send("CONNECT {\"verbose\":false,\"user\":\"a\",\"pass\":\"hunter2\"}\r\nSUB x 1\r\nPUB x 1\r\ny\r\n");
    client.expect("MSG x 1 1\r\ny\r\n");
    let mut client = server.connect();
    client.send("CONNECT {\"user\":\"a\",\"pass\":\"hunter3\"}\r\n");
    client.expect("-ERR 'Authorization Violation'\r\n");
    client.expect_closed();
});

/// A user key made from fixed bytes, so that every run has the same one.
fn key() -> nkeys::KeyPair {
    nkeys::KeyPair::new_from_raw(nkeys::KeyPairType::User, [7; 32]).unwrap()
}

fn with_nkey() -> Config {
    Config {
        users: vec![User {
            nkey: Some(key().public_key()),
            ..User::default()
        }],
        ..Config::on_free_port()
    }
}

conversation!(an_nkey_opens_with_a_signed_nonce, with_nkey(), |server| {
    use base64::Engine as _;
    let sign = |text: &str| {
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .encode(key().sign(text.as_bytes()).unwrap())
    };
    let mut client = server.connect();
    let nonce = client.info["nonce"].as_str().unwrap().to_owned();
    let hello = |signature: String| {
        let nkey = key().public_key();
        format!("CONNECT {{\"verbose\":false,\"nkey\":{nkey:?},\"sig\":{signature:?}}}\r\n")
    };
    client.send(&hello(sign(&nonce)));
    client.expect_silence();
    for wrong in [sign("another nonce"), "x".into()] {
        let mut client = server.connect();
        client.send(&hello(wrong));
        client.expect("-ERR 'Authorization Violation'\r\n");
        client.expect_closed();
    }
});

fn with_default_user() -> Config {
    Config {
        no_auth_user: Some("guest".into()),
        ..guarded()
    }
}

conversation!(
    clients_without_credentials_become_the_default_user,
    with_default_user(),
    |server| {
        assert_eq!(server.connect().info["auth_required"].as_bool(), None);
        let mut client = server.client();
        client.send("PUB dea.x 1\r\nx\r\n");
        client.expect("-ERR 'Permissions Violation for Publish to \"dea.x\"'\r\n");
        let mut stranger = server.connect();
        stranger.send("CONNECT {\"user\":\"admin\",\"pass\":\"wrong\"}\r\n");
        stranger.expect("-ERR 'Authorization Violation'\r\n");
        stranger.expect_closed();
    }
);

fn fine_grained() -> Config {
    let members = User {
        subscribe: subjects(&["q crew", "s.>"]),
        deny_subscribe: vec!["s.no.>".into(), "s.d bad".into()],
        ..user("members")
    };
    let service = User {
        subscribe: subjects(&["svc"]),
        responses: Some(Responses {
            max: 2,
            expires: 60.0,
        }),
        ..user("service")
    };
    Config {
        users: vec![user("admin"), members, service],
        ..Config::on_free_port()
    }
}

fn hello_of(name: &str) -> String {
    format!("{{\"verbose\":false,\"user\":{name:?},\"pass\":\"secret\"}}")
}

conversation!(permissions_know_queue_groups, fine_grained(), |server| {
    let mut client = server.client_with(&hello_of("members"));
    client.send("SUB q 1\r\nSUB q other 2\r\nSUB s.d bad 3\r\nSUB s.no.* 4\r\nSUB a..b 5\r\n");
    for refused in [
        "\"q\"",
        "\"q\" using queue \"other\"",
        "\"s.d\" using queue \"bad\"",
        "\"s.no.*\"",
        "\"a..b\"",
    ] {
        client.expect(&format!(
            "-ERR 'Permissions Violation for Subscription to {refused}'\r\n"
        ));
    }
    client.send("SUB q crew 5\r\nSUB s.d good 6\r\nSUB s.d 7\r\n");
    client.expect_silence();
});

conversation!(
    wildcards_are_accepted_and_filtered,
    fine_grained(),
    |server| {
        let mut client = server.client_with(&hello_of("members"));
        client.send("SUB s.> 1\r\n");
        client.expect_silence();
        let mut admin = server.client_with(&hello_of("admin"));
        admin.send("PUB s.no.x 1\r\nx\r\nPUB s.yes 1\r\ny\r\n");
        admin.expect_silence();
        client.expect("MSG s.yes 1 1\r\ny\r\n");
        client.expect_silence();
    }
);

conversation!(
    a_service_may_answer_what_it_was_asked,
    fine_grained(),
    |server| {
        let mut service = server.client_with(&hello_of("service"));
        service.send("SUB svc 1\r\nPUB inbox 1\r\n0\r\n");
        service.expect("-ERR 'Permissions Violation for Publish to \"inbox\"'\r\n");
        let mut admin = server.client_with(&hello_of("admin"));
        admin.send("SUB inbox 1\r\nPUB svc inbox 1\r\nx\r\n");
        service.expect("MSG svc 1 inbox 1\r\nx\r\n");
        service.send("PUB inbox 1\r\n1\r\nPUB inbox 1\r\n2\r\nPUB inbox 1\r\n3\r\n");
        service.expect("-ERR 'Permissions Violation for Publish to \"inbox\"'\r\n");
        admin.expect("MSG inbox 1 1\r\n1\r\nMSG inbox 1 1\r\n2\r\n");
        admin.expect_silence();
    }
);

conversation!(strangers_are_turned_away, guarded(), |server| {
    assert_eq!(server.connect().info["auth_required"].as_bool(), Some(true));
    for hello in [
        "CONNECT {}\r\n",
        "CONNECT {\"user\":\"admin\",\"pass\":\"wrong\"}\r\n",
        "CONNECT {\"user\":\"x\",\"pass\":\"secret\"}\r\n",
        "PING\r\n",
        "PUB dea.x 0\r\n\r\n",
        "XYZ\r\n",
    ] {
        let mut client = server.connect();
        client.send(hello);
        client.expect("-ERR 'Authorization Violation'\r\n");
        client.expect_closed();
    }
});

conversation!(
    silence_instead_of_credentials_times_out,
    Config {
        users: vec![user("a")],
        limits: Limits {
            auth_timeout: 0.2,
            ..Limits::default()
        },
        ..Config::on_free_port()
    },
    |server| {
        let mut client = server.connect();
        client.expect("-ERR 'Authentication Timeout'\r\n");
        client.expect_closed();
        // The others are not disturbed.
        let mut known =
            server.client_with("{\"verbose\":false,\"user\":\"a\",\"pass\":\"secret\"}");
        known.expect_silence();
    }
);

conversation!(
    permissions_refuse_subjects_not_connections,
    guarded(),
    |server| {
        let mut dea =
            server.client_with("{\"verbose\":false,\"user\":\"dea\",\"pass\":\"secret\"}");
        dea.send("PUB hm9000.start 2\r\nno\r\n");
        dea.expect("-ERR 'Permissions Violation for Publish to \"hm9000.start\"'\r\n");
        dea.send("SUB router.> 1\r\n");
        dea.expect("-ERR 'Permissions Violation for Subscription to \"router.>\"'\r\n");
        dea.send("SUB dea.> 2\r\nPUB dea.heartbeat 2\r\nok\r\n");
        dea.expect("MSG dea.heartbeat 2 2\r\nok\r\n");
        let mut guest =
            server.client_with("{\"verbose\":false,\"user\":\"guest\",\"pass\":\"secret\"}");
        guest.send("PUB dea.x 0\r\n\r\n");
        guest.expect("-ERR 'Permissions Violation for Publish to \"dea.x\"'\r\n");
        guest.send("SUB dea.x 1\r\n");
        guest.expect("-ERR 'Permissions Violation for Subscription to \"dea.x\"'\r\n");
        guest.send("SUB free 2\r\nPUB free 2\r\nok\r\n");
        guest.expect("MSG free 2 2\r\nok\r\n");
    }
);

conversation!(
    a_client_that_never_answers_pings_is_stale,
    limited(Limits {
        ping_interval: 0.1,
        max_pings_out: 1,
        ..Limits::default()
    }),
    |server| {
        let mut client = server.connect();
        client.send("CONNECT {\"verbose\":false}\r\n");
        loop {
            match client.line().as_str() {
                "PING" => {}
                line => break assert_eq!(line, "-ERR 'Stale Connection'"),
            }
        }
        client.expect_closed();
    }
);

conversation!(
    one_connection_too_many_is_refused,
    limited(Limits {
        max_connections: 1,
        ..Limits::default()
    }),
    |server| {
        let _first = server.client();
        let stream = std::net::TcpStream::connect(server.addr()).unwrap();
        let text = std::io::read_to_string(stream).unwrap_or_default();
        assert!(
            text.contains("-ERR 'maximum connections exceeded'"),
            "{text}"
        );
    }
);

conversation!(
    a_consumer_that_never_reads_is_cut_off_and_harms_nobody,
    limited(Limits {
        max_pending: 4 << 20,
        ..Limits::default()
    }),
    |server| {
        const MESSAGES: usize = 3000;
        let mut stuck = server.client();
        stuck.send("SUB flood 1\r\n");
        stuck.expect_silence();
        let mut healthy = server.client();
        healthy.send("SUB flood 1\r\n");
        healthy.expect_silence();
        let reader = std::thread::spawn(move || {
            for _ in 0..MESSAGES {
                healthy.expect("MSG flood 1 16384\r\n");
                healthy.expect(&format!("{}\r\n", "x".repeat(16_384)));
            }
        });
        let mut publisher = server.client();
        for _ in 0..MESSAGES {
            publisher.send(&format!("PUB flood 16384\r\n{}\r\n", "x".repeat(16_384)));
        }
        publisher.expect_silence();
        reader.join().unwrap();
        let received = stuck.drain_to_end();
        assert!(
            received < MESSAGES * 16_384,
            "the stuck consumer got everything: {received} bytes"
        );
    }
);

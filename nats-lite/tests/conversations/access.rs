//! Who may connect, and what they may say and hear.

use nats_lite::config::{Responses, User};
use nats_lite::limits::Limits;

use super::*;

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

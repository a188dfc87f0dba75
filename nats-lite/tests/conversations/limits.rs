//! What happens at every limit.

use nats_lite::limits::Limits;

use super::*;

fn limited(limits: Limits) -> Config {
    Config {
        limits,
        ..Config::on_free_port()
    }
}

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

conversation!(
    only_arguments_count_against_the_line_limit,
    limited(Limits {
        max_control_line: 30,
        ..Limits::default()
    }),
    |server| {
        let mut client = server.client();
        client.send(&format!("SUB {} 1\r\n", "a".repeat(28)));
        client.send(&format!("UNSUB {}\r\n", "1".repeat(30)));
        client.expect_silence();
        client.send(&format!("SUB {} 1\r\n", "a".repeat(29)));
        client.expect("-ERR 'maximum control line exceeded'\r\n");
        client.expect_closed();
    }
);

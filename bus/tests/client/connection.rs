//! How connections come, go and are refused.

use std::time::Duration;

use bus::{Anything, Bus, BusConfig, BusError};
use serde_json::{Value, json};

use crate::servers::{Server, eventually, within};

async fn client(config: &BusConfig) -> Bus {
    Bus::connect(config, "test").await.unwrap()
}

#[tokio::test]
async fn a_server_that_comes_back_finds_all_subscriptions() {
    let mut server = Server::lite("", 0).await;
    let bus = server.client().await;
    let mut heard = bus.subscribe_to::<Value>("a.*").await.unwrap();
    let port = server.addr().port();
    server.stop().await;
    eventually("the loss to show", || !bus.is_connected()).await;
    assert!(matches!(
        bus.publish_to("a.b", &1).await,
        Err(BusError::Away { .. })
    ));
    let _again = Server::lite("", port).await;
    within("the bus", bus.wait_connected()).await;
    bus.publish_to("a.b", &json!(7)).await.unwrap();
    assert_eq!(within("the message", heard.next()).await.body, 7);
}

#[tokio::test]
async fn connected_means_subscribed() {
    for server in Server::both("").await {
        for round in 0..20 {
            let bus = client(&BusConfig::url(server.url())).await;
            let mut heard = bus.subscribe_to::<Value>("here").await.unwrap();
            within("the bus", bus.wait_connected()).await;
            let mut raw = server.raw();
            raw.send(format!("PUB here {}\r\n{round}\r\n", round.to_string().len()).as_bytes());
            assert_eq!(within("the message", heard.next()).await.body, round);
        }
    }
}

#[tokio::test]
async fn a_subscription_is_in_force_on_return() {
    for server in Server::both("").await {
        let bus = server.client().await;
        for round in 0..20 {
            let mut heard = bus.subscribe_to::<Value>("here").await.unwrap();
            let mut raw = server.raw();
            raw.send(format!("PUB here {}\r\n{round}\r\n", round.to_string().len()).as_bytes());
            assert_eq!(within("the message", heard.next()).await.body, round);
        }
    }
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_named_with_the_reason() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let bus = client(&BusConfig::url(format!("nats://{addr}"))).await;
    eventually("the reason", || {
        let text = bus.health().unwrap_err().to_string();
        text.contains(&addr.to_string()) && text.contains("refused")
    })
    .await;
}

const USERS: &str = r#"
authorization { users = [
  { user: "dea", password: "right", permissions: { publish: ["ok", "_INBOX.>"], subscribe: ["ok", "_INBOX.>"] } }
] }
max_payload: 1000
"#;

fn as_user(server: &Server, password: &str) -> BusConfig {
    BusConfig {
        user: "dea".into(),
        password: password.into(),
        ..BusConfig::url(server.url())
    }
}

#[tokio::test]
async fn a_refused_login_names_user_server_and_reason() {
    for server in Server::both(USERS).await {
        let bus = client(&as_user(&server, "wrong")).await;
        eventually("the refusal", || {
            let text = bus.health().unwrap_err().to_string();
            text.contains("\"dea\"")
                && text.contains("Authorization Violation")
                && text.contains(&server.addr().to_string())
                && !text.contains("wrong")
        })
        .await;
    }
}

#[tokio::test]
async fn credentials_may_stand_in_the_address() {
    for server in Server::both(USERS).await {
        let url = format!("nats://dea:right@{}", server.addr());
        let bus = client(&BusConfig::url(url)).await;
        within("the bus", bus.wait_connected()).await;
        assert!(bus.new_inbox().starts_with("_INBOX.dea."));
    }
}

#[tokio::test]
async fn a_refused_subscription_is_an_error_and_unhealthy() {
    for server in Server::both(USERS).await {
        let early = client(&as_user(&server, "right")).await;
        let _deaf = early.subscribe_to::<Anything>("secret").await.unwrap();
        within("the bus", early.wait_connected()).await;
        eventually("the refusal", || {
            early
                .health()
                .is_err_and(|e| e.to_string().contains("secret"))
        })
        .await;
        let late = client(&as_user(&server, "right")).await;
        within("the bus", late.wait_connected()).await;
        let refused = late.subscribe_to::<Anything>("secret").await;
        assert!(matches!(refused, Err(BusError::Subscribe { .. })));
        late.subscribe_to::<Anything>("ok").await.unwrap();
    }
}

#[tokio::test]
async fn what_the_server_would_cut_us_off_for_is_not_sent() {
    for server in Server::both(USERS).await {
        let bus = client(&as_user(&server, "right")).await;
        within("the bus", bus.wait_connected()).await;
        let mut heard = bus.subscribe_to::<Value>("ok").await.unwrap();
        assert!(bus.publish_to("ok", &"x".repeat(1_000)).await.is_err());
        assert!(bus.publish_to("o k", &1).await.is_err());
        assert!(bus.publish_to("ok\r\nPUB ok 1\r\n2", &1).await.is_err());
        assert!(bus.publish_empty("ok", Some("a b")).await.is_err());
        bus.publish_to("forbidden", &1).await.unwrap();
        let largest = "x".repeat(998);
        bus.publish_to("ok", &largest).await.unwrap();
        assert_eq!(within("the message", heard.next()).await.body, largest);
        assert_eq!(*bus.connection_changes().borrow(), 1);
    }
}

#[tokio::test]
async fn nobody_listening_ends_a_gathering_at_once() {
    for server in Server::both("").await {
        let bus = server.client().await;
        let asked = bus.gather::<_, Value>("nobody", &(), 3, Duration::from_secs(3600));
        assert!(
            within("the word that nobody listens", asked)
                .await
                .unwrap()
                .is_empty()
        );
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_shows_and_is_used_again() {
    let Some(server) = Server::original("") else {
        return;
    };
    let bus = server.client().await;
    let mut heard = bus.subscribe_to::<Value>("a").await.unwrap();
    server.signal("-STOP");
    eventually("the silence to show", || {
        matches!(
            bus.health(),
            Err(BusError::Silent { .. } | BusError::Away { .. })
        )
    })
    .await;
    server.signal("-CONT");
    eventually("the bus", || bus.health().is_ok()).await;
    bus.publish_to("a", &1).await.unwrap();
    assert_eq!(within("the message", heard.next()).await.body, 1);
}

#[tokio::test]
async fn publishers_wait_while_the_server_does_not_read() {
    let Some(server) = Server::original("") else {
        return;
    };
    let bus = server.client().await;
    server.signal("-STOP");
    let payload = "x".repeat(500_000);
    let mut sent = 0;
    let filled = tokio::time::timeout(Duration::from_secs(2), async {
        while bus.publish_to("a", &payload).await.is_ok() {
            sent += payload.len();
        }
    });
    assert!(filled.await.is_err(), "a publisher did not wait");
    // What the kernel's buffers take is not ours.
    assert!(sent < bus::limits::OUTBOX_BYTES + 32 * 1024 * 1024);
    server.signal("-CONT");
    within("the rest", bus.publish_to("a", &payload))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_last_handle_closes_the_connection() {
    let server = Server::lite("", 0).await;
    let bus = server.client().await;
    let (copy, mut changes) = (bus.clone(), bus.connection_changes());
    let subscription = bus.subscribe_to::<Value>("a").await.unwrap();
    drop((bus, copy));
    assert_eq!(*changes.borrow(), 1, "a subscription keeps it");
    drop(subscription);
    // Down (even), or already gone with everything that could change it.
    let _ = within("the end", changes.wait_for(|n| n.is_multiple_of(2))).await;
}

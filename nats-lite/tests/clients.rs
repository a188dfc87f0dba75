//! A client library we did not write against nats-lite: async-nats.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use async_nats::{ConnectOptions, HeaderMap};
use futures_util::StreamExt;
use nats_lite::config::{Config, User};

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(common::PATIENCE, future)
        .await
        .expect("no answer in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn async_nats_publishes_subscribes_and_requests() {
    let server = nats_lite::start(Config::on_free_port()).await.unwrap();
    let client = within(async_nats::connect(server.url())).await.unwrap();
    let mut echo = client.subscribe("echo.*").await.unwrap();
    client.flush().await.unwrap();
    let answers = client.clone();
    tokio::spawn(async move {
        while let Some(request) = echo.next().await {
            let mut headers = HeaderMap::new();
            headers.insert("Seen", request.subject.as_str());
            answers
                .publish_with_headers(request.reply.unwrap(), headers, request.payload)
                .await
                .unwrap();
        }
    });
    let requester = within(async_nats::connect(server.url())).await.unwrap();
    let answer = within(requester.request("echo.one", "hello".into()))
        .await
        .unwrap();
    assert_eq!(&answer.payload[..], b"hello");
    assert_eq!(
        answer.headers.unwrap().get("Seen").unwrap().as_str(),
        "echo.one"
    );
    let nobody = within(requester.request("nobody", "hello".into()))
        .await
        .unwrap_err();
    assert_eq!(nobody.kind(), async_nats::RequestErrorKind::NoResponders);
    server.shutdown().await;
}

#[tokio::test]
async fn async_nats_queue_group_receives_each_message_once() {
    let server = nats_lite::start(Config::on_free_port()).await.unwrap();
    let client = within(async_nats::connect(server.url())).await.unwrap();
    let first = client.queue_subscribe("work", "crew".into()).await.unwrap();
    let second = client.queue_subscribe("work", "crew".into()).await.unwrap();
    for number in 0..200_u32 {
        client
            .publish("work", number.to_string().into())
            .await
            .unwrap();
    }
    client.flush().await.unwrap();
    let merged = futures_util::stream::select(first, second).take(200);
    let mut seen: Vec<u32> = within(
        merged
            .map(|message| {
                std::str::from_utf8(&message.payload)
                    .unwrap()
                    .parse::<u32>()
                    .unwrap()
            })
            .collect(),
    )
    .await;
    seen.sort_unstable();
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn async_nats_is_refused_with_a_wrong_password() {
    let user = User {
        user: "dea".into(),
        password: "secret".into(),
        ..User::default()
    };
    let server = nats_lite::start(Config {
        users: vec![user],
        ..Config::on_free_port()
    })
    .await
    .unwrap();
    let connect = |password: &str| {
        ConnectOptions::with_user_and_password("dea".into(), password.into()).connect(server.url())
    };
    let refused = within(connect("wrong")).await.unwrap_err();
    assert_eq!(
        refused.kind(),
        async_nats::ConnectErrorKind::AuthorizationViolation
    );
    within(connect("secret"))
        .await
        .unwrap()
        .flush()
        .await
        .unwrap();
}

#[tokio::test]
async fn async_nats_reconnects_after_a_restart_on_the_same_port() {
    let server = nats_lite::start(Config::on_free_port()).await.unwrap();
    let listen = server.addr();
    let client = within(async_nats::connect(server.url())).await.unwrap();
    let mut inbox = client.subscribe("news").await.unwrap();
    client.flush().await.unwrap();
    server.shutdown().await;
    let _second = nats_lite::start(Config {
        listen,
        ..Config::default()
    })
    .await
    .unwrap();
    let publisher = within(async_nats::connect(format!("nats://{listen}")))
        .await
        .unwrap();
    let delivered = async {
        loop {
            publisher.publish("news", "again".into()).await.unwrap();
            publisher.flush().await.unwrap();
            if let Ok(message) = tokio::time::timeout(Duration::from_millis(50), inbox.next()).await
            {
                return message.unwrap();
            }
        }
    };
    assert_eq!(&within(delivered).await.payload[..], b"again");
}

#[tokio::test]
async fn async_nats_learns_of_a_lame_duck_and_moves_to_another_server() {
    let limits = nats_lite::limits::Limits {
        lame_duck_grace_period: 0.05,
        lame_duck_duration: 0.05,
        ..Default::default()
    };
    let leaving = nats_lite::start(Config {
        limits,
        ..Config::on_free_port()
    })
    .await
    .unwrap();
    let staying = nats_lite::start(Config::on_free_port()).await.unwrap();
    let (told, mut events) = tokio::sync::mpsc::unbounded_channel();
    let options = ConnectOptions::new().event_callback(move |event| {
        // The test may be over.
        let _ = told.send(event.to_string());
        async {}
    });
    let client = within(options.connect(leaving.url())).await.unwrap();
    client.flush().await.unwrap();
    client.set_server_pool(staying.url()).await.unwrap();
    leaving.lame_duck();
    let warned = async {
        while let Some(event) = events.recv().await {
            if event.contains("lame duck") {
                return;
            }
        }
        panic!("the client heard of no lame duck");
    };
    within(warned).await;
    within(leaving.ended()).await;
    let mut inbox = client.subscribe("news").await.unwrap();
    within(client.publish("news", "moved".into()))
        .await
        .unwrap();
    assert_eq!(&within(inbox.next()).await.unwrap().payload[..], b"moved");
}

#[tokio::test]
async fn async_nats_drains_what_it_has_received_and_closes() {
    let server = nats_lite::start(Config::on_free_port()).await.unwrap();
    let client = within(async_nats::connect(server.url())).await.unwrap();
    let inbox = client.subscribe("news").await.unwrap();
    let mut end = client.subscribe("end").await.unwrap();
    for _ in 0..100 {
        client.publish("news", "x".into()).await.unwrap();
    }
    // This client does not wait for what is still on its way when it drains.
    client.publish("end", "".into()).await.unwrap();
    within(end.next()).await.unwrap();
    within(client.drain()).await.unwrap();
    assert_eq!(within(inbox.count()).await, 100);
}

//! Registration, pruning, restart, failure: who gets a request, and what is said when nobody does.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bus::router::{GREET, Register, Start};
use common::{Edge, Instance, dead_port, endpoint, within};
use router::Config;

#[tokio::test]
async fn routes_a_registered_host_until_it_is_unregistered() {
    let edge = Edge::start().await;
    let app = Instance::saying("hello").await;
    let registration = app.endpoint("i1", &["Dora.example.com", "dora.example.com/deep"]);
    edge.register(&registration).await;
    let answer = edge.get("dora.EXAMPLE.com:1234", "/x").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
    edge.unregister(&app.endpoint("", &["dora.example.com", "dora.example.com/deep"]))
        .await;
    let gone = edge.until_status("dora.example.com", 404).await;
    assert_eq!(gone.header("X-Cf-RouterError"), Some("unknown_route"));
    assert!(
        gone.body
            .starts_with("404 Not Found: Requested route ('dora.example.com') does not exist.\n"),
        "{}",
        gone.body
    );
}

#[tokio::test]
async fn greets_at_start_and_on_request() {
    let edge = Edge::start_with(|config| Config {
        register_interval: Some(7.0),
        stale_threshold: Some(50.0),
        ..config
    })
    .await;
    // The router may still be on its way to the bus: a request that nobody hears is asked again.
    let answers: Vec<Start> = within("a greeting", async {
        loop {
            let found = edge
                .bus
                .gather(GREET, &(), 1, common::PATIENCE)
                .await
                .unwrap();
            if !found.is_empty() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(
        (
            answers[0].minimum_register_interval,
            answers[0].prune_threshold,
            answers[0].hosts.as_slice()
        ),
        (7, Some(50), &["127.0.0.1".to_owned()][..])
    );
    assert!(answers[0].id.starts_with("0-"));
    let mut starts = edge.bus.subscribe::<Start>().await.unwrap();
    edge.bus.flush().await.unwrap();
    let _second = router::start(common::config(edge.nats.url()))
        .await
        .unwrap();
    within("router.start of a second router", starts.next()).await;
}

#[tokio::test]
async fn a_route_nobody_refreshes_goes_stale() {
    let edge = Edge::start_with(|config| Config {
        stale_threshold: Some(600.0),
        ..config
    })
    .await;
    let app = Instance::saying("hello").await;
    let short = bus::router::Endpoint {
        stale_threshold_in_seconds: Some(1),
        ..app.endpoint("i1", &["a.example.com"])
    };
    edge.register(&short).await;
    let answer = edge.until_status("a.example.com", 503).await;
    assert_eq!(answer.header("x-cf-routererror"), Some("no_endpoints"));
    assert!(answer.header("retry-after").is_some());
    edge.register(&short).await;
    assert_eq!(edge.get("a.example.com", "/").await.status, 200);
}

#[tokio::test]
async fn a_pruned_route_is_forgotten_after_one_threshold() {
    let edge = Edge::start_with(|config| Config {
        stale_threshold: Some(0.3),
        ..config
    })
    .await;
    let app = Instance::saying("hello").await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    edge.until_status("a.example.com", 503).await;
    edge.until_status("a.example.com", 404).await;
}

#[tokio::test]
async fn nothing_goes_stale_while_the_bus_is_away_and_registrars_are_called_on_return() {
    let edge = Edge::start_with(|config| Config {
        stale_threshold: Some(0.5),
        ..config
    })
    .await;
    let app = Instance::saying("hello").await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let Edge { nats, router, .. } = edge;
    let listen = nats.addr();
    nats.shutdown().await;
    let get = || {
        common::exchange(
            router.addr(),
            "GET / HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n",
        )
    };
    let mut served = 0;
    // Many prune intervals and several thresholds long.
    let outage = tokio::time::Instant::now() + Duration::from_secs(2);
    while tokio::time::Instant::now() < outage {
        served += usize::from(get().await.status == 200);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        served > 0 && get().await.status == 200,
        "served {served} requests during the outage"
    );
    let nats = nats_lite::start(nats_lite::Config {
        listen,
        ..nats_lite::Config::default()
    })
    .await
    .unwrap();
    let bus = bus::Bus::connect(&bus::BusConfig::url(nats.url()), "registrar")
        .await
        .unwrap();
    let mut starts = bus.subscribe::<Start>().await.unwrap();
    within("router.start after the outage", starts.next()).await;
    // Pruning works again: nobody refreshes.
    within("the route to go stale", async {
        while get().await.status == 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_fresh_router_asks_for_patience_instead_of_denying_routes() {
    let edge = Edge::start_with(|config| Config {
        register_interval: Some(600.0),
        ..config
    })
    .await;
    let answer = edge.get("dora.example.com", "/").await;
    assert_eq!(
        (answer.status, answer.header("x-cf-routererror")),
        (503, Some("router_starting"))
    );
    assert!(
        answer
            .header("retry-after")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );
    let app = Instance::saying("hello").await;
    edge.register(&app.endpoint("i1", &["dora.example.com"]))
        .await;
    assert_eq!(
        edge.get("dora.example.com", "/").await.status,
        200,
        "known hosts are served at once"
    );
}

#[tokio::test]
async fn killing_one_of_three_instances_fails_no_idempotent_request() {
    let edge = Edge::start().await;
    let (first, second, third) = (
        Instance::saying("first").await,
        Instance::saying("second").await,
        Instance::saying("third").await,
    );
    edge.register(&third.endpoint("i3", &["a.example.com"]))
        .await;
    edge.register(&first.endpoint("i1", &["a.example.com"]))
        .await;
    edge.register(&second.endpoint("i2", &["a.example.com"]))
        .await;
    let addr = edge.router.addr();
    let before_kill = second.connections.clone();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let mut statuses = Vec::new();
                for _ in 0..60 {
                    let answer = common::exchange(
                        addr,
                        "GET / HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n",
                    )
                    .await;
                    statuses.push((answer.status, answer.body));
                }
                statuses
            })
        })
        .collect();
    within("traffic on the second instance", async {
        while before_kill.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    second.kill();
    let mut bodies = Vec::new();
    for client in clients {
        for (status, body) in client.await.unwrap() {
            assert_eq!(status, 200);
            bodies.push(body);
        }
    }
    for living in ["first", "third"] {
        assert!(bodies.iter().any(|body| body == living), "{living}");
    }
    assert_ne!(edge.get("a.example.com", "/").await.body, "second");
}

#[tokio::test]
async fn a_dead_instance_is_502_then_503_while_it_stays_dead() {
    let edge = Edge::start().await;
    edge.register(&endpoint(dead_port().await, "i1", &["a.example.com"]))
        .await;
    let first = edge
        .get_with("a.example.com", "/", "Accept: application/json\r\n")
        .await;
    assert_eq!(
        (first.status, first.header("x-cf-routererror")),
        (502, Some("endpoint_failure"))
    );
    let body: serde_json::Value = serde_json::from_str(&first.body).unwrap();
    assert!(
        body["hint"].as_str().unwrap().contains("cf logs") && body["error"] == "endpoint_failure"
    );
    let second = edge.get("a.example.com", "/").await;
    assert_eq!(
        (second.status, second.header("x-cf-routererror")),
        (503, Some("no_endpoints"))
    );
}

#[tokio::test]
async fn a_silent_instance_is_504() {
    let edge = Edge::start_with(|config| Config {
        endpoint_timeout: 0.2,
        ..config
    })
    .await;
    let app = Instance::serving(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let answer = edge.get("a.example.com", "/").await;
    assert_eq!(
        (answer.status, answer.header("x-cf-routererror")),
        (504, Some("endpoint_timeout"))
    );
}

#[tokio::test]
async fn a_request_with_a_body_is_not_repeated_once_sent() {
    let edge = Edge::start().await;
    let app = Instance::serving(|mut stream| async move {
        // Takes the head and dies.
        let _ = common::read_head(&mut stream).await;
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let request = "POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    let answer = common::exchange(edge.router.addr(), request).await;
    assert_eq!(
        (answer.status, app.connections.load(Ordering::SeqCst)),
        (502, 1)
    );
}

#[tokio::test]
async fn an_idle_connection_that_died_is_replaced_unnoticed() {
    let edge = Edge::start().await;
    // Answers one request per connection, promises to keep it alive, and closes.
    let app = Instance::serving(|mut stream| async move {
        let _ = common::read_head(&mut stream).await;
        let _ = tokio::io::AsyncWriteExt::write_all(
            &mut stream,
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        )
        .await;
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    for _ in 0..20 {
        assert_eq!(edge.get("a.example.com", "/").await.status, 200);
    }
}

#[tokio::test]
async fn connections_to_instances_are_reused() {
    let edge = Edge::start().await;
    let app = Instance::saying("hello").await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    for _ in 0..10 {
        assert_eq!(edge.get("a.example.com", "/").await.status, 200);
    }
    let used = app.connections.load(Ordering::SeqCst);
    assert!(used < 10, "{used} connections for 10 requests");
}

#[tokio::test]
async fn another_instance_on_a_reused_port_gets_no_old_connection() {
    // Each thread has its own idle connections, and this test counts them.
    let edge = Edge::start_with(|config| Config {
        threads: 1,
        ..config
    })
    .await;
    let app = Instance::saying("hello").await;
    edge.register(&app.endpoint("old", &["a.example.com", "old.example.com"]))
        .await;
    edge.get("a.example.com", "/").await;
    let before = app.connections.load(Ordering::SeqCst);
    edge.bus
        .publish(&Register(app.endpoint("new", &["a.example.com"])))
        .await
        .unwrap();
    edge.until_status("old.example.com", 404).await;
    assert_eq!(edge.get("a.example.com", "/").await.status, 200);
    assert_eq!(
        app.connections.load(Ordering::SeqCst),
        before + 1,
        "a fresh connection was made"
    );
}

#[tokio::test]
async fn a_sticky_session_stays_on_its_instance() {
    let edge = Edge::start().await;
    let with_session = |name: &'static str| {
        move |head: &str| {
            let cookie = if head.contains("JSESSIONID") {
                ""
            } else {
                "Set-Cookie: JSESSIONID=s1; Path=/\r\n"
            };
            format!(
                "HTTP/1.1 200 OK\r\n{cookie}Content-Length: {}\r\n\r\n{name}",
                name.len()
            )
        }
    };
    let (first, second) = (
        Instance::answering(with_session("one")).await,
        Instance::answering(with_session("two")).await,
    );
    edge.register(&first.endpoint("one", &["a.example.com"]))
        .await;
    edge.register(&second.endpoint("two", &["a.example.com"]))
        .await;
    let opened = edge.get("a.example.com", "/").await;
    let id = opened.body.clone();
    assert!(
        opened
            .head
            .contains(&format!("__VCAP_ID__={id}; Path=/; HttpOnly")),
        "{}",
        opened.head
    );
    let cookies = format!("Cookie: JSESSIONID=s1; __VCAP_ID__={id}\r\n");
    for _ in 0..6 {
        assert_eq!(edge.get_with("a.example.com", "/", &cookies).await.body, id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_100_000_registrations_loses_none() {
    let edge = Edge::start().await;
    // The router's own subscription must stand before the burst.
    edge.register(&endpoint(1, "first", &["first.example.com"]))
        .await;
    for number in 0..100_000u32 {
        let port = u16::try_from(number % 50_000 + 1000).unwrap();
        let mut one = endpoint(port, "i", &[&format!("app-{number}.example.com")]);
        one.host = format!("10.0.0.{}", number / 50_000);
        edge.bus.publish(&Register(one)).await.unwrap();
    }
    edge.bus.flush().await.unwrap();
    within("all routes to be known", async {
        loop {
            let page = edge
                .status_page("/varz", "Authorization: Basic dTpw\r\n")
                .await;
            let varz: serde_json::Value = serde_json::from_str(&page.body).unwrap();
            if varz["urls"] == 100_001 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

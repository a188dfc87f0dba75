#![allow(clippy::unwrap_used)]
use bus::router::Endpoint as Message;

use super::*;

const STALE: Duration = Duration::from_secs(120);
const LEARNING: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

/// A table that has learned everything, and the instant at which it is so.
fn ready() -> (Table, Instant) {
    let mut table = Table::new(Settings {
        stale: STALE,
        learning: LEARNING,
        prune_without_bus: false,
        balancing: Balancing::RoundRobin,
    });
    let start = Instant::now();
    table.resume(start);
    (table, start + LEARNING)
}

fn message(port: u16, id: &str, uris: &[&str]) -> Message {
    Message {
        host: "10.0.0.1".into(),
        port,
        uris: uris.iter().map(ToString::to_string).collect(),
        app: Some("app".into()),
        private_instance_id: Some(id.into()),
        ..Message::default()
    }
}

fn get(table: &mut Table, host: &str, path: &str, now: Instant) -> Result<String, Miss> {
    table
        .choose(
            &Wanted {
                host,
                path,
                sticky: None,
            },
            &[],
            now,
        )
        .map(|choice| choice.endpoint.label().to_owned())
}

#[test]
fn lookup_prefers_exact_then_wildcard_then_nothing() {
    let (mut table, now) = ready();
    table.register(&message(1, "exact", &["A.example.com"]), now);
    table.register(&message(2, "wild", &["*.example.com"]), now);
    table.register(&message(3, "path", &["a.example.com/v2/api"]), now);
    for (host, path, expected) in [
        ("a.EXAMPLE.com:8080", "/", Ok("exact")),
        ("b.example.com", "/v2/api", Ok("wild")),
        ("x.y.example.com", "/", Ok("wild")),
        ("a.example.com", "/v2/api/apps?x=1", Ok("path")),
        ("a.example.com", "/v2/apis", Ok("exact")),
        ("a.example.com", "/v2", Ok("exact")),
        ("example.com", "/", Err(Miss::Unknown)),
    ] {
        assert_eq!(
            get(&mut table, host, path, now),
            expected.map(str::to_owned),
            "{host}{path}"
        );
    }
}

#[test]
fn round_robin_visits_everybody_in_turn() {
    let (mut table, now) = ready();
    for port in 1..=3 {
        table.register(&message(port, &format!("i{port}"), &["a"]), now);
    }
    let seen: Vec<String> = (0..6)
        .map(|_| get(&mut table, "a", "/", now).unwrap())
        .collect();
    assert_eq!(seen[..3], seen[3..]);
    let mut once = seen[..3].to_vec();
    once.sort();
    assert_eq!(once, ["i1", "i2", "i3"]);
}

#[test]
fn a_sticky_request_finds_its_instance_and_falls_back() {
    let (mut table, now) = ready();
    table.register(&message(1, "i1", &["a"]), now);
    table.register(&message(2, "i2", &["a"]), now);
    for id in ["i2", "i2", "i1"] {
        let wanted = Wanted {
            host: "a",
            path: "/",
            sticky: Some(id),
        };
        assert_eq!(
            table.choose(&wanted, &[], now).unwrap().endpoint.label(),
            id
        );
    }
    assert!(
        table
            .choose(
                &Wanted {
                    host: "a",
                    path: "/",
                    sticky: Some("gone")
                },
                &[],
                now
            )
            .is_ok()
    );
}

#[test]
fn another_instance_at_the_same_port_takes_over_completely() {
    let (mut table, now) = ready();
    table.register(
        &message(1, "old", &["old.example.com", "shared.example.com"]),
        now,
    );
    let old = table
        .choose(
            &Wanted {
                host: "old.example.com",
                path: "/",
                sticky: None,
            },
            &[],
            now,
        )
        .unwrap()
        .endpoint
        .serial;
    let retired = table.register(&message(1, "new", &["shared.example.com"]), now);
    assert_eq!(retired, [old]);
    assert_eq!(
        get(&mut table, "old.example.com", "/", now),
        Err(Miss::Unknown)
    );
    assert_eq!(
        get(&mut table, "shared.example.com", "/", now).unwrap(),
        "new"
    );
    assert!(
        table
            .register(&message(1, "new", &["shared.example.com"]), now)
            .is_empty()
    );
}

#[test]
fn unregistering_removes_named_uris_only() {
    let (mut table, now) = ready();
    table.register(&message(1, "i", &["a", "b"]), now);
    // Other fields than uri, host and port do not matter.
    assert!(
        table
            .unregister(&message(1, "whoever", &["a"]), now)
            .is_empty()
    );
    assert_eq!(get(&mut table, "a", "/", now), Err(Miss::Unknown));
    assert_eq!(get(&mut table, "b", "/", now).unwrap(), "i");
    assert_eq!(table.unregister(&message(1, "i", &["b"]), now).len(), 1);
    assert_eq!(table.uri_count(), 0);
}

#[test]
fn a_route_that_went_stale_is_remembered_for_one_threshold() {
    let (mut table, now) = ready();
    table.register(&message(1, "i", &["a"]), now);
    assert!(table.prune(now + STALE - SECOND).is_empty());
    let gone = now + STALE;
    assert_eq!(table.prune(gone).len(), 1);
    assert_eq!(get(&mut table, "a", "/", gone), Err(Miss::Pruned));
    table.prune(gone + STALE);
    assert_eq!(get(&mut table, "a", "/", gone + STALE), Err(Miss::Unknown));
}

#[test]
fn a_refreshed_endpoint_does_not_go_stale() {
    let (mut table, now) = ready();
    table.register(&message(1, "i", &["a"]), now);
    table.register(&message(1, "i", &["a"]), now + STALE / 2);
    assert!(table.prune(now + STALE).is_empty());
}

#[test]
fn a_registrar_may_shorten_its_threshold_but_not_lengthen_it() {
    let (mut table, now) = ready();
    let with = |port, seconds| Message {
        stale_threshold_in_seconds: Some(seconds),
        ..message(port, &format!("i{port}"), &[&format!("h{port}")])
    };
    for (port, seconds) in [(1, 10), (2, 0), (3, 9999)] {
        table.register(&with(port, seconds), now);
    }
    table.prune(now + 10 * SECOND);
    let left: Vec<bool> = (1..=3)
        .map(|port| get(&mut table, &format!("h{port}"), "/", now).is_ok())
        .collect();
    assert_eq!(left, [false, true, true]);
    table.prune(now + STALE);
    assert_eq!(table.uri_count(), 0);
}

#[test]
fn nothing_goes_stale_while_the_bus_is_away() {
    let (mut table, now) = ready();
    table.register(&message(1, "i", &["a"]), now);
    table.pause();
    assert!(table.prune(now + 10 * STALE).is_empty());
    table.resume(now + 10 * STALE);
    assert!(
        table.prune(now + 11 * STALE - SECOND).is_empty(),
        "refreshed once on return"
    );
    assert_eq!(table.prune(now + 11 * STALE).len(), 1);
}

#[test]
fn unknown_hosts_count_as_learning_until_everybody_had_time_to_register() {
    let mut table = Table::new(Settings {
        stale: STALE,
        learning: LEARNING,
        prune_without_bus: false,
        balancing: Balancing::RoundRobin,
    });
    let start = Instant::now();
    assert_eq!(
        get(&mut table, "a", "/", start + 10 * STALE),
        Err(Miss::Learning),
        "the bus was never there"
    );
    table.resume(start);
    assert_eq!(
        get(&mut table, "a", "/", start + LEARNING - SECOND),
        Err(Miss::Learning)
    );
    table.pause();
    table.resume(start + 2 * LEARNING);
    assert_eq!(
        get(&mut table, "a", "/", start + 2 * LEARNING),
        Err(Miss::Unknown),
        "a reconnect is no restart"
    );
}

#[test]
fn failed_endpoints_are_skipped_until_only_they_are_left() {
    let (mut table, now) = ready();
    table.register(&message(1, "i1", &["a"]), now);
    table.register(&message(2, "i2", &["a"]), now);
    let wanted = Wanted {
        host: "a",
        path: "/",
        sticky: Some("i1"),
    };
    let first = table.choose(&wanted, &[], now).unwrap().endpoint;
    table.mark_failed(&first, now);
    for _ in 0..4 {
        assert_eq!(
            table.choose(&wanted, &[], now).unwrap().endpoint.label(),
            "i2"
        );
    }
    let second = table.choose(&wanted, &[], now).unwrap().endpoint;
    table.mark_failed(&second, now);
    assert!(table.choose(&wanted, &[], now).unwrap().desperate);
    let later = now + STALE / 4;
    assert!(!table.choose(&wanted, &[], later).unwrap().desperate);
}

#[test]
fn endpoints_tried_for_this_request_are_not_tried_again() {
    let (mut table, now) = ready();
    table.register(&message(1, "i1", &["a"]), now);
    table.register(&message(2, "i2", &["a"]), now);
    let wanted = Wanted {
        host: "a",
        path: "/",
        sticky: None,
    };
    let first = table.choose(&wanted, &[], now).unwrap().endpoint.serial;
    let second = table
        .choose(&wanted, &[first], now)
        .unwrap()
        .endpoint
        .serial;
    assert_ne!(first, second);
    assert_eq!(
        table.choose(&wanted, &[first, second], now).unwrap_err(),
        Miss::Exhausted
    );
}

/// Who gets how many of so many requests.
fn shares(table: &mut Table, requests: usize, now: Instant) -> HashMap<String, usize> {
    let mut shares = HashMap::new();
    for _ in 0..requests {
        *shares
            .entry(get(table, "a", "/", now).unwrap())
            .or_default() += 1;
    }
    shares
}

#[test]
fn turns_follow_the_weights_and_stand_apart() {
    let (mut table, now) = ready();
    for (port, id, weight) in [(1, "light", "1"), (2, "heavy", "3"), (3, "odd", "many")] {
        let mut message = message(port, id, &["a"]);
        message.tags.insert("weight".into(), weight.into());
        table.register(&message, now);
    }
    let got = shares(&mut table, 500, now);
    let expected = [("light", 100), ("heavy", 300), ("odd", 100)];
    assert_eq!(
        got,
        expected.map(|(id, count)| (id.to_owned(), count)).into()
    );
    let row: Vec<String> = (0..5)
        .map(|_| get(&mut table, "a", "/", now).unwrap())
        .collect();
    assert!(
        row.windows(3)
            .all(|three| three.iter().any(|id| id != "heavy")),
        "{row:?}"
    );
}

#[test]
fn the_least_busy_instance_is_chosen_by_weight() {
    let (mut table, now) = ready();
    table.settings.balancing = Balancing::LeastConnection;
    let mut double = message(2, "double", &["a"]);
    double.tags.insert("weight".into(), "2".into());
    table.register(&message(1, "single", &["a"]), now);
    table.register(&double, now);
    let wanted = Wanted {
        host: "a",
        path: "/",
        sticky: None,
    };
    let busy: Vec<_> = (0..6)
        .map(|_| Busy::at(table.choose(&wanted, &[], now).unwrap().endpoint))
        .collect();
    let at = |id: &str| busy.iter().filter(|busy| busy.label() == id).count();
    assert_eq!((at("single"), at("double")), (2, 4));
    drop(busy);
    let idle = table
        .routes()
        .flat_map(|(_, slots)| slots)
        .all(|slot| slot.endpoint.in_flight() == 0);
    assert!(idle, "what is over does not count");
}

//! The content of the monitoring pages, with the names and units of `nats-server`.

use std::cmp::Reverse;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::query::Query;
use crate::hub::Hub;
use crate::limits::{PROTO, VERSION};
use crate::peer::Peer;
use crate::subjects::{covers, is_literal};
use crate::subscription::BySid;

/// The server as a whole.
pub(super) fn varz(hub: &Hub) -> Value {
    let mut page = serde_json::Map::new();
    for part in [about(hub), allowances(hub), load(hub)] {
        if let Value::Object(part) = part {
            page.extend(part);
        }
    }
    page.into()
}

fn about(hub: &Hub) -> Value {
    let tls = hub.tls();
    json!({
        "server_id": hub.server_id, "server_name": hub.server_name,
        "version": VERSION, "proto": PROTO, "go": "",
        "host": hub.listen.ip().to_string(), "port": hub.listen.port(),
        "auth_required": hub.auth().required(),
        "tls_required": tls.as_ref().is_some_and(|tls| tls.required()),
        "tls_verify": tls.as_ref().is_some_and(|tls| tls.verifies()),
        "start": time(hub.started_at), "now": time(SystemTime::now()),
        "uptime": span(hub.started.elapsed()), "config_load_time": time(hub.loaded_at.get()),
    })
}

fn allowances(hub: &Hub) -> Value {
    let limits = hub.limits();
    let nanoseconds = |seconds: f64| (seconds * 1e9) as u64;
    json!({
        "max_connections": limits.max_connections, "max_subscriptions": limits.max_subscriptions,
        "max_payload": limits.max_payload, "max_pending": limits.max_pending,
        "max_control_line": limits.max_control_line,
        "ping_interval": nanoseconds(limits.ping_interval), "ping_max": limits.max_pings_out,
        "auth_timeout": limits.auth_timeout, "write_deadline": nanoseconds(limits.write_deadline),
    })
}

fn load(hub: &Hub) -> Value {
    let counters = &hub.counters;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    json!({
        "mem": resident_bytes(), "cores": cores, "gomaxprocs": 1, "cpu": hub.load.percent(Instant::now()),
        "buffered_bytes": hub.buffers.held(), "max_buffered": hub.limits().max_buffered,
        "connections": hub.peers.borrow().len(), "total_connections": hub.total_connections.get(),
        "routes": 0, "remotes": 0, "leafnodes": 0,
        "subscriptions": hub.subscription_count(), "slow_consumers": hub.slow_consumers.get(),
        "in_msgs": counters.in_msgs.get(), "in_bytes": counters.in_bytes.get(),
        "out_msgs": counters.out_msgs.get(), "out_bytes": counters.out_bytes.get(),
        "cluster": {}, "gateway": {}, "leaf": {}, "jetstream": {},
    })
}

/// The connections, in the order and number asked for.
///
/// # Errors
/// What the query asks for and nobody remembers.
pub(super) fn connz(hub: &Hub, query: &Query<'_>) -> Result<Value, &'static str> {
    if !matches!(query.text("state"), None | Some("open" | "0" | "")) {
        return Err("closed connections are not remembered; only state=open is answered");
    }
    if query.text("acc").is_some_and(|account| account != "$G") {
        return Err("there is one account, $G");
    }
    let now = Instant::now();
    let mut peers: Vec<Rc<Peer>> = hub.peers.borrow().values().cloned().collect();
    if let Some(cid) = query.number("cid") {
        peers.retain(|peer| peer.id == cid as u64);
    }
    if let Some(user) = query.text("user") {
        peers.retain(|peer| peer.identity().is_some_and(|known| known.name == user));
    }
    sort(&mut peers, query.text("sort").unwrap_or("cid"));
    let total = peers.len();
    let shown = peers.iter().skip(query.offset()).take(query.limit());
    let rows: Vec<Value> = shown
        .map(|peer| connection(hub, peer, query, now))
        .collect();
    Ok(json!({
        "server_id": hub.server_id, "now": time(SystemTime::now()),
        "num_connections": rows.len(), "total": total,
        "offset": query.offset(), "limit": query.limit(), "connections": rows,
    }))
}

/// Oldest first for ids and start, largest first for everything that counts.
fn sort(peers: &mut [Rc<Peer>], key: &str) {
    match key {
        "subs" => peers.sort_by_key(|peer| Reverse(peer.subscriptions.borrow().len())),
        "pending" => peers.sort_by_key(|peer| Reverse(peer.pending())),
        "msgs_to" => peers.sort_by_key(|peer| Reverse(peer.counters.out_msgs.get())),
        "msgs_from" => peers.sort_by_key(|peer| Reverse(peer.counters.in_msgs.get())),
        "bytes_to" => peers.sort_by_key(|peer| Reverse(peer.counters.out_bytes.get())),
        "bytes_from" => peers.sort_by_key(|peer| Reverse(peer.counters.in_bytes.get())),
        "last" => peers.sort_by_key(|peer| Reverse(peer.last_activity.get())),
        "idle" => peers.sort_by_key(|peer| peer.last_activity.get()),
        _ => peers.sort_by_key(|peer| peer.id),
    }
}

fn connection(hub: &Hub, peer: &Peer, query: &Query<'_>, now: Instant) -> Value {
    let client = peer.client.borrow();
    let last = peer.last_activity.get();
    let mut row = json!({
        "cid": peer.id, "kind": "Client", "type": "nats",
        "ip": peer.addr.ip().to_string(), "port": peer.addr.port(),
        "start": time(hub.started_at + (peer.since - hub.started)),
        "last_activity": time(hub.started_at + (last - hub.started)),
        "uptime": span(now - peer.since), "idle": span(now.saturating_duration_since(last)),
        "pending_bytes": peer.pending(), "subscriptions": peer.subscriptions.borrow().len(),
        "in_msgs": peer.counters.in_msgs.get(), "in_bytes": peer.counters.in_bytes.get(),
        "out_msgs": peer.counters.out_msgs.get(), "out_bytes": peer.counters.out_bytes.get(),
    });
    if let Some(rtt) = peer.rtt.get() {
        row["rtt"] = round_trip(rtt).into();
    }
    for (key, text) in [
        ("name", &client.name),
        ("lang", &client.lang),
        ("version", &client.version),
    ] {
        if !text.is_empty() {
            row[key] = json!(text);
        }
    }
    if let Some((version, cipher)) = peer.stream.tls_facts() {
        row["tls_version"] = version.into();
        row["tls_cipher_suite"] = cipher.into();
    }
    if query.flag("auth") {
        row["authorized_user"] = peer
            .identity()
            .map_or(Value::Null, |user| user.name.clone().into());
    }
    if query.flag("subs") {
        let subjects = peer.subscriptions.borrow();
        let subjects = subjects.iter().map(|sub| text(sub.0.head.subject()));
        row["subscriptions_list"] = subjects.collect();
    }
    row
}

/// The index of subscriptions, and the subscriptions themselves if asked for.
///
/// # Errors
/// A subject to test that cannot be published to.
pub(super) fn subsz(hub: &Hub, query: &Query<'_>) -> Result<Value, &'static str> {
    let test = query.text("test");
    if test.is_some_and(|subject| !is_literal(subject.as_bytes())) {
        return Err("test needs a subject that can be published to");
    }
    let facts = hub.subjects();
    let ratio = |part: u64, whole: u64| {
        if whole == 0 {
            0.0
        } else {
            part as f64 / whole as f64
        }
    };
    let mut page = json!({
        "server_id": hub.server_id, "now": time(SystemTime::now()),
        "num_subscriptions": facts.len, "num_cache": facts.cached,
        "num_inserts": facts.inserted, "num_removes": facts.removed, "num_matches": facts.asked,
        "cache_hit_rate": ratio(facts.answered_from_cache, facts.asked),
        "max_fanout": facts.max_fanout,
        "avg_fanout": ratio(facts.total_fanout as u64, facts.cached as u64),
        "total": facts.len, "offset": query.offset(), "limit": query.limit(),
    });
    if query.flag("subs") || test.is_some() {
        page["subscriptions_list"] = subscriptions(hub, query, test);
    }
    Ok(page)
}

/// All subscriptions, or those that a message on the subject `test` would reach.
fn subscriptions(hub: &Hub, query: &Query<'_>, test: Option<&str>) -> Value {
    let mut rows = Vec::new();
    for peer in hub.peers.borrow().values() {
        for BySid(sub) in peer.subscriptions.borrow().iter() {
            let reached = |subject: &str| covers(sub.head.subject(), subject.as_bytes());
            if !test.is_none_or(reached) {
                continue;
            }
            let mut row = json!({
                "account": "$G", "subject": text(sub.head.subject()), "sid": text(sub.head.sid()),
                "msgs": sub.delivered.get(), "cid": peer.id,
            });
            if let Some(queue) = &sub.queue {
                row["qgroup"] = text(queue);
            }
            rows.push(row);
        }
    }
    let shown = rows.into_iter().skip(query.offset());
    shown.take(query.limit()).collect()
}

/// There are no routes; tools that ask get an empty list.
pub(super) fn routez(hub: &Hub) -> Value {
    json!({"server_id": hub.server_id, "now": time(SystemTime::now()), "num_routes": 0, "routes": []})
}

fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into()
}

fn time(at: SystemTime) -> String {
    DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// A time span as `1d2h3m4s`, without the leading parts that are zero.
fn span(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let seconds = seconds % 60;
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{seconds}s"),
        (0, ..) => format!("{hours}h{minutes}m{seconds}s"),
        _ => format!("{days}d{hours}h{minutes}m{seconds}s"),
    }
}

/// A short time as Go prints it: `87µs`, `1.234ms`, `2.5s`.
fn round_trip(took: Duration) -> String {
    let micros = took.as_micros() as f64;
    match micros {
        ..1e3 => format!("{micros}µs"),
        ..1e6 => format!("{}ms", micros / 1e3),
        _ => format!("{}s", micros / 1e6),
    }
}

/// Resident memory in bytes, 0 where /proc does not say.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(0);
    pages * 4096
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_are_written_in_the_unit_that_fits() {
        for (micros, expected) in [(87, "87µs"), (1234, "1.234ms"), (2_500_000, "2.5s")] {
            assert_eq!(round_trip(Duration::from_micros(micros)), expected);
        }
    }

    #[test]
    fn spans_leave_out_what_is_zero() {
        for (seconds, expected) in [
            (0, "0s"),
            (61, "1m1s"),
            (3600, "1h0m0s"),
            (90_061, "1d1h1m1s"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }
}

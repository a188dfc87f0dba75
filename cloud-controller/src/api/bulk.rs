//! For the health manager: the desired state in batches, counts, and its lease.

use axum::Json;
use axum::extract::{RawQuery, State};
use component::authorized;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use v2_api::Code;

use super::body::{Body, parameter};
use super::routing::{Routes, get, put};
use super::times::rfc3339;
use crate::controller::Ctl;
use crate::failure::{Outcome, fail, fail_with};
use crate::limits::BULK_APPS;
use crate::store::LeaseRow;
use crate::wishes::LEASE;

/// A lease whose length nobody names lasts this many heartbeats.
const LEASE_HEARTBEATS: u32 = 5;
/// Shortest lease, seconds.
const SHORTEST_LEASE: f64 = 0.5;
/// Longest lease, seconds: a manager that died holds up its successor no longer than this.
const LONGEST_LEASE: f64 = 300.0;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/bulk/apps", get(apps))
        .route("/bulk/counts", get(counts))
        .route("/internal/v1/health_manager/lease", put(lease))
        .route("/v2/syslog_drain_urls", get(drains))
}

fn check(ctl: &Ctl, headers: &HeaderMap) -> Outcome<()> {
    let auth = &ctl.config.bulk_auth;
    if !auth.password.is_empty() && authorized(headers, &auth.basic()) {
        Ok(())
    } else {
        Err(fail(Code::NotAuthenticated))
    }
}

/// `{"id":n}`; an empty object begins anew.
#[derive(Deserialize, Default)]
struct Token {
    #[serde(default)]
    id: Option<i64>,
}

/// How many rows a page has when so many are asked for.
fn page(asked: i64) -> i64 {
    asked.clamp(1, i64::from(BULK_APPS))
}

async fn apps(State(ctl): State<Ctl>, headers: HeaderMap, raw: RawQuery) -> Outcome<Json<Value>> {
    check(&ctl, &headers)?;
    let missing = |key: &str| fail_with(Code::BadQueryParameter, key);
    let size = parameter(&raw, "batch_size")
        .and_then(|text| text.parse::<i64>().ok())
        .filter(|size| *size > 0);
    let size = page(size.ok_or_else(|| missing("batch_size"))?);
    let token = parameter(&raw, "bulk_token").ok_or_else(|| missing("bulk_token"))?;
    let token: Token =
        serde_json::from_str(&token).map_err(|error| missing(&format!("bulk_token: {error}")))?;
    let rows = ctl.store.bulk(token.id.unwrap_or(0), size).await?;
    let mut results = Map::new();
    for row in &rows {
        let entry = json!({
            "id": row.guid, "instances": row.instances, "state": row.state, "memory": row.memory,
            "package_state": row.package_state, "version": row.version, "updated_at": rfc3339(row.updated_at),
        });
        results.insert(row.guid.clone(), entry);
    }
    Ok(Json(
        json!({"results": results, "bulk_token": {"id": rows.last().map(|row| row.id)}}),
    ))
}

async fn counts(State(ctl): State<Ctl>, headers: HeaderMap, raw: RawQuery) -> Outcome<Json<Value>> {
    check(&ctl, &headers)?;
    match parameter(&raw, "model").as_deref() {
        Some("user") => Ok(Json(
            json!({"counts": {"user": ctl.store.count_users().await?}}),
        )),
        other => Err(fail_with(
            Code::BadQueryParameter,
            format!("model {other:?}: use user"),
        )),
    }
}

/// Where the logs of bound apps are to be sent, in batches of apps; no `next_id` ends the scan.
async fn drains(State(ctl): State<Ctl>, headers: HeaderMap, raw: RawQuery) -> Outcome<Json<Value>> {
    check(&ctl, &headers)?;
    let number = |key: &str| parameter(&raw, key).and_then(|text| text.parse::<i64>().ok());
    let size = number("batch_size").unwrap_or(i64::from(BULK_APPS));
    let rows = ctl
        .store
        .drains(number("next_id").unwrap_or(0), page(size))
        .await?;
    let mut results = Map::new();
    for row in &rows {
        let url = ctl.store.unseal_text(&row.syslog_drain_sealed)?;
        if url.is_empty() {
            continue;
        }
        let urls = results
            .entry(row.app_guid.clone())
            .or_insert_with(|| json!([]));
        if let Value::Array(urls) = urls {
            urls.push(url.into());
        }
    }
    let next = rows.last().map(|row| row.app_id);
    Ok(Json(json!({"results": results, "next_id": next})))
}

#[derive(Deserialize)]
struct Holder {
    holder: String,
    ttl_seconds: Option<f64>,
}

impl Holder {
    /// Length of the lease asked for, microseconds.
    fn length(&self, heartbeat: std::time::Duration) -> i64 {
        let usual = heartbeat.as_secs_f64() * f64::from(LEASE_HEARTBEATS);
        let seconds = self
            .ttl_seconds
            .filter(|ttl| ttl.is_finite())
            .unwrap_or(usual);
        (seconds.clamp(SHORTEST_LEASE, LONGEST_LEASE) * 1_000_000.0) as i64
    }
}

/// Who asks holds the lease unless another does; each change of holder is a new epoch. 409 names the other holder.
async fn lease(
    State(ctl): State<Ctl>,
    headers: HeaderMap,
    Body(sent): Body<Holder>,
) -> Outcome<axum::response::Response> {
    use axum::response::IntoResponse as _;
    check(&ctl, &headers)?;
    let length = sent.length(ctl.times.heartbeat);
    let mut tx = ctl.store.begin().await?;
    let now = tx.now();
    let next = match next_lease(tx.lease(LEASE).await?, &sent.holder, now, length) {
        Ok(next) => next,
        Err(held) => {
            let body = json!({"holder": held.holder, "epoch": held.epoch, "expires_in": seconds(held.expires_at - now)});
            return Ok((http::StatusCode::CONFLICT, Json(body)).into_response());
        }
    };
    tx.save_lease(&next).await?;
    tx.commit().await?;
    Ok(Json(json!({"epoch": next.epoch, "expires_in": seconds(length)})).into_response())
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / 1_000_000.0
}

/// The lease after `holder` asked for it, or the lease of whoever holds it. Pure; times in microseconds.
fn next_lease(
    current: Option<LeaseRow>,
    holder: &str,
    now: i64,
    length: i64,
) -> Result<LeaseRow, LeaseRow> {
    let renewed = |epoch| LeaseRow {
        name: LEASE.to_owned(),
        holder: holder.to_owned(),
        epoch,
        expires_at: now + length,
    };
    match current {
        None => Ok(renewed(1)),
        Some(held) if held.holder == holder && held.expires_at > now => Ok(renewed(held.epoch)),
        Some(held) if held.expires_at > now => Err(held),
        Some(held) => Ok(renewed(held.epoch + 1)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_lease_changes_hands_only_after_it_ran_out_and_then_in_a_new_epoch() {
        let first = next_lease(None, "a", 0, 10).unwrap();
        assert_eq!((first.epoch, first.expires_at), (1, 10));
        assert_eq!(
            next_lease(Some(first.clone()), "b", 9, 10)
                .unwrap_err()
                .holder,
            "a"
        );
        let renewed = next_lease(Some(first.clone()), "a", 9, 10).unwrap();
        assert_eq!((renewed.epoch, renewed.expires_at), (1, 19));
        assert_eq!(
            next_lease(Some(first.clone()), "b", 10, 10).unwrap().epoch,
            2
        );
        assert_eq!(
            next_lease(Some(first), "a", 10, 10).unwrap().epoch,
            2,
            "a holder that slept is not sure nobody acted"
        );
    }

    #[test]
    fn a_page_of_the_bulk_api_is_bounded() {
        let most = i64::from(BULK_APPS);
        for (asked, given) in [
            (i64::MIN, 1),
            (0, 1),
            (most, most),
            (most + 1, most),
            (i64::MAX, most),
        ] {
            assert_eq!(page(asked), given, "{asked}");
        }
    }
}

//! Events: what was done to whom. They outlive their subject.

use database::query;
use serde_json::Value;

use super::listing::{Column, Table};
use super::record::record;
use super::{StoreError, Tx};

record! {
    /// A row of `events`.
    EventRow {
        guid: String, kind: String, actor: String, actor_type: String, actor_name: Option<String>, actee: String,
        actee_type: String, actee_name: Option<String>, timestamp: i64, metadata: String, space_guid: Option<String>,
        organization_guid: Option<String>,
    }
}

pub(crate) static EVENTS: Table = Table {
    select: "SELECT t.*, t.type AS kind",
    from: "FROM events t",
    also: "",
    order: "t.id",
    name: None,
    filters: &[
        ("timestamp", Column::Time("t.timestamp")),
        ("type", Column::Text("t.type")),
        ("actee", Column::Text("t.actee")),
    ],
};

/// An event to be recorded.
#[derive(Debug, Clone)]
pub(crate) struct NewEvent {
    /// e.g. `audit.app.create`.
    pub(crate) kind: &'static str,
    /// (guid, type, name) of who did it.
    pub(crate) actor: (String, &'static str, Option<String>),
    /// (guid, type, name) of what it was done to.
    pub(crate) actee: (String, &'static str, String),
    /// Details; no secrets.
    pub(crate) metadata: Value,
    /// Space it happened in.
    pub(crate) space_guid: Option<String>,
    /// Organization it happened in.
    pub(crate) organization_guid: Option<String>,
}

impl Tx {
    pub(crate) async fn record_event(&mut self, event: &NewEvent) -> Result<(), StoreError> {
        query(
            "INSERT INTO events (guid, type, actor, actor_type, actor_name, actee, actee_type, actee_name, timestamp, metadata, \
             space_guid, organization_guid) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)",
        )
        .bind(bus::ids::guid())
        .bind(event.kind)
        .bind(&event.actor.0)
        .bind(event.actor.1)
        .bind(&event.actor.2)
        .bind(&event.actee.0)
        .bind(event.actee.1)
        .bind(&event.actee.2)
        .bind(self.now)
        .bind(event.metadata.to_string())
        .bind(&event.space_guid)
        .bind(&event.organization_guid)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    /// Forgets events older than this, those of usage too.
    pub(crate) async fn prune_events(&mut self, before: i64) -> Result<(), StoreError> {
        query("DELETE FROM events WHERE timestamp < $1")
            .bind(before)
            .execute(&mut self.inner)
            .await?;
        self.prune_usage(before).await
    }
}

//! What apps used: a row whenever an app's desired state or size changes, written with the app itself so that none is forgotten.

use database::query;

use super::listing::Table;
use super::record::{many, record};
use super::{AppRow, StoreError, Tx};

record! {
    /// A row of `app_usage_events`. `memory` is MB per instance.
    UsageRow {
        id: i64, guid: String, created_at: i64, state: String, memory: i64, instances: i64, app_guid: String, app_name: String,
        space_guid: String, space_name: String, org_guid: String, buildpack_guid: Option<String>, buildpack_name: Option<String>,
        package_state: String,
    }
}

pub(crate) static USAGE: Table = Table {
    select: "SELECT t.*",
    from: "FROM app_usage_events t",
    also: "",
    order: "t.id",
    name: None,
    filters: &[],
};

/// What of a change counts as usage, in the original's words; pure. `None`: nothing.
fn change(before: Option<&AppRow>, after: &AppRow) -> Option<&'static str> {
    let was_started = before.is_some_and(AppRow::is_started);
    if was_started != after.is_started() {
        return Some(if after.is_started() {
            "STARTED"
        } else {
            "STOPPED"
        });
    }
    let before = before.filter(|_| was_started)?;
    if (before.memory, before.instances) != (after.memory, after.instances) {
        return Some("STARTED");
    }
    (before.detected_buildpack != after.detected_buildpack).then_some("BUILDPACK_SET")
}

impl Tx {
    /// Notes what the change of an app means for its use. `before` is the row as it was stored.
    pub(super) async fn note_usage(
        &mut self,
        before: Option<&AppRow>,
        after: &AppRow,
    ) -> Result<(), StoreError> {
        match change(before, after) {
            Some(state) => self.insert_usage(state, after).await,
            None => Ok(()),
        }
    }

    /// One row about an app as it is.
    pub(super) async fn insert_usage(
        &mut self,
        state: &str,
        app: &AppRow,
    ) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        let buildpack = app.buildpack.as_ref().or(app.detected_buildpack.as_ref());
        let buildpack = buildpack.map(|name| without_credentials(name));
        query(
            "INSERT INTO app_usage_events (id, guid, created_at, state, memory, instances, app_guid, app_name, space_guid, \
             space_name, org_guid, buildpack_guid, buildpack_name, package_state) \
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, s.guid, s.name, s.organization_guid, \
             (SELECT guid FROM buildpacks WHERE name_key = $11), $10, $12 FROM spaces s WHERE s.guid = $9",
        )
        .bind(id)
        .bind(bus::ids::guid())
        .bind(self.now)
        .bind(state)
        .bind(app.memory)
        .bind(app.instances)
        .bind(&app.guid)
        .bind(&app.name)
        .bind(&app.space_guid)
        .bind(&buildpack)
        .bind(buildpack.as_deref().map(str::to_lowercase))
        .bind(&app.package_state)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    /// Forgets everything and begins anew with one row for each started app.
    pub(crate) async fn reseed_usage(&mut self) -> Result<(), StoreError> {
        query("DELETE FROM app_usage_events")
            .execute(&mut self.inner)
            .await?;
        let sql = "SELECT t.*, p.version, p.instances, p.droplet_hash FROM apps t JOIN processes p ON p.guid = t.guid \
                   WHERE t.state = 'STARTED' ORDER BY t.id";
        let started: Vec<AppRow> = many(query(sql).fetch_all(&mut self.inner).await?)?;
        for app in &started {
            self.insert_usage("STARTED", app).await?;
        }
        Ok(())
    }

    /// Forgets rows older than this.
    pub(super) async fn prune_usage(&mut self, before: i64) -> Result<(), StoreError> {
        query("DELETE FROM app_usage_events WHERE created_at < $1")
            .bind(before)
            .execute(&mut self.inner)
            .await?;
        Ok(())
    }
}

/// A buildpack's address without the user and password it may hold.
fn without_credentials(name: &str) -> String {
    match url::Url::parse(name) {
        Ok(mut url) if !url.username().is_empty() || url.password().is_some() => {
            // Both fail only for URLs that cannot have credentials.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.to_string()
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::tests::app;

    #[test]
    fn starts_stops_sizes_and_buildpacks_count_and_nothing_else() {
        let sized = |state: &str, memory: i64| AppRow {
            memory,
            ..app(state, "STAGED", 1)
        };
        let detected = AppRow {
            detected_buildpack: Some("ruby".into()),
            ..sized("STARTED", 64)
        };
        let renamed = AppRow {
            name: "other".into(),
            ..sized("STARTED", 64)
        };
        let table = [
            (None, sized("STOPPED", 64), None),
            (None, sized("STARTED", 64), Some("STARTED")),
            (Some("STOPPED"), sized("STARTED", 64), Some("STARTED")),
            (Some("STARTED"), sized("STOPPED", 64), Some("STOPPED")),
            (Some("STARTED"), sized("STARTED", 65), Some("STARTED")),
            (Some("STOPPED"), sized("STOPPED", 65), None),
            (
                Some("STARTED"),
                app("STARTED", "STAGED", 7),
                Some("STARTED"),
            ),
            (Some("STARTED"), detected, Some("BUILDPACK_SET")),
            (Some("STARTED"), renamed, None),
        ];
        for (before, after, expected) in table {
            let before = before.map(|state| sized(state, 64));
            assert_eq!(
                change(before.as_ref(), &after),
                expected,
                "{before:?} {after:?}"
            );
        }
    }

    #[test]
    fn an_address_is_noted_without_its_password() {
        assert_eq!(without_credentials("ruby"), "ruby");
        assert_eq!(
            without_credentials("https://me:secret@example.com/bp.git"),
            "https://example.com/bp.git"
        );
    }
}

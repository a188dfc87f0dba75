//! Staging: choosing a stager, and how a staging begins and ends in the database. The conversation is in [`crate::stager`].
//!
//! The database knows the current task of an app; whatever comes for another task is ignored. The
//! upload of the droplet completes a staging by itself, the stager's second reply only adds details
//! and is the faster road to the remaining instances.

use bus::staging;
use v2_api::{ApiError, Code};

use crate::blobs::Place;
use crate::controller::Controller;
use crate::failure::Outcome;
use crate::placement::{Need, Shortage, choose_stager};
use crate::share;
use crate::store::{AppRow, StagingFailure, StagingTask, StoreError, Tx, now_micros};

/// A driver's lease, in heartbeats.
const DRIVER_HEARTBEATS: u32 = 10;

/// A stager that fits.
pub(crate) struct Chosen {
    /// Its id.
    pub(crate) id: String,
    /// MB that all stagers of the stack together offered then.
    free: i64,
}

/// MB of memory and disk a staging of this app needs.
pub(crate) fn need_of(ctl: &Controller, app: &AppRow) -> (i64, i64) {
    let rules = &ctl.config.staging;
    (
        app.memory.max(rules.minimum_memory_mb),
        app.disk_quota.max(rules.minimum_disk_mb),
    )
}

impl Controller {
    /// A stager for the app, if there is a buildpack to try; asks all to advertise and waits a moment when none fits.
    pub(crate) async fn pick_stager(&self, app: &AppRow) -> Outcome<Chosen> {
        if app.buildpack.is_none() && self.store.usable_buildpacks().await?.is_empty() {
            return Err(ApiError::new(Code::NoBuildpacksFound).into());
        }
        let found = self.find_stager(app, &[]).await?;
        let free = share::free(self, app).await?;
        found.map(|id| Chosen { id, free }).map_err(|shortage| {
            ApiError::with(
                Code::StagingError,
                format!("no available stagers: {shortage}"),
            )
            .into()
        })
    }

    /// A stager that fits and was not `asked` before, or what they lack.
    pub(crate) async fn find_stager(
        &self,
        app: &AppRow,
        asked: &[String],
    ) -> Outcome<Result<String, Shortage>> {
        let stack = self.stack_of(app).await?.name;
        let (memory, disk) = need_of(self, app);
        let need = Need {
            process: &app.guid,
            stack: &stack,
            memory,
            disk,
        };
        let choose = || {
            let mut offers = self.stagers().live(std::time::Instant::now());
            offers.retain(|offer| !asked.contains(&offer.id));
            choose_stager(&offers, need, rand::random()).map(|offer| offer.id.clone())
        };
        Ok(match choose() {
            Ok(stager) => Ok(stager),
            Err(_) => self.locate(staging::LOCATE, choose).await,
        })
    }

    /// Opens a staging task within the write that asks for it: the app is PENDING before the answer leaves.
    pub(crate) async fn open_staging(
        &self,
        tx: &mut Tx,
        app: &mut AppRow,
        stager: &Chosen,
    ) -> Result<StagingTask, StoreError> {
        let lease =
            i64::try_from(self.config.staging.timeout_seconds).unwrap_or(i64::MAX / 2_000_000);
        let mut task = StagingTask {
            task_id: bus::ids::hex32(),
            app_guid: app.guid.clone(),
            version: app.version.clone(),
            stager_id: stager.id.clone(),
            state: "OPEN".into(),
            deadline: tx.now().saturating_add(lease.saturating_mul(1_000_000)),
            driver: self.me.clone(),
            driven_until: tx.now() + self.driver_lease(),
        };
        let least = self.config.staging.minimum_memory_mb;
        let load = tx.staging_load(&task, least).await?;
        if !share::is_turn(&load, need_of(self, app).0, stager.free) {
            // It waits in its organization's line.
            task.stager_id.clear();
        }
        app.package_state = "PENDING".into();
        app.staging_task_id = Some(task.task_id.clone());
        app.staging_failed_reason = None;
        app.staging_failed_description = None;
        tx.open_staging(&task).await?;
        Ok(task)
    }

    /// Gives up, within the write that makes it pointless, what is being staged of an app: it was stopped, or got other bits or another
    /// stack. True when there was something; stagers have to be told then ([`Controller::stop_staging`]).
    pub(crate) async fn cancel_staging(
        &self,
        tx: &mut Tx,
        before: &AppRow,
        after: &mut AppRow,
    ) -> Result<bool, StoreError> {
        let Some(task) = before.staging_under_way() else {
            return Ok(false);
        };
        if after.is_started() && after.staging_under_way() == Some(task) {
            return Ok(false);
        }
        tx.close_staging(task).await?;
        after.staging_task_id = None;
        Ok(true)
    }

    /// Tells every stager to drop what it does for an app. Best effort: what comes of it nevertheless is refused.
    pub(crate) async fn stop_staging(&self, app: &str) {
        let stop = staging::Stop {
            app_id: app.to_owned(),
        };
        if let Err(error) = self.bus.publish(&stop).await {
            tracing::info!(%error, %app, "stagers were not told to stop; what they send is refused");
        }
    }

    /// Fails a task if it is still the app's current one and no droplet came; nothing is taken from it afterwards.
    pub(crate) async fn fail_staging(
        &self,
        task_id: &str,
        app_guid: &str,
        failure: &StagingFailure,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        let Some(mut app) = tx.app(app_guid).await? else {
            return Ok(());
        };
        if app.staging_under_way() != Some(task_id) {
            tx.close_staging(task_id).await?;
            return tx.commit().await;
        }
        app.package_state = "FAILED".into();
        app.staging_failed_reason = Some(failure.reason.clone());
        app.staging_failed_description = Some(failure.text.clone());
        tx.close_staging(task_id).await?;
        tx.save_app(&app).await?;
        tx.commit().await?;
        self.say(
            app_guid,
            "STG",
            format!("Staging failed ({}): {}", failure.reason, failure.text),
        );
        Ok(())
    }

    /// A droplet arrived: keeps it, and completes the staging it belongs to. False when that staging is no longer wanted.
    pub(crate) async fn accept_droplet(
        &self,
        app_guid: &str,
        task: Option<&str>,
        sha1: &str,
        file: &std::path::Path,
        size: u64,
    ) -> Outcome<bool> {
        let Some(app) = self.store.app(app_guid).await? else {
            return Ok(false);
        };
        let current = self.current_task(&app).await?;
        match fate(&app, current.as_ref(), task, sha1) {
            Fate::Wanted => {}
            Fate::Known => return Ok(true),
            Fate::Unwanted => return Ok(false),
        }
        let place = Place::Droplet(app_guid.to_owned(), sha1.to_owned());
        self.blobs.put(&place, file).await?;
        let mut tx = self.store.begin().await?;
        let Some(mut app) = tx.app(app_guid).await? else {
            return Ok(false);
        };
        let current = match &app.staging_task_id {
            Some(id) => tx.staging_task(id).await?,
            None => None,
        };
        let fate = fate(&app, current.as_ref(), task, sha1);
        if fate != Fate::Wanted {
            // The app changed while the blob was stored; the blob is found again by its hash, or goes with the app.
            return Ok(fate == Fate::Known);
        }
        app.droplet_hash = Some(sha1.to_owned());
        app.package_state = "STAGED".into();
        let old = tx
            .add_droplet(
                app_guid,
                sha1,
                i64::try_from(size).unwrap_or(i64::MAX),
                i64::from(self.config.kept_droplets.max(1)),
            )
            .await?;
        if let Some(task) = &current {
            tx.note_upload(&task.task_id).await?;
        }
        tx.save_app(&app).await?;
        tx.commit().await?;
        for sha1 in old {
            self.blobs
                .delete(&Place::Droplet(app_guid.to_owned(), sha1))
                .await?;
        }
        Ok(true)
    }

    /// The task an app names, if it is kept.
    async fn current_task(&self, app: &AppRow) -> Result<Option<StagingTask>, StoreError> {
        match &app.staging_task_id {
            Some(id) => self.store.staging_task(id).await,
            None => Ok(None),
        }
    }

    /// Whether a build cache is taken from this task: the app's current one, as long as its stager may have something to say.
    /// Who names none (an original's own address, opened with the password) is trusted.
    pub(crate) async fn wants_cache(&self, app_guid: &str, task: Option<&str>) -> Outcome<bool> {
        let Some(task) = task else {
            return Ok(true);
        };
        let Some(app) = self.store.app(app_guid).await? else {
            return Ok(false);
        };
        let current = self.current_task(&app).await?;
        Ok(current.is_some_and(|current| current.task_id == task && current.state != "DONE"))
    }

    /// Microseconds a controller may be silent before another drives its stagings.
    pub(crate) fn driver_lease(&self) -> i64 {
        let lease = self.times.heartbeat * DRIVER_HEARTBEATS;
        i64::try_from(lease.as_micros()).unwrap_or(i64::MAX / 2)
    }

    /// Ends stagings nobody completed in time; whoever drove them may be dead.
    pub(crate) async fn expire_stagings(&self) -> Result<(), StoreError> {
        for task in self.store.overdue_stagings(now_micros()).await? {
            let text = match task.stager_id.as_str() {
                "" => share::OVER.to_owned(),
                stager => format!(
                    "the stager {stager} did not finish within {} s; see its log, or push again",
                    self.config.staging.timeout_seconds
                ),
            };
            self.fail_staging(
                &task.task_id,
                &task.app_guid,
                &failed("StagingTimeExpired", text),
            )
            .await?;
            let mut tx = self.store.begin().await?;
            tx.close_staging(&task.task_id).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// What becomes of an uploaded droplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It completes the app's staging.
    Wanted,
    /// It did so already: a stager that lost our answer repeats itself.
    Known,
    /// Another staging was begun, or this one was given up.
    Unwanted,
}

/// Pure. `current` is the app's task; `named` is absent when the uploader names none (it then speaks for the current one).
fn fate(app: &AppRow, current: Option<&StagingTask>, named: Option<&str>, sha1: &str) -> Fate {
    let Some(current) = current.filter(|task| named.is_none_or(|named| named == task.task_id))
    else {
        return Fate::Unwanted;
    };
    match (app.package_state.as_str(), current.state.as_str()) {
        ("PENDING", "OPEN" | "SET_UP") => Fate::Wanted,
        ("STAGED", "UPLOADED") if app.droplet_hash.as_deref() == Some(sha1) => Fate::Known,
        _ => Fate::Unwanted,
    }
}

/// A failure with a reason of the error table.
pub(crate) fn failed(reason: &str, text: impl Into<String>) -> StagingFailure {
    StagingFailure {
        reason: reason.to_owned(),
        text: text.into(),
    }
}

/// A failure without a reason of its own.
pub(crate) fn staging_error(text: impl Into<String>) -> StagingFailure {
    failed("StagingError", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::tests::app;

    fn task(state: &str) -> StagingTask {
        StagingTask {
            task_id: "now".into(),
            app_guid: "g".into(),
            version: "v".into(),
            stager_id: "s".into(),
            state: state.into(),
            deadline: 0,
            driver: String::new(),
            driven_until: 0,
        }
    }

    #[test]
    fn a_droplet_completes_only_the_current_staging_and_only_once() {
        let table = [
            ("PENDING", Some("OPEN"), Some("now"), Fate::Wanted),
            ("PENDING", Some("SET_UP"), Some("now"), Fate::Wanted),
            ("PENDING", Some("SET_UP"), None, Fate::Wanted),
            ("PENDING", Some("SET_UP"), Some("before"), Fate::Unwanted),
            ("PENDING", Some("DONE"), Some("now"), Fate::Unwanted),
            ("PENDING", None, Some("now"), Fate::Unwanted),
            ("PENDING", None, None, Fate::Unwanted),
            ("STAGED", Some("UPLOADED"), Some("now"), Fate::Known),
            ("STAGED", Some("UPLOADED"), Some("before"), Fate::Unwanted),
            ("STAGED", Some("DONE"), Some("now"), Fate::Unwanted),
            ("FAILED", Some("DONE"), Some("now"), Fate::Unwanted),
        ];
        for (package, state, named, expected) in table {
            let current = state.map(task);
            let row = app("STARTED", package, 1);
            let got = fate(&row, current.as_ref(), named, "d");
            assert_eq!(got, expected, "{package} {state:?} {named:?}");
        }
        let other = fate(
            &app("STARTED", "STAGED", 1),
            Some(&task("UPLOADED")),
            None,
            "x",
        );
        assert_eq!(other, Fate::Unwanted);
    }
}

//! Staging: choosing a stager, the conversation with it, and how it ends in the database.
//!
//! The database knows the current task of an app; whatever comes for another task is ignored. The
//! upload of the droplet completes a staging by itself, the stager's second reply only adds details
//! and is the faster road to the remaining instances.

use std::time::Duration;

use bus::staging::{self, AdminBuildpack, Reply, Start};
use v2_api::{ApiError, Code};

use crate::blobs::Place;
use crate::controller::{Controller, Ctl};
use crate::failure::Outcome;
use crate::messages::{BuildpackChoice, staging_request};
use crate::placement::{Need, choose_stager};
use crate::store::{AppRow, StagingFailure, StagingTask, StoreError, Tx, now_micros};

/// Droplets kept per app.
const KEPT_DROPLETS: i64 = 2;

/// MB of memory and disk a staging of this app needs.
fn need_of(ctl: &Controller, app: &AppRow) -> (i64, i64) {
    let rules = &ctl.config.staging;
    (
        app.memory.max(rules.minimum_memory_mb),
        app.disk_quota.max(rules.minimum_disk_mb),
    )
}

impl Controller {
    /// A stager for the app, if there is a buildpack to try; asks all to advertise and waits a moment when none fits.
    pub(crate) async fn pick_stager(&self, app: &AppRow) -> Outcome<String> {
        if app.buildpack.is_none() && self.store.usable_buildpacks().await?.is_empty() {
            return Err(ApiError::new(Code::NoBuildpacksFound).into());
        }
        let stack = self.stack_of(app).await?.name;
        let (memory, disk) = need_of(self, app);
        let need = Need {
            process: &app.guid,
            stack: &stack,
            memory,
            disk,
        };
        let choose = || {
            let offers = self.stagers().live(std::time::Instant::now());
            choose_stager(&offers, need, rand::random()).map(|offer| offer.id.clone())
        };
        let found = match choose() {
            Ok(stager) => Ok(stager),
            Err(_) => self.locate(staging::LOCATE, choose).await,
        };
        found.map_err(|shortage| {
            ApiError::with(
                Code::StagingError,
                format!("no available stagers: {shortage}"),
            )
            .into()
        })
    }

    /// Opens a staging task within the write that asks for it: the app is PENDING before the answer leaves.
    pub(crate) async fn open_staging(
        &self,
        tx: &mut Tx,
        app: &mut AppRow,
        stager: &str,
    ) -> Result<StagingTask, StoreError> {
        let lease =
            i64::try_from(self.config.staging.timeout_seconds).unwrap_or(i64::MAX / 2_000_000);
        let task = StagingTask {
            task_id: bus::ids::hex32(),
            app_guid: app.guid.clone(),
            version: app.version.clone(),
            stager_id: stager.to_owned(),
            state: "OPEN".into(),
            deadline: tx.now().saturating_add(lease.saturating_mul(1_000_000)),
        };
        app.package_state = "PENDING".into();
        app.staging_task_id = Some(task.task_id.clone());
        app.staging_failed_reason = None;
        app.staging_failed_description = None;
        tx.open_staging(&task).await?;
        Ok(task)
    }

    /// Fails a task if it is still the app's current one and no droplet came.
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
        if app.staging_task_id.as_deref() != Some(task_id) || app.package_state != "PENDING" {
            return Ok(());
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
        self.blobs
            .put(&Place::Droplet(app_guid.to_owned(), sha1.to_owned()), file)
            .await?;
        let mut tx = self.store.begin().await?;
        let Some(mut app) = tx.app(app_guid).await? else {
            return Ok(false);
        };
        let current = app.staging_task_id.clone();
        if task.is_some_and(|task| current.as_deref() != Some(task)) {
            return Ok(false);
        }
        if app.is_staged() && app.droplet_hash.as_deref() == Some(sha1) {
            // A repetition by a stager that lost our answer.
            return Ok(true);
        }
        if app.package_state != "PENDING" {
            return Ok(false);
        }
        app.droplet_hash = Some(sha1.to_owned());
        app.package_state = "STAGED".into();
        let old = tx
            .add_droplet(
                app_guid,
                sha1,
                i64::try_from(size).unwrap_or(i64::MAX),
                KEPT_DROPLETS,
            )
            .await?;
        if let Some(task) = &current {
            tx.close_staging(task).await?;
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

    /// Ends stagings nobody completed in time; whoever drove them may be dead.
    pub(crate) async fn expire_stagings(&self) -> Result<(), StoreError> {
        for task in self.store.overdue_stagings(now_micros()).await? {
            let text = format!(
                "the stager {} did not finish within {} s; see its log, or push again",
                task.stager_id, self.config.staging.timeout_seconds
            );
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

/// Drives one task to its end in the background.
pub(crate) fn drive(ctl: &Ctl, app: AppRow, task: StagingTask) {
    let shared = ctl.clone();
    ctl.tasks.spawn("staging", async move {
        let outcome = converse(&shared, &app, &task).await;
        let ended = match outcome {
            Ok(reply) => complete(&shared, &task, reply).await,
            Err(failure) => shared.fail_staging(&task.task_id, &task.app_guid, &failure).await.map_err(Into::into),
        };
        if let Err(error) = ended {
            tracing::warn!(?error, app = %task.app_guid, task = %task.task_id, "staging could not be concluded; its deadline will");
        }
    });
}

fn failed(reason: &str, text: impl Into<String>) -> StagingFailure {
    StagingFailure {
        reason: reason.to_owned(),
        text: text.into(),
    }
}

fn staging_error(text: impl Into<String>) -> StagingFailure {
    failed("StagingError", text)
}

/// Request and two replies. An error is the way the staging ends.
async fn converse(ctl: &Ctl, app: &AppRow, task: &StagingTask) -> Result<Reply, StagingFailure> {
    let request = request(ctl, app, task)
        .await
        .map_err(|failure| staging_error(failure.0.description))?;
    let away = |error: bus::BusError| {
        staging_error(format!(
            "the stager {} cannot be reached: {error}",
            task.stager_id
        ))
    };
    let inbox = ctl.bus.new_inbox();
    let mut replies = ctl.bus.subscribe_to::<Reply>(&inbox).await.map_err(away)?;
    ctl.bus
        .publish(&staging::Stop {
            app_id: app.guid.clone(),
        })
        .await
        .map_err(away)?;
    ctl.bus
        .publish_with_reply(&Start::subject(&task.stager_id), &inbox, &request)
        .await
        .map_err(away)?;
    ctl.stagers()
        .reserve(&task.stager_id, need_of(ctl, app).0, None);
    tracing::info!(app = %app.guid, task = %task.task_id, stager = %task.stager_id, "asked to stage");
    let limit = Duration::from_secs(ctl.config.staging.timeout_seconds);
    let deadline = tokio::time::Instant::now() + limit;
    let mut setup_done = false;
    loop {
        let reply = match tokio::time::timeout_at(deadline, replies.next()).await {
            Ok(Some(delivery)) => delivery.body,
            Ok(None) => {
                return Err(staging_error(format!(
                    "the stager {} is gone (nobody listens); push again",
                    task.stager_id
                )));
            }
            Err(_) => {
                let text = format!(
                    "the stager {} did not finish within {limit:?}; see its log, or push again",
                    task.stager_id
                );
                return Err(failed("StagingTimeExpired", text));
            }
        };
        if let Some(failure) = failure_of(&reply) {
            return Err(failure);
        }
        if setup_done || reply.droplet_sha1.is_some() {
            return Ok(reply);
        }
        setup_done = true;
    }
}

/// How a reply ends the staging, if it reports an error. Unknown error types count as `StagingError`.
fn failure_of(reply: &Reply) -> Option<StagingFailure> {
    if let Some(info) = &reply.error_info {
        let reason = Code::by_name(&info.kind).map_or("StagingError", |code| code.row().name);
        return Some(failed(reason, info.message.clone()));
    }
    let text = reply.error.clone()?;
    // A stager without room says so in words only.
    let reason = if text.contains("resources available") {
        "InsufficientResources"
    } else {
        "StagingError"
    };
    Some(failed(reason, text))
}

/// After a good second reply: details are stored and the other instances started (the DEA starts index 0 itself).
async fn complete(ctl: &Ctl, task: &StagingTask, reply: Reply) -> Outcome<()> {
    let mut tx = ctl.store.begin().await?;
    let Some(mut app) = tx.app(&task.app_guid).await? else {
        return Ok(());
    };
    if app.staging_task_id.as_deref() != Some(task.task_id.as_str()) {
        return Ok(());
    }
    if !app.is_staged() || reply.droplet_sha1.is_some() && app.droplet_hash != reply.droplet_sha1 {
        drop(tx);
        let failure =
            staging_error("the stager reported success, but its droplet was not uploaded");
        ctl.fail_staging(&task.task_id, &task.app_guid, &failure)
            .await?;
        return Ok(());
    }
    app.detected_buildpack = reply.detected_buildpack.or(app.detected_buildpack);
    app.detected_start_command = reply.detected_start_command.unwrap_or_default();
    tx.save_app(&app).await?;
    tx.commit().await?;
    if !app.is_started() || app.version != task.version {
        return Ok(());
    }
    let started_by_dea = u32::from(reply.droplet_sha1.is_some());
    if started_by_dea == 1 {
        let now = std::time::Instant::now();
        let patience = Duration::from_secs(5).max(ctl.times.heartbeat * 5);
        ctl.live()
            .claim_start(&app.guid, &app.version, 0, now, now + patience);
    }
    let wanted = u32::try_from(app.instances).unwrap_or(0);
    if let Err(failure) = ctl.start_indices(&app, started_by_dea..wanted).await {
        ctl.say(
            &app.guid,
            "API",
            format!(
                "Not every instance could be started: {}. The health manager tries again.",
                failure.0.description
            ),
        );
    }
    Ok(())
}

async fn request(ctl: &Ctl, app: &AppRow, task: &StagingTask) -> Outcome<Start> {
    let around = ctl.surroundings(app).await?;
    let choice = choose_buildpack(ctl, app).await?;
    let buildpacks = admin_buildpacks(ctl).await?;
    let cache = Place::BuildpackCache(app.guid.clone(), around.stack_name.clone());
    let has_cache = ctl.blobs.has(&cache).await?;
    Ok(staging_request(
        app,
        &around,
        &task.task_id,
        &choice,
        buildpacks,
        need_of(ctl, app),
        has_cache,
    ))
}

async fn choose_buildpack(ctl: &Ctl, app: &AppRow) -> Outcome<BuildpackChoice> {
    let Some(wanted) = app.buildpack.as_deref().filter(|b| !b.is_empty()) else {
        return Ok(BuildpackChoice::Detect);
    };
    Ok(match ctl.store.buildpack_by_name(wanted).await? {
        Some(row) => BuildpackChoice::Admin(buildpack_key(&row.guid, row.sha1.as_deref())),
        None => BuildpackChoice::Url(wanted.to_owned()),
    })
}

/// Key of an admin buildpack: changes with its bits, so that DEAs fetch new ones.
fn buildpack_key(guid: &str, sha1: Option<&str>) -> String {
    format!("{guid}_{}", sha1.unwrap_or("none"))
}

/// Usable admin buildpacks, in position order.
pub(crate) async fn admin_buildpacks(ctl: &Ctl) -> Outcome<Vec<AdminBuildpack>> {
    let rows = ctl.store.usable_buildpacks().await?;
    let one = |row: &crate::store::BuildpackRow| AdminBuildpack {
        key: buildpack_key(&row.guid, row.sha1.as_deref()),
        url: format!("{}/v2/buildpacks/{}/download", ctl.staging_base, row.guid),
    };
    Ok(rows.iter().map(one).collect())
}

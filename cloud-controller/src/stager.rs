//! The conversation with a stager: one request, two replies, and what follows from them.

use std::time::Duration;

use bus::Answer;
use bus::staging::{self, AdminBuildpack, Reply, Start};
use v2_api::Code;

use crate::blobs::Place;
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome};
use crate::messages::{BuildpackChoice, staging_request};
use crate::placement::Shortage;
use crate::share;
use crate::staging::{failed, need_of, staging_error};
use crate::store::{AppRow, StagingFailure, StagingTask, StoreError};

/// Drives one task to its end in the background, as long as it is ours to drive.
pub(crate) fn drive(ctl: &Ctl, app: AppRow, task: StagingTask) {
    let shared = ctl.clone();
    ctl.tasks.spawn_job("staging", async move {
        let outcome = tokio::select! {
            outcome = converse(&shared, &app, &task) => outcome,
            () = until_lost(&shared, &task) => return,
        };
        let ended = match outcome {
            Ok(reply) => complete(&shared, &task, reply).await,
            Err(failure) => shared.fail_staging(&task.task_id, &task.app_guid, &failure).await.map_err(Into::into),
        };
        if let Err(error) = ended {
            tracing::warn!(?error, app = %task.app_guid, task = %task.task_id, "staging could not be concluded; its deadline will");
        }
    });
}

/// Renews the lease on a task; ends when another controller has it.
async fn until_lost(ctl: &Ctl, task: &StagingTask) {
    let lease = ctl.driver_lease();
    let pause = Duration::from_micros(u64::try_from(lease / 3).unwrap_or(1));
    loop {
        tokio::time::sleep(pause).await;
        match renew(ctl, task, lease).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::info!(task = %task.task_id, "another controller drives this staging, or it is over");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, task = %task.task_id, "lease not renewed; it is tried again")
            }
        }
    }
}

async fn renew(ctl: &Ctl, task: &StagingTask, lease: i64) -> Result<bool, StoreError> {
    let mut tx = ctl.store.begin().await?;
    let until = tx.now() + lease;
    let is_ours = tx.renew_staging(&task.task_id, &ctl.me, until).await?;
    tx.commit().await?;
    Ok(is_ours)
}

/// Drives the stagings of controllers that died before any stager had confirmed them.
pub(crate) async fn adopt(ctl: &Ctl) -> Result<(), StoreError> {
    if !ctl.store.has_orphaned_stagings().await? {
        return Ok(());
    }
    let mut tx = ctl.store.begin().await?;
    let until = tx.now() + ctl.driver_lease();
    let orphans = tx.adopt_stagings(&ctl.me, until).await?;
    tx.commit().await?;
    for task in orphans {
        if let Some(app) = ctl.store.app(&task.app_guid).await?
            && app.staging_under_way() == Some(&task.task_id)
        {
            tracing::info!(app = %app.guid, task = %task.task_id, "taking over a staging");
            drive(ctl, app, task);
        }
    }
    Ok(())
}

/// Notes that the stager has it. Not noting it does no harm: the lease is renewed, and asking twice is idempotent.
async fn confirm(ctl: &Ctl, task: &str) {
    let noted = async {
        let mut tx = ctl.store.begin().await?;
        tx.confirm_staging(task).await?;
        tx.commit().await
    };
    if let Err(error) = noted.await {
        tracing::warn!(%error, %task, "the stager's confirmation was not noted");
    }
}

/// Stagers asked for one staging. One that nobody listens for, or that has no room, has begun nothing, so another may be asked.
const STAGERS_ASKED: usize = 3;

/// What one stager said.
enum Word {
    /// Its last.
    Last(Reply),
    /// Nothing: nobody listens there.
    Nobody,
    /// That it has no room, in its own words.
    Busy(String),
}

/// Request and two replies, of the first stager that is there and has room. An error is the way the staging ends.
async fn converse(ctl: &Ctl, app: &AppRow, task: &StagingTask) -> Result<Reply, StagingFailure> {
    let told = |failure: Failure| staging_error(failure.0.description);
    let limit = Duration::from_secs(ctl.config.staging.timeout_seconds);
    let deadline = tokio::time::Instant::now() + limit;
    let mut asked: Vec<String> = Vec::new();
    let mut stager = task.stager_id.clone();
    if stager.is_empty() {
        stager = share::wait_for_turn(ctl, app, task, deadline).await?;
    }
    let request = request(ctl, app, task).await.map_err(told)?;
    loop {
        let failure = match ask(ctl, app, &stager, &request, deadline).await? {
            Word::Last(reply) => return Ok(reply),
            Word::Nobody => staging_error(format!(
                "the stager {stager} is gone (nobody listens); push again"
            )),
            Word::Busy(text) => full(ctl, app, &stager, &text),
        };
        tracing::info!(app = %app.guid, task = %task.task_id, %stager, reason = %failure.text, "another stager is asked");
        ctl.stagers().remove(&stager);
        asked.push(stager);
        if asked.len() == STAGERS_ASKED {
            return Err(failure);
        }
        stager = match ctl.find_stager(app, &asked).await.map_err(told)? {
            Ok(next) => next,
            Err(shortage) => return Err(and_no_other(failure, &shortage)),
        };
    }
}

/// A stager without room, with what was asked of it.
fn full(ctl: &Ctl, app: &AppRow, stager: &str, text: &str) -> StagingFailure {
    let (memory, disk) = need_of(ctl, app);
    failed(
        "InsufficientResources",
        format!("the stager {stager}: {text} (asked {memory} MB memory, {disk} MB disk)"),
    )
}

/// The same failure, and why nobody else stages instead.
fn and_no_other(failure: StagingFailure, shortage: &Shortage) -> StagingFailure {
    let others = match shortage {
        Shortage::Nobody => "no other stager has advertised itself".to_owned(),
        shortage => format!("no other stager fits: {shortage}"),
    };
    failed(&failure.reason, format!("{}; {others}", failure.text))
}

/// The conversation with one stager.
async fn ask(
    ctl: &Ctl,
    app: &AppRow,
    stager: &str,
    request: &Start,
    deadline: tokio::time::Instant,
) -> Result<Word, StagingFailure> {
    let away = |error: bus::BusError| {
        staging_error(format!("the stager {stager} cannot be reached: {error}"))
    };
    let inbox = ctl.bus.new_inbox();
    let mut replies = ctl.bus.subscribe_to::<Reply>(&inbox).await.map_err(away)?;
    let stop = staging::Stop {
        app_id: app.guid.clone(),
    };
    ctl.bus.publish(&stop).await.map_err(away)?;
    ctl.bus
        .publish_with_reply(&Start::subject(stager), &inbox, request)
        .await
        .map_err(away)?;
    ctl.stagers().reserve(stager, need_of(ctl, app).0, None);
    tracing::info!(app = %app.guid, task = %request.task_id, %stager, "asked to stage");
    let mut setup_done = false;
    loop {
        let next = tokio::time::timeout_at(deadline, replies.next_answer()).await;
        let reply = match next.map_err(|_| out_of_time(ctl, stager))? {
            Answer::Message(delivery) => delivery.body,
            Answer::Nobody => return Ok(Word::Nobody),
        };
        match failure_of(&reply) {
            Some(failure) if !setup_done && failure.reason == "InsufficientResources" => {
                return Ok(Word::Busy(failure.text));
            }
            Some(failure) => return Err(failure),
            None => {}
        }
        if setup_done || reply.droplet_sha1.is_some() {
            return Ok(Word::Last(reply));
        }
        confirm(ctl, &request.task_id).await;
        setup_done = true;
    }
}

fn out_of_time(ctl: &Ctl, stager: &str) -> StagingFailure {
    let limit = ctl.config.staging.timeout_seconds;
    failed(
        "StagingTimeExpired",
        format!("the stager {stager} did not finish within {limit} s; see its log, or push again"),
    )
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
    // The stager has said its last word: what is sent to the addresses of this task from now on is not its.
    tx.close_staging(&task.task_id).await?;
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

/// Usable admin buildpacks, in position order, each with the digest of the bits it had when the staging began.
pub(crate) async fn admin_buildpacks(ctl: &Ctl) -> Outcome<Vec<AdminBuildpack>> {
    let rows = ctl.store.usable_buildpacks().await?;
    let addresses = ctl.addresses();
    let one = |row: &crate::store::BuildpackRow| AdminBuildpack {
        key: buildpack_key(&row.guid, row.sha1.as_deref()),
        url: addresses.buildpack(&row.guid, row.sha1.as_deref().unwrap_or_default()),
    };
    Ok(rows.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stagers_words_become_reasons_clients_know() {
        let reply = |error: Option<&str>, kind: Option<&str>| Reply {
            task_id: "t".into(),
            task_streaming_log_url: None,
            detected_buildpack: None,
            buildpack_key: None,
            droplet_sha1: None,
            detected_start_command: None,
            error: error.map(Into::into),
            error_info: kind.map(|kind| staging::ErrorInfo {
                kind: kind.into(),
                message: "m".into(),
            }),
        };
        let reason = |reply: Reply| failure_of(&reply).map(|failure| failure.reason);
        let table = [
            (reply(None, None), None),
            (
                reply(Some("x"), Some("BuildpackCompileFailed")),
                Some("BuildpackCompileFailed"),
            ),
            (reply(Some("x"), Some("NoSuchKind")), Some("StagingError")),
            (
                reply(Some("Not enough memory resources available"), None),
                Some("InsufficientResources"),
            ),
            (
                reply(Some("Error staging: task stopped"), None),
                Some("StagingError"),
            ),
        ];
        for (reply, expected) in table {
            assert_eq!(reason(reply.clone()).as_deref(), expected, "{reply:?}");
        }
    }
}

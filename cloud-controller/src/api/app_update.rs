//! Changing and restaging apps: the rules, the write, and what follows from it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use serde_json::{Map, Value, json};
use v2_api::Code;

use super::app_change::{AppChange, check_environment};
use super::apps::{load, load_to_change};
use super::call::{Created, Resource};
use super::lists::{Present, View};
use super::{audit, body, room, settings, taken};
use crate::authorize::Caller;
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail, fail_with};
use crate::runner::{Effect, effects};
use crate::store::{AppRow, Reads, STACKS, Scope, SpaceRow, StackRow, StagingTask};
use crate::{conductor, stager};

/// A body both as the change and as what was sent (for the event).
pub(super) fn read(bytes: &Bytes) -> Outcome<(AppChange, Map<String, Value>)> {
    Ok((body::parse(bytes)?, body::parse(bytes)?))
}

/// Applies a change with every rule, those that need the database included; quotas are read from `store`.
pub(super) async fn apply(
    ctl: &Ctl,
    store: &mut impl Reads,
    change: &AppChange,
    app: &mut AppRow,
    space: &SpaceRow,
) -> Outcome<()> {
    let known_buildpack = match &change.buildpack {
        Some(Some(name)) => ctl.store.buildpack_by_name(name).await?.is_some(),
        _ => false,
    };
    if let Some(stack) = &change.stack_guid {
        let found: Option<StackRow> = ctl.store.find(&STACKS, &Scope::all(), stack).await?;
        found.ok_or_else(|| fail_with(Code::StackNotFound, stack))?;
    }
    change.apply(app, &ctl.config.limits, known_buildpack)?;
    if let Some(vars) = &change.environment_json {
        check_environment(vars)?;
        app.environment_sealed = ctl.store.seal(vars)?;
    }
    room::for_app(store, app, space).await
}

pub(super) async fn update(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
    body::Raw(bytes, _): body::Raw<AppChange>,
) -> Created {
    let (change, sent) = read(&bytes)?;
    let (_, space) = load_to_change(&ctl, &caller, &guid).await?;
    if change
        .space_guid
        .as_ref()
        .is_some_and(|wanted| *wanted != space.guid)
    {
        return Err(fail_with(
            Code::AppInvalid,
            "an app cannot be moved to another space",
        ));
    }
    if change.scales() {
        settings::need(&ctl, &caller, "app_scaling").await?;
    }
    let said = audit::redacted(sent);
    carry_out(
        &ctl,
        &caller,
        &guid,
        &change,
        &space,
        json!({"request": said.clone()}),
    )
    .await?;
    ctl.say(
        &guid,
        "API",
        format!("Updated app with guid {guid} ({said})"),
    );
    answer(&ctl, &caller, &guid, &raw).await
}

pub(super) async fn restage(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Created {
    let (app, space) = load_to_change(&ctl, &caller, &guid).await?;
    need_restageable(&app)?;
    ctl.need_bus()?;
    let stager = ctl.pick_stager(&app).await?;
    let mut tx = ctl.store.begin().await?;
    let mut app = tx
        .app(&guid)
        .await?
        .ok_or_else(|| fail_with(Code::AppNotFound, &guid))?;
    // Again with the write lock held: of two that ask at once, one gets a staging.
    need_restageable(&app)?;
    app.state = "STARTED".into();
    app.version = bus::ids::guid();
    room::for_app(&mut tx, &app, &space).await?;
    let task = ctl.open_staging(&mut tx, &mut app, &stager).await?;
    tx.save_app(&app).await?;
    let event = audit::of_app(&ctl, &caller, "audit.app.restage", &app, json!({})).await?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    ctl.stop_all(&guid).await?;
    stager::drive(&ctl, app, task);
    ctl.say(&guid, "API", format!("Restaging app with guid {guid}"));
    answer(&ctl, &caller, &guid, &raw).await
}

/// Bits are there, and they are not being staged or to be staged by the next start. An app that is to run and has new bits that nobody
/// stages is restaged: nothing else would.
fn need_restageable(app: &AppRow) -> Outcome<()> {
    if app.package_hash.is_none() {
        return Err(fail_with(
            Code::AppPackageInvalid,
            "bits have not been uploaded",
        ));
    }
    let waits = !app.is_started() || app.staging_under_way().is_some();
    if app.package_state == "PENDING" && waits {
        return Err(fail(Code::NotStaged));
    }
    Ok(())
}

pub(super) async fn answer(ctl: &Ctl, caller: &Caller, guid: &str, raw: &RawQuery) -> Created {
    let (app, _) = load(ctl, caller, guid).await?;
    let depth = super::lists::query(raw)?.depth;
    let shown = app.present(&View { ctl, caller }, depth).await?;
    Ok(Resource(Json(shown)))
}

/// Changes an app and carries out what follows: first looked at on a copy (a stager is chosen before anything is
/// written), then written, then told to the DEAs; undone if they cannot be told.
async fn carry_out(
    ctl: &Ctl,
    caller: &Caller,
    guid: &str,
    change: &AppChange,
    space: &SpaceRow,
    metadata: Value,
) -> Outcome<()> {
    let gone = || fail_with(Code::AppNotFound, guid);
    let seen = ctl.store.app(guid).await?.ok_or_else(gone)?;
    let mut draft = seen.clone();
    apply(ctl, &mut &ctl.store, change, &mut draft, space).await?;
    let planned = effects(Some(&seen), Some(&draft));
    if !planned.is_empty() {
        ctl.need_bus()?;
    }
    let stager = if planned.contains(&Effect::Stage) {
        Some(ctl.pick_stager(&draft).await?)
    } else {
        None
    };

    let mut tx = ctl.store.begin().await?;
    let before = tx.app(guid).await?.ok_or_else(gone)?;
    let mut after = before.clone();
    apply(ctl, &mut tx, change, &mut after, space).await?;
    let is_cancelled = ctl.cancel_staging(&mut tx, &before, &mut after).await?;
    let effects = effects(Some(&before), Some(&after));
    let task = match (effects.contains(&Effect::Stage), stager) {
        (true, Some(stager)) => Some(ctl.open_staging(&mut tx, &mut after, &stager).await?),
        (true, None) => {
            return Err(fail_with(
                Code::StagingError,
                "the app changed meanwhile; try again",
            ));
        }
        (false, _) => None,
    };
    tx.save_app(&after)
        .await
        .map_err(|error| taken(error, Code::AppNameTaken, &after.name))?;
    tx.record_event(&audit::of_app(ctl, caller, "audit.app.update", &after, metadata).await?)
        .await?;
    tx.commit().await?;
    if is_cancelled {
        ctl.stop_staging(guid).await;
        ctl.say(guid, "STG", "Staging cancelled: the app was changed");
    }
    follow_up(ctl, &before, &after, &effects, task).await
}

async fn follow_up(
    ctl: &Ctl,
    before: &AppRow,
    after: &AppRow,
    effects: &[Effect],
    task: Option<StagingTask>,
) -> Outcome<()> {
    if let Err(failure) = ctl.execute(after, effects).await {
        undo(ctl, before, after).await?;
        return Err(failure);
    }
    if let Some(task) = task {
        stager::drive(ctl, after.clone(), task);
    }
    if before.name != after.name && after.is_started() {
        conductor::keep_announcing_routes(ctl, after.guid.clone());
    }
    Ok(())
}

/// The DEAs could not be told: the wish goes back to what it was, unless somebody changed it meanwhile.
async fn undo(ctl: &Ctl, before: &AppRow, after: &AppRow) -> Result<(), Failure> {
    let mut tx = ctl.store.begin().await?;
    let Some(mut now) = tx.app(&after.guid).await? else {
        return Ok(());
    };
    if now.version != after.version || now.state != after.state || now.instances != after.instances
    {
        return Ok(());
    }
    now.state.clone_from(&before.state);
    now.instances = before.instances;
    tx.save_app(&now).await?;
    tx.commit().await?;
    if !now.is_started() && after.is_started() {
        // Some indices may have been started before one failed. Best effort: the health manager stops what is left.
        let _ = ctl.stop_all(&after.guid).await;
    }
    Ok(())
}

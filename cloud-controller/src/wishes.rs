//! What the health manager asks for, and when it is carried out: never for another version than the
//! desired one, never for a manager that lost its lease.

use std::time::Instant;

use bus::health::{Start, Stop};

use crate::controller::Ctl;
use crate::failure::Outcome;
use crate::store::AppRow;

/// Name of the health manager's lease.
pub(crate) const LEASE: &str = "health_manager";

/// Whether an epoch is the current one. Messages without one come from an original health manager and pass.
async fn is_current(ctl: &Ctl, epoch: Option<i64>) -> Outcome<bool> {
    let Some(epoch) = epoch else { return Ok(true) };
    let current = ctl.store.lease(LEASE).await?.map_or(0, |lease| lease.epoch);
    if epoch < current {
        tracing::warn!(
            epoch,
            current,
            "a health manager that lost its lease was refused"
        );
    }
    Ok(epoch >= current)
}

async fn desired(ctl: &Ctl, process: &str) -> Outcome<Option<AppRow>> {
    let Some(guid) = ctl.store.app_of_process(process).await? else {
        return Ok(None);
    };
    Ok(ctl.store.app(&guid).await?)
}

/// `hm9000.start`: one index.
pub(crate) async fn start(ctl: &Ctl, wish: Start) -> Outcome<()> {
    if !is_current(ctl, wish.epoch).await? {
        return Ok(());
    }
    let app = desired(ctl, &wish.droplet).await?;
    match refuses_start(app.as_ref(), &wish) {
        Some(reason) => {
            tracing::info!(app = %wish.droplet, index = wish.instance_index, reason, "hm9000.start ignored")
        }
        None => {
            if let Some(app) = app {
                let around = ctl.surroundings(&app).await?;
                ctl.start_index(&app, &around, wish.instance_index).await?;
            }
        }
    }
    Ok(())
}

/// Why a start must not be carried out. Pure.
fn refuses_start(app: Option<&AppRow>, wish: &Start) -> Option<&'static str> {
    let Some(app) = app else {
        return Some("the app is gone");
    };
    let checks = [
        (app.version != wish.version, "another version is desired"),
        (
            i64::from(wish.instance_index) >= app.instances,
            "the index is not desired",
        ),
        (app.droplet_hash.is_none(), "there is no droplet"),
        (app.package_state != "STAGED", "the app is not staged"),
        (!app.is_started(), "the app is stopped"),
    ];
    checks
        .iter()
        .find(|(refused, _)| *refused)
        .map(|(_, reason)| *reason)
}

/// `hm9000.stop`: one instance.
pub(crate) async fn stop(ctl: &Ctl, wish: Stop) -> Outcome<()> {
    if !is_current(ctl, wish.epoch).await? {
        return Ok(());
    }
    let app = desired(ctl, &wish.droplet).await?;
    let serving = app.as_ref().map_or(0, |app| {
        ctl.live()
            .running_instances(&app.guid, &app.version, Instant::now())
    });
    if allows_stop(app.as_ref(), &wish, serving) {
        ctl.stop_instance(&wish.droplet, &wish.instance_guid)
            .await?;
    }
    Ok(())
}

/// Whether a stop may be carried out. Instances of an older version go only once the current one serves,
/// unless it shall have none. Pure.
fn allows_stop(app: Option<&AppRow>, wish: &Stop, serving: usize) -> bool {
    let Some(app) = app else { return true };
    if !app.is_started() || wish.is_duplicate {
        return true;
    }
    if app.version != wish.version {
        return serving > 0 || app.instances == 0 || app.package_state == "FAILED";
    }
    app.package_state == "FAILED" || i64::from(wish.instance_index) >= app.instances
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::tests::app;

    fn a_start(version: &str, index: u32) -> Start {
        Start {
            message_id: None,
            droplet: "g".into(),
            version: version.into(),
            instance_index: index,
            epoch: None,
        }
    }

    fn a_stop(version: &str, index: u32, is_duplicate: bool) -> Stop {
        Stop {
            message_id: None,
            droplet: "g".into(),
            version: version.into(),
            instance_guid: "i".into(),
            instance_index: index,
            is_duplicate,
            epoch: None,
        }
    }

    #[test]
    fn a_start_is_refused_for_each_of_the_original_reasons() {
        let good = app("STARTED", "STAGED", 2);
        assert_eq!(refuses_start(Some(&good), &a_start("v", 1)), None);
        assert!(refuses_start(None, &a_start("v", 0)).is_some());
        assert!(refuses_start(Some(&good), &a_start("old", 0)).is_some());
        assert!(refuses_start(Some(&good), &a_start("v", 2)).is_some());
        assert!(refuses_start(Some(&app("STOPPED", "STAGED", 2)), &a_start("v", 0)).is_some());
        assert!(refuses_start(Some(&app("STARTED", "PENDING", 2)), &a_start("v", 0)).is_some());
    }

    #[test]
    fn an_old_version_is_stopped_only_once_the_current_one_serves() {
        let good = app("STARTED", "STAGED", 2);
        assert!(!allows_stop(Some(&good), &a_stop("old", 0, false), 0));
        assert!(allows_stop(Some(&good), &a_stop("old", 0, false), 1));
        assert!(allows_stop(Some(&good), &a_stop("v", 2, false), 0));
        assert!(!allows_stop(Some(&good), &a_stop("v", 1, false), 5));
        assert!(allows_stop(Some(&good), &a_stop("v", 1, true), 0));
        assert!(allows_stop(
            Some(&app("STOPPED", "STAGED", 2)),
            &a_stop("v", 0, false),
            0
        ));
        assert!(allows_stop(None, &a_stop("v", 0, false), 0));
    }
}

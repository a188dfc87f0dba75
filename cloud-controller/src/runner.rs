//! What a change of the desired state asks of the bus. Pure: (row before, row after) → effects.

use crate::store::AppRow;

/// One thing to do; [`crate::conductor`] does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Stage; the instances follow when it succeeds.
    Stage,
    /// Start these indices of the current version.
    Start(std::ops::Range<u32>),
    /// Stop everything of the process, whatever the version.
    StopAll,
    /// Stop these indices of the current version.
    Stop(Vec<u32>),
}

/// Effects of writing `after` over `before` (None = did not exist / is deleted).
///
/// Memory, disk, env, command and buildpack changes alone ask for nothing: they take effect at the next restart.
pub(crate) fn effects(before: Option<&AppRow>, after: Option<&AppRow>) -> Vec<Effect> {
    match (before, after) {
        (Some(_), None) => vec![Effect::StopAll],
        (_, None) => Vec::new(),
        (before, Some(after)) => changed(before, after),
    }
}

fn changed(before: Option<&AppRow>, after: &AppRow) -> Vec<Effect> {
    let was_started = before.is_some_and(AppRow::is_started);
    match (was_started, after.is_started()) {
        (true, false) => vec![Effect::StopAll],
        (false, false) => Vec::new(),
        (false, true) => begin(after),
        (true, true) if retries_staging(before, after) => begin(after),
        (true, true) if awakes(before, after) => begin(after),
        (true, true) => scale(before.map_or(0, |row| row.instances), after),
    }
}

fn begin(after: &AppRow) -> Vec<Effect> {
    let count = count(after.instances);
    if needs_staging(after) {
        vec![Effect::Stage]
    } else if count > 0 {
        vec![Effect::Start(0..count)]
    } else {
        Vec::new()
    }
}

fn scale(had: i64, after: &AppRow) -> Vec<Effect> {
    let (had, wants) = (count(had), count(after.instances));
    if !after.is_staged() || had == wants {
        Vec::new()
    } else if wants > had {
        vec![Effect::Start(had..wants)]
    } else {
        vec![Effect::Stop((wants..had).collect())]
    }
}

/// A start of an app whose last staging failed stages it again.
fn retries_staging(before: Option<&AppRow>, after: &AppRow) -> bool {
    before.is_some_and(|row| row.package_state == "FAILED")
        && after.package_state == "PENDING"
        && needs_staging(after)
}

/// An app that was to run, with no staging under way, is scaled: now there is something to stage it for.
fn awakes(before: Option<&AppRow>, after: &AppRow) -> bool {
    before.is_some_and(|row| row.instances != after.instances)
        && after.package_state == "PENDING"
        && after.staging_under_way().is_none()
        && needs_staging(after)
}

/// Bits are there, no droplet of them is, and at least one instance is wanted.
pub(crate) fn needs_staging(app: &AppRow) -> bool {
    app.package_hash.is_some() && !app.is_staged() && app.instances > 0
}

fn count(instances: i64) -> u32 {
    u32::try_from(instances.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn app(state: &str, package: &str, instances: i64) -> AppRow {
        AppRow {
            guid: "g".into(),
            name: "dora".into(),
            space_guid: "s".into(),
            stack_guid: "k".into(),
            production: false,
            buildpack: None,
            detected_buildpack: None,
            environment_sealed: String::new(),
            memory: 64,
            disk_quota: 128,
            state: state.into(),
            command: None,
            enable_ssh: false,
            health_check_type: "port".into(),
            health_check_timeout: None,
            health_check_http_endpoint: None,
            package_state: package.into(),
            package_hash: Some("h".into()),
            package_updated_at: None,
            staging_task_id: None,
            staging_failed_reason: None,
            staging_failed_description: None,
            detected_start_command: String::new(),
            created_at: 0,
            updated_at: None,
            version: "v".into(),
            instances,
            droplet_hash: (package == "STAGED").then(|| "d".into()),
        }
    }

    fn staging(instances: i64) -> AppRow {
        AppRow {
            staging_task_id: Some("t".into()),
            ..app("STARTED", "PENDING", instances)
        }
    }

    /// Name, row before, row after, effects.
    type Case = (&'static str, Option<AppRow>, Option<AppRow>, Vec<Effect>);

    #[test]
    fn every_change_of_state_or_count_has_its_effect() {
        use Effect::*;
        let table: Vec<Case> = vec![
            (
                "create stopped",
                None,
                Some(app("STOPPED", "PENDING", 1)),
                vec![],
            ),
            (
                "start unstaged",
                Some(app("STOPPED", "PENDING", 2)),
                Some(app("STARTED", "PENDING", 2)),
                vec![Stage],
            ),
            (
                "start staged",
                Some(app("STOPPED", "STAGED", 2)),
                Some(app("STARTED", "STAGED", 2)),
                vec![Start(0..2)],
            ),
            (
                "start with none wanted",
                Some(app("STOPPED", "PENDING", 0)),
                Some(app("STARTED", "PENDING", 0)),
                vec![],
            ),
            (
                "stop",
                Some(app("STARTED", "STAGED", 2)),
                Some(app("STOPPED", "STAGED", 2)),
                vec![StopAll],
            ),
            (
                "delete",
                Some(app("STARTED", "STAGED", 2)),
                None,
                vec![StopAll],
            ),
            (
                "scale up",
                Some(app("STARTED", "STAGED", 1)),
                Some(app("STARTED", "STAGED", 3)),
                vec![Start(1..3)],
            ),
            (
                "scale down",
                Some(app("STARTED", "STAGED", 3)),
                Some(app("STARTED", "STAGED", 1)),
                vec![Stop(vec![1, 2])],
            ),
            (
                "scale while staging",
                Some(staging(1)),
                Some(staging(3)),
                vec![],
            ),
            (
                "scale what waits and nobody stages",
                Some(app("STARTED", "PENDING", 0)),
                Some(app("STARTED", "PENDING", 1)),
                vec![Stage],
            ),
            (
                "scale while stopped",
                Some(app("STOPPED", "STAGED", 1)),
                Some(app("STOPPED", "STAGED", 3)),
                vec![],
            ),
            (
                "new bits while running",
                Some(app("STARTED", "STAGED", 1)),
                Some(app("STARTED", "PENDING", 1)),
                vec![],
            ),
            (
                "start again after failure",
                Some(app("STARTED", "FAILED", 1)),
                Some(app("STARTED", "PENDING", 1)),
                vec![Stage],
            ),
            (
                "nothing changed",
                Some(app("STARTED", "STAGED", 1)),
                Some(app("STARTED", "STAGED", 1)),
                vec![],
            ),
        ];
        for (name, before, after, expected) in table {
            assert_eq!(effects(before.as_ref(), after.as_ref()), expected, "{name}");
        }
    }
}

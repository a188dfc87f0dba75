//! What a request may change of an app, and its rules. Pure.

use serde::Deserialize;
use serde_json::{Map, Value};
use v2_api::{ApiError, Code};

use super::body::{self, nullable};
use crate::config::LimitsConfig;
use crate::limits::HEALTH_CHECK_PATH_BYTES;
use crate::store::AppRow;

/// Keys of POST and PUT `/v2/apps` that have an effect here. Unknown keys are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AppChange {
    pub(crate) name: Option<String>,
    pub(crate) production: Option<bool>,
    pub(crate) space_guid: Option<String>,
    pub(crate) stack_guid: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) buildpack: Option<Option<String>>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) command: Option<Option<String>>,
    pub(crate) disk_quota: Option<i64>,
    pub(crate) environment_json: Option<Map<String, Value>>,
    pub(crate) health_check_type: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) health_check_timeout: Option<Option<i64>>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) health_check_http_endpoint: Option<Option<String>>,
    pub(crate) instances: Option<i64>,
    pub(crate) memory: Option<i64>,
    pub(crate) state: Option<String>,
    pub(crate) enable_ssh: Option<bool>,
    pub(crate) diego: Option<bool>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) docker_image: Option<Option<String>>,
}

fn invalid(detail: impl std::fmt::Display) -> ApiError {
    ApiError::with(Code::AppInvalid, detail)
}

impl AppChange {
    /// Whether one of the numbers the flag `app_scaling` guards is touched.
    pub(crate) fn scales(&self) -> bool {
        self.instances.is_some() || self.memory.is_some() || self.disk_quota.is_some()
    }

    /// Writes the change into the row, keys present only, and renews the version where the original did.
    ///
    /// # Errors
    /// The API error of the first rule broken.
    pub(crate) fn apply(
        &self,
        row: &mut AppRow,
        limits: &LimitsConfig,
        known_buildpack: bool,
    ) -> Result<(), ApiError> {
        let before = row.clone();
        self.apply_names(row, limits, known_buildpack)?;
        self.apply_numbers(row, limits)?;
        self.apply_state(row)?;
        if row.stack_guid != before.stack_guid {
            mark_pending(row);
        }
        if renews_version(&before, row) {
            row.version = bus::ids::guid();
        }
        Ok(())
    }

    fn apply_names(
        &self,
        row: &mut AppRow,
        limits: &LimitsConfig,
        known_buildpack: bool,
    ) -> Result<(), ApiError> {
        if let Some(name) = &self.name {
            row.name = body::name(name).ok_or_else(|| invalid("name must not be empty"))?;
        }
        if self.diego == Some(true) {
            return Err(ApiError::new(Code::DiegoDisabled));
        }
        if matches!(&self.docker_image, Some(Some(image)) if !image.is_empty()) {
            return Err(ApiError::new(Code::DockerDisabled));
        }
        if let Some(buildpack) = &self.buildpack {
            let wanted = buildpack.clone().filter(|text| !text.is_empty());
            if let Some(text) = wanted.as_deref().filter(|_| !known_buildpack) {
                check_custom_buildpack(text, limits)?;
            }
            row.buildpack = wanted;
        }
        if let Some(command) = &self.command {
            row.command = command.clone().filter(|text| !text.is_empty());
        }
        row.production = self.production.unwrap_or(row.production);
        row.enable_ssh = self.enable_ssh.unwrap_or(row.enable_ssh);
        if let Some(stack) = &self.stack_guid {
            row.stack_guid.clone_from(stack);
        }
        Ok(())
    }

    fn apply_numbers(&self, row: &mut AppRow, limits: &LimitsConfig) -> Result<(), ApiError> {
        if let Some(memory) = self.memory {
            row.memory = memory;
        }
        if let Some(disk) = self.disk_quota {
            row.disk_quota = disk;
        }
        if let Some(instances) = self.instances {
            row.instances = instances;
        }
        if let Some(timeout) = self.health_check_timeout {
            row.health_check_timeout = timeout;
        }
        self.apply_health_check(row)?;
        check_numbers(row, limits)
    }

    /// The path is one of the type `http` only: another type forgets it.
    fn apply_health_check(&self, row: &mut AppRow) -> Result<(), ApiError> {
        if let Some(kind) = &self.health_check_type {
            row.health_check_type.clone_from(kind);
        }
        if let Some(path) = &self.health_check_http_endpoint {
            row.health_check_http_endpoint = path.clone().filter(|path| !path.is_empty());
        }
        if row.health_check_type != "http" {
            row.health_check_http_endpoint = None;
        }
        check_health_check(row)
    }

    fn apply_state(&self, row: &mut AppRow) -> Result<(), ApiError> {
        let Some(state) = &self.state else {
            return Ok(());
        };
        if !matches!(state.as_str(), "STARTED" | "STOPPED") {
            return Err(invalid("Invalid app state provided"));
        }
        row.state.clone_from(state);
        if state == "STARTED" {
            if row.package_hash.is_none() {
                return Err(ApiError::with(
                    Code::AppPackageInvalid,
                    "bits have not been uploaded",
                ));
            }
            if row.package_state == "FAILED" {
                mark_pending(row);
            }
        }
        Ok(())
    }
}

/// New bits, a new stack or a new try: to be staged. What was staged before, or is being staged, is not it.
pub(crate) fn mark_pending(row: &mut AppRow) {
    row.package_state = "PENDING".into();
    row.staging_task_id = None;
    row.staging_failed_reason = None;
    row.staging_failed_description = None;
}

fn check_numbers(row: &AppRow, limits: &LimitsConfig) -> Result<(), ApiError> {
    if row.memory <= 0 {
        return Err(ApiError::new(Code::AppMemoryInvalid));
    }
    if row.instances < 0 {
        return Err(invalid("Number of instances less than 0"));
    }
    if row.instances > limits.maximum_instances {
        return Err(invalid(format!(
            "Number of instances more than {}",
            limits.maximum_instances
        )));
    }
    if row.disk_quota < 0 {
        return Err(invalid("disk quota less than 0"));
    }
    if row.disk_quota > limits.maximum_app_disk_mb {
        return Err(invalid(format!(
            "too much disk requested (must be less than {})",
            limits.maximum_app_disk_mb
        )));
    }
    let timeout = row.health_check_timeout.unwrap_or(0);
    if timeout < 0 || timeout > limits.maximum_health_check_timeout {
        return Err(invalid(format!(
            "health_check_timeout must be from 0 to {}",
            limits.maximum_health_check_timeout
        )));
    }
    Ok(())
}

fn check_health_check(row: &AppRow) -> Result<(), ApiError> {
    if !matches!(
        row.health_check_type.as_str(),
        "port" | "none" | "process" | "http"
    ) {
        return Err(invalid(
            "health_check_type must be port, process, http or none",
        ));
    }
    let is_path = |path: &str| {
        path.starts_with('/')
            && path.len() <= HEALTH_CHECK_PATH_BYTES
            && path.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match &row.health_check_http_endpoint {
        Some(path) if !is_path(path) => Err(invalid(format!(
            "health_check_http_endpoint must be a path like /health of at most {HEALTH_CHECK_PATH_BYTES} characters"
        ))),
        _ => Ok(()),
    }
}

/// Variables must not claim names of the platform.
pub(crate) fn check_environment(vars: &Map<String, Value>) -> Result<(), ApiError> {
    match reserved_name(vars) {
        Some(key) => Err(invalid(format!("environment_json reserved_key:{key}"))),
        None => Ok(()),
    }
}

/// A buildpack that is not installed: fetched by its address, where that is allowed.
fn check_custom_buildpack(text: &str, limits: &LimitsConfig) -> Result<(), ApiError> {
    if !looks_like_url(text) {
        return Err(invalid(format!(
            "buildpack {text} is not an installed buildpack and not a git or http URL"
        )));
    }
    if limits.custom_buildpacks {
        Ok(())
    } else {
        Err(ApiError::new(Code::CustomBuildpacksDisabled)
            .explain("Use an installed one; cf buildpacks lists them."))
    }
}

/// The first name that belongs to the platform.
pub(crate) fn reserved_name(vars: &Map<String, Value>) -> Option<&String> {
    vars.keys().find(|key| {
        let key = key.to_lowercase();
        key.starts_with("vcap_") || key.starts_with("vmc_")
    })
}

fn looks_like_url(text: &str) -> bool {
    ["http://", "https://", "git://", "git@", "ssh://"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
}

/// Instances carry the version: renewing it makes the health manager replace them. Instances, env and command do not renew it.
fn renews_version(before: &AppRow, after: &AppRow) -> bool {
    after.is_started()
        && (before.state != after.state
            || before.memory != after.memory
            || before.health_check_type != after.health_check_type
            || before.health_check_http_endpoint != after.health_check_http_endpoint
            || before.enable_ssh != after.enable_ssh)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::runner::tests::app;
    use serde_json::json;

    fn change(value: Value) -> AppChange {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn rules_answer_with_the_originals_codes() {
        let table = [
            (json!({"name": " "}), 100001),
            (json!({"state": "RUNNING"}), 100001),
            (json!({"instances": -1}), 100001),
            (json!({"memory": 0}), 100006),
            (json!({"disk_quota": 2049}), 100001),
            (json!({"health_check_timeout": 181}), 100001),
            (json!({"health_check_type": "magic"}), 100001),
            (
                json!({"health_check_type": "http", "health_check_http_endpoint": "up"}),
                100001,
            ),
            (
                json!({"health_check_type": "http", "health_check_http_endpoint": "/a\r\nb"}),
                100001,
            ),
            (json!({"buildpack": "no-such"}), 100001),
            (json!({"diego": true}), 320001),
            (json!({"docker_image": "x/y"}), 320003),
        ];
        for (sent, code) in table {
            let mut row = app("STOPPED", "STAGED", 1);
            let error = change(sent.clone())
                .apply(&mut row, &LimitsConfig::default(), false)
                .unwrap_err();
            assert_eq!(error.row().code, code, "{sent}");
        }
        let mut bare = app("STOPPED", "PENDING", 1);
        bare.package_hash = None;
        let error = change(json!({"state": "STARTED"}))
            .apply(&mut bare, &LimitsConfig::default(), false)
            .unwrap_err();
        assert_eq!(error.row().code, 150001);
    }

    #[test]
    fn only_http_has_a_path_and_another_type_forgets_it() {
        let mut row = app("STOPPED", "STAGED", 1);
        for (sent, kind, path) in [
            (
                json!({"health_check_type": "http", "health_check_http_endpoint": "/up?deep=1"}),
                "http",
                Some("/up?deep=1"),
            ),
            (json!({"memory": 32}), "http", Some("/up?deep=1")),
            (json!({"health_check_http_endpoint": ""}), "http", None),
            (
                json!({"health_check_http_endpoint": "/up"}),
                "http",
                Some("/up"),
            ),
            (json!({"health_check_type": "process"}), "process", None),
            (
                json!({"health_check_http_endpoint": "/up"}),
                "process",
                None,
            ),
        ] {
            change(sent.clone())
                .apply(&mut row, &LimitsConfig::default(), true)
                .unwrap();
            let found = (
                row.health_check_type.as_str(),
                row.health_check_http_endpoint.as_deref(),
            );
            assert_eq!(found, (kind, path), "{sent}");
        }
    }

    #[test]
    fn the_path_of_a_health_check_is_bounded() {
        for (length, fits) in [
            (HEALTH_CHECK_PATH_BYTES, true),
            (HEALTH_CHECK_PATH_BYTES + 1, false),
            (HEALTH_CHECK_PATH_BYTES * 100, false),
        ] {
            let mut row = app("STOPPED", "STAGED", 1);
            let path = format!("/{}", "a".repeat(length - 1));
            let sent = json!({"health_check_type": "http", "health_check_http_endpoint": path});
            let applied = change(sent).apply(&mut row, &LimitsConfig::default(), true);
            assert_eq!(applied.is_ok(), fits, "{length}");
        }
    }

    #[test]
    fn null_resets_and_absence_keeps() {
        let mut row = app("STOPPED", "STAGED", 1);
        row.command = Some("run".into());
        row.buildpack = Some("ruby".into());
        change(json!({"command": null, "memory": null}))
            .apply(&mut row, &LimitsConfig::default(), true)
            .unwrap();
        assert_eq!(
            (row.command, row.buildpack.as_deref(), row.memory),
            (None, Some("ruby"), 64)
        );
    }

    #[test]
    fn the_version_is_renewed_where_the_original_did() {
        let table = [
            ("STOPPED", json!({"state": "STARTED"}), true),
            ("STARTED", json!({"memory": 65}), true),
            ("STARTED", json!({"health_check_type": "none"}), true),
            (
                "STARTED",
                json!({"health_check_type": "http", "health_check_http_endpoint": "/up"}),
                true,
            ),
            ("STARTED", json!({"instances": 5}), false),
            ("STARTED", json!({"command": "x"}), false),
            ("STARTED", json!({"state": "STOPPED"}), false),
            ("STOPPED", json!({"memory": 65}), false),
        ];
        for (state, sent, renewed) in table {
            let mut row = app(state, "STAGED", 1);
            change(sent.clone())
                .apply(&mut row, &LimitsConfig::default(), false)
                .unwrap();
            assert_eq!(row.version != "v", renewed, "{state} {sent}");
        }
    }

    #[test]
    fn a_start_after_a_failed_staging_is_pending_at_once() {
        let mut row = app("STARTED", "FAILED", 1);
        row.staging_failed_reason = Some("StagingError".into());
        change(json!({"state": "STARTED"}))
            .apply(&mut row, &LimitsConfig::default(), false)
            .unwrap();
        assert_eq!(
            (row.package_state.as_str(), row.staging_failed_reason),
            ("PENDING", None)
        );
    }

    #[test]
    fn reserved_variables_are_refused_in_any_case() {
        assert!(check_environment(&json!({"Vcap_X": "1"}).as_object().unwrap().clone()).is_err());
        assert!(check_environment(&json!({"VCAPX": "1"}).as_object().unwrap().clone()).is_ok());
    }
}

//! Apps (reference: §3.9, §3.11 and the tier 1 and 2 tables).

use serde_json::{Value, json};

use crate::script::*;

pub(crate) fn web() -> Value {
    resource(
        "a",
        json!({
            "name": "web", "state": "STOPPED", "stack_guid": "k", "instances": 1, "memory": 64,
            "disk_quota": 1024, "health_check_type": "port", "environment_json": {"A": "1"},
        }),
    )
}

pub(crate) fn lookup() -> Exchange {
    find("/v2/apps?q=name:web&q=space_guid:s", &[web()])
}

#[test]
fn apps_are_renamed_stopped_and_deleted() {
    let started = resource("a", json!({"name": "web", "state": "STARTED"}));
    let mut with_routes = vec![lookup(), find("/v2/apps/a/routes", &[named("r", "")])];
    with_routes.extend(delete_job("/v2/routes/r?async=true"));
    with_routes.push(delete("/v2/apps/a?recursive=true"));
    converse(vec![
        (
            "rename web site",
            vec![lookup(), put("/v2/apps/a", json!({"name": "site"}), web())],
            "Renaming app web to site in org acme / space dev as admin...\nOK\n",
        ),
        (
            "stop web",
            vec![
                find("/v2/apps?q=name:web&q=space_guid:s", &[started]),
                put("/v2/apps/a", json!({"state": "STOPPED"}), web()),
            ],
            "Stopping app web in org acme / space dev as admin...\nOK\n",
        ),
        ("sp web", vec![lookup()], "App web is already stopped"),
        (
            "delete web -f",
            vec![lookup(), delete("/v2/apps/a?recursive=true")],
            "OK",
        ),
        (
            "d web -f -r",
            with_routes,
            "Deleting app web in org acme / space dev as admin...\nOK\n",
        ),
        (
            "restart-app-instance web 2",
            vec![lookup(), delete("/v2/apps/a/instances/2")],
            "Restarting instance 2 of application web in org acme / space dev as admin...\nOK\n",
        ),
    ]);
}

#[test]
fn the_environment_is_replaced_whole() {
    let env = |env: Value| put("/v2/apps/a", json!({"environment_json": env}), web());
    converse(vec![
        (
            "set-env web B -x",
            vec![lookup(), env(json!({"A": "1", "B": "-x"}))],
            "Setting env variable 'B' for app web in org acme / space dev as admin...\nOK\n",
        ),
        (
            "unset-env web A",
            vec![lookup(), env(json!({}))],
            "Removing env variable A from app web",
        ),
        ("ue web Z", vec![lookup()], "Env variable Z was not set."),
    ]);
}

#[test]
fn health_checks_are_shown_and_set() {
    converse(vec![
        (
            "get-health-check web",
            vec![lookup()],
            "health_check_type is port",
        ),
        (
            "set-health-check web none",
            vec![
                lookup(),
                put("/v2/apps/a", json!({"health_check_type": "none"}), web()),
            ],
            "OK",
        ),
    ]);
}

#[test]
fn source_is_copied_within_one_job() {
    let token = json!({"access_token": "a.eyJ1c2VyX25hbWUiOiJhZG1pbiJ9.c", "token_type": "bearer"});
    let job = |status: &str| json!({"metadata": {"url": "/v2/jobs/j"}, "entity": {"guid": "j", "status": status}});
    let other = named("b", "copy");
    converse(vec![(
        "copy-source web copy -s qa --no-restart",
        vec![
            form("POST", "/oauth/token", &["grant_type=refresh_token"], token),
            lookup(),
            find(
                "/v2/spaces?q=name:qa&q=organization_guid:o",
                &[named("s2", "qa")],
            ),
            find("/v2/apps?q=name:copy&q=space_guid:s2", &[other]),
            post(
                "/v2/apps/b/copy_bits?async=true",
                json!({"source_app_guid": "a"}),
                job("queued"),
            ),
            get("/v2/jobs/j", job("finished")),
        ],
        "Copying source from app web to target app copy in org acme / space qa as admin...\nOK\n",
    )]);
}

#[test]
fn a_manifest_is_written_of_what_an_app_is() {
    let summary = json!({
        "guid": "a", "name": "web", "memory": 64, "disk_quota": 1024, "instances": 2,
        "command": "run", "routes": [{"host": "w", "domain": {"name": "d.com"}}],
        "services": [{"name": "db"}], "environment_json": {"A": "1"},
    });
    let typed = cf("create-app-manifest web -p out.yml");
    let ended = typed.with([
        lookup(),
        get("/v2/apps/a/summary", summary),
        get("/v2/stacks/k", named("k", "host")),
    ]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = std::fs::read_to_string(typed.dir().join("out.yml")).unwrap();
    assert_eq!(
        text,
        "---\napplications:\n- name: web\n  memory: 64M\n  disk_quota: 1G\n  instances: 2\n  command: run\n  stack: host\n  services:\n  - db\n  routes:\n  - route: w.d.com\n  env:\n    A: \"1\"\n"
    );
}

#[test]
fn a_failed_stage_is_told_once() {
    let failed = || {
        let entity = json!({
            "name": "web", "package_state": "FAILED", "staging_failed_reason": "BuildpackCompileFailed",
            "staging_failed_description": "no such gem",
        });
        resource("a", entity)
    };
    let lines = [
        "-----> Installing",
        "Staging failed: no such gem",
        "Staging failed (BuildpackCompileFailed): no such gem",
    ];
    let start = put("/v2/apps/a", json!({"state": "STARTED"}), web());
    let script = [
        lookup(),
        stager("a", &lines),
        start,
        get("/v2/apps/a", failed()),
    ];
    let ended = cf("start web").with_logs().with(script);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = format!("{}{}", ended.out, ended.err);
    assert_eq!(said.matches("no such gem").count(), 1, "{said}");
    assert!(said.contains("-----> Installing"), "{said}");
    assert!(said.contains("cf logs web --recent"), "{said}");
}

#[test]
fn a_start_goes_on_without_a_log_server() {
    let start = put("/v2/apps/a", json!({"state": "STARTED"}), web());
    let staged = resource("a", json!({"package_state": "STAGED"}));
    let summary = json!({"guid": "a", "name": "web", "state": "STARTED", "instances": 1});
    let running = || {
        get(
            "/v2/apps/a/instances",
            json!({"0": {"state": "RUNNING", "since": 0}}),
        )
    };
    let script = [
        lookup(),
        start,
        get("/v2/apps/a", staged),
        running(),
        get("/v2/apps/a/summary", summary),
        running(),
        get(
            "/v2/apps/a/stats",
            json!({"0": {"state": "RUNNING", "stats": {}}}),
        ),
    ];
    let ended = cf("st web").with(script);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.err.contains("Warning: error tailing logs"),
        "{ended:?}"
    );
    assert!(ended.out.contains("App started"), "{ended:?}");
}

#[test]
fn an_app_is_shown_with_its_instances() {
    let summary = json!({
        "guid": "a", "name": "web", "state": "STARTED", "instances": 1, "running_instances": 1,
        "memory": 64, "disk_quota": 1024, "buildpack": null, "detected_buildpack": "Static",
        "stack_guid": "k", "routes": [{"host": "w", "domain": {"name": "d.com"}}],
    });
    let usage = json!({"cpu": 0.5, "mem": 1_048_576, "disk": 0});
    let stats = json!({"0": {"state": "RUNNING", "stats": {
        "mem_quota": 67_108_864, "disk_quota": 1_073_741_824, "usage": usage,
    }}});
    converse(vec![(
        "app web",
        vec![
            lookup(),
            get("/v2/apps/a/summary", summary),
            get(
                "/v2/apps/a/instances",
                json!({"0": {"state": "RUNNING", "since": 0}}),
            ),
            get("/v2/apps/a/stats", stats),
            get("/v2/stacks/k", named("k", "host")),
        ],
        "50.0%   1M of 64M   0 of 1G",
    )]);
}

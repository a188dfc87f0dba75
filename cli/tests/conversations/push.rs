//! Pushing (reference: §3.6 to §3.8).

use serde_json::{Value, json};

use crate::apps::{lookup, web};
use crate::script::*;

const DB: &str = "/v2/spaces/s/service_instances?return_user_provided_service_instances=true&q=name:db&inline-relations-depth=1";

fn db() -> Value {
    let entity = json!({"name": "db", "type": "user_provided_service_instance"});
    resource("i", entity)
}

fn uploaded() -> [Exchange; 2] {
    let done =
        json!({"metadata": {"url": "/v2/jobs/j"}, "entity": {"guid": "j", "status": "finished"}});
    let parts = &["name=\"resources\"", "[]", "name=\"application\"", "PK"];
    [
        form(
            "PUT",
            "/v2/resource_match",
            &["\"fn\":\"index.html\"", "\"size\":2"],
            json!([]),
        ),
        form("PUT", "/v2/apps/a/bits?async=true", parts, done),
    ]
}

fn no_app() -> Exchange {
    find("/v2/apps?q=name:web&q=space_guid:s", &[])
}

#[test]
fn a_new_app_gets_its_attributes_its_route_its_bits_and_its_services() {
    let manifest = "applications:\n- name: web\n  path: site\n  memory: 64M\n  instances: 2\n  timeout: 90\n  command: run\n  health-check-type: none\n  services: [db]\n  routes:\n  - route: w.d.com/p\n  env: {N: 7}\n";
    let typed = cf("push --no-start").file("manifest.yml", manifest);
    std::fs::create_dir(typed.dir().join("site")).unwrap();
    std::fs::write(typed.dir().join("site/index.html"), "hi").unwrap();
    let body = json!({
        "name": "web", "space_guid": "s", "memory": 64, "instances": 2, "command": "run",
        "health_check_timeout": 90, "health_check_type": "none", "environment_json": {"N": "7"},
    });
    let mut script = vec![
        no_app(),
        find(DB, &[db()]),
        post("/v2/apps", body, web()),
        find("/v2/apps/a/routes", &[]),
        find("/v2/organizations/o/private_domains", &[]),
        find("/v2/shared_domains", &[named("d", "d.com")]),
        find("/v2/organizations/o/private_domains?q=name:d.com", &[]),
        find("/v2/shared_domains?q=name:d.com", &[named("d", "d.com")]),
        find("/v2/routes?q=host:w&q=domain_guid:d&q=path:/p", &[]),
        post(
            "/v2/routes",
            json!({"host": "w", "path": "/p", "domain_guid": "d", "space_guid": "s"}),
            named("r", ""),
        ),
        put("/v2/apps/a/routes/r", json!(null), json!({})),
    ];
    script.extend(uploaded());
    let bind = json!({"app_guid": "a", "service_instance_guid": "i"});
    script.push(post("/v2/service_bindings", bind, named("b", "")));
    let ended = typed.with(script);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn an_app_that_is_there_keeps_its_routes_and_its_variables() {
    let manifest = "applications:\n- name: web\n  services: [db]\n  env: {B: 2}\n";
    let typed = cf("push --no-start -p site").file("manifest.yml", manifest);
    std::fs::create_dir(typed.dir().join("site")).unwrap();
    std::fs::write(typed.dir().join("site/index.html"), "hi").unwrap();
    let env = json!({"environment_json": {"A": "1", "B": "2"}});
    let mut script = vec![
        lookup(),
        find(DB, &[db()]),
        put("/v2/apps/a", env, web()),
        find("/v2/apps/a/routes", &[named("r", "")]),
    ];
    script.extend(uploaded());
    let bind = json!({"app_guid": "a", "service_instance_guid": "i"});
    script.push(post("/v2/service_bindings", bind, json!(null)).refused(
        400,
        90003,
        "CF-ServiceBindingAppServiceTaken",
    ));
    let ended = typed.with(script);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_service_that_does_not_exist_stops_the_push_before_it_changes_anything() {
    let manifest = "applications:\n- name: web\n  services: [db]\n";
    let ended = cf("push")
        .file("manifest.yml", manifest)
        .with([lookup(), find(DB, &[])]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.contains("Service instance db not found"),
        "{ended:?}"
    );
    assert!(ended.err.contains("cf cups"), "{ended:?}");
}

#[test]
fn a_bad_manifest_is_placed_and_nothing_is_sent() {
    let manifest = "applications:\n- name: web\n  memory: lots\n";
    let ended = cf("push -f manifest.yml")
        .file("manifest.yml", manifest)
        .with([]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.contains("manifest.yml:3: app web: `memory`"),
        "{ended:?}"
    );
}

#[test]
fn an_app_that_the_manifest_lacks_is_refused_with_those_it_has() {
    let manifest = "applications:\n- name: one\n- name: two\n";
    let ended = cf("push three").file("manifest.yml", manifest).with([]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("one, two"), "{ended:?}");
}

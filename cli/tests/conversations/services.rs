//! Services (reference: tier 2 table).

use serde_json::{Value, json};

use crate::script::*;

const LOOKUP: &str = "/v2/spaces/s/service_instances?return_user_provided_service_instances=true&q=name:db&inline-relations-depth=1";
const MADE: &str = "/v2/user_provided_service_instances";

fn db(bindings: &[Value]) -> Value {
    resource(
        "i",
        json!({
            "name": "db", "type": "user_provided_service_instance", "credentials": {},
            "syslog_drain_url": "", "service_bindings": bindings,
        }),
    )
}

fn lookup() -> Exchange {
    find(LOOKUP, &[db(&[])])
}

fn app() -> Exchange {
    find("/v2/apps?q=name:web&q=space_guid:s", &[named("a", "web")])
}

fn created(credentials: Value, drain: &str) -> Exchange {
    let body = json!({
        "name": "db", "credentials": credentials, "space_guid": "s", "syslog_drain_url": drain,
        "route_service_url": "",
    });
    post(MADE, body, db(&[]))
}

#[test]
fn services_are_listed_with_the_apps_that_use_them() {
    let summary = json!({
        "guid": "s", "name": "dev",
        "apps": [{"name": "web", "service_names": ["db"]}, {"name": "x", "service_names": []}],
        "services": [
            {"guid": "i", "name": "db", "bound_app_count": 1},
            {"guid": "k", "name": "q", "service_plan": {"name": "free", "service": {"label": "mq"}},
             "last_operation": {"type": "create", "state": "succeeded"}},
        ],
    });
    converse(vec![(
        "s",
        vec![get("/v2/spaces/s/summary", summary)],
        "name   service         plan   bound apps   last operation\ndb     user-provided          web\nq      mq              free                create succeeded\n",
    )]);
}

#[test]
fn user_provided_services_are_made_and_updated() {
    converse(vec![
        (
            "cups db -p {\"uri\":\"u\"} -l syslog://h:1",
            vec![created(json!({"uri": "u"}), "syslog://h:1")],
            "Creating user provided service db in org acme / space dev as admin...\nOK\n",
        ),
        (
            "uups db -p {\"uri\":\"v\"}",
            vec![
                lookup(),
                put(
                    &format!("{MADE}/i"),
                    json!({"credentials": {"uri": "v"}}),
                    db(&[]),
                ),
            ],
            "TIP: Use 'cf restage'",
        ),
    ]);
}

#[test]
fn credentials_come_from_a_file_or_are_asked_for_by_name() {
    let from_file = cf("cups db -p @c.json").file("c.json", "{\"a\": \"b\"}");
    let ended = from_file.with([created(json!({"a": "b"}), "")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let asked = cf("cups db -p user,+password").input("me\nhush\n");
    let ended = asked.with([created(json!({"user": "me", "password": "hush"}), "")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!format!("{ended:?}").contains("hush"), "{ended:?}");
}

#[test]
fn services_are_bound_and_unbound() {
    let body = json!({"app_guid": "a", "service_instance_guid": "i"});
    let binding = "/v2/service_bindings?q=app_guid:a&q=service_instance_guid:i";
    let taken = || {
        post("/v2/service_bindings", body.clone(), json!(null)).refused(
            400,
            90003,
            "CF-ServiceBindingAppServiceTaken",
        )
    };
    converse(vec![
        (
            "bs web db",
            vec![
                app(),
                lookup(),
                post("/v2/service_bindings", body.clone(), named("b", "")),
            ],
            "Binding service db to app web in org acme / space dev as admin...\nOK\n",
        ),
        (
            "bind-service web db",
            vec![app(), lookup(), taken()],
            "App web is already bound to db.",
        ),
        (
            "bs web db -c {\"x\":1}",
            vec![
                app(),
                lookup(),
                post(
                    "/v2/service_bindings",
                    json!({"app_guid": "a", "service_instance_guid": "i", "parameters": {"x": 1}}),
                    named("b", ""),
                ),
            ],
            "OK",
        ),
        (
            "us web db",
            vec![
                app(),
                lookup(),
                find(binding, &[named("b", "")]),
                delete("/v2/service_bindings/b"),
            ],
            "Unbinding app web from service db in org acme / space dev as admin...\nOK\n",
        ),
        (
            "unbind-service web db",
            vec![app(), lookup(), find(binding, &[])],
            "did not exist",
        ),
    ]);
}

#[test]
fn services_are_shown_renamed_and_deleted() {
    let bound = resource("b", json!({"app_guid": "a"}));
    let mut deletion = vec![lookup()];
    deletion.extend(delete_job(
        "/v2/service_instances/i?accepts_incomplete=true&async=true",
    ));
    converse(vec![
        (
            "service db",
            vec![
                find(LOOKUP, &[db(&[bound])]),
                get("/v2/apps/a", named("a", "web")),
            ],
            "Service:            user-provided\nBound apps:         web\n",
        ),
        (
            "rename-service db data",
            vec![
                lookup(),
                put(&format!("{MADE}/i"), json!({"name": "data"}), db(&[])),
            ],
            "Renaming service db to data in org acme / space dev as admin...\nOK\n",
        ),
        (
            "ds db -f",
            deletion,
            "Deleting service db in org acme / space dev as admin...\nOK\n",
        ),
    ]);
}

#[test]
fn a_bound_service_is_not_deleted() {
    let bound = resource("b", json!({"app_guid": "a"}));
    let ended = cf("delete-service db -f").with([find(LOOKUP, &[db(&[bound])])]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("cf unbind-service"), "{ended:?}");
}

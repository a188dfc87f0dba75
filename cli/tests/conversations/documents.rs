//! `--json`: one document on standard output, with the fields that `docs/cli.md`
//! promises and no others.

use std::collections::BTreeMap;

use cli::line::Json;
use serde_json::{Value, json};

use crate::script::*;

/// Every command that shows something, with a conversation in which it does.
fn shown() -> Vec<(&'static str, Vec<Exchange>)> {
    let org = || {
        let entity = json!({"name": "acme", "status": "active", "quota_definition_guid": "q"});
        resource("o", entity)
    };
    let find_org = || find("/v2/organizations?q=name:acme", &[org()]);
    let find_space = || {
        find(
            "/v2/spaces?q=name:dev&q=organization_guid:o",
            &[named("s", "dev")],
        )
    };
    let domains = || {
        [
            find("/v2/organizations/o/private_domains", &[]),
            find("/v2/shared_domains", &[named("d", "d.com")]),
        ]
    };
    let route = resource(
        "r",
        json!({"host": "h", "path": "", "domain_guid": "d", "apps": [named("a", "web")]}),
    );
    let [private, shared] = domains();
    let [private2, shared2] = domains();
    let bob = resource("u", json!({"username": "bob"}));
    let quota = resource("q", json!({"name": "small", "memory_limit": 1024}));
    let flag = json!({"name": "f", "enabled": true, "error_message": null, "url": "u"});
    let app = || find("/v2/apps?q=name:web&q=space_guid:s", &[crate::apps::web()]);
    let summary = json!({
        "guid": "s", "apps": [{"guid": "a", "name": "web", "state": "STARTED", "urls": ["w.d.com"],
        "instances": 1, "running_instances": 1, "memory": 64, "disk_quota": 1024}],
        "services": [{"guid": "i", "name": "db"}],
    });
    let event = resource(
        "e",
        json!({"type": "t", "actor_name": "x", "timestamp": "2015-09-01T12:00:00Z", "metadata": {}}),
    );
    let events = "/v2/events?results-per-page=50&order-direction=desc&q=actee:a";
    let stack = || resource("k", json!({"name": "host", "description": "d"}));
    let env = json!({
        "staging_env_json": {}, "running_env_json": {}, "environment_json": {},
        "system_env_json": {}, "application_env_json": {},
    });
    let instance = resource("i", json!({"name": "db", "service_bindings": []}));
    let token = json!({"access_token": "t", "token_type": "bearer"});
    let services = "/v2/spaces/s/service_instances?return_user_provided_service_instances=true";
    vec![
        ("target", vec![]),
        ("api", vec![]),
        (
            "orgs",
            vec![find("/v2/organizations?order-by=name", &[org()])],
        ),
        (
            "org acme",
            vec![
                find_org(),
                find("/v2/shared_domains", &[named("d", "d.com")]),
                find("/v2/organizations/o/private_domains", &[]),
                get("/v2/quota_definitions/q", quota.clone()),
                find("/v2/spaces?q=organization_guid:o", &[named("s", "dev")]),
            ],
        ),
        (
            "spaces",
            vec![find(
                "/v2/spaces?order-by=name&q=organization_guid:o",
                &[named("s", "dev")],
            )],
        ),
        (
            "space dev",
            vec![
                find_space(),
                find("/v2/apps?q=space_guid:s", &[]),
                find(services, &[]),
                // An older controller has no such relation.
                find("/v2/spaces/s/security_groups", &[]).refused(404, 10000, "CF-NotFound"),
            ],
        ),
        ("domains", vec![private, shared]),
        (
            "routes",
            vec![
                private2,
                shared2,
                find("/v2/spaces/s/routes?inline-relations-depth=1", &[route]),
            ],
        ),
        (
            "check-route h d.com",
            vec![
                find("/v2/organizations/o/private_domains?q=name:d.com", &[]),
                find("/v2/shared_domains?q=name:d.com", &[named("d", "d.com")]),
                get("/v2/routes/reserved/domain/d/host/h", json!(null)),
            ],
        ),
        ("stacks", vec![find("/v2/stacks", &[stack()])]),
        (
            "stack host",
            vec![find("/v2/stacks?q=name:host", &[stack()])],
        ),
        (
            "buildpacks",
            vec![find("/v2/buildpacks", &[named("b", "ruby")])],
        ),
        (
            "quotas",
            vec![find("/v2/quota_definitions", std::slice::from_ref(&quota))],
        ),
        (
            "quota small",
            vec![find("/v2/quota_definitions?q=name:small", &[quota])],
        ),
        (
            "feature-flags",
            vec![get("/v2/config/feature_flags", json!([flag]))],
        ),
        (
            "feature-flag f",
            vec![get("/v2/config/feature_flags/f", flag)],
        ),
        (
            "org-users acme -a",
            vec![
                find_org(),
                find("/v2/organizations/o/users", std::slice::from_ref(&bob)),
            ],
        ),
        (
            "space-users acme dev",
            vec![
                find_org(),
                find_space(),
                find("/v2/spaces/s/managers", &[]),
                find("/v2/spaces/s/developers", &[bob]),
                find("/v2/spaces/s/auditors", &[]),
            ],
        ),
        (
            "services",
            vec![get("/v2/spaces/s/summary", summary.clone())],
        ),
        (
            "service db",
            vec![find(
                &format!("{services}&q=name:db&inline-relations-depth=1"),
                &[instance],
            )],
        ),
        ("apps", vec![get("/v2/spaces/s/summary", summary)]),
        (
            "app web",
            vec![
                app(),
                get(
                    "/v2/apps/a/summary",
                    json!({"guid": "a", "name": "web", "state": "STOPPED"}),
                ),
            ],
        ),
        ("scale web", vec![app()]),
        ("env web", vec![app(), get("/v2/apps/a/env", env)]),
        ("events web", vec![app(), find(events, &[event])]),
        ("get-health-check web", vec![app()]),
        (
            "oauth-token",
            vec![form("POST", "/oauth/token", &["refresh_token"], token)],
        ),
    ]
}

/// These end with the display of `app` or `target`, which stands above.
const SAME: [&str; 5] = ["login", "push", "start", "restart", "restage"];

fn fields(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[test]
fn every_document_has_the_promised_fields() {
    let mut unseen: Vec<&str> = cli::commands::all()
        .filter(|spec| matches!(spec.json, Json::List(_) | Json::One(_)))
        .map(|spec| spec.name)
        .filter(|name| !SAME.contains(name))
        .collect();
    for (line, script) in shown() {
        let name = line.split(' ').next().unwrap();
        unseen.retain(|unseen| *unseen != name);
        let ended = cf(&format!("{line} --json")).with(script);
        assert_eq!(ended.code, Some(0), "cf {line}: {ended:?}");
        let document = ended.json();
        match cli::commands::find(name).unwrap().json {
            Json::One(promised) => assert_eq!(fields(&document), promised, "cf {line}"),
            Json::List(promised) => {
                let items = document.as_array().unwrap();
                assert!(!items.is_empty(), "cf {line}");
                for item in items {
                    assert_eq!(fields(item), promised, "cf {line}");
                }
            }
            other => panic!("cf {line}: {other:?}"),
        }
    }
    assert!(unseen.is_empty(), "no conversation shows {unseen:?}");
}

#[test]
fn the_documented_fields_are_those_of_the_commands() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    let page = std::fs::read_to_string(page).unwrap();
    let row = |line: &str| {
        let cells: Vec<String> = line
            .split('|')
            .map(|cell| cell.replace('`', "").trim().to_owned())
            .collect();
        let [_, name, shape, fields, ..] = cells.as_slice() else {
            return None;
        };
        let shape = ["array", "object"]
            .contains(&shape.as_str())
            .then(|| shape.clone())?;
        Some((name.clone(), (shape, fields.clone())))
    };
    let documented: BTreeMap<_, _> = page.lines().filter_map(row).collect();
    let promised: BTreeMap<_, _> = cli::commands::all()
        .filter_map(|spec| match spec.json {
            Json::List(fields) => Some((spec.name, ("array", fields))),
            Json::One(fields) => Some((spec.name, ("object", fields))),
            Json::Done | Json::Raw => None,
        })
        .map(|(name, (shape, fields))| (name.to_owned(), (shape.to_owned(), fields.join(", "))))
        .collect();
    assert_eq!(documented, promised);
}

#[test]
fn what_shows_nothing_says_that_it_is_done() {
    let ended = cf("create-shared-domain d --json").with([post(
        "/v2/shared_domains",
        json!({"name": "d", "wildcard": true}),
        named("d", "d"),
    )]);
    assert_eq!(ended.json(), json!({"ok": true}));
    assert!(ended.err.contains("Creating shared domain d"), "{ended:?}");
}

#[test]
fn errors_are_documents_too() {
    let gone = find("/v2/organizations?q=name:gone", &[]);
    let cases = [
        (
            cf("org gone --json").with([gone]),
            "CLI-NotFound",
            "`cf orgs` lists them.",
        ),
        (
            cf("apps --json").alone(),
            "CLI-NoTarget",
            "Use `cf api URL` or `cf login -a URL`.",
        ),
        (cf("--json frobnicate").alone(), "CLI-UnknownCommand", ""),
        (
            cf("stacks --json").with([find("/v2/stacks", &[]).refused(
                403,
                10003,
                "CF-NotAuthorized",
            )]),
            "CF-NotAuthorized",
            "",
        ),
    ];
    for (ended, code, next) in cases {
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let document = ended.json();
        assert_eq!(fields(&document["error"]), ["code", "description", "next"]);
        assert_eq!(document["error"]["code"], code, "{ended:?}");
        assert_eq!(document["error"]["next"], next, "{ended:?}");
    }
}

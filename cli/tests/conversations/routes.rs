//! Routes (reference: tier 1 table).

use serde_json::{Value, json};

use crate::script::*;

fn route(guid: &str, host: &str, apps: &[Value]) -> Value {
    resource(
        guid,
        json!({
            "host": host, "path": "", "port": null, "domain_guid": "d", "space_guid": "s",
            "domain": named("d", "d.com"), "space": named("s", "dev"), "apps": apps,
        }),
    )
}

fn app() -> Exchange {
    find("/v2/apps?q=name:web&q=space_guid:s", &[named("a", "web")])
}

fn domain() -> [Exchange; 2] {
    [
        find("/v2/organizations/o/private_domains?q=name:d.com", &[]),
        find("/v2/shared_domains?q=name:d.com", &[named("d", "d.com")]),
    ]
}

fn script<const N: usize>(parts: [Vec<Exchange>; N]) -> Vec<Exchange> {
    parts.into_iter().flatten().collect()
}

fn domains() -> Vec<Exchange> {
    vec![
        find("/v2/organizations/o/private_domains", &[]),
        find("/v2/shared_domains", &[named("d", "d.com")]),
    ]
}

const MADE: &str = "/v2/routes";
const SEARCH: &str = "/v2/routes?q=host:h&q=domain_guid:d";

fn body() -> Value {
    json!({"host": "h", "domain_guid": "d", "space_guid": "s"})
}

#[test]
fn routes_are_listed_for_a_space_and_for_an_org() {
    let used = route("r", "h", &[named("a", "web"), named("b", "api")]);
    let space = "/v2/spaces/s/routes?inline-relations-depth=1";
    let org = "/v2/routes?q=organization_guid:o&inline-relations-depth=1";
    converse(vec![
        (
            "routes",
            script([domains(), vec![find(space, std::slice::from_ref(&used))]]),
            "space   host   domain   port   path   type   apps       service\ndev     h      d.com                         web, api\n",
        ),
        (
            "r --orglevel",
            script([domains(), vec![find(org, &[used])]]),
            "in org acme as admin",
        ),
    ]);
}

#[test]
fn routes_are_made_and_an_own_one_is_taken_as_it_is() {
    let space = || {
        vec![find(
            "/v2/spaces?q=name:dev&q=organization_guid:o",
            &[named("s", "dev")],
        )]
    };
    converse(vec![
        (
            "create-route dev d.com --hostname h --path /p",
            script([
                space(),
                domain().into(),
                vec![post(
                    MADE,
                    json!({"host": "h", "path": "/p", "domain_guid": "d", "space_guid": "s"}),
                    route("r", "h", &[]),
                )],
            ]),
            "Creating route h.d.com/p for org acme / space dev as admin...\nOK\n",
        ),
        (
            "create-route dev d.com -n h",
            script([
                space(),
                domain().into(),
                vec![
                    post(MADE, body(), json!(null)).refused(400, 210003, "CF-RouteHostTaken"),
                    find(SEARCH, &[route("r", "h", &[])]),
                ],
            ]),
            "Route h.d.com already exists",
        ),
    ]);
}

#[test]
fn mapping_makes_the_route_and_unmapping_leaves_it() {
    let used = || route("r", "h", &[named("a", "web")]);
    converse(vec![
        (
            "map-route web d.com -n h",
            script([
                vec![app()],
                domain().into(),
                vec![
                    post(MADE, body(), route("r", "h", &[])),
                    put("/v2/apps/a/routes/r", json!(null), json!({})),
                ],
            ]),
            "Adding route h.d.com to app web in org acme / space dev as admin...\nOK\n",
        ),
        (
            "unmap-route web d.com --hostname h",
            script([
                vec![app()],
                domain().into(),
                vec![find(SEARCH, &[used()]), delete("/v2/apps/a/routes/r")],
            ]),
            "Removing route h.d.com from app web in org acme / space dev as admin...\nOK\n",
        ),
        (
            "unmap-route web d.com -n h",
            script([
                vec![app()],
                domain().into(),
                vec![find(SEARCH, &[route("r", "h", &[])])],
            ]),
            "not currently mapped",
        ),
    ]);
}

#[test]
fn routes_are_checked_and_deleted() {
    let reserved = "/v2/routes/reserved/domain/d/host/h";
    let orphans = [
        route("r1", "used", &[named("a", "web")]),
        route("r2", "free", &[]),
    ];
    converse(vec![
        (
            "check-route h d.com",
            script([domain().into(), vec![get(reserved, json!(null))]]),
            "Route h.d.com does exist",
        ),
        (
            "check-route h d.com --path p",
            script([
                domain().into(),
                vec![get(&format!("{reserved}?path=/p"), json!(null)).refused(
                    404,
                    10000,
                    "CF-NotFound",
                )],
            ]),
            "Route h.d.com/p does not exist",
        ),
        (
            "delete-route d.com -n h -f",
            script([
                domain().into(),
                vec![find(SEARCH, &[route("r", "h", &[])])],
                delete_job("/v2/routes/r?async=true").into(),
            ]),
            "Deleting route h.d.com...\nOK\n",
        ),
        (
            "delete-orphaned-routes -f",
            script([
                domains(),
                vec![find(
                    "/v2/spaces/s/routes?inline-relations-depth=1",
                    &orphans,
                )],
                delete_job("/v2/routes/r2?async=true").into(),
            ]),
            "Deleting route free.d.com...\nOK\n",
        ),
    ]);
}

#[test]
fn a_route_of_somebody_else_is_refused_with_the_servers_reason() {
    let script = script([
        vec![app()],
        domain().into(),
        vec![
            post(MADE, body(), json!(null)).refused(400, 210003, "CF-RouteHostTaken"),
            find(SEARCH, &[]),
        ],
    ]);
    let ended = cf("map-route web d.com -n h").with(script);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("error code: 210003"), "{ended:?}");
}

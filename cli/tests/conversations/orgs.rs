//! orgs and spaces (reference: tier 1 and 2 tables).

use serde_json::json;

use crate::script::*;

const BY_NAME: &str = "/v2/config/feature_flags/set_roles_by_username";

fn org() -> serde_json::Value {
    resource(
        "o1",
        json!({"name": "big", "status": "active", "quota_definition_guid": "q"}),
    )
}

fn flag(enabled: bool) -> serde_json::Value {
    json!({"name": "set_roles_by_username", "enabled": enabled})
}

#[test]
fn orgs_are_listed_shown_renamed_and_deleted() {
    let find_org = || find("/v2/organizations?q=name:big", &[org()]);
    let mut deletion = vec![find_org()];
    deletion.extend(delete_job("/v2/organizations/o1?async=true&recursive=true"));
    converse(vec![
        (
            "orgs",
            vec![find("/v2/organizations?order-by=name", &[org()])],
            "Getting orgs as admin...\n\nname\nbig\n",
        ),
        (
            "o",
            vec![find("/v2/organizations?order-by=name", &[])],
            "No orgs found",
        ),
        (
            "org big",
            vec![
                find_org(),
                find("/v2/shared_domains", &[named("d", "d.com")]),
                find("/v2/organizations/o1/private_domains", &[]),
                get("/v2/quota_definitions/q", named("q", "default")),
                find("/v2/spaces?q=organization_guid:o1", &[named("s", "dev")]),
            ],
            "quota:     default\nspaces:    dev\n",
        ),
        ("org big --guid", vec![find_org()], "o1\n"),
        (
            "rename-org big huge",
            vec![
                find_org(),
                put("/v2/organizations/o1", json!({"name": "huge"}), org()),
            ],
            "Renaming org big to huge as admin...\nOK\n",
        ),
        (
            "delete-org big -f",
            deletion,
            "Deleting org big as admin...\nOK\n",
        ),
        (
            "delete-org gone -f",
            vec![find("/v2/organizations?q=name:gone", &[])],
            "Org gone does not exist.",
        ),
    ]);
}

#[test]
fn a_new_org_has_its_maker_as_manager() {
    let user = json!({"username": "admin"});
    converse(vec![
        (
            "create-org big -q small",
            vec![
                find("/v2/quota_definitions?q=name:small", &[named("q", "small")]),
                post(
                    "/v2/organizations",
                    json!({"name": "big", "quota_definition_guid": "q"}),
                    org(),
                ),
                get(BY_NAME, flag(true)),
                find("/v2/organizations?q=name:big", &[org()]),
                put("/v2/organizations/o1/managers", user.clone(), org()),
                put("/v2/organizations/o1/users", user, org()),
            ],
            "TIP: Use 'cf target -o \"big\"' to target new org",
        ),
        (
            "co big",
            vec![
                post("/v2/organizations", json!({"name": "big"}), json!(null)).refused(
                    400,
                    30002,
                    "CF-OrganizationNameTaken",
                ),
            ],
            "Org big already exists",
        ),
    ]);
}

#[test]
fn spaces_are_listed_shown_renamed_and_deleted() {
    let space = || named("s1", "test");
    let find_space = || find("/v2/spaces?q=name:test&q=organization_guid:o", &[space()]);
    let services = "/v2/spaces/s1/service_instances?return_user_provided_service_instances=true";
    let mut deletion = vec![find_space()];
    deletion.extend(delete_job("/v2/spaces/s1?async=true&recursive=true"));
    converse(vec![
        (
            "spaces",
            vec![find(
                "/v2/spaces?order-by=name&q=organization_guid:o",
                &[space()],
            )],
            "Getting spaces in org acme as admin...\n\nname\ntest\n",
        ),
        (
            "space test",
            vec![
                find_space(),
                find("/v2/apps?q=space_guid:s1", &[named("a", "web")]),
                find(services, &[named("i", "db")]),
                find("/v2/spaces/s1/security_groups", &[named("g", "dns")]),
            ],
            "services:          db\nsecurity groups:   dns\n",
        ),
        (
            "rename-space test qa",
            vec![
                find_space(),
                put("/v2/spaces/s1", json!({"name": "qa"}), space()),
            ],
            "Renaming space test to qa in org acme as admin...\nOK\n",
        ),
        (
            "delete-space test -f",
            deletion,
            "Deleting space test in org acme as admin...\nOK\n",
        ),
    ]);
}

#[test]
fn a_new_space_has_its_maker_as_manager_and_developer() {
    let user = || json!({"username": "admin"});
    let nothing = || json!({});
    converse(vec![
        (
            "create-space test -o big",
            vec![
                find("/v2/organizations?q=name:big", &[org()]),
                post(
                    "/v2/spaces",
                    json!({"name": "test", "organization_guid": "o1"}),
                    named("s1", "test"),
                ),
                get(BY_NAME, flag(true)),
                put("/v2/organizations/o1/users", user(), nothing()),
                put("/v2/spaces/s1/managers", user(), nothing()),
                put("/v2/organizations/o1/users", user(), nothing()),
                put("/v2/spaces/s1/developers", user(), nothing()),
            ],
            "Assigning role SpaceDeveloper to user admin in org big / space test as admin...\nOK\n",
        ),
        (
            "create-space dev",
            vec![
                post(
                    "/v2/spaces",
                    json!({"name": "dev", "organization_guid": "o"}),
                    json!(null),
                )
                .refused(400, 40002, "CF-SpaceNameTaken"),
            ],
            "Space dev already exists",
        ),
    ]);
}

//! Users and roles (reference: tier 3 table and the UAA section).

use serde_json::{Value, json};

use crate::script::*;

const SET: &str = "/v2/config/feature_flags/set_roles_by_username";
const UNSET: &str = "/v2/config/feature_flags/unset_roles_by_username";
const LOOKUP: &str = "/Users?attributes=id,userName&filter=userName Eq \"bob\"";

fn flag(on: bool) -> Value {
    json!({"name": "f", "enabled": on})
}

fn org() -> Exchange {
    find("/v2/organizations?q=name:acme", &[named("o", "acme")])
}

fn space() -> Exchange {
    find(
        "/v2/spaces?q=name:dev&q=organization_guid:o",
        &[named("s", "dev")],
    )
}

fn known() -> Value {
    json!({"resources": [{"id": "u", "userName": "bob"}], "totalResults": 1})
}

fn new_user(password: &str) -> Vec<Exchange> {
    let body = json!({
        "userName": "bob", "password": password, "origin": "",
        "name": {"givenName": "bob", "familyName": "bob"},
        "emails": [{"value": "bob", "primary": true}],
    });
    vec![
        post("/Users", body, json!({"id": "u"})),
        post("/v2/users", json!({"guid": "u"}), named("u", "")),
    ]
}

#[test]
fn users_are_made_with_a_password_that_nobody_sees() {
    for typed in [
        cf("create-user bob pw1"),
        cf("create-user bob").input("pw1\n"),
        cf("create-user bob").env("CF_USER_PASSWORD", "pw1"),
    ] {
        let ended = typed.with(new_user("pw1"));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(!format!("{ended:?}").contains("pw1"), "{ended:?}");
        assert!(
            ended.out.starts_with("Creating user bob...\nOK\n"),
            "{ended:?}"
        );
    }
}

#[test]
fn users_are_deleted_in_both_places() {
    let mut deletion = vec![get(LOOKUP, known())];
    deletion.extend(delete_job("/v2/users/u?async=true"));
    deletion.push(delete("/Users/u"));
    let unknown = || json!({"resources": []});
    converse(vec![
        (
            "delete-user bob -f",
            deletion,
            "Deleting user bob as admin...\nOK\n",
        ),
        (
            "delete-user bob -f",
            vec![
                get(LOOKUP, known()),
                delete("/v2/users/u?async=true").refused(404, 20003, "CF-UserNotFound"),
                delete("/Users/u"),
            ],
            "OK",
        ),
        (
            "delete-user bob -f",
            vec![get(LOOKUP, unknown())],
            "User bob does not exist.",
        ),
    ]);
}

#[test]
fn roles_are_given_and_taken_by_name() {
    let bob = || json!({"username": "bob"});
    let nothing = || json!({});
    converse(vec![
        (
            "set-org-role bob acme OrgManager",
            vec![
                get(SET, flag(true)),
                org(),
                put("/v2/organizations/o/managers", bob(), nothing()),
                put("/v2/organizations/o/users", bob(), nothing()),
            ],
            "Assigning role OrgManager to user bob in org acme as admin...\nOK\n",
        ),
        (
            "unset-org-role bob acme BillingManager",
            vec![
                get(UNSET, flag(true)),
                org(),
                delete_with("/v2/organizations/o/billing_managers", bob()),
            ],
            "Removing role BillingManager from user bob in org acme as admin...\nOK\n",
        ),
        (
            "set-space-role bob acme dev SpaceDeveloper",
            vec![
                get(SET, flag(true)),
                org(),
                space(),
                put("/v2/organizations/o/users", bob(), json!(null)).refused(
                    403,
                    10003,
                    "CF-NotAuthorized",
                ),
                put("/v2/spaces/s/developers", bob(), nothing()),
            ],
            "Assigning role SpaceDeveloper to user bob in org acme / space dev as admin...\nOK\n",
        ),
        (
            "unset-space-role bob acme dev SpaceAuditor",
            vec![
                get(UNSET, flag(true)),
                org(),
                space(),
                delete_with("/v2/spaces/s/auditors", bob()),
            ],
            "Removing role SpaceAuditor from user bob in org acme / space dev as admin...\nOK\n",
        ),
    ]);
}

#[test]
fn a_controller_that_wants_members_first_is_given_them_first() {
    let bob = || json!({"username": "bob"});
    let role = || put("/v2/organizations/o/managers", bob(), json!({}));
    converse(vec![(
        "set-org-role bob acme OrgManager",
        vec![
            get(SET, flag(true)),
            org(),
            role().refused(400, 1002, "CF-InvalidRelation"),
            put("/v2/organizations/o/users", bob(), json!({})),
            role(),
        ],
        "OK",
    )]);
}

#[test]
fn roles_go_by_guid_when_the_flag_is_off() {
    let nothing = || json!({});
    converse(vec![
        (
            "set-org-role bob acme OrgAuditor",
            vec![
                get(SET, flag(false)),
                get(LOOKUP, known()),
                org(),
                put("/v2/organizations/o/auditors/u", json!(null), nothing()),
                put("/v2/organizations/o/users/u", json!(null), nothing()),
            ],
            "OK",
        ),
        (
            "unset-space-role bob acme dev SpaceManager",
            vec![
                get(UNSET, flag(false)),
                get(LOOKUP, known()),
                org(),
                space(),
                delete("/v2/spaces/s/managers/u"),
            ],
            "OK",
        ),
    ]);
}

#[test]
fn users_are_listed_by_role() {
    let bob = || resource("u", json!({"username": "bob"}));
    converse(vec![
        (
            "org-users acme",
            vec![
                org(),
                find("/v2/organizations/o/managers", &[bob()]),
                find("/v2/organizations/o/billing_managers", &[]),
                find("/v2/organizations/o/auditors", &[]),
            ],
            "Getting users in org acme as admin...\n\nORG MANAGER\n  bob\n\nBILLING MANAGER\n  No BILLING MANAGER found\n",
        ),
        (
            "org-users acme -a",
            vec![org(), find("/v2/organizations/o/users", &[bob()])],
            "USERS\n  bob\n",
        ),
        (
            "space-users acme dev",
            vec![
                org(),
                space(),
                find("/v2/spaces/s/managers", &[]),
                find("/v2/spaces/s/developers", &[bob()]),
                find("/v2/spaces/s/auditors", &[]),
            ],
            "SPACE DEVELOPER\n  bob\n",
        ),
    ]);
}

#[test]
fn a_password_is_changed_from_standard_input_and_the_session_ends() {
    let typed = cf("passwd").input("old\nnew\n");
    let body = json!({"password": "new", "oldPassword": "old"});
    let ended = typed.with([put(
        "/Users/u-admin/password",
        body,
        json!({"status": "ok"}),
    )]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let session = std::fs::read_to_string(typed.dir().join(".cf/config.json")).unwrap();
    let session: Value = serde_json::from_str(&session).unwrap();
    assert_eq!(session["AccessToken"], "");
}

#[test]
fn a_user_is_authenticated_by_a_password_from_wherever_it_comes() {
    let answer = || json!({"access_token": "t2", "token_type": "bearer", "refresh_token": "r2"});
    let fields = &["grant_type=password", "username=bob", "password=pw1"];
    for typed in [
        cf("auth bob pw1"),
        cf("auth bob").env("CF_PASSWORD", "pw1"),
        cf("auth bob").input("pw1\n"),
        cf("auth")
            .env("CF_USERNAME", "bob")
            .env("CF_PASSWORD", "pw1"),
    ] {
        let ended = typed.with([form("POST", "/oauth/token", fields, answer())]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(!format!("{ended:?}").contains("pw1"), "{ended:?}");
    }
}

#[test]
fn the_token_is_fresh() {
    let answer = json!({"access_token": "t2", "token_type": "bearer", "refresh_token": "r2"});
    let grant = form(
        "POST",
        "/oauth/token",
        &["grant_type=refresh_token"],
        answer,
    );
    let ended = cf("oauth-token").with([grant]);
    assert_eq!(ended.out, "bearer t2\n");
}

//! Quotas and feature flags (reference: tier 3 table).

use serde_json::{Value, json};

use crate::script::*;

fn quota() -> Value {
    resource(
        "q",
        json!({
            "name": "small", "memory_limit": 1024, "instance_memory_limit": -1, "total_routes": 10,
            "total_services": -1, "non_basic_services_allowed": true, "app_instance_limit": -1,
            "total_private_domains": -1, "trial_db_allowed": false,
        }),
    )
}

fn lookup() -> Exchange {
    find("/v2/quota_definitions?q=name:small", &[quota()])
}

#[test]
fn quotas_are_listed_and_shown() {
    converse(vec![
        (
            "quotas",
            vec![find("/v2/quota_definitions", &[quota()])],
            "small   1G             unlimited         10       unlimited           allowed      unlimited       unlimited\n",
        ),
        ("quota small", vec![lookup()], "total memory:        1G\n"),
    ]);
}

#[test]
fn quotas_are_made_changed_given_and_deleted() {
    let mut deletion = vec![lookup()];
    deletion.extend(delete_job("/v2/quota_definitions/q?async=true"));
    converse(vec![
        (
            "create-quota small -m 1G -i -1 -r 10 -s 5 -a 7 --allow-paid-service-plans",
            vec![post(
                "/v2/quota_definitions",
                json!({
                    "name": "small", "memory_limit": 1024, "instance_memory_limit": -1,
                    "total_routes": 10, "total_services": 5, "non_basic_services_allowed": true,
                    "app_instance_limit": 7,
                }),
                quota(),
            )],
            "Creating quota small as admin...\nOK\n",
        ),
        (
            "create-quota small",
            vec![
                post(
                    "/v2/quota_definitions",
                    json!({
                        "name": "small", "memory_limit": 0, "instance_memory_limit": -1,
                        "total_routes": 0, "total_services": 0,
                        "non_basic_services_allowed": false, "app_instance_limit": -1,
                    }),
                    json!(null),
                )
                .refused(400, 240002, "CF-QuotaDefinitionNameTaken"),
            ],
            "already exists",
        ),
        (
            "update-quota small -n tiny -m 512M --disallow-paid-service-plans",
            vec![
                lookup(),
                put(
                    "/v2/quota_definitions/q",
                    json!({
                        "name": "tiny", "memory_limit": 512, "instance_memory_limit": -1,
                        "total_routes": 10, "total_services": -1,
                        "non_basic_services_allowed": false, "app_instance_limit": -1,
                    }),
                    quota(),
                ),
            ],
            "Updating quota small as admin...\nOK\n",
        ),
        (
            "set-quota acme small",
            vec![
                find("/v2/organizations?q=name:acme", &[named("o", "acme")]),
                lookup(),
                put(
                    "/v2/organizations/o",
                    json!({"quota_definition_guid": "q"}),
                    json!({}),
                ),
            ],
            "Setting quota small to org acme as admin...\nOK\n",
        ),
        (
            "delete-quota small -f",
            deletion,
            "Deleting quota small as admin...\nOK\n",
        ),
    ]);
}

#[test]
fn feature_flags_are_a_bare_array() {
    let path = "/v2/config/feature_flags";
    let one = json!({"name": "route_creation", "enabled": true, "error_message": null, "url": "u"});
    converse(vec![
        (
            "feature-flags",
            vec![get(path, json!([one]))],
            "features         state\nroute_creation   enabled\n",
        ),
        (
            "feature-flag route_creation",
            vec![get(&format!("{path}/route_creation"), one.clone())],
            "route_creation   enabled\n",
        ),
        (
            "disable-feature-flag route_creation",
            vec![put(
                &format!("{path}/route_creation"),
                json!({"enabled": false}),
                one.clone(),
            )],
            "Feature route_creation Disabled.",
        ),
        (
            "enable-feature-flag route_creation",
            vec![put(
                &format!("{path}/route_creation"),
                json!({"enabled": true}),
                one,
            )],
            "Feature route_creation Enabled.",
        ),
    ]);
}

//! Domains (reference: tier 1, 2 and 3 tables).

use serde_json::{Value, json};

use crate::script::*;

fn private() -> Value {
    resource(
        "p",
        json!({"name": "p.com", "owning_organization_guid": "o"}),
    )
}

#[test]
fn domains_are_listed_with_whose_they_are() {
    converse(vec![(
        "domains",
        vec![
            find("/v2/organizations/o/private_domains", &[private()]),
            find("/v2/shared_domains", &[named("d", "d.com")]),
        ],
        "Getting domains in org acme as admin...\nname    status\nd.com   shared\np.com   owned\n",
    )]);
}

#[test]
fn domains_are_made_shared_and_deleted() {
    let org = || find("/v2/organizations?q=name:acme", &[named("o", "acme")]);
    let find_private = || find("/v2/private_domains?q=name:p.com", &[private()]);
    let relation = "/v2/organizations/o/private_domains/p";
    let mut deletion = vec![find(
        "/v2/organizations/o/private_domains?q=name:p.com",
        &[private()],
    )];
    deletion.extend(delete_job(
        "/v2/private_domains/p?async=true&recursive=true",
    ));
    let mut shared = vec![find(
        "/v2/shared_domains?q=name:d.com",
        &[named("d", "d.com")],
    )];
    shared.extend(delete_job("/v2/shared_domains/d?async=true&recursive=true"));
    converse(vec![
        (
            "create-domain acme p.com",
            vec![
                org(),
                post(
                    "/v2/private_domains",
                    json!({"name": "p.com", "owning_organization_guid": "o", "wildcard": true}),
                    private(),
                ),
            ],
            "Creating domain p.com for org acme as admin...\nOK\n",
        ),
        (
            "create-shared-domain d.com",
            vec![post(
                "/v2/shared_domains",
                json!({"name": "d.com", "wildcard": true}),
                named("d", "d.com"),
            )],
            "Creating shared domain d.com as admin...\nOK\n",
        ),
        (
            "delete-domain p.com -f",
            deletion,
            "Deleting domain p.com as admin...\nOK\n",
        ),
        (
            "delete-shared-domain d.com -f",
            shared,
            "Deleting shared domain d.com",
        ),
        (
            "share-private-domain acme p.com",
            vec![org(), find_private(), put(relation, json!(null), private())],
            "Sharing domain p.com with org acme as admin...\nOK\n",
        ),
        (
            "unshare-private-domain acme p.com",
            vec![org(), find_private(), delete(relation)],
            "Unsharing domain p.com from org acme as admin...\nOK\n",
        ),
    ]);
}

#[test]
fn a_shared_domain_is_not_deleted_as_an_owned_one() {
    let ended = cf("delete-domain d.com -f").with([
        find("/v2/organizations/o/private_domains?q=name:d.com", &[]),
        find("/v2/shared_domains?q=name:d.com", &[named("d", "d.com")]),
    ]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("cf delete-shared-domain"), "{ended:?}");
}

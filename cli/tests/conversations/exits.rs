//! Exit codes, help, and what happens where nobody can be asked.

use std::collections::HashSet;

use serde_json::json;

use crate::script::*;

#[test]
fn what_goes_well_is_0_and_what_does_not_is_1() {
    let cases = [
        ("version", 0),
        ("help", 0),
        ("help push", 0),
        ("push --help", 0),
        ("completion fish", 0),
        ("apps", 1),
        ("help no-such-command", 1),
        ("no-such-command", 1),
        ("scale", 1),
        ("apps --no-such-flag", 1),
        ("completion tcsh", 1),
        ("config", 1),
        ("config --color maybe", 1),
        ("config --color false", 0),
    ];
    for (line, code) in cases {
        let ended = cf(line).alone();
        assert_eq!(ended.code, Some(code), "cf {line}: {ended:?}");
        assert_eq!(
            ended.err.contains("FAILED"),
            code == 1,
            "cf {line}: {ended:?}"
        );
    }
}

#[test]
fn an_unknown_command_comes_with_near_names() {
    let ended = cf("pusg").alone();
    assert!(
        ended.err.contains("'pusg' is not a registered command"),
        "{ended:?}"
    );
    assert!(ended.err.contains("push"), "{ended:?}");
}

#[test]
fn wrong_usage_shows_the_right_one() {
    let ended = cf("map-route web").alone();
    assert!(
        ended.err.contains("cf map-route APP_NAME DOMAIN"),
        "{ended:?}"
    );
    assert!(ended.err.contains("cf help map-route"), "{ended:?}");
}

#[test]
fn the_servers_error_is_shown_in_the_originals_words() {
    let refused = post(
        "/v2/shared_domains",
        json!({"name": "d", "wildcard": true}),
        json!(null),
    );
    let ended =
        cf("create-shared-domain d").with([refused.refused(403, 10003, "CF-NotAuthorized")]);
    assert_eq!(ended.code, Some(1));
    let said = "Server error, status code: 403, error code: 10003, message: CF-NotAuthorized";
    assert!(ended.err.contains(said), "{ended:?}");
}

#[test]
fn destructive_commands_refuse_where_nobody_can_be_asked_and_name_the_flag() {
    let lines = [
        "delete web",
        "delete-org o",
        "delete-space s",
        "delete-route d.com",
        "delete-orphaned-routes",
        "delete-user bob",
        "delete-quota q",
        "delete-buildpack b",
        "delete-service db",
    ];
    for line in lines {
        let ended = cf(line).input("y\n").with([]);
        assert_eq!(ended.code, Some(1), "cf {line}: {ended:?}");
        assert!(ended.err.contains("add -f"), "cf {line}: {ended:?}");
    }
    let commands = cli::commands::all().filter(|spec| spec.name.starts_with("delete"));
    for spec in commands {
        let forced = spec.flags.iter().any(|flag| flag.key() == "f");
        assert!(forced, "{} has no -f", spec.name);
    }
}

#[test]
fn there_is_no_colour_without_a_terminal() {
    let ended = cf("orgs").with([find("/v2/organizations?order-by=name", &[named("o", "x")])]);
    assert!(
        !ended.out.contains('\u{1b}') && !ended.err.contains('\u{1b}'),
        "{ended:?}"
    );
}

#[test]
fn an_expired_token_is_refreshed_once() {
    let path = "/v2/organizations?order-by=name";
    let token = json!({"access_token": "t2", "token_type": "bearer", "refresh_token": "r2"});
    let ended = cf("orgs").with([
        find(path, &[]).refused(401, 1000, "CF-InvalidAuthToken"),
        form(
            "POST",
            "/oauth/token",
            &["grant_type=refresh_token", "refresh_token=r"],
            token,
        ),
        find(path, &[]),
    ]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn lists_are_followed_to_their_end() {
    let first = "/v2/stacks";
    let mut page = list(&[named("1", "one")]);
    page["next_url"] = json!("/v2/stacks?page=2");
    let ended = cf("stacks").with([
        get(first, page),
        find("/v2/stacks?page=2", &[named("2", "two")]),
    ]);
    assert!(
        ended.out.contains("one") && ended.out.contains("two"),
        "{ended:?}"
    );
}

#[test]
fn the_commands_of_the_original_are_there_with_their_short_names() {
    let wanted = "a app apps api auth bind-service bs buildpacks check-route co completion config copy-source \
        create-app-manifest create-buildpack create-domain create-org create-quota create-route \
        create-shared-domain create-space create-user create-user-provided-service csp cups curl d delete \
        delete-buildpack delete-domain delete-org delete-orphaned-routes delete-quota delete-route \
        delete-service delete-shared-domain delete-space delete-user disable-feature-flag domains ds e \
        enable-feature-flag env events f feature-flag feature-flags files get-health-check h help l lo \
        login logout logs map-route o oauth-token org org-users orgs p passwd push pw quota quotas r \
        rename rename-buildpack rename-org rename-service rename-space restage restart \
        restart-app-instance rg routes rs s scale se service services set-env set-health-check \
        set-org-role set-quota set-space-role share-private-domain sp space space-users spaces st stack \
        stacks start stop t target ue unbind-service unmap-route unset-env unset-org-role \
        unset-space-role unshare-private-domain update-buildpack update-quota \
        update-user-provided-service us uups version";
    let known: HashSet<&str> = cli::commands::all()
        .flat_map(|spec| [spec.name, spec.alias])
        .collect();
    for name in wanted.split_whitespace() {
        assert!(known.contains(name), "{name}");
    }
}

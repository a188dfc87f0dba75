//! Every endpoint of the code with every role, in its own and in a foreign organization: `tables/roles.txt`.
//!
//! A check that is removed is noticed: every row refuses somebody (asserted below, but for those everybody may), so whoever lifts its check turns a `-` into a
//! `y`. That the rules behind the checks are noticed, one by one, is shown in `src/authorize.rs`.

use crate::support::table::{self, Row};
use crate::support::world::{PLACED, World};
use crate::support::{PASSWORD, Platform};
use reqwest::Method;
use serde_json::json;

/// The columns: users by the one role they have besides that of organization user.
const ROLES: [&str; 9] = [
    "admin",
    "org-managers",
    "org-billing_managers",
    "org-auditors",
    "org-users",
    "space-managers",
    "space-developers",
    "space-auditors",
    "stranger",
];
const EVERYBODY: &str = "yyyyyyyyy";

fn rows() -> Vec<Row> {
    table::read(include_str!("../tables/roles.txt"))
}

/// Makes one user per column, with roles in this world.
async fn people(platform: &Platform, world: &World) {
    let (org, space) = (world.guid("org"), world.guid("space"));
    for role in &ROLES[1..8] {
        platform.add_user(role, org, &[]).await;
        let (kind, relation) = role.split_once('-').unwrap();
        let place = if kind == "org" {
            format!("/v2/organizations/{org}/{relation}")
        } else {
            format!("/v2/spaces/{space}/{relation}")
        };
        let sent = json!({"username": role});
        platform.put(&place, sent).await.expect(201);
    }
    let stranger =
        json!({"userName": "stranger", "password": "pw", "emails": [{"value": "s@example.com"}]});
    platform.post("/Users", stranger).await.expect(201);
}

/// Tokens by column.
async fn tokens(platform: &mut Platform) -> Vec<String> {
    let mut tokens = Vec::new();
    for role in ROLES.iter().rev() {
        let password = if *role == "admin" { PASSWORD } else { "pw" };
        platform.log_in(role, password).await.expect(200);
        tokens.insert(0, platform.token.clone());
    }
    tokens
}

/// The row with fresh things in place of `new-…`.
async fn prepared(platform: &Platform, world: &World, row: &Row) -> (World, Row) {
    let (mut world, row) = (world.clone(), row.clone());
    for (_, value) in &row.arguments {
        if let Some(kind) = value.strip_prefix("new-") {
            let made = world.fresh(platform, kind).await;
            world.set(value, made);
        }
    }
    (world, row)
}

/// One call of the row: may this caller?
async fn may(platform: &Platform, world: &World, row: &Row, token: &str) -> bool {
    let mut address = row.address(world);
    let listed = row.argument("lists");
    if listed.is_some() {
        let and = if address.contains('?') { '&' } else { '?' };
        address = format!("{address}{and}results-per-page=100&order-direction=desc");
    }
    let method = Method::from_bytes(row.method.as_bytes()).unwrap();
    let answer = platform
        .call_as(token, method, &address, row.json(world))
        .await;
    let status = answer.status.as_u16();
    assert_ne!(status / 100, 5, "{} {address}: {answer:?}", row.method);
    let refused = matches!(status, 401 | 403) || row.argument("hidden").is_some() && status == 404;
    match listed {
        _ if refused => false,
        Some(name) => {
            let body = answer.expect(200);
            let members = body["resources"].as_array().unwrap();
            members
                .iter()
                .any(|member| member["metadata"]["guid"] == world.guid(name))
        }
        None => true,
    }
}

async fn verdict(platform: &Platform, world: &World, row: &Row, tokens: &[String]) -> String {
    let mut verdict = String::new();
    for token in tokens {
        let (world, row) = prepared(platform, world, row).await;
        let allowed = may(platform, &world, &row, token).await;
        verdict.push(if allowed { 'y' } else { '-' });
    }
    verdict
}

#[test]
fn the_table_names_the_endpoints_of_the_code_and_no_others() {
    table::must_match(&rows(), |_, _| true);
}

#[test]
fn what_everybody_may_is_said_once_here_and_every_other_row_refuses_somebody() {
    let rows = rows();
    let open: Vec<&str> = rows
        .iter()
        .filter(|row| row.verdict == EVERYBODY && row.method != "GET")
        .map(|row| row.path.as_str())
        .collect();
    assert_eq!(open, ["/v2/resource_match", "/v2/service_instances"]);
    for row in rows {
        assert_eq!(row.verdict.len(), ROLES.len(), "{row:?}");
        assert!(
            row.verdict.bytes().all(|b| b == b'y' || b == b'-'),
            "{row:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_what_the_reference_says_and_nothing_in_a_foreign_organization() {
    let mut platform = Platform::start().await;
    let own = World::build(&platform, "own").await;
    let foreign = World::build(&platform, "foreign").await;
    people(&platform, &own).await;
    let tokens = tokens(&mut platform).await;
    let mut wrong = Vec::new();
    for row in rows() {
        let got = verdict(&platform, &own, &row, &tokens).await;
        if got != row.verdict {
            wrong.push(format!(
                "{} {}: {got}, expected {}",
                row.method, row.path, row.verdict
            ));
        }
        let is_placed = |name: &str| PLACED.contains(&name.trim_start_matches("new-"));
        if !row.names().any(is_placed) {
            continue;
        }
        let expected = format!("{}--------", &row.verdict[..1]);
        let got = verdict(&platform, &foreign, &row, &tokens).await;
        if got != expected {
            wrong.push(format!(
                "foreign {} {}: {got}, expected {expected}",
                row.method, row.path
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `docs/api.md` has a row for each endpoint of controller and token server, and no other.
#[test]
fn the_page_about_the_api_names_the_endpoints_of_the_code_and_no_others() {
    let page = include_str!("../../../docs/api.md");
    let rows = page.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let path = columns.get(2)?.strip_prefix("`/")?.strip_suffix('`')?;
        Some((columns[1].to_owned(), format!("/{path}")))
    });
    let rows: std::collections::BTreeSet<_> = rows.collect();
    let own = cloud_controller::endpoints().into_iter();
    let own = own.map(|endpoint| (endpoint.method.to_owned(), endpoint.path));
    let tokens = uaa::ENDPOINTS.iter();
    let tokens = tokens.map(|(method, path)| ((*method).to_owned(), (*path).to_owned()));
    let code: std::collections::BTreeSet<_> = own.chain(tokens).collect();
    let missing: Vec<_> = code.difference(&rows).collect();
    let gone: Vec<_> = rows.difference(&code).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "without a row: {missing:#?}\nwithout an endpoint: {gone:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_suspended_organization_only_administrators_change_anything() {
    let mut platform = Platform::start().await;
    let (org, space) = platform.target().await;
    let app = platform.create_app("web").await;
    platform
        .add_user("dev", &org, &[(&space, "developers")])
        .await;
    let path = format!("/v2/organizations/{org}");
    platform
        .put(&path, json!({"status": "suspended"}))
        .await
        .expect(201);
    let app = format!("/v2/apps/{app}");
    platform.put(&app, json!({"memory": 65})).await.expect(201);
    platform.log_in("dev", "pw").await.expect(200);
    platform.get(&app).await.expect(200);
    let refused = platform.put(&app, json!({"memory": 66})).await;
    let text = refused.expect_error(403, 10_003, "CF-NotAuthorized");
    assert!(text.contains("suspended"), "{text}");
}

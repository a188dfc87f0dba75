//! Names are owned: a host with every path, a domain with what lies above and below it, the hosts of the platform itself.

use crate::support::{Answer, Platform, first_guid, guid};
use reqwest::Method;
use serde_json::{Value, json};

/// Somebody who develops in a space of an organization of his own.
pub(crate) struct Tenant {
    pub(crate) org: String,
    pub(crate) space: String,
    pub(crate) token: String,
}

impl Tenant {
    pub(crate) async fn new(platform: &Platform, name: &str) -> Tenant {
        let org = json!({"name": format!("org-of-{name}")});
        let org = guid(&platform.post("/v2/organizations", org).await.expect(201));
        let space = json!({"name": "dev", "organization_guid": org});
        let space = guid(&platform.post("/v2/spaces", space).await.expect(201));
        let user = platform
            .add_user(name, &org, &[(&space, "developers")])
            .await;
        let manager = format!("/v2/organizations/{org}/managers/{user}");
        platform.put_empty(&manager).await.expect(201);
        let token = token_of(platform, name).await;
        Tenant { org, space, token }
    }

    pub(crate) async fn send(
        &self,
        platform: &Platform,
        method: Method,
        path: &str,
        body: Value,
    ) -> Answer {
        platform
            .call_as(&self.token, method, path, Some(body))
            .await
    }

    async fn route(&self, platform: &Platform, domain: &str, host: &str, path: &str) -> Answer {
        let route =
            json!({"host": host, "path": path, "domain_guid": domain, "space_guid": self.space});
        self.send(platform, Method::POST, "/v2/routes", route).await
    }
}

pub(crate) async fn token_of(platform: &Platform, user: &str) -> String {
    let form = [
        ("grant_type", "password"),
        ("username", user),
        ("password", "pw"),
        ("scope", ""),
    ];
    let body = platform.token_request(&form).await.expect(200);
    body["access_token"].as_str().unwrap().to_owned()
}

async fn shared_domain(platform: &Platform) -> String {
    first_guid(&platform.get("/v2/shared_domains").await.expect(200))
}

fn taken(answer: &Answer) {
    let text = answer.expect_error(400, 210_003, "CF-RouteHostTaken");
    assert!(text.to_lowercase().contains("app-bob"), "{text}");
    assert!(!text.contains("org-of-bob"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_belongs_to_the_space_that_took_it_first_with_every_path() {
    let platform = Platform::start().await;
    let domain = shared_domain(&platform).await;
    let (alice, bob) = (
        Tenant::new(&platform, "alice").await,
        Tenant::new(&platform, "bob").await,
    );
    let first = bob.route(&platform, &domain, "app-bob", "").await;
    let first = guid(&first.expect(201));
    // Made …
    for (host, path) in [("app-bob", "/login"), ("APP-BOB", "/x"), ("App-Bob", "")] {
        taken(&alice.route(&platform, &domain, host, path).await);
    }
    // … by another space of the same organization …
    let other = json!({"name": "other", "organization_guid": bob.org});
    let other = guid(&platform.post("/v2/spaces", other).await.expect(201));
    let body = json!({"host": "app-bob", "path": "/y", "domain_guid": domain, "space_guid": other});
    taken(&platform.post("/v2/routes", body).await);
    // … or moved there.
    let mine = alice.route(&platform, &domain, "mine", "").await;
    let mine = format!("/v2/routes/{}", guid(&mine.expect(201)));
    let there = json!({"host": "App-Bob", "path": "/login"});
    taken(
        &alice
            .send(&platform, Method::PUT, &mine, there.clone())
            .await,
    );
    let kept = platform.get(&mine).await.expect(200);
    assert_eq!(kept["entity"]["host"], "mine");
    // Its owner may, with as many paths as it likes.
    let second = bob.route(&platform, &domain, "app-bob", "/login").await;
    let second = guid(&second.expect(201));
    // It stays so until the last of them is gone: then it is whose who comes first.
    for (route, is_free) in [(first, false), (second, true)] {
        platform
            .delete(&format!("/v2/routes/{route}"))
            .await
            .expect(204);
        let moved = alice
            .send(&platform, Method::PUT, &mine, there.clone())
            .await;
        match is_free {
            true => drop(moved.expect(201)),
            false => taken(&moved),
        }
    }
    taken(&bob.route(&platform, &domain, "app-bob", "").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_want_a_host_at_once_one_gets_it() {
    let platform = Platform::start().await;
    let domain = shared_domain(&platform).await;
    let (alice, bob) = (
        Tenant::new(&platform, "alice").await,
        Tenant::new(&platform, "bob").await,
    );
    for round in 0..10 {
        let host = format!("app-bob{round}");
        let (a, b) = tokio::join!(
            alice.route(&platform, &domain, &host, "/a"),
            bob.route(&platform, &domain, &host, "/b"),
        );
        let (won, lost) = match a.status.as_u16() {
            201 => (a, b),
            _ => (b, a),
        };
        won.expect(201);
        taken(&lost);
    }
}

// A route that an older version let in beside the host's owner.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_came_second_leads_nowhere_new() {
    let platform = Platform::start().await;
    let domain = shared_domain(&platform).await;
    let (alice, bob) = (
        Tenant::new(&platform, "alice").await,
        Tenant::new(&platform, "bob").await,
    );
    let of_bob = guid(
        &bob.route(&platform, &domain, "app-bob", "")
            .await
            .expect(201),
    );
    let of_alice = guid(
        &alice
            .route(&platform, &domain, "mine", "")
            .await
            .expect(201),
    );
    platform
        .sql("UPDATE routes SET host = 'app-bob', host_key = 'app-bob', path = '/p', path_key = '/p' WHERE host_key = 'mine'")
        .await;
    for (tenant, route, may) in [(&alice, &of_alice, false), (&bob, &of_bob, true)] {
        let app = json!({"name": "app", "space_guid": tenant.space, "memory": 64});
        let app = tenant.send(&platform, Method::POST, "/v2/apps", app).await;
        let app = guid(&app.expect(201));
        for path in [
            format!("/v2/apps/{app}/routes/{route}"),
            format!("/v2/routes/{route}/apps/{app}"),
        ] {
            let mapped = platform
                .call_as(&tenant.token, Method::PUT, &path, None)
                .await;
            match may {
                true => drop(mapped.expect(201)),
                false => taken(&mapped),
            }
        }
        let path = json!({"path": "/q"});
        let one = format!("/v2/routes/{route}");
        let changed = tenant.send(&platform, Method::PUT, &one, path);
        match may {
            true => drop(changed.await.expect(201)),
            false => taken(&changed.await),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_of_the_platform_are_nobodys() {
    let platform = Platform::start().await;
    let domain = shared_domain(&platform).await;
    let alice = Tenant::new(&platform, "alice").await;
    let (_, space) = platform.target().await;
    for host in ["api", "uaa", "login", "loggregator", "console", "API"] {
        let answer = alice.route(&platform, &domain, host, "/x").await;
        answer.expect_error(400, 210_003, "CF-RouteHostTaken");
        let body = json!({"host": host, "domain_guid": domain, "space_guid": space});
        let answer = platform.post("/v2/routes", body).await;
        answer.expect_error(400, 210_003, "CF-RouteHostTaken");
    }
    alice
        .route(&platform, &domain, "api2", "")
        .await
        .expect(201);
}

async fn private(tenant: &Tenant, platform: &Platform, name: &str) -> Answer {
    let body = json!({"name": name, "owning_organization_guid": tenant.org});
    tenant
        .send(platform, Method::POST, "/v2/private_domains", body)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_lie_neither_above_nor_below_what_belongs_to_others() {
    let platform = Platform::start().await;
    let (alice, bob) = (
        Tenant::new(&platform, "alice").await,
        Tenant::new(&platform, "bob").await,
    );
    private(&bob, &platform, "bob.example.org")
        .await
        .expect(201);
    // Its own organization may go on.
    private(&bob, &platform, "sub.bob.example.org")
        .await
        .expect(201);
    for name in [
        // Above and below the shared apps.example.com, in several spellings …
        "example.com",
        "EXAMPLE.com.",
        "deep.apps.example.com",
        "a.b.Apps.Example.Com.",
        "\u{ff45}xample.com",
        "deep\u{3002}apps\u{3002}example\u{3002}com",
        // … and bob's own.
        "x.bob.example.org",
        "example.org",
        "x.SUB.bob.example.org",
    ] {
        let answer = private(&alice, &platform, name).await;
        let text = answer.expect_error(400, 130_001, "CF-DomainInvalid");
        assert!(text.contains("overlaps"), "{name}: {text}");
    }
    for name in ["example.org", "x.bob.example.org", "y.sub.bob.example.org."] {
        let answer = platform
            .post("/v2/shared_domains", json!({"name": name}))
            .await;
        answer.expect_error(400, 130_001, "CF-DomainInvalid");
    }
    for (name, taken) in [("bob.example.org", 130_003), ("BOB.example.org.", 130_003)] {
        let answer = private(&alice, &platform, name).await.expect(400);
        assert_eq!(answer["code"], json!(taken), "{name}");
    }
    // Shared ones belong to the operator alone.
    platform
        .post(
            "/v2/shared_domains",
            json!({"name": "more.apps.example.com"}),
        )
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_domains_that_exclude_each_other_one_is_made() {
    let platform = Platform::start().await;
    let (alice, bob) = (
        Tenant::new(&platform, "alice").await,
        Tenant::new(&platform, "bob").await,
    );
    for round in 0..6 {
        let (above, below) = (
            format!("z{round}.example.org"),
            format!("b.z{round}.example.org"),
        );
        let deep = format!("c.{below}");
        let shared = platform.post("/v2/shared_domains", json!({"name": above}));
        let (a, b, c) = tokio::join!(
            shared,
            private(&alice, &platform, &below),
            private(&bob, &platform, &deep),
        );
        let statuses = [a.status, b.status, c.status].map(|status| status.as_u16());
        let made = statuses.iter().filter(|status| **status == 201).count();
        assert_eq!(made, 1, "{statuses:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_lent_a_domain_takes_hosts_and_not_all_of_them() {
    let platform = Platform::start().await;
    let (alice, bob) = (
        Tenant::new(&platform, "alice").await,
        Tenant::new(&platform, "bob").await,
    );
    let domain = guid(
        &private(&bob, &platform, "bob.example.org")
            .await
            .expect(201),
    );
    let share = format!("/v2/organizations/{}/private_domains/{domain}", alice.org);
    platform.put_empty(&share).await.expect(201);
    bob.route(&platform, &domain, "app-bob", "")
        .await
        .expect(201);
    taken(&alice.route(&platform, &domain, "app-bob", "/login").await);
    alice
        .route(&platform, &domain, "app-alice", "/login")
        .await
        .expect(201);
    let all = alice.route(&platform, &domain, "*", "").await;
    all.expect_error(400, 210_001, "CF-RouteInvalid");
    bob.route(&platform, &domain, "*", "").await.expect(201);
    // A domain of one's own organization that is a host of another's is no host, whatever the path.
    private(&bob, &platform, "sub.bob.example.org")
        .await
        .expect(201);
    for path in ["", "/x"] {
        let answer = bob.route(&platform, &domain, "sub", path).await;
        let text = answer.expect_error(400, 210_001, "CF-RouteInvalid");
        assert!(text.contains("is a domain"), "{text}");
    }
}

// cloudfoundry/cloud_controller_ng#1274 and #1375.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_with_a_path_does_not_take_the_bare_host_from_its_space_and_emoji_are_names() {
    let platform = Platform::start().await;
    let domain = shared_domain(&platform).await;
    let bob = Tenant::new(&platform, "bob").await;
    let made = bob.route(&platform, &domain, "web", "/foo").await;
    made.expect(201);
    let reserved = format!("/v2/routes/reserved/domain/{domain}/host/web");
    platform
        .get(&format!("{reserved}?path=/foo"))
        .await
        .expect_status(204);
    platform.get(&reserved).await.expect_status(404);
    bob.route(&platform, &domain, "web", "").await.expect(201);
    let app = json!({"name": "🚀 app", "space_guid": bob.space, "memory": 64});
    let app = bob.send(&platform, Method::POST, "/v2/apps", app).await;
    assert_eq!(app.expect(201)["entity"]["name"], "🚀 app");
}

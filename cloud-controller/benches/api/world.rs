//! What the controller knows when it is measured, and what is asked of it.

use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::process::Controller;
use crate::support::{first_guid, guid};

/// Requests in flight while the world is made.
const AT_ONCE: usize = 64;

/// Guids, and the token of somebody with roles.
pub(crate) struct World {
    orgs: Vec<String>,
    spaces: Vec<String>,
    pub(crate) apps: Vec<String>,
    /// Develops in every tenth space.
    pub(crate) developer: String,
}

/// What is read: name, whether by the developer (else by the administrator), path.
type Read = (&'static str, bool, fn(&World, usize) -> String);

pub(crate) const READS: [Read; 8] = [
    ("GET /v2/apps, a page of 50", false, |world, at| {
        format!(
            "/v2/apps?page={}",
            1 + at * 7 % (world.apps.len() / 50).max(1)
        )
    }),
    ("the same as a developer", true, |_, at| {
        format!("/v2/apps?page={}", 1 + at % 20)
    }),
    ("the same, by name, depth 1", false, |world, at| {
        let page = 1 + at * 7 % (world.apps.len() / 50).max(1);
        format!("/v2/apps?page={page}&order-by=name&inline-relations-depth=1")
    }),
    ("GET apps of a space by name", false, |world, at| {
        let space = &world.spaces[at % world.spaces.len()];
        format!("/v2/spaces/{space}/apps?q=name:app-{}", at % 200)
    }),
    ("GET /v2/routes, a page of 50", false, |world, at| {
        format!(
            "/v2/routes?page={}",
            1 + at * 7 % (world.apps.len() / 50).max(1)
        )
    }),
    ("GET spaces of an organization", false, |world, at| {
        format!(
            "/v2/organizations/{}/spaces",
            world.orgs[at % world.orgs.len()]
        )
    }),
    ("summary of an app", false, |world, at| {
        format!(
            "/v2/apps/{}/summary",
            world.apps[at * 31 % world.apps.len()]
        )
    }),
    ("summary of a space (200 apps)", false, |world, at| {
        format!(
            "/v2/spaces/{}/summary",
            world.spaces[at % world.spaces.len()]
        )
    }),
];

async fn post(controller: &Controller, path: &str, body: Value) -> Value {
    let made = controller
        .call(&controller.token, Method::POST, path, Some(body))
        .await;
    made.unwrap_or_else(|| panic!("POST {path} was refused"))
}

impl World {
    pub(crate) async fn build(controller: &Controller, orgs: usize, each: usize) -> World {
        let domains = controller
            .call(&controller.token, Method::GET, "/v2/shared_domains", None)
            .await;
        let domain = first_guid(&domains.unwrap());
        let mut world = World {
            orgs: Vec::new(),
            spaces: Vec::new(),
            apps: Vec::new(),
            developer: String::new(),
        };
        for at in 0..orgs {
            let body = json!({"name": format!("org-{at}")});
            let org = guid(&post(controller, "/v2/organizations", body).await);
            let body = json!({"name": "space", "organization_guid": org});
            world
                .spaces
                .push(guid(&post(controller, "/v2/spaces", body).await));
            world.orgs.push(org);
        }
        let spaces = world.spaces.clone();
        let jobs = (0..orgs * each).map(|at| one_app(controller, &spaces[at % orgs], &domain, at));
        let apps = futures_util::stream::iter(jobs).buffer_unordered(AT_ONCE);
        world.apps = apps.collect().await;
        world.developer = developer(controller, &world).await;
        world
    }

    /// One change; it can be made again and again.
    pub(crate) fn mutation(&self, at: usize) -> (Method, String, Value) {
        let app = &self.apps[at * 37 % self.apps.len()];
        match at % 4 {
            0 => {
                let space = &self.spaces[at % self.spaces.len()];
                let body =
                    json!({"name": format!("new-{at}-{}", bus::ids::guid()), "space_guid": space});
                (Method::POST, "/v2/apps".into(), body)
            }
            1 => (
                Method::PUT,
                format!("/v2/apps/{app}"),
                json!({"memory": 64 + at % 64}),
            ),
            2 => (
                Method::PUT,
                format!("/v2/apps/{app}"),
                json!({"environment_json": {"AT": at}}),
            ),
            _ => (
                Method::PUT,
                format!("/v2/spaces/{}", self.spaces[at % self.spaces.len()]),
                json!({"allow_ssh": at % 8 < 4}),
            ),
        }
    }
}

/// An app with a route.
async fn one_app(controller: &Controller, space: &str, domain: &str, at: usize) -> String {
    let body = json!({"name": format!("app-{at}"), "space_guid": space, "memory": 64});
    let app = guid(&post(controller, "/v2/apps", body).await);
    let body = json!({"host": format!("host-{at}"), "domain_guid": domain, "space_guid": space});
    let route = guid(&post(controller, "/v2/routes", body).await);
    let path = format!("/v2/apps/{app}/routes/{route}");
    let mapped = controller.ask(&controller.token, Method::PUT, &path, None);
    assert!(mapped.await, "PUT {path} was refused");
    app
}

async fn developer(controller: &Controller, world: &World) -> String {
    let user =
        json!({"userName": "dev", "password": "pw", "emails": [{"value": "dev@example.com"}]});
    post(controller, "/Users", user).await;
    let name = json!({"username": "dev"});
    for (org, space) in world.orgs.iter().zip(&world.spaces).step_by(10) {
        for path in [
            format!("/v2/organizations/{org}/users"),
            format!("/v2/spaces/{space}/developers"),
        ] {
            let put = controller.ask(&controller.token, Method::PUT, &path, Some(name.clone()));
            assert!(put.await, "PUT {path} was refused");
        }
    }
    controller.log_in("dev", "pw").await.unwrap()
}

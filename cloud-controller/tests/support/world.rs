//! An organization with one of everything in it, by name.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::{Platform, first_guid, guid};

/// What belongs to an organization, so that a foreign one has its own.
pub const PLACED: [&str; 11] = [
    "org",
    "space",
    "app",
    "route",
    "db",
    "binding",
    "domain",
    "spacequota",
    "event",
    "group",
    "member",
];

/// Guids by name.
#[derive(Debug, Clone, Default)]
pub struct World {
    name: String,
    guids: BTreeMap<String, String>,
}

static FRESH: AtomicU32 = AtomicU32::new(0);

impl World {
    /// Makes an organization of this name with one of everything. Needs an administrator's token.
    pub async fn build(platform: &Platform, name: &str) -> World {
        let mut world = World::empty(platform).await;
        world.name = name.to_owned();
        world
            .make(platform, "org", "/v2/organizations", json!({"name": name}))
            .await;
        world.set("unplaced", "no-such-thing".to_owned());
        for kind in [
            "space",
            "app",
            "route",
            "db",
            "binding",
            "domain",
            "spacequota",
            "member",
        ] {
            let made = world.fresh(platform, kind).await;
            world.set(kind, made);
        }
        world.make_group(platform).await;
        let about = format!("/v2/events?q=actee:{}", world.guids["app"]);
        world.set("event", first_guid(&platform.get(&about).await.expect(200)));
        world
    }

    /// Only what belongs to nobody.
    pub async fn empty(platform: &Platform) -> World {
        let mut world = World::default();
        for (list, known) in [
            ("shared_domains", "shared"),
            ("stacks", "stack"),
            ("quota_definitions", "quota"),
            ("buildpacks", "buildpack"),
        ] {
            let found = platform.get(&format!("/v2/{list}")).await.expect(200);
            world.set(known, first_guid(&found));
        }
        world
    }

    pub fn set(&mut self, name: &str, guid: String) {
        self.guids.insert(name.to_owned(), guid);
    }

    /// The guid of a name.
    pub fn guid(&self, name: &str) -> &str {
        self.guids
            .get(name)
            .unwrap_or_else(|| panic!("the world has no {name}"))
    }

    /// A name's guid; a text in quotes means itself.
    pub fn meaning(&self, value: &str) -> String {
        match value.strip_prefix('\'') {
            Some(text) => text.trim_end_matches('\'').to_owned(),
            None => self.guid(value).to_owned(),
        }
    }

    /// A text with `$name` replaced by guids, and `$unique` by something new.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = text.replace("$unique", &unique());
        // Longer names first: `space` begins `spacequota`.
        let mut names: Vec<_> = self.guids.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        for (name, guid) in names {
            filled = filled.replace(&format!("${name}"), guid);
        }
        filled.replace("$world", &self.name)
    }

    async fn make(&mut self, platform: &Platform, name: &str, path: &str, body: Value) {
        let made = guid(&platform.post(path, body).await.expect(201));
        self.set(name, made);
    }

    async fn make_group(&mut self, platform: &Platform) {
        let group = self.fresh(platform, "group").await;
        let path = format!("/v2/security_groups/{group}/spaces/{}", self.guid("space"));
        platform.put_empty(&path).await.expect(201);
        self.set("group", group);
    }

    /// Another one of a kind.
    pub async fn fresh(&self, platform: &Platform, kind: &str) -> String {
        let name = unique();
        let of = |name: &str| self.guids.get(name).cloned().unwrap_or_default();
        let (path, body) = match kind {
            "org" => ("organizations", json!({"name": name})),
            "space" => (
                "spaces",
                json!({"name": name, "organization_guid": of("org")}),
            ),
            "app" => (
                "apps",
                json!({"name": name, "space_guid": of("space"), "memory": 64}),
            ),
            "route" => (
                "routes",
                json!({"host": name, "domain_guid": of("shared"), "space_guid": of("space")}),
            ),
            "db" => (
                "user_provided_service_instances",
                json!({"name": name, "space_guid": of("space"), "credentials": {"k": "v"}}),
            ),
            "binding" => {
                let db = Box::pin(self.fresh(platform, "db")).await;
                (
                    "service_bindings",
                    json!({"app_guid": of("app"), "service_instance_guid": db}),
                )
            }
            "domain" => (
                "private_domains",
                json!({"name": format!("{name}.example.org"), "owning_organization_guid": of("org")}),
            ),
            "shared" => (
                "shared_domains",
                json!({"name": format!("{name}.example.net")}),
            ),
            "spacequota" => (
                "space_quota_definitions",
                json!({"name": name, "organization_guid": of("org"), "memory_limit": 1024, "total_routes": 10,
                       "total_services": 10, "non_basic_services_allowed": true}),
            ),
            "quota" => (
                "quota_definitions",
                json!({"name": name, "memory_limit": 1024, "total_routes": 10, "total_services": 10,
                       "non_basic_services_allowed": true}),
            ),
            "buildpack" => ("buildpacks", json!({"name": name})),
            "group" => ("security_groups", json!({"name": name, "rules": []})),
            "user" => ("users", json!({"guid": name})),
            "member" => return platform.add_user(&name, &of("org"), &[]).await,
            other => panic!("no way to make a fresh {other}"),
        };
        guid(
            &platform
                .post(&format!("/v2/{path}"), body)
                .await
                .expect(201),
        )
    }
}

/// A name nobody has.
pub fn unique() -> String {
    format!("n{}", FRESH.fetch_add(1, Ordering::Relaxed))
}

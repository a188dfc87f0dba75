//! The configuration files that `up` writes for the daemons.

use bus::permissions::{Role, grant};
use bus::server_config::{BusUser, nats_server_config};
use serde_json::{Value, json};

use crate::error::Error;
use crate::layout::Layout;
use crate::settings::{Settings, write_private};
use crate::stack::offered::{self, Offered};

/// Writes one file per component, mode 0600. JSON is YAML.
pub fn write_all(layout: &Layout, settings: &Settings) -> Result<(), Error> {
    for dir in [
        "config",
        "logs",
        "cloud-controller/tmp",
        "cloud-controller/blobs",
    ] {
        let path = layout.root.join(dir);
        std::fs::create_dir_all(&path).map_err(Error::file("make the directory", path))?;
    }
    write(layout, "nats-lite", &nats(settings))?;
    // The same users for whoever puts a nats-server in its place (`up --bus`).
    let users = nats_server_config(&users(settings));
    write_private(&layout.nats_server_users(), users.as_bytes())?;
    write(layout, "cloud-controller", &controller(layout, settings))?;
    write(layout, "router", &router(layout, settings))?;
    write(layout, "health-manager", &health_manager(settings))?;
    for n in 0..settings.deas {
        write(layout, &format!("dea-{n}"), &dea(layout, settings, n))?;
    }
    Ok(())
}

fn write(layout: &Layout, name: &str, config: &Value) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(config).map_err(|e| Error::Usage(e.to_string()))?;
    write_private(&layout.config(name), &text)
}

fn bus(settings: &Settings, user: &str) -> Value {
    let server = match &settings.bus_url {
        // Credentials in the URL are the operator's own.
        Some(url) if url.contains('@') => return json!({ "servers": [url] }),
        Some(url) => url.clone(),
        None => format!("nats://127.0.0.1:{}", settings.bus_port),
    };
    json!({
        "servers": [server],
        "user": user,
        "password": settings.secret(&format!("bus-{user}")),
    })
}

fn status(settings: &Settings, name: &str) -> Value {
    let port = settings.status_ports.get(name).copied().unwrap_or(0);
    json!({"listen": format!("127.0.0.1:{port}"), "user": "status", "password": settings.secret("status")})
}

fn nats(settings: &Settings) -> Value {
    let port = settings.status_ports.get("nats-lite").copied().unwrap_or(0);
    json!({
        "listen": format!("127.0.0.1:{}", settings.bus_port),
        "http": format!("127.0.0.1:{port}"),
        "users": users(settings).iter().map(user).collect::<Vec<_>>(),
    })
}

/// The system buildpacks in order of detection: the original's.
const BUILDPACKS: [&str; 8] = [
    "staticfile",
    "java",
    "ruby",
    "nodejs",
    "go",
    "python",
    "php",
    "binary",
];

fn stacks(layout: &Layout, settings: &Settings) -> Vec<Offered> {
    let dir = settings.stacks.clone().unwrap_or_else(|| layout.stacks());
    offered::all(&dir, &settings.stack_aliases)
}

/// `LANGUAGE=DIR` as the DEA's configuration has it; the directory's name tells
/// versions apart.
fn runtime(pair: &str) -> Value {
    let (language, dir) = pair.split_once('=').unwrap_or((pair, ""));
    let name = dir.trim_end_matches('/').rsplit('/').next();
    json!({"language": language, "name": name, "path": dir})
}

/// One bus user per component, and one per DEA.
fn users(settings: &Settings) -> Vec<BusUser> {
    let user = |name: &str, role| BusUser {
        name: name.to_owned(),
        password: settings.secret(&format!("bus-{name}")).to_owned(),
        role,
    };
    let mut users = vec![
        user("controller", Role::Controller),
        user("router", Role::Router),
        user("health-manager", Role::HealthManager),
        user("collector", Role::Collector),
    ];
    let deas = settings.dea_ids.iter();
    users.extend(deas.map(|(name, id)| user(name, Role::Dea(id.clone()))));
    users
}

/// A user with the rights of its component and no others.
fn user(user: &BusUser) -> Value {
    let grant = grant(&user.role, &user.name);
    json!({
        "user": user.name,
        "password": user.password,
        "publish": grant.publish,
        "subscribe": grant.subscribe,
        "responses": {"max": -1, "expires": grant.answer_seconds},
    })
}

fn controller(layout: &Layout, settings: &Settings) -> Value {
    let data = layout.data("cloud-controller");
    let auth =
        |user: &str, secret: &str| json!({"user": user, "password": settings.secret(secret)});
    let buildpack = |name: &str| json!({"name": format!("{name}_buildpack"), "path": layout.buildpacks.join(name)});
    let buildpacks = BUILDPACKS.map(buildpack);
    json!({
        "listen": format!("127.0.0.1:{}", settings.api_port),
        "database": data.join("cloud-controller.db"),
        "blobstore": data.join("blobs"),
        "temp_dir": data.join("tmp"),
        "secrets_file": layout.root.join("secrets.json"),
        "bus": bus(settings, "controller"),
        "profile": settings.profile,
        "status": status(settings, "cloud-controller"),
        "staging_auth": auth("staging", "staging"),
        "bulk_auth": auth("bulk_api", "bulk"),
        "internal_auth": auth("internal", "internal"),
        "domains": [settings.domain],
        "app_port": settings.router_port,
        "stacks": stacks(layout, settings).iter().map(Offered::for_controller).collect::<Vec<_>>(),
        "install_buildpacks": buildpacks,
        "seed": {
            "admin_user": "admin", "admin_password_file": layout.admin_password(), "org": "demo", "space": "dev",
        },
        "allow_egress": settings.allow,
        "default_quota": {"memory_limit_mb": settings.memory_mb},
        "limits": {"default_app_memory_mb": 256},
        "staging": {"minimum_memory_mb": 512, "minimum_disk_mb": 2048},
    })
}

fn router(layout: &Layout, settings: &Settings) -> Value {
    json!({
        "listen": format!("0.0.0.0:{}", settings.router_port),
        "bus": bus(settings, "router"),
        "profile": settings.profile,
        "status": status(settings, "router"),
        "access_log": layout.log("access"),
        "drain_wait": 0.0,
        "drain_timeout": 10.0,
    })
}

fn health_manager(settings: &Settings) -> Value {
    json!({
        "listen": format!("127.0.0.1:{}", settings.health_port),
        "api": {"user": "health", "password": settings.secret("health-api")},
        "bus": bus(settings, "health-manager"),
        "profile": settings.profile,
        "status": status(settings, "health-manager"),
        "controller": settings.api(),
        "bulk_api": {"user": "bulk_api", "password": settings.secret("bulk")},
    })
}

fn dea(layout: &Layout, settings: &Settings, n: u32) -> Value {
    let name = format!("dea-{n}");
    let files = settings.files_ports.get(&name).copied().unwrap_or(0);
    json!({
        "index": n,
        "base_dir": layout.data(&name),
        "domain": settings.domain,
        "bus": bus(settings, &name),
        "id": settings.dea_ids.get(&name),
        "profile": settings.profile,
        "status": status(settings, &name),
        "loggregator": {
            "url": settings.api(),
            "auth": {"user": "internal", "password": settings.secret("internal")},
        },
        "resources": {"memory_mb": settings.memory_mb / u64::from(settings.deas), "disk_mb": 65_536},
        "stacks": stacks(layout, settings).iter().map(Offered::for_dea).collect::<Vec<_>>(),
        "runtimes": settings.runtimes.iter().map(|r| runtime(r)).collect::<Vec<_>>(),
        "directory_server": format!("127.0.0.1:{files}"),
        "warden": {
            "backend": settings.backend,
            "wshd": layout.programs.join("wshd"),
            "allow_host_ports": [settings.router_port],
            "dns_domains": [settings.domain],
        },
        "staging": {"memory_limit_mb": 512, "disk_limit_mb": 2048, "tools_dir": layout.programs.join("stage-tools")},
    })
}

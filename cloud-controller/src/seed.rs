//! What a fresh platform starts with: quota, stacks, shared domains, security groups, buildpacks, the first user.
//!
//! Every step leaves what exists as it is, so it runs at each start.

use std::path::Path;

use serde_json::{Value, json};
use v2_api::{ApiError, Code};

use crate::archive;
use crate::blobs::{Place, sha1_of_file};
use crate::config::BuildpackConfig;
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome};
use crate::store::{
    BuildpackRow, DomainRow, ORGS, OrgRow, QUOTAS, QuotaRow, Role, SPACES, Scope, SpaceRow,
    now_micros,
};

/// Tries of a start: controllers that start together may make the same things, and the database lets only one.
const TRIES: u32 = 4;

/// Runs every step.
pub(crate) async fn run(ctl: &Ctl) -> Outcome<()> {
    for _ in 1..TRIES {
        if steps(ctl).await.is_ok() {
            return Ok(());
        }
    }
    steps(ctl).await
}

async fn steps(ctl: &Ctl) -> Outcome<()> {
    quota(ctl).await?;
    stacks_and_domains(ctl).await?;
    security_groups(ctl).await?;
    for (at, buildpack) in ctl.config.install_buildpacks.iter().enumerate() {
        install_buildpack(ctl, buildpack, at as i64 + 1).await?;
    }
    first_user(ctl).await
}

fn broken(text: impl std::fmt::Display) -> Failure {
    let mut error = ApiError::new(Code::ServerError);
    error.description = text.to_string();
    error.into()
}

/// The quota organizations get when they name none.
pub(crate) async fn default_quota(ctl: &Ctl) -> Outcome<QuotaRow> {
    let name = ctl.config.default_quota.name.to_lowercase();
    let found: Vec<QuotaRow> = ctl
        .store
        .all(&QUOTAS, &Scope::all().and(&["t.name_key = ", ""], name))
        .await?;
    found.into_iter().next().ok_or_else(|| {
        broken("the default quota is missing; restart the controller to have it made again")
    })
}

async fn quota(ctl: &Ctl) -> Outcome<()> {
    if default_quota(ctl).await.is_ok() {
        return Ok(());
    }
    let wanted = &ctl.config.default_quota;
    let mut tx = ctl.store.begin().await?;
    tx.save_quota(&QuotaRow {
        guid: bus::ids::guid(),
        name: wanted.name.clone(),
        non_basic_services_allowed: true,
        total_services: wanted.total_services,
        total_routes: wanted.total_routes,
        total_private_domains: -1,
        memory_limit: wanted.memory_limit_mb,
        instance_memory_limit: -1,
        app_instance_limit: -1,
        created_at: tx.now(),
        updated_at: None,
    })
    .await?;
    Ok(tx.commit().await?)
}

async fn stacks_and_domains(ctl: &Ctl) -> Outcome<()> {
    let mut tx = ctl.store.begin().await?;
    for stack in &ctl.config.stacks {
        tx.ensure_stack(&bus::ids::guid(), &stack.name, &stack.description)
            .await?;
    }
    tx.commit().await?;
    for name in &ctl.config.domains {
        if ctl.store.domain_by_name(name).await?.is_none() {
            let mut tx = ctl.store.begin().await?;
            let row = DomainRow {
                guid: bus::ids::guid(),
                name: name.clone(),
                owning_organization_guid: None,
                created_at: tx.now(),
                updated_at: None,
            };
            tx.insert_domain(&row).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}

/// An egress rule from `CIDR` or `CIDR:PORTS`.
pub(crate) fn egress_rule(text: &str) -> Option<Value> {
    let (cidr, ports) = match text.rsplit_once(':') {
        Some((cidr, ports)) => (cidr, Some(ports)),
        None => (text, None),
    };
    let (address, bits) = cidr.split_once('/').unwrap_or((cidr, "32"));
    address.parse::<std::net::Ipv4Addr>().ok()?;
    bits.parse::<u8>().ok().filter(|bits| *bits <= 32)?;
    let destination = format!("{address}/{bits}");
    match ports {
        None => Some(json!({"protocol": "all", "destination": destination})),
        Some(ports)
            if !ports.is_empty()
                && ports
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b == b',' || b == b'-') =>
        {
            Some(json!({"protocol": "tcp", "destination": destination, "ports": ports}))
        }
        Some(_) => None,
    }
}

/// Everything public: the address space without 10/8, 169.254/16, 172.16/12 and 192.168/16.
const PUBLIC: [&str; 5] = [
    "0.0.0.0-9.255.255.255",
    "11.0.0.0-169.253.255.255",
    "169.255.0.0-172.15.255.255",
    "172.32.0.0-192.167.255.255",
    "192.169.0.0-255.255.255.255",
];

/// The rules of `public_networks`.
fn public_networks() -> Value {
    let rule = |to: &&str| json!({"protocol": "all", "destination": to});
    PUBLIC.iter().map(rule).collect()
}

/// The rules of `dns`: resolvers at public addresses. The host's own resolvers are reached through the DEA's forwarder, which
/// needs no rule; resolvers of a private network are the operator's to allow, because that port is also where such networks
/// keep other things (the metadata service of a cloud, 169.254.169.254, answers on it).
fn public_resolvers() -> Value {
    let rule = |protocol: &'static str| move |to: &&str| json!({"protocol": protocol, "destination": to, "ports": "53"});
    let (tcp, udp) = (
        PUBLIC.iter().map(rule("tcp")),
        PUBLIC.iter().map(rule("udp")),
    );
    tcp.chain(udp).collect()
}

async fn security_groups(ctl: &Ctl) -> Outcome<()> {
    let allowed: Vec<Value> = ctl
        .config
        .allow_egress
        .iter()
        .filter_map(|text| egress_rule(text))
        .collect();
    // What earlier versions made: port 53 of private networks and of 169.254/16 too.
    let anywhere = json!([
        {"protocol": "tcp", "destination": "0.0.0.0/0", "ports": "53"},
        {"protocol": "udp", "destination": "0.0.0.0/0", "ports": "53"},
    ]);
    let mut tx = ctl.store.begin().await?;
    tx.renew_security_group(
        "dns",
        &anywhere.to_string(),
        &public_resolvers().to_string(),
    )
    .await?;
    for (name, rules, refresh) in [
        ("public_networks", public_networks(), false),
        ("dns", public_resolvers(), false),
        // This one is the configuration's.
        ("allowed_by_operator", Value::Array(allowed), true),
    ] {
        tx.ensure_security_group(name, &rules.to_string(), refresh)
            .await?;
    }
    Ok(tx.commit().await?)
}

/// Packs a buildpack into the blobstore; unchanged ones are left alone.
async fn install_buildpack(ctl: &Ctl, wanted: &BuildpackConfig, position: i64) -> Outcome<()> {
    let scratch = ctl.scratch()?;
    let zip = scratch.path().join("buildpack.zip");
    let (source, target) = (wanted.path.clone(), zip.clone());
    let sha1 = tokio::task::spawn_blocking(move || pack(&source, &target))
        .await
        .map_err(broken)?
        .map_err(|error| {
            broken(format!(
                "buildpack {} at {}: {error}",
                wanted.name,
                wanted.path.display()
            ))
        })?;
    let known = ctl.store.buildpack_by_name(&wanted.name).await?;
    // A locked one stays what its operator made it.
    if known
        .as_ref()
        .is_some_and(|row| row.locked || row.sha1.as_deref() == Some(&sha1))
    {
        return Ok(());
    }
    let mut row = known.unwrap_or_else(|| BuildpackRow {
        guid: bus::ids::guid(),
        name: wanted.name.clone(),
        position,
        enabled: true,
        locked: false,
        filename: None,
        sha1: None,
        created_at: now_micros(),
        updated_at: None,
    });
    ctl.blobs
        .put(&Place::Buildpack(row.guid.clone(), sha1.clone()), &zip)
        .await?;
    row.filename = Some(format!("{}.zip", wanted.name));
    row.sha1 = Some(sha1);
    let mut tx = ctl.store.begin().await?;
    tx.save_buildpack(&row).await?;
    Ok(tx.commit().await?)
}

fn pack(source: &Path, zip: &Path) -> Result<String, archive::ArchiveError> {
    if source.is_dir() {
        archive::pack_directory(source, zip)?;
    } else {
        std::fs::copy(source, zip)?;
    }
    Ok(sha1_of_file(zip)?)
}

async fn first_user(ctl: &Ctl) -> Outcome<()> {
    let Some(seed) = &ctl.config.seed else {
        return Ok(());
    };
    let path = &seed.admin_password_file;
    let password = std::fs::read_to_string(path).map_err(|error| {
        broken(format!(
            "cannot read the password in {}: {error}",
            path.display()
        ))
    })?;
    let guid = ctl
        .uaa
        .ensure_user(uaa::NewUser {
            username: seed.admin_user.clone(),
            password: password.trim().to_owned(),
            email: seed.admin_user.clone(),
            given_name: String::new(),
            family_name: String::new(),
            admin: true,
        })
        .await
        .map_err(broken)?;
    let mut tx = ctl.store.begin().await?;
    tx.ensure_user(&guid, Some(&seed.admin_user), true).await?;
    tx.commit().await?;
    if let Some(org) = &seed.org {
        let org = ensure_org(ctl, org, &guid).await?;
        if let Some(space) = &seed.space {
            ensure_space(ctl, &org, space, &guid).await?;
        }
    }
    Ok(())
}

async fn ensure_org(ctl: &Ctl, name: &str, user: &str) -> Outcome<String> {
    let known: Vec<OrgRow> = ctl
        .store
        .all(
            &ORGS,
            &Scope::all().and(&["t.name_key = ", ""], name.to_lowercase()),
        )
        .await?;
    if let Some(org) = known.into_iter().next() {
        return Ok(org.guid);
    }
    let quota = default_quota(ctl).await?.guid;
    let mut tx = ctl.store.begin().await?;
    let row = OrgRow {
        guid: bus::ids::guid(),
        name: name.to_owned(),
        quota_definition_guid: quota,
        status: "active".into(),
        created_at: tx.now(),
        updated_at: None,
    };
    tx.insert_org(&row).await?;
    tx.grant(user, Role::OrgUser, &row.guid).await?;
    tx.grant(user, Role::OrgManager, &row.guid).await?;
    tx.commit().await?;
    Ok(row.guid)
}

async fn ensure_space(ctl: &Ctl, org: &str, name: &str, user: &str) -> Outcome<()> {
    let scope = Scope::all()
        .and(&["t.organization_guid = ", ""], org)
        .and(&["t.name_key = ", ""], name.to_lowercase());
    let known: Vec<SpaceRow> = ctl.store.all(&SPACES, &scope).await?;
    if !known.is_empty() {
        return Ok(());
    }
    let mut tx = ctl.store.begin().await?;
    let row = SpaceRow {
        guid: bus::ids::guid(),
        name: name.to_owned(),
        organization_guid: org.to_owned(),
        space_quota_definition_guid: None,
        allow_ssh: true,
        created_at: tx.now(),
        updated_at: None,
    };
    tx.insert_space(&row).await?;
    tx.grant(user, Role::SpaceManager, &row.guid).await?;
    tx.grant(user, Role::SpaceDeveloper, &row.guid).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Whether some rule lets the port of the address be reached.
    fn reaches(rules: &Value, address: &str, port: &str) -> bool {
        let number = |text: &str| text.parse::<std::net::Ipv4Addr>().map(u32::from).unwrap();
        rules.as_array().unwrap().iter().any(|rule| {
            let (from, to) = rule["destination"]
                .as_str()
                .unwrap()
                .split_once('-')
                .unwrap();
            let covers = (number(from)..=number(to)).contains(&number(address));
            covers && rule["ports"].as_str().is_none_or(|ports| ports == port)
        })
    }

    #[test]
    fn the_seeded_groups_reach_public_addresses_only() {
        let (all, dns) = (public_networks(), public_resolvers());
        for public in [
            "8.8.8.8",
            "1.1.1.1",
            "9.9.9.9",
            "172.32.0.1",
            "192.169.0.1",
            "11.0.0.1",
        ] {
            assert!(reaches(&all, public, "443"), "{public}");
            assert!(reaches(&dns, public, "53"), "{public}");
            assert!(!reaches(&dns, public, "443"), "{public}");
        }
        for private in [
            "10.0.0.2",
            "10.254.0.1",
            "10.255.255.255",
            "169.254.169.254",
            "169.254.0.0",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "192.168.255.255",
        ] {
            assert!(!reaches(&all, private, "443"), "{private}");
            assert!(!reaches(&dns, private, "53"), "{private}");
        }
        let protocols: std::collections::BTreeSet<_> = dns
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["protocol"].as_str())
            .collect();
        assert_eq!(protocols, [Some("tcp"), Some("udp")].into());
    }

    #[test]
    fn operator_rules_are_read_or_refused() {
        assert_eq!(
            egress_rule("10.0.0.0/8"),
            Some(json!({"protocol": "all", "destination": "10.0.0.0/8"}))
        );
        assert_eq!(
            egress_rule("10.1.2.3:443,8080"),
            Some(json!({"protocol": "tcp", "destination": "10.1.2.3/32", "ports": "443,8080"}))
        );
        for bad in [
            "",
            "example.com",
            "10.0.0.0/33",
            "10.0.0.0/8:",
            "10.0.0.0/8:http",
        ] {
            assert_eq!(egress_rule(bad), None, "{bad}");
        }
    }
}

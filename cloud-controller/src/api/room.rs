//! Whether quotas have room for an app or a route. The rules are pure; [`for_app`] and [`for_route`] fetch their numbers,
//! inside the write that depends on them: two that ask for the last room at once do not both get it.

use v2_api::{ApiError, Code};

use crate::failure::{Outcome, fail_with};
use crate::store::{
    AppRow, DOMAINS, DOMAINS_OWNED_BY_ORG, ORGS, OrgRow, QUOTAS, QuotaRow, ROUTES, Reads,
    SPACE_QUOTAS, Scope, SpaceQuotaRow, SpaceRow,
};

/// One quota with what is used of it. Memory in MB.
pub(super) struct Room {
    owner: String,
    memory_limit: i64,
    instance_memory_limit: i64,
    app_instance_limit: i64,
    /// Memory of all other started apps, and instances of all other apps.
    used: (i64, i64),
    codes: Codes,
}

/// The errors of a space's and of an organization's quota.
struct Codes {
    memory: Code,
    instance_memory: Code,
    instances: Code,
}

impl Room {
    /// The quota of an organization.
    fn of_org(org: &OrgRow, quota: &QuotaRow, used: (i64, i64)) -> Room {
        Room {
            owner: format!("quota {} of organization {}", quota.name, org.name),
            memory_limit: quota.memory_limit,
            instance_memory_limit: quota.instance_memory_limit,
            app_instance_limit: quota.app_instance_limit,
            used,
            codes: Codes {
                memory: Code::AppMemoryQuotaExceeded,
                instance_memory: Code::QuotaInstanceMemoryLimitExceeded,
                instances: Code::QuotaInstanceLimitExceeded,
            },
        }
    }

    /// The quota of a space.
    fn of_space(space: &SpaceRow, quota: &SpaceQuotaRow, used: (i64, i64)) -> Room {
        Room {
            owner: format!("space quota {} of space {}", quota.name, space.name),
            memory_limit: quota.memory_limit,
            instance_memory_limit: quota.instance_memory_limit,
            app_instance_limit: quota.app_instance_limit,
            used,
            codes: Codes {
                memory: Code::SpaceQuotaMemoryLimitExceeded,
                instance_memory: Code::SpaceQuotaInstanceMemoryLimitExceeded,
                instances: Code::SpaceQuotaInstanceLimitExceeded,
            },
        }
    }

    /// Whether the app fits as it is desired. A stopped app of any size does.
    ///
    /// # Errors
    /// The quota's error with limit, use and wish in figures.
    pub(super) fn check(&self, app: &AppRow) -> Result<(), ApiError> {
        if !app.is_started() {
            return Ok(());
        }
        let (used_memory, used_instances) = self.used;
        let asked = app.memory.saturating_mul(app.instances);
        if self.instance_memory_limit >= 0 && app.memory > self.instance_memory_limit {
            let figures = format!(
                "limit {} MB per instance, asked {} MB",
                self.instance_memory_limit, app.memory
            );
            return Err(self.full(self.codes.instance_memory, &figures));
        }
        if self.app_instance_limit >= 0 && used_instances + app.instances > self.app_instance_limit
        {
            let figures = format!(
                "limit {} instances, in use {used_instances}, asked {}",
                self.app_instance_limit, app.instances
            );
            return Err(self.full(self.codes.instances, &figures));
        }
        if used_memory.saturating_add(asked) > self.memory_limit {
            let figures = format!(
                "limit {} MB, in use {used_memory} MB, asked {asked} MB ({} x {} MB)",
                self.memory_limit, app.instances, app.memory
            );
            return Err(self.full(self.codes.memory, &figures));
        }
        Ok(())
    }

    fn full(&self, code: Code, figures: &str) -> ApiError {
        ApiError::new(code).explain(format!(
            "{}: {figures}. Scale or stop an app, or ask for a larger quota.",
            self.owner
        ))
    }
}

/// The space's organization, its quota, and the space's own quota.
async fn quotas(
    store: &mut impl Reads,
    space: &SpaceRow,
) -> Outcome<(OrgRow, Option<QuotaRow>, Option<SpaceQuotaRow>)> {
    let all = Scope::all();
    let org: Option<OrgRow> = store.find(&ORGS, &all, &space.organization_guid).await?;
    let org = org.ok_or_else(|| fail_with(Code::OrganizationNotFound, &space.organization_guid))?;
    let quota = store
        .find(&QUOTAS, &all, &org.quota_definition_guid)
        .await?;
    let of_space = match &space.space_quota_definition_guid {
        Some(guid) => store.find(&SPACE_QUOTAS, &all, guid).await?,
        None => None,
    };
    Ok((org, quota, of_space))
}

/// Refuses an app that exceeds the quota of its space or, after that, of its organization.
pub(super) async fn for_app(store: &mut impl Reads, app: &AppRow, space: &SpaceRow) -> Outcome<()> {
    let (org, quota, of_space) = quotas(store, space).await?;
    if let Some(quota) = &of_space {
        let used = store.space_usage(&space.guid, &app.guid).await?;
        Room::of_space(space, quota, used).check(app)?;
    }
    if let Some(quota) = &quota {
        let used = store.org_usage(&org.guid, &app.guid).await?;
        Room::of_org(&org, quota, used).check(app)?;
    }
    Ok(())
}

/// Refuses one more route when the quota of the space or the organization has no room.
pub(super) async fn for_route(store: &mut impl Reads, space: &SpaceRow) -> Outcome<()> {
    let (org, quota, of_space) = quotas(store, space).await?;
    if let Some(quota) = &of_space {
        let here = Scope::in_space(&space.guid);
        let used = store.count(&ROUTES, &here).await?;
        let owner = format!("space quota {} of space {}", quota.name, space.name);
        let limit = quota.total_routes;
        route_fits(Code::SpaceQuotaTotalRoutesExceeded, &owner, limit, used)?;
    }
    if let Some(quota) = &quota {
        let used = store.count_routes(&org.guid).await?;
        let owner = format!("quota {} of organization {}", quota.name, org.name);
        route_fits(
            Code::OrgQuotaTotalRoutesExceeded,
            &owner,
            quota.total_routes,
            used,
        )?;
    }
    Ok(())
}

/// Refuses one more private domain when the organization's quota has no room.
pub(super) async fn for_domain(store: &mut impl Reads, org: &OrgRow) -> Outcome<()> {
    let quota: Option<QuotaRow> = store
        .find(&QUOTAS, &Scope::all(), &org.quota_definition_guid)
        .await?;
    let limit = quota.map_or(-1, |quota| quota.total_private_domains);
    if limit < 0 {
        return Ok(());
    }
    let used = store
        .count(&DOMAINS, &DOMAINS_OWNED_BY_ORG.of(&org.guid))
        .await?;
    if used < limit {
        return Ok(());
    }
    let detail = format!(
        "{} (limit {limit}, in use {used}; delete one, or ask an administrator for a larger quota)",
        org.name
    );
    Err(fail_with(Code::TotalPrivateDomainsExceeded, detail))
}

fn route_fits(code: Code, owner: &str, limit: i64, used: i64) -> Result<(), ApiError> {
    if limit < 0 || used < limit {
        return Ok(());
    }
    Err(ApiError::new(code).explain(format!(
        "{owner}: limit {limit} routes, in use {used}, asked 1. Delete routes nobody needs (cf delete-orphaned-routes), \
         or ask for a larger quota."
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::runner::tests::app;

    fn room(memory: i64, per_instance: i64, instances: i64, used: (i64, i64)) -> Room {
        Room {
            owner: "quota q of organization o".into(),
            memory_limit: memory,
            instance_memory_limit: per_instance,
            app_instance_limit: instances,
            used,
            codes: Codes {
                memory: Code::AppMemoryQuotaExceeded,
                instance_memory: Code::QuotaInstanceMemoryLimitExceeded,
                instances: Code::QuotaInstanceLimitExceeded,
            },
        }
    }

    #[test]
    fn a_started_app_must_fit_and_a_stopped_one_always_does() {
        let cases = [
            (room(1024, -1, -1, (0, 0)), 512, 2, 0),
            (room(1024, -1, -1, (1, 1)), 512, 2, 100_005),
            (room(9999, 511, -1, (0, 0)), 512, 1, 100_007),
            (room(9999, -1, 3, (0, 2)), 512, 2, 100_008),
            (room(9999, -1, 3, (0, 1)), 512, 2, 0),
        ];
        for (room, memory, instances, code) in cases {
            let mut row = app("STARTED", "STAGED", instances);
            row.memory = memory;
            let got = room.check(&row).err().map_or(0, |error| error.row().code);
            assert_eq!(got, code, "{memory} MB x {instances}");
            row.state = "STOPPED".into();
            assert!(room.check(&row).is_ok());
        }
    }

    #[test]
    fn the_error_states_limit_use_and_wish() {
        let mut row = app("STARTED", "STAGED", 3);
        row.memory = 512;
        let text = room(1024, -1, -1, (100, 1))
            .check(&row)
            .unwrap_err()
            .description;
        assert!(
            text.contains("limit 1024 MB, in use 100 MB, asked 1536 MB"),
            "{text}"
        );
    }
}

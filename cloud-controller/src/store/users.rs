//! Users as the controller knows them, and their roles.

use database::{query, query_scalar};

use super::links::Link;
use super::listing::{Column, Table};
use super::record::{many, record};
use super::{Store, StoreError, Tx};

record! {
    /// A row of `users`.
    UserRow { guid: String, username: Option<String>, admin: bool, created_at: i64, updated_at: Option<i64> }
}

record! {
    /// A role somebody has: its word, organization or space, and whether that organization is suspended.
    RoleRow { kind: String, target: String, suspended: bool }
}

macro_rules! with_role {
    ($kind:literal) => {
        Column::Within(concat!(
            "t.guid IN (SELECT user_guid FROM roles WHERE kind = '",
            $kind,
            "' AND target_guid"
        ))
    };
}

pub(crate) static USERS: Table = Table {
    select: "SELECT t.*",
    from: "FROM users t",
    also: "",
    order: "t.id",
    name: None,
    filters: &[
        ("space_guid", with_role!("space_developer")),
        ("organization_guid", with_role!("org_user")),
        ("managed_organization_guid", with_role!("org_manager")),
        (
            "billing_managed_organization_guid",
            with_role!("org_billing_manager"),
        ),
        ("audited_organization_guid", with_role!("org_auditor")),
        ("managed_space_guid", with_role!("space_manager")),
        ("audited_space_guid", with_role!("space_auditor")),
    ],
};

/// Users by where they have a role.
macro_rules! holders {
    ($kind:literal) => {{
        static LINK: Link = Link::through(
            &USERS,
            concat!(
                " JOIN roles m ON m.user_guid = t.guid AND m.kind = '",
                $kind,
                "'"
            ),
            "m.target_guid",
        );
        &LINK
    }};
}

/// What a user may be in an organization or space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    OrgUser,
    OrgManager,
    OrgBillingManager,
    OrgAuditor,
    SpaceManager,
    SpaceDeveloper,
    SpaceAuditor,
}

impl Role {
    /// The word in the database.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Role::OrgUser => "org_user",
            Role::OrgManager => "org_manager",
            Role::OrgBillingManager => "org_billing_manager",
            Role::OrgAuditor => "org_auditor",
            Role::SpaceManager => "space_manager",
            Role::SpaceDeveloper => "space_developer",
            Role::SpaceAuditor => "space_auditor",
        }
    }

    /// The users who have the role in an organization or space.
    pub(crate) fn holders(self) -> &'static Link {
        match self {
            Role::OrgUser => holders!("org_user"),
            Role::OrgManager => holders!("org_manager"),
            Role::OrgBillingManager => holders!("org_billing_manager"),
            Role::OrgAuditor => holders!("org_auditor"),
            Role::SpaceManager => holders!("space_manager"),
            Role::SpaceDeveloper => holders!("space_developer"),
            Role::SpaceAuditor => holders!("space_auditor"),
        }
    }

    /// The role behind a relation of an organization's URL.
    pub(crate) fn of_org(relation: &str) -> Option<Role> {
        Some(match relation {
            "users" => Role::OrgUser,
            "managers" => Role::OrgManager,
            "billing_managers" => Role::OrgBillingManager,
            "auditors" => Role::OrgAuditor,
            _ => return None,
        })
    }

    /// The role behind a relation of a space's URL.
    pub(crate) fn of_space(relation: &str) -> Option<Role> {
        Some(match relation {
            "managers" => Role::SpaceManager,
            "developers" => Role::SpaceDeveloper,
            "auditors" => Role::SpaceAuditor,
            _ => return None,
        })
    }
}

impl Store {
    /// All roles of a user.
    pub(crate) async fn roles_of(&self, user: &str) -> Result<Vec<RoleRow>, StoreError> {
        let rows = query(
            "SELECT r.kind, r.target_guid AS target, EXISTS (SELECT 1 FROM organizations o WHERE o.status = 'suspended' \
             AND (o.guid = r.target_guid OR o.guid = (SELECT organization_guid FROM spaces WHERE guid = r.target_guid))) \
             AS suspended FROM roles r WHERE r.user_guid = $1",
        )
        .bind(user)
        .fetch_all(self.db.reader())
        .await?;
        many(rows)
    }

    /// Whether the user is known, with this name.
    pub(crate) async fn knows_user(
        &self,
        guid: &str,
        username: Option<&str>,
    ) -> Result<bool, StoreError> {
        let found = query("SELECT 1 FROM users WHERE guid = $1 AND (username = $2 OR $2 IS NULL)")
            .bind(guid)
            .bind(username)
            .exists(self.db.reader())
            .await?;
        Ok(found)
    }

    pub(crate) async fn count_users(&self) -> Result<i64, StoreError> {
        Ok(query_scalar("SELECT COUNT(*) FROM users")
            .fetch_one(self.db.reader())
            .await?)
    }
}

impl Tx {
    /// Makes a user on first sight, or notes a new name.
    pub(crate) async fn ensure_user(
        &mut self,
        guid: &str,
        username: Option<&str>,
        admin: bool,
    ) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        query(
            "INSERT INTO users (id, guid, username, admin, created_at, updated_at) VALUES ($1,$2,$3,$4,$5,NULL) \
             ON CONFLICT (guid) DO UPDATE SET username = COALESCE($3, users.username)",
        )
        .bind(id)
        .bind(guid)
        .bind(username)
        .bind(admin)
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    pub(crate) async fn grant(
        &mut self,
        user: &str,
        role: Role,
        target: &str,
    ) -> Result<(), StoreError> {
        query("INSERT INTO roles (user_guid, kind, target_guid) VALUES ($1,$2,$3) ON CONFLICT DO NOTHING")
            .bind(user)
            .bind(role.word())
            .bind(target)
            .execute(&mut self.inner)
            .await?;
        Ok(())
    }

    /// Whether the user has this role there.
    pub(crate) async fn has_role(
        &mut self,
        user: &str,
        role: Role,
        target: &str,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM roles WHERE user_guid = $1 AND kind = $2 AND target_guid = $3";
        let found = query(sql).bind(user).bind(role.word()).bind(target);
        Ok(found.exists(&mut self.inner).await?)
    }

    /// Takes a user's roles in all spaces of an organization; gives how many there were.
    pub(crate) async fn revoke_in_spaces(
        &mut self,
        user: &str,
        org: &str,
    ) -> Result<u64, StoreError> {
        let done = query(
            "DELETE FROM roles WHERE user_guid = $1 AND target_guid IN (SELECT guid FROM spaces WHERE organization_guid = $2)",
        )
        .bind(user)
        .bind(org)
        .execute(&mut self.inner)
        .await?;
        Ok(done.rows_affected())
    }

    pub(crate) async fn revoke(
        &mut self,
        user: &str,
        role: Role,
        target: &str,
    ) -> Result<(), StoreError> {
        query("DELETE FROM roles WHERE user_guid = $1 AND kind = $2 AND target_guid = $3")
            .bind(user)
            .bind(role.word())
            .bind(target)
            .execute(&mut self.inner)
            .await?;
        Ok(())
    }

    /// Forgets a user and every role; false when unknown.
    pub(crate) async fn delete_user(&mut self, guid: &str) -> Result<bool, StoreError> {
        query("DELETE FROM roles WHERE user_guid = $1")
            .bind(guid)
            .execute(&mut self.inner)
            .await?;
        let done = query("DELETE FROM users WHERE guid = $1")
            .bind(guid)
            .execute(&mut self.inner)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

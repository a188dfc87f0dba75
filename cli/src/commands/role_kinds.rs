//! The roles: how they are typed, and their collections in the API.

use crate::error::CfError;

/// A role of an org or a space.
pub(super) struct Role {
    /// As typed.
    pub(super) name: &'static str,
    /// Heading in the lists of users.
    pub(super) title: &'static str,
    /// Last part of its path.
    pub(super) collection: &'static str,
}

/// Roles of an org.
pub(super) const ORG: [Role; 3] = [
    Role {
        name: "OrgManager",
        title: "ORG MANAGER",
        collection: "managers",
    },
    Role {
        name: "BillingManager",
        title: "BILLING MANAGER",
        collection: "billing_managers",
    },
    Role {
        name: "OrgAuditor",
        title: "ORG AUDITOR",
        collection: "auditors",
    },
];

/// Roles of a space.
pub(super) const SPACE: [Role; 3] = [
    Role {
        name: "SpaceManager",
        title: "SPACE MANAGER",
        collection: "managers",
    },
    Role {
        name: "SpaceDeveloper",
        title: "SPACE DEVELOPER",
        collection: "developers",
    },
    Role {
        name: "SpaceAuditor",
        title: "SPACE AUDITOR",
        collection: "auditors",
    },
];

/// The role of that name; the error lists the names.
pub(super) fn find<'a>(roles: &'a [Role], name: &str) -> Result<&'a Role, CfError> {
    let found = roles.iter().find(|r| r.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        let known: Vec<&str> = roles.iter().map(|r| r.name).collect();
        CfError::Usage(format!(
            "ROLE must be one of {}, not {name:?}",
            known.join(", ")
        ))
    })
}

//! Opening the database: its tables, in both dialects.

use database::{Db, Location, Migration, OpenError, Options};

use super::Store;
use component::Cipher;

/// Every step, in order. A released step is never changed, in neither folder. Numbers 2, 6 and 13 are uaa's, in its own crate.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "controller",
        sqlite: include_str!("../../migrations/sqlite/0001_controller.sql"),
        postgres: include_str!("../../migrations/postgres/0001_controller.sql"),
    },
    uaa::store::migration(2),
    Migration {
        version: 3,
        name: "services and quotas",
        sqlite: include_str!("../../migrations/sqlite/0003_services_and_quotas.sql"),
        postgres: include_str!("../../migrations/postgres/0003_services_and_quotas.sql"),
    },
    Migration {
        version: 4,
        name: "leases and blobs",
        sqlite: include_str!("../../migrations/sqlite/0004_leases_and_blobs.sql"),
        postgres: include_str!("../../migrations/postgres/0004_leases_and_blobs.sql"),
    },
    Migration {
        version: 5,
        name: "groups of spaces and usage",
        sqlite: include_str!("../../migrations/sqlite/0005_groups_of_spaces_and_usage.sql"),
        postgres: include_str!("../../migrations/postgres/0005_groups_of_spaces_and_usage.sql"),
    },
    uaa::store::second_migration(6),
    Migration {
        version: 7,
        name: "path of the http health check",
        sqlite: include_str!("../../migrations/sqlite/0007_path_of_the_http_health_check.sql"),
        postgres: include_str!("../../migrations/postgres/0007_path_of_the_http_health_check.sql"),
    },
    Migration {
        version: 9,
        name: "indexes of lists",
        sqlite: include_str!("../../migrations/sqlite/0009_indexes_of_lists.sql"),
        postgres: include_str!("../../migrations/postgres/0009_indexes_of_lists.sql"),
    },
    Migration {
        version: 10,
        name: "apps by name and routes of a space",
        sqlite: include_str!("../../migrations/sqlite/0010_apps_by_name_and_routes_of_a_space.sql"),
        postgres: include_str!(
            "../../migrations/postgres/0010_apps_by_name_and_routes_of_a_space.sql"
        ),
    },
    Migration {
        version: 12,
        name: "owners of files",
        sqlite: include_str!("../../migrations/sqlite/0012_owners_of_files.sql"),
        postgres: include_str!("../../migrations/postgres/0012_owners_of_files.sql"),
    },
    uaa::store::third_migration(13),
];

impl Store {
    /// Opens the database and migrates it.
    pub(crate) async fn open(
        location: &Location,
        options: &Options,
        cipher: Cipher,
    ) -> Result<Store, OpenError> {
        let db = Db::open(location, options, MIGRATIONS).await?;
        Ok(Store { db, cipher })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::MIGRATIONS;

    /// Numbers of the files in a folder.
    fn numbers(folder: &str) -> Vec<i64> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut numbers: Vec<i64> = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| name.split('_').next().unwrap().parse().unwrap())
            .collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn both_databases_have_the_same_steps_and_each_file_is_one() {
        let mut steps: Vec<i64> = MIGRATIONS.iter().map(|step| step.version).collect();
        assert!(steps.is_sorted());
        steps.retain(|version| ![2, 6, 13].contains(version));
        assert_eq!(numbers("migrations/sqlite"), steps);
        assert_eq!(numbers("migrations/postgres"), steps);
    }
}

//! The store on both databases: one list of claims, each on a fresh database of either kind.
#![allow(clippy::unwrap_used)]

mod claims;
mod links;
mod rows;
mod serial;

#[path = "../../../../database/tests/support/postgres.rs"]
#[allow(unreachable_pub, dead_code)]
mod postgres;

use database::{Location, Options};

use super::Store;
use component::Cipher;

/// Runs every claim on a fresh store each.
macro_rules! every_claim {
    ($fresh:expr) => {{
        let fresh = $fresh;
        every_claim!(@run fresh,
            claims::a_taken_name_and_a_row_in_use_are_named_as_such,
            claims::lists_are_filtered_ordered_and_paged_alike,
            claims::sums_counts_and_flags_are_read_alike,
            claims::a_text_with_nul_is_refused_as_the_senders_fault_or_kept,
            claims::roles_know_suspended_organizations,
            claims::jobs_are_kept_swept_and_forgotten,
            claims::events_are_found_by_time_and_pruned,
            claims::buildpacks_keep_their_positions,
            claims::a_deleted_app_takes_its_rows_along,
            claims::desired_processes_come_in_batches,
            claims::drains_come_in_batches_of_apps,
            claims::a_staging_has_one_task_and_one_driver,
            claims::droplets_beyond_the_newest_are_named,
            claims::files_are_condemned_once_and_pardoned,
            links::members_and_their_number_are_found_for_many_parents_at_once,
            links::what_holds_for_every_parent_belongs_to_each_of_them,
            serial::pages_show_what_was_there_exactly_once_while_others_insert,
            serial::a_quota_holds_under_64_scales_at_once,
            serial::every_change_of_version_is_seen_by_the_next,
            serial::a_lease_has_one_holder_and_epochs_only_grow,
        );
    }};
    (@run $fresh:ident, $($module:ident::$claim:ident),* $(,)?) => {$(
        println!(stringify!($claim));
        $module::$claim($fresh(stringify!($claim)).await).await;
    )*};
}

async fn open(location: &Location) -> Store {
    let cipher = Cipher::new(&[7; 32]).unwrap();
    Store::open(location, &Options::default(), cipher)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_claim_holds_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    every_claim!(async |claim: &str| open(&dir.path().join(claim).into()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_claim_holds_on_postgres() {
    let Some(server) = postgres::Postgres::start() else {
        return;
    };
    every_claim!(async |claim: &str| {
        // PostgreSQL cuts names after 63 bytes.
        let name = &claim[..claim.len().min(60)];
        open(&server.create(name)).await
    });
}

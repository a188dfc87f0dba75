//! These tests again, on PostgreSQL: this very program is run with a server lent to it.

use std::process::Command;

use crate::support::postgres::Postgres;
use crate::support::suite::LENT;

/// What is run on PostgreSQL each time: tests that between them write every table.
const EACH_TIME: [&str; 8] = [
    "bounds::a_digest_proves_nothing",
    "names::a_host_belongs_to_the_space_that_took_it_first_with_every_path",
    "places::domains_are_made_shared_used_and_deleted",
    "places::organizations_and_spaces_are_renamed_and_deleted_with_all_they_hold",
    "push::legacy_push_runs_from_create_to_running_instances",
    "refusals::the_signing_key_is_sealed_in_the_database_also_one_of_an_older_version",
    "services::credentials_are_sealed_at_rest_and_shown_to_developers_only",
    "store::garbage::what_no_app_refers_to_goes_and_what_one_does_stays",
];

/// Those that would run themselves, and those that bring databases of their own, need a file or need none.
const NEVER: [&str; 5] = [
    "refusals::a_second_controller_on_the_same_file_refuses_with_the_postgresql_hint",
    "store::suite::",
    "store::blobs::",
    "store::controllers::",
    "store::upgrade::",
];

/// Runs this program with these arguments on a server of its own.
fn on_postgres(arguments: &[&str], passed: impl Fn(&str) -> bool) {
    if std::env::var_os(LENT).is_some() {
        return;
    }
    let Some(server) = Postgres::start() else {
        return;
    };
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--test-threads", "2"])
        .args(arguments)
        .env(LENT, server.dir())
        // What belongs to full runs is in them already, once.
        .env_remove("BLOOMERY_FULL")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && passed(&said), "{said}\n{errors}");
}

#[test]
fn a_push_and_whatever_else_writes_tables_works_on_postgres() {
    let mut arguments = vec!["--exact"];
    arguments.extend(EACH_TIME);
    let all = format!("{} passed", EACH_TIME.len());
    on_postgres(&arguments, |said| said.contains(&all));
}

/// In full runs.
#[test]
fn everything_works_on_postgres() {
    if std::env::var("BLOOMERY_FULL").as_deref() != Ok("1") {
        eprintln!(
            "skipped: the whole suite runs on PostgreSQL in full runs only (BLOOMERY_FULL=1)"
        );
        return;
    }
    let arguments = NEVER.map(|name| format!("--skip={name}"));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    on_postgres(&arguments, |said| !said.contains(" 0 passed"));
}

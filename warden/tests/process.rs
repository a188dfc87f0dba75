//! The contract, kept by the backend without isolation.

#![allow(clippy::unwrap_used)]

mod contract;

use warden::{Backend, ProcessBackend, ProcessConfig};

struct Fixture {
    backend: Box<dyn Backend>,
    _dir: tempfile::TempDir,
}

impl Fixture {
    fn end(self) {}
}

#[allow(clippy::unused_async, clippy::unnecessary_wraps)]
async fn process() -> Option<Fixture> {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let config = ProcessConfig {
        depot: dir.path().join("depot"),
        wshd: env!("CARGO_BIN_EXE_wshd").into(),
        ..ProcessConfig::default()
    };
    Some(Fixture {
        backend: Box::new(ProcessBackend::open(config).unwrap()),
        _dir: dir,
    })
}

contract_tests!(process:
    exit_code_and_signal_are_reported,
    a_missing_program_is_named_in_the_error,
    output_is_numbered_over_both_streams,
    many_lines_arrive_complete_and_in_order,
    unknown_jobs_and_handles_are_errors,
    stdin_and_stdout_are_passed_through,
    the_environment_is_exactly_what_was_given,
    a_job_starts_at_home_without_foreign_descriptors,
    a_port_leads_into_the_container,
    stop_sends_term_first_and_keeps_the_container,
    stop_ends_what_ignores_term,
    destroy_ends_the_whole_tree,
    binds_appear_read_only_or_writable,
    files_of_the_container_are_seen_from_outside,
    list_filters_by_properties,
    a_root_job_is_called_root,
    bad_handles_are_refused,
    figures_nothing_runs_with_are_refused,
    a_terminal_belongs_to_the_job,
    a_container_goes_away_while_files_are_copied_out,
);

#[tokio::test]
async fn nothing_is_claimed_to_be_isolated() {
    let fixture = process().await.unwrap();
    let container = fixture
        .backend
        .create(contract::plain_spec())
        .await
        .unwrap();
    assert!(container.info().await.unwrap().isolation.is_empty());
    fixture.backend.destroy(container.handle()).await.unwrap();
}

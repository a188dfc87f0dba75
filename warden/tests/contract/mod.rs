//! What every backend that runs processes must do, as functions over the
//! traits. Each test file calls them with its own backend.

#![allow(clippy::unwrap_used, dead_code, unused_imports)]

mod ends;
mod jobs;
mod output;
mod outside;
mod refusals;

pub(crate) use ends::*;
pub(crate) use jobs::*;
pub(crate) use output::*;
pub(crate) use outside::*;
pub(crate) use refusals::*;

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use warden::{
    Container, ContainerSpec, Exit, JobId, Limits, Output, Pipes, ProcessSpec, Rootfs, Stream,
};

/// A container with nothing special.
pub(crate) fn plain_spec() -> ContainerSpec {
    ContainerSpec {
        handle: None,
        rootfs: Rootfs::Host,
        bind_mounts: vec![],
        limits: Limits::default(),
        net_out: vec![],
        properties: BTreeMap::new(),
        grace_time: None,
    }
}

/// Runs a script to its end; exit and lines.
pub(crate) async fn script(container: &Arc<dyn Container>, text: &str) -> (Exit, Vec<String>) {
    let job = container
        .run(ProcessSpec::script(text), Pipes::default())
        .await
        .unwrap();
    collect(container, &job).await
}

/// Exit and lines of a job.
pub(crate) async fn collect(container: &Arc<dyn Container>, job: &JobId) -> (Exit, Vec<String>) {
    let mut output = container.attach(job, 1).await.unwrap();
    let mut lines = Vec::new();
    while let Some(item) = output.recv().await {
        match item {
            Output::Line { data, .. } => lines.push(String::from_utf8_lossy(&data).into_owned()),
            Output::Gap { from, to } => lines.push(format!("GAP {from}-{to}")),
        }
    }
    (container.wait(job).await.unwrap(), lines)
}

/// Starts a job and waits for its first line.
pub(crate) async fn started(container: &Arc<dyn Container>, spec: ProcessSpec) -> JobId {
    let job = container.run(spec, Pipes::default()).await.unwrap();
    let mut output = container.attach(&job, 1).await.unwrap();
    output.recv().await.expect("the job's first line");
    job
}

/// Waits for a condition, not for a duration; gives up after a minute.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Everything a server on that address says.
pub(crate) async fn fetch(host: &str, port: u16) -> String {
    let address = (host.to_owned(), port);
    let read = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        let address: std::net::SocketAddr = format!("{}:{}", address.0, address.1).parse().unwrap();
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    read.await.unwrap()
}

/// Makes one test per claim for a fixture that yields a backend.
#[macro_export]
macro_rules! contract_tests {
    ($fixture:ident) => {
        contract_tests!($fixture:
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
    };
    ($fixture:ident: $($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(fixture) = $fixture().await else { return };
                contract::$name(fixture.backend.as_ref()).await;
                fixture.end();
            }
        )*
    };
}

//! Ends of jobs and of containers.

use std::io::Read;

use warden::{Backend, Error, Exit, Pipes, ProcessSpec, Stream};

use super::{collect, plain_spec, script, started, until};

pub(crate) async fn stop_sends_term_first_and_keeps_the_container(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let text =
        "trap 'echo bye; exit 3' TERM; echo up; while :; do read -t 0.05 < <(:); done 2>/dev/null";
    let job = started(&container, ProcessSpec::script(text)).await;
    container.stop(false).await.unwrap();
    let (exit, lines) = collect(&container, &job).await;
    assert_eq!(
        (exit.code, lines),
        (3, vec!["up".to_owned(), "bye".to_owned()])
    );
    let info = container.info().await.unwrap();
    assert_eq!(info.state, warden::State::Stopped);
    assert!(info.jobs.is_empty());
    backend.destroy(container.handle()).await.unwrap();
}

pub(crate) async fn stop_ends_what_ignores_term(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let text = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let job = started(&container, ProcessSpec::script(text)).await;
    container.stop(true).await.unwrap();
    assert_eq!(
        container.wait(&job).await.unwrap(),
        Exit {
            code: 137,
            signal: Some(9)
        }
    );
    backend.destroy(container.handle()).await.unwrap();
}

pub(crate) async fn destroy_ends_the_whole_tree(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let mark = format!("9{:09}", rand_number());
    let text = format!("setsid sleep {mark} & (sleep {mark} &) ; echo up; sleep {mark}");
    let job = started(&container, ProcessSpec::script(text)).await;
    until("three sleepers run", async || sleepers(&mark) == 3).await;
    let waiting = tokio::spawn({
        let (container, job) = (container.clone(), job.clone());
        async move { container.wait(&job).await }
    });
    backend.destroy(container.handle()).await.unwrap();
    assert_eq!(sleepers(&mark), 0);
    match waiting.await.unwrap() {
        Ok(exit) => assert_eq!(exit.code, 137),
        // It asked when there was nobody left to answer.
        Err(error) => assert!(error.to_string().contains("keeper"), "{error}"),
    }
}

fn rand_number() -> u32 {
    std::process::id()
        ^ std::time::SystemTime::now()
            .elapsed()
            .map_or(7, |d| d.subsec_nanos())
        ^ std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos()
}

fn sleepers(mark: &str) -> usize {
    let wanted = format!("sleep\0{mark}\0");
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter(|e| std::fs::read(e.path().join("cmdline")).is_ok_and(|c| c == wanted.as_bytes()))
        .count()
}

pub(crate) async fn a_container_goes_away_while_files_are_copied_out(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let (mut result, stdout) = std::os::unix::net::UnixStream::pair().unwrap();
    let pipes = Pipes {
        stdin: None,
        stdout: Some(stdout.into()),
    };
    let endless = ProcessSpec::script("exec tar -cf - -C / dev/zero usr/bin usr/lib");
    let job = container.run(endless, pipes).await.unwrap();
    let waiting = tokio::spawn({
        let (container, job) = (container.clone(), job.clone());
        async move { container.wait(&job).await }
    });
    let first = tokio::task::spawn_blocking(move || {
        result.read_exact(&mut [0; 512]).unwrap();
        result
    });
    let mut result = first.await.unwrap();
    backend.destroy(container.handle()).await.unwrap();
    // The reader sees the end, and the waiter a killed job.
    let rest = tokio::task::spawn_blocking(move || result.read_to_end(&mut Vec::new()));
    rest.await.unwrap().unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().code, 137);
    assert!(matches!(
        backend.destroy(container.handle()).await,
        Err(Error::UnknownHandle(_))
    ));
}

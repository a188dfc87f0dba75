//! The scripted backend does what its script says.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use warden::{
    Backend, ContainerSpec, Exit, Limits, Misbehave, Output, Pipes, ProcessSpec, Rootfs, Script,
    ScriptedBackend, ScriptedJob, ScriptedVerb, State, Stream,
};

fn spec() -> ContainerSpec {
    ContainerSpec {
        handle: Some("c".into()),
        rootfs: Rootfs::Host,
        bind_mounts: vec![],
        limits: Limits::default(),
        net_out: vec![],
        properties: BTreeMap::new(),
        grace_time: None,
    }
}

/// A job for scripts with `when` in them: two lines, then `after` it runs out of memory.
fn crash(when: &str, after: Duration) -> ScriptedJob {
    ScriptedJob {
        when: when.into(),
        lines: vec![
            (Stream::Stdout, "up".into()),
            (Stream::Stderr, "oops".into()),
        ],
        exit: Some(Exit {
            code: 9,
            signal: None,
        }),
        after,
        event: Some("out of memory".into()),
        ..ScriptedJob::default()
    }
}

#[tokio::test]
async fn a_job_prints_and_ends_as_told() {
    let jobs = vec![
        crash("at once", Duration::ZERO),
        crash("much later", Duration::from_secs(3600)),
    ];
    let backend = ScriptedBackend::new(Script {
        jobs,
        ..Script::default()
    });
    let container = backend.create(spec()).await.unwrap();
    let run = async |script: &str| {
        let process = ProcessSpec::script(script);
        container.run(process, Pipes::default()).await.unwrap()
    };
    let later = run("crash much later").await;
    let mut output = container.attach(&later, 2).await.unwrap();
    assert!(matches!(
        output.recv().await,
        Some(Output::Line {
            seq: 2,
            stream: Stream::Stderr,
            ..
        })
    ));
    assert!(container.info().await.unwrap().events.is_empty());

    let job = run("crash at once").await;
    let mut output = container.attach(&job, 3).await.unwrap();
    assert_eq!(container.wait(&job).await.unwrap().code, 9);
    assert_eq!(output.recv().await, None);
    assert_eq!(container.info().await.unwrap().events, ["out of memory"]);
    let other = run("true").await;
    assert_eq!(container.wait(&other).await.unwrap().code, 0);
}

#[tokio::test]
async fn the_chosen_call_fails_and_the_others_do_not() {
    let misbehaviour =
        BTreeMap::from([((ScriptedVerb::NetIn, 2), Misbehave::Fail("no luck".into()))]);
    let backend = ScriptedBackend::new(Script {
        misbehaviour,
        ..Script::default()
    });
    let container = backend.create(spec()).await.unwrap();
    container.net_in(None).await.unwrap();
    let error = container.net_in(None).await.unwrap_err();
    assert_eq!(error.to_string(), "NetIn: no luck");
    container.net_in(Some(80)).await.unwrap();
    assert_eq!(backend.calls(ScriptedVerb::NetIn), 3);
}

#[tokio::test]
async fn stop_and_destroy_end_what_would_run_for_ever() {
    let forever = ScriptedJob::default();
    let backend = ScriptedBackend::new(Script {
        jobs: vec![forever],
        ..Script::default()
    });
    let container = backend.create(spec()).await.unwrap();
    let job = container
        .run(ProcessSpec::script("serve"), Pipes::default())
        .await
        .unwrap();
    assert_eq!(
        container.info().await.unwrap().jobs,
        std::slice::from_ref(&job)
    );
    container.stop(false).await.unwrap();
    assert_eq!(container.wait(&job).await.unwrap().signal, Some(15));
    assert_eq!(container.info().await.unwrap().state, State::Stopped);
    let job = container
        .run(ProcessSpec::script("serve"), Pipes::default())
        .await
        .unwrap();
    backend.destroy("c").await.unwrap();
    assert_eq!(container.wait(&job).await.unwrap().code, 137);
    assert!(backend.lookup("c").await.is_err());
}

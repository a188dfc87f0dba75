//! What a job says, and what it is told.

use std::io::{Read, Write};

use warden::{Backend, Output, Pipes, ProcessSpec, Stream};

use super::{collect, plain_spec, script};

pub(crate) async fn output_is_numbered_over_both_streams(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    // Each line is confirmed before the next, so that the order is the script's.
    let text =
        "for i in 1 2 3; do echo out$i; sleep 0.05; echo err$i >&2; sleep 0.05; done; printf rest";
    let job = container
        .run(ProcessSpec::script(text), Pipes::default())
        .await
        .unwrap();
    let mut output = container.attach(&job, 1).await.unwrap();
    let mut seen = Vec::new();
    while let Some(item) = output.recv().await {
        let Output::Line {
            seq,
            stream,
            data,
            at_ns,
        } = item
        else {
            panic!("{item:?}")
        };
        assert!(at_ns > 1_600_000_000_000_000_000);
        seen.push((seq, stream, String::from_utf8(data).unwrap()));
    }
    let (out, err) = (Stream::Stdout, Stream::Stderr);
    let want = [
        (1, out, "out1"),
        (2, err, "err1"),
        (3, out, "out2"),
        (4, err, "err2"),
        (5, out, "out3"),
        (6, err, "err3"),
        (7, out, "rest"),
    ];
    assert_eq!(seen, want.map(|(n, s, t)| (n, s, t.to_owned())));
    let mut late = container.attach(&job, 6).await.unwrap();
    let first = late.recv().await.unwrap();
    assert!(matches!(first, Output::Line { seq: 6, .. }), "{first:?}");
    backend.destroy(container.handle()).await.unwrap();
}

pub(crate) async fn many_lines_arrive_complete_and_in_order(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let (exit, lines) = script(&container, "seq 1 20000").await;
    assert_eq!(exit.code, 0);
    assert_eq!(
        lines,
        (1..=20_000).map(|n| n.to_string()).collect::<Vec<_>>()
    );
    backend.destroy(container.handle()).await.unwrap();
}

pub(crate) async fn stdin_and_stdout_are_passed_through(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let (mut feed, stdin) = std::os::unix::net::UnixStream::pair().unwrap();
    let (mut result, stdout) = std::os::unix::net::UnixStream::pair().unwrap();
    let pipes = Pipes {
        stdin: Some(stdin.into()),
        stdout: Some(stdout.into()),
    };
    let job = container
        .run(ProcessSpec::script("tr a-z A-Z; echo logged >&2"), pipes)
        .await
        .unwrap();
    let text = tokio::task::spawn_blocking(move || {
        feed.write_all(b"through the wall\n").unwrap();
        drop(feed);
        let mut text = String::new();
        result.read_to_string(&mut text).unwrap();
        text
    });
    assert_eq!(text.await.unwrap(), "THROUGH THE WALL\n");
    let (_, lines) = collect(&container, &job).await;
    assert_eq!(lines, ["logged"]);
    backend.destroy(container.handle()).await.unwrap();
}

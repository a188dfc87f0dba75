//! What every backend that runs processes must do, as functions over the
//! traits. Each test file calls them with its own backend.

#![allow(clippy::unwrap_used, dead_code)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use warden::{
    Backend, BindMount, Container, ContainerSpec, Error, Exit, JobId, Limits, Output, Pipes,
    ProcessSpec, Rootfs, Stream, User,
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

/// Waits for a condition, not for a duration; gives up after a minute.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn exit_code_and_signal_are_reported(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let (exit, _) = script(&container, "exit 7").await;
    assert_eq!(
        exit,
        Exit {
            code: 7,
            signal: None
        }
    );
    let (exit, _) = script(&container, "kill -SEGV $$").await;
    assert_eq!(
        exit,
        Exit {
            code: 128 + 11,
            signal: Some(11)
        }
    );
    backend.destroy(container.handle()).await.unwrap();
}

pub(crate) async fn a_missing_program_is_named_in_the_error(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let mut spec = ProcessSpec::script("");
    spec.argv = vec!["no-such-program".into()];
    let error = container
        .run(spec, Pipes::default())
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "exec no-such-program: No such file or directory (os error 2)"
    );
    backend.destroy(container.handle()).await.unwrap();
}

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

pub(crate) async fn unknown_jobs_and_handles_are_errors(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let job = JobId("j99".into());
    assert!(matches!(
        container.wait(&job).await,
        Err(Error::UnknownJob { .. })
    ));
    assert!(matches!(
        container.attach(&job, 1).await,
        Err(Error::UnknownJob { .. })
    ));
    assert!(matches!(
        backend.lookup("nobody").await,
        Err(Error::UnknownHandle(_))
    ));
    assert!(matches!(
        backend.destroy("nobody").await,
        Err(Error::UnknownHandle(_))
    ));
    let mut taken = plain_spec();
    taken.handle = Some(container.handle().to_owned());
    assert!(matches!(
        backend.create(taken).await,
        Err(Error::HandleTaken(_))
    ));
    backend.destroy(container.handle()).await.unwrap();
    assert!(matches!(
        backend.lookup(container.handle()).await,
        Err(Error::UnknownHandle(_))
    ));
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

pub(crate) async fn the_environment_is_exactly_what_was_given(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let mut spec = ProcessSpec::script("");
    spec.argv = vec!["env".into()];
    spec.env = vec![
        ("A".into(), "1".into()),
        ("LANG".into(), "C".into()),
        ("A".into(), "$x `y`".into()),
    ];
    let big = "v".repeat(100_000);
    spec.env.push(("BIG".into(), big.clone()));
    let job = container.run(spec, Pipes::default()).await.unwrap();
    let (_, lines) = collect(&container, &job).await;
    let names: Vec<&str> = lines
        .iter()
        .filter_map(|l| l.split_once('='))
        .map(|(k, _)| k)
        .collect();
    assert_eq!(names, ["HOME", "USER", "PATH", "LANG", "A", "BIG"]);
    assert!(lines.contains(&"A=$x `y`".to_owned()) && lines.contains(&"LANG=C".to_owned()));
    assert!(
        lines.contains(&"USER=vcap".to_owned()) && lines.contains(&"PATH=/bin:/usr/bin".to_owned())
    );
    // A line is cut after 64 KiB.
    let tail = &lines[lines.len() - 2..];
    assert_eq!(tail.concat(), format!("BIG={big}"));
    backend.destroy(container.handle()).await.unwrap();
}

pub(crate) async fn a_job_starts_at_home_without_foreign_descriptors(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let (_, lines) = script(
        &container,
        "pwd; cd /proc/self/fd && echo *; ulimit -c; umask",
    )
    .await;
    assert_eq!(lines[0], "/home/vcap");
    // 3 is the shell reading the directory.
    assert_eq!(lines[1..], ["0 1 2 3", "0", "0022"]);
    backend.destroy(container.handle()).await.unwrap();
}

pub(crate) async fn a_port_leads_into_the_container(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let port = container.net_in(None).await.unwrap();
    assert_eq!(port.host_port, port.container_port);
    assert_eq!(container.info().await.unwrap().ports, [port]);
    let mut spec = ProcessSpec::script(
        "exec python3 -c 'import os,socket
s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((\"0.0.0.0\", int(os.environ[\"PORT\"]))); s.listen(5)
print(\"listening\", flush=True)
while True:
    c,_=s.accept(); c.sendall(b\"hello\"); c.close()'",
    );
    spec.env = vec![("PORT".into(), port.container_port.to_string())];
    let job = container.run(spec, Pipes::default()).await.unwrap();
    container
        .attach(&job, 1)
        .await
        .unwrap()
        .recv()
        .await
        .expect("it says listening");
    assert_eq!(fetch("127.0.0.1", port.host_port).await, "hello");
    backend.destroy(container.handle()).await.unwrap();
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

pub(crate) async fn stop_sends_term_first_and_keeps_the_container(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let text =
        "trap 'echo bye; exit 3' TERM; echo up; while :; do read -t 0.05 < <(:); done 2>/dev/null";
    let job = container
        .run(ProcessSpec::script(text), Pipes::default())
        .await
        .unwrap();
    container
        .attach(&job, 1)
        .await
        .unwrap()
        .recv()
        .await
        .unwrap();
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
    let job = container
        .run(ProcessSpec::script(text), Pipes::default())
        .await
        .unwrap();
    container
        .attach(&job, 1)
        .await
        .unwrap()
        .recv()
        .await
        .unwrap();
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
    let job = container
        .run(ProcessSpec::script(text), Pipes::default())
        .await
        .unwrap();
    container
        .attach(&job, 1)
        .await
        .unwrap()
        .recv()
        .await
        .unwrap();
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

pub(crate) async fn binds_appear_read_only_or_writable(backend: &dyn Backend) {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let (ro, rw) = (dir.path().join("ro"), dir.path().join("rw"));
    for sub in [&ro, &rw] {
        std::fs::create_dir(sub).unwrap();
        std::fs::set_permissions(sub, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    std::fs::write(ro.join("fact"), "water is wet\n").unwrap();
    let mut spec = plain_spec();
    spec.bind_mounts = vec![
        BindMount {
            src: ro.clone(),
            dst: "/tmp/in".into(),
            writable: false,
        },
        BindMount {
            src: rw.clone(),
            dst: "/tmp/out/deep".into(),
            writable: true,
        },
        BindMount {
            src: ro.join("fact"),
            dst: "/home/vcap/fact".into(),
            writable: false,
        },
    ];
    let container = backend.create(spec).await.unwrap();
    let text =
        "cat /tmp/in/fact fact; echo new > /tmp/out/deep/file; echo x > /tmp/in/y || echo refused";
    let (_, lines) = script(&container, text).await;
    assert_eq!(lines[..2], ["water is wet", "water is wet"]);
    assert!(lines.contains(&"refused".to_owned()), "{lines:?}");
    assert_eq!(std::fs::read_to_string(rw.join("file")).unwrap(), "new\n");
    backend.destroy(container.handle()).await.unwrap();
    assert!(ro.join("fact").exists() && rw.join("file").exists());
}

pub(crate) async fn files_of_the_container_are_seen_from_outside(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    script(
        &container,
        "echo seen > ~/app/file; echo tmp > /tmp/file; ls -d app logs tmp",
    )
    .await;
    let info = container.info().await.unwrap();
    let read = |name| std::fs::read_to_string(info.container_path.join(name)).unwrap();
    assert_eq!(
        (
            read("home/vcap/app/file").as_str(),
            read("tmp/file").as_str()
        ),
        ("seen\n", "tmp\n")
    );
    assert!(info.disk_bytes > 0 && info.disk_inodes > 0);
    backend.destroy(container.handle()).await.unwrap();
}

pub(crate) async fn list_filters_by_properties(backend: &dyn Backend) {
    let labels = |app: &str| {
        BTreeMap::from([
            ("app".to_owned(), app.to_owned()),
            ("kind".into(), "web".into()),
        ])
    };
    let mut spec = plain_spec();
    spec.properties = labels("one");
    let one = backend.create(spec.clone()).await.unwrap();
    spec.properties = labels("two");
    let two = backend.create(spec).await.unwrap();
    let find = async |name: &str, value: &str| {
        backend
            .list(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
            .await
            .unwrap()
    };
    assert_eq!(find("app", "one").await, [one.handle()]);
    assert_eq!(find("kind", "web").await.len(), 2);
    assert!(find("app", "three").await.is_empty());
    assert_eq!(one.info().await.unwrap().properties, labels("one"));
    for container in [one, two] {
        backend.destroy(container.handle()).await.unwrap();
    }
    assert!(backend.list(&BTreeMap::new()).await.unwrap().is_empty());
}

pub(crate) async fn a_root_job_is_called_root(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let mut spec = ProcessSpec::script("echo $USER $PATH");
    spec.user = User::Root;
    let job = container.run(spec, Pipes::default()).await.unwrap();
    assert_eq!(
        collect(&container, &job).await.1,
        ["root /sbin:/bin:/usr/sbin:/usr/bin"]
    );
    backend.destroy(container.handle()).await.unwrap();
}

pub(crate) async fn bad_handles_are_refused(backend: &dyn Backend) {
    for handle in ["", "..", "a/b", "-x", "a b", "a\nb", &"x".repeat(65)] {
        let mut spec = plain_spec();
        spec.handle = Some(handle.to_owned());
        let error = backend.create(spec).await.err();
        assert!(
            matches!(error, Some(Error::BadHandle(_))),
            "{handle:?}: {error:?}"
        );
    }
    assert!(backend.list(&BTreeMap::new()).await.unwrap().is_empty());
}

pub(crate) async fn figures_nothing_runs_with_are_refused(backend: &dyn Backend) {
    let mut spec = plain_spec();
    spec.limits.memory_bytes = Some(4096);
    let error = backend.create(spec).await.err().unwrap();
    assert!(
        matches!(
            error,
            Error::BadLimit {
                resource: "memory",
                ..
            }
        ),
        "{error}"
    );
    let container = backend.create(plain_spec()).await.unwrap();
    let zero = Limits {
        pids: Some(0),
        ..Limits::default()
    };
    let error = container.limit(&zero).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::BadLimit {
                resource: "pids",
                ..
            }
        ),
        "{error}"
    );
    backend.destroy(container.handle()).await.unwrap();
}

pub(crate) async fn a_terminal_belongs_to_the_job(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let spec = ProcessSpec::script("read line; stty size; echo \"got $line\"; test -t 2; exit $?");
    let size = warden::WindowSize {
        rows: 33,
        columns: 77,
    };
    let (job, terminal) = container.run_on_terminal(spec, size).await.unwrap();
    let said = tokio::task::spawn_blocking(move || {
        let mut terminal = std::fs::File::from(terminal);
        terminal.write_all(b"keys\n").unwrap();
        let mut said = Vec::new();
        // Ends with EIO when the last program has left.
        let _ = terminal.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    });
    let said = said.await.unwrap();
    assert!(
        said.contains("33 77") && said.contains("got keys"),
        "{said:?}"
    );
    assert_eq!(container.wait(&job).await.unwrap().code, 0);
    backend.destroy(container.handle()).await.unwrap();
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

/// Makes one test per claim for a fixture that yields a backend.
#[macro_export]
macro_rules! contract_tests {
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

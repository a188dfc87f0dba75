//! The death of the backend's process, and of keepers.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use warden::{Backend, Container, LinuxBackend, Output, Pipes, ProcessSpec};

use crate::contract::{fetch, plain_spec, started, until};
use crate::{Scratch, config, end_depot, linux, may_run};

/// Opens the depot named in the environment, makes a container whose job
/// prints numbers, reads some, and waits to be killed.
#[tokio::test]
#[ignore = "started by another test, in a process of its own"]
async fn helper_that_is_killed() {
    let Some(depot) = std::env::var_os("WARDEN_TEST_DEPOT") else {
        return;
    };
    let backend = LinuxBackend::open(config(depot.into())).await.unwrap();
    let container = match backend.lookup("app").await {
        Ok(container) => container,
        Err(_) => first_start(&backend).await,
    };
    let from: u64 = std::env::var("WARDEN_TEST_FROM").unwrap().parse().unwrap();
    let mut output = container
        .attach(&warden::JobId("j1".into()), from)
        .await
        .unwrap();
    while let Some(item) = output.recv().await {
        if let Output::Line { seq, data, .. } = item {
            println!("LINE {seq} {}", String::from_utf8(data).unwrap());
        }
    }
    println!("END");
    std::future::pending::<()>().await;
}

async fn first_start(backend: &LinuxBackend) -> std::sync::Arc<dyn Container> {
    let mut spec = plain_spec();
    spec.handle = Some("app".into());
    spec.properties = BTreeMap::from([("app".into(), "guid".into())]);
    let container = backend.create(spec).await.unwrap();
    let port = container.net_in(None).await.unwrap();
    let mut job = ProcessSpec::script("for i in $(seq 1 20000); do echo number $i; done; exit 7");
    job.env = vec![("PORT".into(), port.container_port.to_string())];
    container.run(job, Pipes::default()).await.unwrap();
    let server = "exec python3 -c 'import os,socket
s=socket.socket(); s.bind((\"\", int(os.environ[\"PORT\"]))); s.listen(5); print(\"up\", flush=True)
while True:
    c,_=s.accept(); c.sendall(b\"alive\"); c.close()'";
    let mut job = ProcessSpec::script(server);
    job.env = vec![("PORT".into(), port.container_port.to_string())];
    started(&container, job).await;
    container
}

fn start_helper(depot: &std::path::Path, from: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "adoption::helper_that_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .env("WARDEN_TEST_DEPOT", depot)
        .env("WARDEN_TEST_FROM", from.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads whole lines until `count` came, then kills the helper with -9.
fn read_and_kill(mut helper: Child, count: usize) -> Vec<(u64, String)> {
    use std::io::BufRead;
    let mut lines = Vec::new();
    for line in std::io::BufReader::new(helper.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "END" {
            break;
        }
        if let Some((seq, text)) = line.strip_prefix("LINE ").and_then(|l| l.split_once(' ')) {
            lines.push((seq.parse().unwrap(), text.to_owned()));
        }
        if lines.len() >= count {
            break;
        }
    }
    helper.kill().unwrap();
    helper.wait().unwrap();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_survive_kill_9_of_the_backend_and_no_line_is_lost() {
    if !may_run() {
        return;
    }
    let dir = Scratch::new();
    let depot = dir.depot();
    let mut lines: Vec<(u64, String)> = Vec::new();
    for count in [3000, 5000, 2000] {
        let from = lines.last().map_or(1, |(seq, _)| seq + 1);
        lines.extend(read_and_kill(start_helper(&depot, from), count));
    }
    let backend = LinuxBackend::open(config(depot.clone())).await.unwrap();
    let found = backend
        .list(&BTreeMap::from([("app".into(), "guid".into())]))
        .await
        .unwrap();
    assert_eq!(found, ["app"]);
    let container = backend.lookup("app").await.unwrap();
    let info = container.info().await.unwrap();
    assert_eq!(fetch("127.0.0.1", info.ports[0].host_port).await, "alive");
    let job = warden::JobId("j1".into());
    let mut output = container
        .attach(&job, lines.last().unwrap().0 + 1)
        .await
        .unwrap();
    while let Some(item) = output.recv().await {
        let Output::Line { seq, data, .. } = item else {
            panic!("{item:?}")
        };
        lines.push((seq, String::from_utf8(data).unwrap()));
    }
    let want: Vec<(u64, String)> = (1..=20_000).map(|n| (n, format!("number {n}"))).collect();
    assert!(lines == want, "{} lines", lines.len());
    assert_eq!(container.wait(&job).await.unwrap().code, 7);
    // A port given out now is another one.
    let second = container.net_in(None).await.unwrap();
    assert_ne!(second.host_port, info.ports[0].host_port);
    backend.destroy("app").await.unwrap();
    drop(backend);
    end_depot(&depot);
}

#[tokio::test]
async fn a_reader_who_comes_too_late_is_told_what_is_missing() {
    if !may_run() {
        return;
    }
    let dir = Scratch::new();
    let depot = dir.depot();
    let config = warden::LinuxConfig {
        ring_bytes: 256 << 10,
        ..config(depot.clone())
    };
    let backend = LinuxBackend::open(config).await.unwrap();
    let container = backend.create(plain_spec()).await.unwrap();
    let job = container
        .run(ProcessSpec::script("seq 1 60000"), Pipes::default())
        .await
        .unwrap();
    container.wait(&job).await.unwrap();
    let mut output = container.attach(&job, 1).await.unwrap();
    let Some(Output::Gap { from: 1, to }) = output.recv().await else {
        panic!("a gap comes first")
    };
    let mut next = to + 1;
    while let Some(item) = output.recv().await {
        let Output::Line { seq, data, .. } = item else {
            panic!("{item:?}")
        };
        assert_eq!((seq, data), (next, next.to_string().into_bytes()));
        next += 1;
    }
    assert_eq!(next, 60_001);
    backend.destroy(container.handle()).await.unwrap();
    drop(backend);
    end_depot(&depot);
}

#[tokio::test]
async fn a_killed_keeper_takes_its_container_along() {
    let Some(fixture) = linux().await else { return };
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    let mark = format!("8{:08}", std::process::id());
    let job = container
        .run(
            ProcessSpec::script(format!("sleep {mark}")),
            Pipes::default(),
        )
        .await
        .unwrap();
    let state = fixture
        .dir
        .depot()
        .join("c")
        .join(container.handle())
        .join("state.json");
    let text = std::fs::read_to_string(state).unwrap();
    let pid = text
        .split_once("\"keeper_pid\": ")
        .unwrap()
        .1
        .split(',')
        .next()
        .unwrap()
        .to_owned();
    assert!(
        Command::new("kill")
            .args(["-9", &pid])
            .status()
            .unwrap()
            .success()
    );
    let running = || {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        all.filter(|e| {
            std::fs::read(e.path().join("cmdline"))
                .is_ok_and(|c| c == format!("sleep\0{mark}\0").as_bytes())
        })
        .count()
    };
    until("the job is dead", async || running() == 0).await;
    assert!(container.wait(&job).await.is_err());
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

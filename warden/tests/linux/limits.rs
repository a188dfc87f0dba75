//! Limits bite, and say so.

use warden::{Limits, Pipes, ProcessSpec};

use crate::contract::{plain_spec, script, started, until};
use crate::linux;

#[tokio::test]
async fn out_of_memory_ends_the_job_and_is_an_event() {
    let Some(fixture) = linux().await else { return };
    let mut spec = plain_spec();
    spec.limits = Limits {
        memory_bytes: Some(48 << 20),
        ..Limits::default()
    };
    let container = fixture.backend.create(spec).await.unwrap();
    // The shell would survive its child: the keeper must end the rest.
    let text = "python3 -c 'x = bytearray(200 << 20); print(len(x))'; sleep 1000";
    let job = container
        .run(ProcessSpec::script(text), Pipes::default())
        .await
        .unwrap();
    assert_eq!(container.wait(&job).await.unwrap().signal, Some(9));
    let info = container.info().await.unwrap();
    assert_eq!(info.events, ["out of memory"]);
    let facts = info.oom.expect("the facts of the kill");
    assert_eq!(facts.limit_bytes, 48 << 20);
    assert!(facts.kills >= 1 && facts.peak_bytes > 40 << 20, "{facts:?}");
    // Without access to the kernel's log there is no name.
    if let Some(victim) = &facts.victim {
        assert_eq!(victim, "python3");
    }
    let (exit, lines) = script(&container, "echo still here").await;
    assert_eq!((exit.code, lines), (0, vec!["still here".to_owned()]));
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

#[tokio::test]
async fn memory_can_be_raised_and_lowered() {
    let Some(fixture) = linux().await else { return };
    let mut spec = plain_spec();
    spec.limits.memory_bytes = Some(64 << 20);
    let container = fixture.backend.create(spec).await.unwrap();
    let set = async |mib: u64| {
        container
            .limit(&Limits {
                memory_bytes: Some(mib << 20),
                ..Limits::default()
            })
            .await
    };
    set(400).await.unwrap();
    let (exit, _) = script(&container, "python3 -c 'x = bytearray(200 << 20)'").await;
    assert_eq!(exit.code, 0);
    set(48).await.unwrap();
    let (exit, _) = script(&container, "exec python3 -c 'x = bytearray(200 << 20)'").await;
    assert_eq!(exit.signal, Some(9));
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

#[tokio::test]
async fn a_fork_bomb_stops_at_the_limit_and_is_destroyed() {
    let Some(fixture) = linux().await else { return };
    let mut spec = plain_spec();
    spec.limits.pids = Some(40);
    let container = fixture.backend.create(spec).await.unwrap();
    let bomb = "f() { f | f & }; f; while :; do sleep 0.1; done";
    let job = container
        .run(ProcessSpec::script(bomb), Pipes::default())
        .await
        .unwrap();
    let mut output = container.attach(&job, 1).await.unwrap();
    let mut text = String::new();
    while !text.contains("fork") {
        if let warden::Output::Line { data, .. } = output.recv().await.expect("bash complains") {
            text = String::from_utf8_lossy(&data).into_owned();
        }
    }
    assert!(text.contains("Resource temporarily unavailable"), "{text}");
    container.stop(true).await.unwrap();
    assert!(container.info().await.unwrap().jobs.is_empty());
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

#[tokio::test]
async fn the_disk_ends_where_the_limit_says() {
    let Some(fixture) = linux().await else { return };
    let mut spec = plain_spec();
    spec.limits.disk_bytes = Some(32 << 20);
    let container = fixture.backend.create(spec).await.unwrap();
    disk_ends_at_32_mib(&container, "disk_image", "No space left on device").await;
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

/// Whichever way the limit is kept; `refusal` is what a program is told.
pub(crate) async fn disk_ends_at_32_mib(
    container: &std::sync::Arc<dyn warden::Container>,
    way: &str,
    refusal: &str,
) {
    let isolation = container.info().await.unwrap().isolation;
    for name in ["disk", way] {
        assert!(isolation.contains(&name.to_owned()), "{isolation:?}");
    }
    let text = "head -c 20M /dev/zero > a && echo fits; head -c 40M /dev/zero > b; stat -c %s b; rm a b; head -c 20M /dev/zero > a && echo again";
    let (_, lines) = script(container, text).await;
    assert!(
        lines.contains(&"fits".to_owned()) && lines.contains(&"again".to_owned()),
        "{lines:?}"
    );
    assert!(lines.iter().any(|l| l.contains(refusal)), "{lines:?}");
    let got: u64 = lines.iter().find_map(|l| l.parse().ok()).unwrap();
    assert!(got < 13 << 20, "{got}");
    let used = container.info().await.unwrap().disk_bytes;
    assert!((20 << 20..33 << 20).contains(&used), "{used}");
}

#[tokio::test]
async fn usage_is_measured() {
    let Some(fixture) = linux().await else { return };
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    let text =
        "python3 -c 'x = bytearray(30 << 20); print(1, flush=True); import time; time.sleep(1000)'";
    let job = started(&container, ProcessSpec::script(text)).await;
    until("memory is counted", async || {
        container.info().await.unwrap().memory_bytes > 30 << 20
    })
    .await;
    let info = container.info().await.unwrap();
    assert!(info.cpu_ns > 1_000_000, "{}", info.cpu_ns);
    assert_eq!(info.jobs, [job]);
    let names: Vec<String> = info
        .processes
        .iter()
        .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok())
        .collect();
    assert!(
        names.iter().any(|name| name.trim() == "python3"),
        "{names:?}"
    );
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

#[tokio::test]
async fn a_quota_holds_back_a_job_that_could_have_a_whole_cpu() {
    let Some(fixture) = linux().await else { return };
    let mut spec = plain_spec();
    spec.limits.cpu_percent = Some(20);
    let container = fixture.backend.create(spec).await.unwrap();
    // CPU time is bounded by the quota times the time on the wall, however loaded the host is.
    let text = "python3 -c 'import time
began, used = time.monotonic(), time.process_time()
while time.monotonic() - began < 2: pass
print((time.process_time() - used) / (time.monotonic() - began) < 0.5)'";
    let (_, lines) = script(&container, text).await;
    assert_eq!(lines, ["True"]);
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

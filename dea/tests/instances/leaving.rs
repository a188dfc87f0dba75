//! The ways a DEA ends, row by row as docs/containers.md has them.

use std::sync::Arc;
use std::time::Duration;

use bus::dea::{Heartbeat, HeartbeatState, Shutdown};
use bus::droplet::Exited;
use dea::Deps;
use tokio::signal::unix::{SignalKind, signal};
use warden::{Backend, ScriptedBackend, ScriptedVerb};

use super::{Stage, the_app, until};

async fn running() -> (ScriptedBackend, Stage) {
    let backend = ScriptedBackend::new(the_app(Default::default()));
    let stage = Stage::set(backend.clone(), |_| ()).await;
    stage.order_instance().await;
    state_in_heartbeat(&stage, Some(HeartbeatState::Running)).await;
    (backend, stage)
}

/// Waits until a heartbeat shows the app in this state, or does not show it; the instance's id.
async fn state_in_heartbeat(stage: &Stage, state: Option<HeartbeatState>) -> Option<String> {
    let mut beats = stage.bus.subscribe::<Heartbeat>().await.unwrap();
    let seen = async {
        loop {
            let beat = beats.next().await.body;
            let found = beat.droplets.into_iter().next();
            if found.as_ref().map(|instance| instance.state) == state {
                return found.map(|instance| instance.instance);
            }
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(60), seen).await;
    seen.unwrap_or_else(|_| panic!("never seen: {state:?}"))
}

async fn containers(backend: &ScriptedBackend) -> usize {
    backend.list(&Default::default()).await.unwrap().len()
}

#[tokio::test]
async fn term_stops_what_runs() {
    let (backend, stage) = running().await;
    let mut farewells = stage.bus.subscribe::<Shutdown>().await.unwrap();
    stage.bus.flush().await.unwrap();
    stage.dea.shutdown().await;
    assert_eq!(farewells.next().await.body.hello.id.len(), 34);
    assert!(backend.calls(ScriptedVerb::Stop) == 1 && containers(&backend).await == 0);
    stage.nats.shutdown().await;
}

#[tokio::test]
async fn hup_leaves_what_runs_and_the_next_start_adopts_it() {
    let (backend, mut stage) = running().await;
    let before = state_in_heartbeat(&stage, Some(HeartbeatState::Running)).await;
    let mut exits = stage.bus.subscribe::<Exited>().await.unwrap();
    let mut farewells = stage.bus.subscribe::<Shutdown>().await.unwrap();
    stage.bus.flush().await.unwrap();
    stage.dea.handle().leave();
    stage.dea.shutdown().await;
    assert!(backend.calls(ScriptedVerb::Stop) == 0 && containers(&backend).await == 1);
    let deps = Deps {
        backend: Arc::new(backend.clone()),
    };
    stage.dea = dea::start(stage.config.clone(), deps).await.unwrap();
    assert_eq!(
        state_in_heartbeat(&stage, Some(HeartbeatState::Running)).await,
        before
    );
    // Nobody was told that it had gone: what is published now comes first.
    stage
        .bus
        .publish_to("droplet.exited", &exit_of("marker"))
        .await
        .unwrap();
    stage
        .bus
        .publish_to(
            "dea.shutdown",
            &serde_json::json!({"id": "marker", "ip": "", "version": "", "app_id_to_count": {}}),
        )
        .await
        .unwrap();
    assert_eq!(exits.next().await.body.droplet, "marker");
    assert_eq!(farewells.next().await.body.hello.id, "marker");
    stage.end().await;
}

fn exit_of(droplet: &str) -> serde_json::Value {
    serde_json::json!({"cc_partition": "default", "droplet": droplet, "version": "v", "instance": "i", "index": 0,
        "reason": "CRASHED", "exit_status": 1, "exit_description": ""})
}

#[tokio::test]
async fn usr1_keeps_what_runs_and_takes_no_more() {
    let (backend, stage) = running().await;
    stage.dea.handle().stop_advertising().await;
    let id = state_in_heartbeat(&stage, Some(HeartbeatState::Running)).await;
    stage.order_instance().await;
    assert_eq!(
        state_in_heartbeat(&stage, Some(HeartbeatState::Running)).await,
        id
    );
    assert_eq!(
        (
            backend.calls(ScriptedVerb::Create),
            containers(&backend).await
        ),
        (1, 1)
    );
    stage.end().await;
}

#[tokio::test]
async fn usr2_ends_once_what_runs_was_replaced() {
    let (backend, stage) = running().await;
    let handle = stage.dea.handle();
    let evacuation = tokio::spawn(async move { handle.evacuate().await });
    state_in_heartbeat(&stage, Some(HeartbeatState::Evacuating)).await;
    assert!(!evacuation.is_finished() && containers(&backend).await == 1);
    // The health manager has it elsewhere, and stops it here.
    let stop = serde_json::json!({"droplet": "app-1"});
    stage.bus.publish_to("dea.stop", &stop).await.unwrap();
    evacuation.await.unwrap();
    stage.end().await;
}

/// What is sent to the program, with a process of the test in its place: its own end is TERM.
#[tokio::test]
async fn hup_and_quit_reach_the_end_that_is_meant() {
    let mut term = signal(SignalKind::terminate()).unwrap();
    let (backend, stage) = running().await;
    dea::program::listen_for_signals(&stage.dea);
    let send = |name: &str| {
        let pid = std::process::id().to_string();
        let sent = std::process::Command::new("kill")
            .args([name, &pid])
            .status();
        assert!(sent.unwrap().success());
    };
    // The listener is there once USR1 is heard.
    let mut farewells = stage.bus.subscribe::<Shutdown>().await.unwrap();
    stage.bus.flush().await.unwrap();
    tokio::task::yield_now().await;
    send("-USR1");
    farewells.next().await;
    send("-QUIT");
    term.recv().await.unwrap();
    send("-HUP");
    term.recv().await.unwrap();
    stage.dea.shutdown().await;
    assert_eq!(containers(&backend).await, 1, "it left");
    until("nothing was stopped", || {
        (backend.calls(ScriptedVerb::Stop) == 0).then_some(())
    })
    .await;
    stage.nats.shutdown().await;
}

//! Stagings beside a loggregator that takes nothing, and beside traps.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use bus::staging::{Reply, Start};
use serde_json::{Value, json};
use warden::{Exit, Script, ScriptedBackend, ScriptedJob, Stream};

use super::Stage;

/// A controller's part: a package to fetch, a place for the droplet, and a loggregator that fails.
async fn controller() -> String {
    let app = Router::new()
        .route("/package", get(|| async { "a package" }))
        .route("/droplet", post(|| async { "{}" }))
        .route(
            bus::log::INTAKE_PATH,
            post(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// A runner that says much and leaves this as its result.
fn runner(result: impl FnOnce(&std::path::Path)) -> (tempfile::TempDir, ScriptedBackend) {
    let dir = tempfile::tempdir().unwrap();
    let staged = dir.path().join("tmp/staged");
    std::fs::create_dir_all(&staged).unwrap();
    result(&staged.join("staging_info.yml"));
    let line = "x".repeat(4000);
    let job = ScriptedJob {
        when: "bloomery-stage".into(),
        lines: vec![(Stream::Stdout, line); 1000],
        exit: Some(Exit {
            code: 0,
            signal: None,
        }),
        ..ScriptedJob::default()
    };
    let backend = ScriptedBackend::new(Script {
        jobs: vec![job],
        container_path: dir.path().into(),
        ..Script::default()
    });
    (dir, backend)
}

/// The last reply to a staging.
async fn staged(backend: ScriptedBackend, loggregator_fails: bool) -> Reply {
    let controller = controller().await;
    let failing = controller.clone();
    let stage = Stage::set(backend, |config| {
        if loggregator_fails {
            config.loggregator.url = failing;
        }
    })
    .await;
    let request: Value = json!({"app_id": "app-1", "task_id": "t1",
        "properties": {"services": [], "resources": {"memory": 64, "disk": 128, "fds": 256}, "environment": [], "meta": {}},
        "download_uri": format!("{controller}/package"), "upload_uri": format!("{controller}/droplet"),
        "admin_buildpacks": [], "egress_network_rules": []});
    let inbox = stage.bus.new_inbox();
    let mut replies = stage.bus.subscribe_to::<Reply>(&inbox).await.unwrap();
    let subject = Start::subject(&stage.dea.id);
    stage
        .bus
        .publish_with_reply(&subject, &inbox, &request)
        .await
        .unwrap();
    let last = async {
        loop {
            let reply = replies.next().await.body;
            if reply.error.is_some() || reply.droplet_sha1.is_some() {
                return reply;
            }
        }
    };
    let last = tokio::time::timeout(std::time::Duration::from_secs(60), last).await;
    let reply = last.expect("the staging hangs");
    stage.end().await;
    reply
}

#[tokio::test]
async fn a_staging_whose_log_cannot_be_delivered_still_ends() {
    let (_dir, backend) = runner(|file| std::fs::write(file, "start_command: serve\n").unwrap());
    let reply = staged(backend, true).await;
    assert_eq!(reply.error, None);
    assert_eq!(reply.detected_start_command.as_deref(), Some("serve"));
}

#[tokio::test]
async fn a_result_that_is_none_fails_the_staging_and_is_named() {
    let (_dir, backend) = runner(|file| {
        let fifo = std::process::Command::new("mkfifo").arg(file).status();
        assert!(fifo.unwrap().success());
    });
    let error = staged(backend, false).await.error.unwrap();
    assert!(error.contains("staging_info.yml: it is a FIFO"), "{error}");
    let (_dir, backend) = runner(|file| {
        let endless = std::fs::File::create(file).unwrap();
        endless.set_len(60 << 30).unwrap();
    });
    let error = staged(backend, false).await.error.unwrap();
    assert!(
        error.contains("staging_info.yml is larger than 1048576 bytes"),
        "{error}"
    );
    // What leads to the host leads nowhere.
    let (_dir, backend) = runner(|file| std::os::unix::fs::symlink("/dev/zero", file).unwrap());
    let error = staged(backend, false).await.error.unwrap();
    assert!(error.contains("left no result"), "{error}");
}

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

contract_tests!(process);

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

//! Bad input and exhausted pools are errors that name step and resource, and
//! leave nothing behind.

use std::sync::Arc;

use warden::{Backend, Error, Limits, LinuxBackend, LinuxConfig, ProcessSpec, Rootfs};

use crate::contract::{plain_spec, script, started, until};
use crate::{Scratch, config, end_depot, linux, may_run, opened};

async fn open(change: impl FnOnce(&mut LinuxConfig)) -> Option<(Scratch, LinuxBackend)> {
    opened(|config| {
        // Pools of the host must not be what runs out.
        config.register = config.depot.with_file_name("register");
        change(config);
    })
    .await
}

/// The register is inside, so the depot goes by hand, after background work let go of it.
fn end(backend: LinuxBackend, dir: &Scratch) {
    drop(backend);
    let (depot, register) = (dir.depot(), dir.0.path().join("register"));
    let mut last = None;
    for _ in 0..2000 {
        match warden::teardown(&depot, Some(register.clone())) {
            Ok(_) => return,
            Err(error) => last = Some(error),
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("teardown: {last:?}");
}

#[tokio::test]
async fn out_of_ports_names_the_pool_and_a_container_stays_usable() {
    let small = |c: &mut LinuxConfig| c.port_range = (64_000, 64_249);
    let Some((dir, backend)) = open(small).await else {
        return;
    };
    let container = backend.create(plain_spec()).await.unwrap();
    for _ in 0..250 {
        container.net_in(Some(80)).await.unwrap();
    }
    let error = container.net_in(Some(80)).await.unwrap_err();
    assert!(
        matches!(&error, Error::Exhausted { what: "port", pool } if pool == "64000-64249"),
        "{error}"
    );
    assert_eq!(script(&container, "exit 3").await.0.code, 3);
    backend.destroy(container.handle()).await.unwrap();
    end(backend, &dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_subnets_names_the_pool_and_leaves_nothing() {
    let small = |c: &mut LinuxConfig| {
        c.subnet_pool = "10.253.9.0/24".into();
        c.warm_networks = 0;
    };
    let Some((dir, backend)) = open(small).await else {
        return;
    };
    let backend = Arc::new(backend);
    let mut handles = Vec::new();
    for _ in 0..64 {
        handles.push(
            backend
                .create(plain_spec())
                .await
                .unwrap()
                .handle()
                .to_owned(),
        );
    }
    let error = backend.create(plain_spec()).await.err().unwrap();
    assert!(
        matches!(&error, Error::Exhausted { what: "subnet", pool } if pool == "10.253.9.0/24"),
        "{error}"
    );
    assert_eq!(
        std::fs::read_dir(dir.depot().join("c")).unwrap().count(),
        64
    );
    for handle in handles {
        backend.destroy(&handle).await.unwrap();
    }
    until(
        "a freed subnet is given out again",
        async || match backend.create(plain_spec()).await {
            Ok(container) => backend.destroy(container.handle()).await.is_ok(),
            Err(_) => false,
        },
    )
    .await;
    end(Arc::into_inner(backend).unwrap(), &dir);
}

#[tokio::test]
async fn out_of_uids_is_told_when_the_depot_is_opened() {
    if !may_run() {
        return;
    }
    let dir = Scratch::new();
    let config = LinuxConfig {
        uid_base: u32::MAX - 1000,
        register: dir.0.path().join("register"),
        ..config(dir.depot())
    };
    let error = LinuxBackend::open(config).await.err().unwrap();
    assert!(
        matches!(
            error,
            Error::Exhausted {
                what: "uid range",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_stack_is_named() {
    let Some(fixture) = linux().await else { return };
    let mut spec = plain_spec();
    spec.rootfs = Rootfs::Dir("/nowhere/stack".into());
    let error = fixture.backend.create(spec).await.err().unwrap();
    assert!(matches!(error, Error::NoStack { .. }));
    assert!(
        error
            .to_string()
            .contains("/nowhere/stack: there is no such directory"),
        "{error}"
    );
    assert!(
        fixture
            .backend
            .list(&Default::default())
            .await
            .unwrap()
            .is_empty()
    );
    fixture.end();
}

#[tokio::test]
async fn a_memory_limit_below_what_is_in_use_changes_nothing() {
    let Some(fixture) = linux().await else { return };
    let mut spec = plain_spec();
    spec.limits.memory_bytes = Some(128 << 20);
    let container = fixture.backend.create(spec).await.unwrap();
    let text =
        "python3 -c 'x = bytearray(60 << 20); print(1, flush=True); import time; time.sleep(1000)'";
    let job = started(&container, ProcessSpec::script(text)).await;
    let lower = Limits {
        memory_bytes: Some(32 << 20),
        ..Limits::default()
    };
    let error = container.limit(&lower).await.unwrap_err();
    assert!(
        matches!(&error, Error::BelowUsage { resource, used, .. } if resource == "memory" && *used > 60 << 20),
        "{error}"
    );
    let info = container.info().await.unwrap();
    assert_eq!(
        (info.limits.memory_bytes, info.jobs),
        (Some(128 << 20), vec![job])
    );
    assert!(info.events.is_empty(), "{:?}", info.events);
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

/// A file system of 400 kB below a scratch directory.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: std::path::PathBuf) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=400k", "small"])
            .arg(&at)
            .status();
        assert!(mounted.unwrap().success());
        Self(at)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

#[tokio::test]
async fn a_full_depot_fails_the_creation_by_its_step_and_leaves_nothing() {
    if !may_run() {
        return;
    }
    let dir = Scratch::new();
    let disk = SmallDisk::mount(dir.0.path().join("disk"));
    let depot = disk.0.join("depot");
    let config = LinuxConfig {
        warm_images: 0,
        ..config(depot.clone())
    };
    let backend = LinuxBackend::open(config).await.unwrap();
    let mut spec = plain_spec();
    spec.limits.disk_bytes = Some(512 << 20);
    let error = backend.create(spec).await.err().unwrap().to_string();
    assert!(error.contains("No space left"), "{error}");
    assert_eq!(std::fs::read_dir(depot.join("c")).unwrap().count(), 0);
    drop(backend);
    end_depot(&depot);
}

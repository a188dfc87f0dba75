//! What is seen of a container from outside: ports, labels, files.

use std::collections::BTreeMap;

use warden::{Backend, BindMount, ProcessSpec};

use super::{fetch, plain_spec, script, started};

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
    started(&container, spec).await;
    assert_eq!(fetch("127.0.0.1", port.host_port).await, "hello");
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

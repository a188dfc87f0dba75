//! What a container names is read from the host by kind, with the rights of the container's user.

use std::io::Read;

use warden::{Entry, Error, Inside, Unreadable};

use crate::contract::{plain_spec, script};
use crate::linux;

/// What a hostile app puts into its home.
const TRAPS: &str = r#"cd /home/vcap && mkdir -p app/sub && echo text > app/plain && ln -s plain app/link
ln -s /dev/zero app/zero && mkfifo app/fifo && truncate -s 3G app/sparse && ln -s /proc/self/mem app/mem
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("/home/vcap/app/socket")'
ln -s ../../../../../../etc/shadow app/shadow && ln -s /proc/1/root/etc/passwd app/root
echo own > app/own && chmod 600 app/own && echo none > app/none && chmod 000 app/none"#;

#[tokio::test]
async fn only_what_the_app_could_read_itself_and_only_regular_files() {
    let Some(fixture) = linux().await else { return };
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    assert_eq!(script(&container, TRAPS).await.0.code, 0);
    for (path, content) in [("plain", "text\n"), ("link", "text\n"), ("own", "own\n")] {
        let found = container.look(&format!("/home/vcap/app/{path}"), 0).await;
        let Ok(Inside::File { mut file, size }) = found else {
            panic!("{path}: {found:?}");
        };
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(
            (text.as_str(), size),
            (content, content.len() as u64),
            "{path}"
        );
    }
    let sparse = container.look("/home/vcap/app/sparse", 0).await.unwrap();
    assert!(matches!(sparse, Inside::File { size, .. } if size == 3 << 30));
    for (path, expected) in [
        ("app/fifo", Unreadable::Kind("a FIFO")),
        ("app/socket", Unreadable::Kind("a socket")),
        // Where the host looks, a container has no devices and no proc.
        ("app/zero", Unreadable::Absent),
        ("app/mem", Unreadable::Absent),
        ("app/root", Unreadable::Absent),
        ("app/none", Unreadable::Denied),
        ("nothing", Unreadable::Absent),
    ] {
        match container.look(&format!("/home/vcap/{path}"), 0).await {
            Err(Error::Unreadable { why, .. }) => assert_eq!(why, expected, "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
    let shadow = container.look("/home/vcap/app/shadow", 0).await;
    assert!(
        matches!(shadow, Err(Error::Unreadable { .. })),
        "{shadow:?}"
    );
    let Ok(Inside::Directory { entries, is_whole }) = container.look("/home/vcap/app", 100).await
    else {
        panic!("a directory");
    };
    assert!(is_whole);
    assert_eq!(
        (entries["sub"], entries["plain"]),
        (Entry::Directory, Entry::Other(5))
    );
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

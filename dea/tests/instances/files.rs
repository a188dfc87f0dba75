//! `cf files` on an app that puts traps into its home.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use bus::dea::Found;
use dea::limits::{DIRECTORY_ENTRIES, FILE_BYTES, FILE_READERS};
use reqwest::StatusCode;
use warden::{Script, ScriptedBackend};

use super::{Stage, the_app, until};

/// A DEA with an instance of an app whose home is a directory of the test.
struct Home {
    dir: tempfile::TempDir,
    stage: Stage,
    client: reqwest::Client,
}

impl Home {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("home/vcap/app")).unwrap();
        let script = Script {
            container_path: dir.path().into(),
            ..the_app(Default::default())
        };
        let stage = Stage::set(ScriptedBackend::new(script), |_| ()).await;
        stage.order_instance().await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { dir, stage, client }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("home/vcap").join(name)
    }

    fn sparse(&self, name: &str, size: u64) {
        let file = File::create(self.path(name)).unwrap();
        file.set_len(size).unwrap();
    }

    /// The address of a path of the instance, once it runs.
    async fn url(&self, path: &str) -> String {
        let find = serde_json::json!({"droplet": "app-1", "states": ["RUNNING"], "path": path});
        loop {
            let patience = Duration::from_secs(1);
            let found = self
                .stage
                .bus
                .gather::<_, Found>("dea.find.droplet", &find, 1, patience);
            if let Some(url) = found
                .await
                .unwrap()
                .into_iter()
                .find_map(|found| found.file_uri_v2)
            {
                return url;
            }
        }
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        let url = self.url(path).await;
        self.client.get(url).send().await.unwrap()
    }

    async fn text(&self, path: &str) -> (StatusCode, String) {
        let answer = self.get(path).await;
        (answer.status(), answer.text().await.unwrap())
    }
}

#[tokio::test]
async fn regular_files_and_directories_are_read_and_nothing_else() {
    let home = Home::new().await;
    fs::write(home.path("app/plain"), "text").unwrap();
    fs::write(home.path("app/.hidden"), "").unwrap();
    fs::create_dir(home.path("app/sub")).unwrap();
    symlink("plain", home.path("app/link")).unwrap();
    symlink("/dev/zero", home.path("app/zero")).unwrap();
    symlink("../../../../../../etc/hostname", home.path("app/out")).unwrap();
    let fifo = Command::new("mkfifo").arg(home.path("app/fifo")).status();
    assert!(fifo.unwrap().success());
    assert_eq!(
        home.text("app/plain").await,
        (StatusCode::OK, "text".into())
    );
    assert_eq!(
        home.text("/app/link").await,
        (StatusCode::OK, "text".into())
    );
    for path in ["app/zero", "app/out", "app/nothing"] {
        assert_eq!(home.text(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let (status, reason) = home.text("app/fifo").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(reason.contains("it is a FIFO"), "{reason}");
    let (status, list) = home.text("app").await;
    assert_eq!(status, StatusCode::OK);
    let lines: Vec<&str> = list.lines().collect();
    let expected = [
        format!("{:<35}{:>10}", "fifo", "0B"),
        format!("{:<35}{:>10}", "link", "4B"),
        format!("{:<35}{:>10}", "plain", "4B"),
        format!("{:<35}{:>10}", "sub/", "-"),
        format!("{:<35}{:>10}", ".hidden", "0B"),
    ];
    assert_eq!(lines, expected);
    home.stage.end().await;
}

#[tokio::test]
async fn a_file_beyond_the_limit_is_refused_with_its_size() {
    let home = Home::new().await;
    for (size, expected) in [
        (FILE_BYTES, StatusCode::OK),
        (FILE_BYTES + 1, StatusCode::PAYLOAD_TOO_LARGE),
        (100 * FILE_BYTES, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        home.sparse("app/sparse", size);
        let answer = home.get("app/sparse").await;
        assert_eq!(answer.status(), expected, "{size}");
        let body = answer.bytes().await.unwrap();
        match expected {
            StatusCode::OK => assert_eq!(body.len() as u64, FILE_BYTES),
            _ => assert!(String::from_utf8_lossy(&body).contains(&size.to_string())),
        }
    }
    home.stage.end().await;
}

#[tokio::test]
async fn a_long_directory_is_listed_up_to_the_limit() {
    let home = Home::new().await;
    for n in 0..=DIRECTORY_ENTRIES {
        File::create(home.path(&format!("app/{n}"))).unwrap();
    }
    let (_, list) = home.text("app").await;
    assert_eq!(list.lines().count(), DIRECTORY_ENTRIES + 1);
    assert!(list.ends_with("the others are not listed)\n"));
    fs::remove_file(home.path("app/0")).unwrap();
    let (_, list) = home.text("app").await;
    assert_eq!(list.lines().count(), DIRECTORY_ENTRIES);
    home.stage.end().await;
}

/// Whether the DEA has the file open.
fn is_open(home: &Home, name: &str) -> bool {
    let path = home.path(name);
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter_map(|fd| fs::read_link(fd.path()).ok())
        .any(|target| target == path)
}

#[tokio::test]
async fn one_instance_does_not_take_the_readers_of_others_and_reading_ends_with_its_client() {
    let home = Home::new().await;
    home.sparse("app/large", FILE_BYTES);
    let mut readers = Vec::new();
    for _ in 0..FILE_READERS {
        let mut answer = home.get("app/large").await;
        assert_eq!(answer.status(), StatusCode::OK);
        // The rest waits for a client that takes no more.
        answer.chunk().await.unwrap().unwrap();
        readers.push(answer);
    }
    assert_eq!(home.text("app").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert!(is_open(&home, "app/large"));
    drop(readers);
    until("the files are closed", || {
        (!is_open(&home, "app/large")).then_some(())
    })
    .await;
    assert_eq!(home.text("app").await.0, StatusCode::OK);
    home.stage.end().await;
}

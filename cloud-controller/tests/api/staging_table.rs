//! `tables/staging.txt`: stagings that go well, badly, late and twice, told by the real controller to stagers played here.

use crate::support::dea::{sha1_hex, upload};
use crate::support::files::files_below;
use crate::support::stagers::{Heard, Room, Stagers};
use crate::support::table;
use crate::support::{Answer, Platform, first_guid, read, wait_for_package_state, zip_of};
use reqwest::Method;
use serde_json::{Value, json};

/// One line.
struct Row {
    situation: String,
    steps: Vec<String>,
    reads: String,
    app: String,
    written: String,
    events: String,
}

/// What begins with `[pool …]`.
struct Section {
    pool: Vec<Room>,
    timeout: Option<u64>,
    rows: Vec<Row>,
}

const IDS: [&str; 2] = ["stager-aaaaaaaa", "stager-bbbbbbbb"];

fn sections() -> Vec<Section> {
    let mut all: Vec<Section> = Vec::new();
    let text = table::text("staging.txt");
    let lines = text.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line
            .strip_prefix("[pool")
            .and_then(|rest| rest.strip_suffix(']'))
        {
            Some(words) => all.push(section(words)),
            None => all.last_mut().unwrap().rows.push(row(line)),
        }
    }
    all
}

fn section(words: &str) -> Section {
    let (mut pool, mut timeout) = (Vec::new(), None);
    for word in words.split_whitespace() {
        if let Some(seconds) = word.strip_prefix("timeout=") {
            timeout = Some(seconds.parse().unwrap());
            continue;
        }
        let (name, room) = word.split_once(':').unwrap();
        let id = IDS[usize::from(name.starts_with('B'))];
        let mut parts = room.split('/');
        let mut stager = Room::of(id, parts.next().unwrap().parse().unwrap());
        stager.disk = parts
            .next()
            .map_or(stager.disk, |disk| disk.parse().unwrap());
        stager.stack = parts.next().map_or("host", |_| "debian12");
        stager.listens = !name.ends_with('!');
        pool.push(stager);
    }
    Section {
        pool,
        timeout,
        rows: Vec::new(),
    }
}

fn row(line: &str) -> Row {
    let columns: Vec<String> = line.split('|').map(|text| text.trim().to_owned()).collect();
    let [situation, steps, reads, app, written, events] = &columns[..] else {
        panic!("not six columns: {line}");
    };
    Row {
        situation: situation.clone(),
        steps: steps.split_whitespace().map(str::to_owned).collect(),
        reads: reads.clone(),
        app: app.clone(),
        written: written.clone(),
        events: events.clone(),
    }
}

/// One row on its way.
struct Play<'a> {
    platform: &'a Platform,
    stagers: &'a mut Stagers,
    app: String,
    heard: Vec<Heard>,
    last: Option<Answer>,
}

impl Play<'_> {
    async fn step(&mut self, step: &str) {
        let (first, word) = match step.strip_prefix("1.") {
            Some(word) => (true, word),
            None => (false, step),
        };
        if word == "hear" {
            let heard = self.stagers.next(&self.app).await;
            self.heard.push(heard);
        } else if matches!(word, "STAGED" | "FAILED" | "over") {
            self.wait_for(word).await;
        } else if let Some(answer) = self.of_user(word).await {
            self.last = Some(answer);
        } else {
            let heard = if first {
                self.heard.first()
            } else {
                self.heard.last()
            };
            let heard = heard
                .unwrap_or_else(|| panic!("{step} before hear"))
                .clone();
            if let Some(answer) = self.of_stager(word, &heard).await {
                self.last = Some(answer);
            }
        }
    }

    async fn wait_for(&self, word: &str) {
        if word != "over" {
            wait_for_package_state(self.platform, &self.app, word).await;
            return;
        }
        let task = self.heard.last().unwrap().task().to_owned();
        crate::support::eventually("the stager's last word is noted", async || {
            let path = format!("/v2/apps/{}", self.app);
            let entity = &self.platform.get(&path).await.expect(200)["entity"];
            let noted = entity["detected_start_command"] == format!("./run {task}");
            noted.then_some(())
        })
        .await;
    }

    /// What users and operators do; nothing when the word is not theirs.
    async fn of_user(&self, word: &str) -> Option<Answer> {
        let path = format!("/v2/apps/{}", self.app);
        let platform = self.platform;
        Some(match word {
            "start" => platform.put(&path, json!({"state": "STARTED"})).await,
            "stop" => platform.put(&path, json!({"state": "STOPPED"})).await,
            "restage" => platform.post(&format!("{path}/restage"), Value::Null).await,
            "delete" => platform.delete(&format!("{path}?recursive=true")).await,
            "instances" => platform.get(&format!("{path}/instances")).await,
            "bits" => {
                platform
                    .upload_bits(
                        &self.app,
                        json!([]),
                        Some(zip_of(&[("other.txt", &self.app, 0o100_644)])),
                    )
                    .await
            }
            "same-bits" => {
                platform
                    .upload_bits(
                        &self.app,
                        json!([]),
                        Some(zip_of(&[("hello.txt", "hello", 0o100_644)])),
                    )
                    .await
            }
            "new-buildpack" => new_buildpack(platform, &self.app).await,
            _ => return None,
        })
    }

    /// What a stager says, sends and fetches.
    async fn of_stager(&self, word: &str, heard: &Heard) -> Option<Answer> {
        let platform = self.platform;
        let droplet = format!("droplet of {}", heard.task());
        let said = match word {
            "setup" => json!({"task_streaming_log_url": null, "error": null}),
            "done" => {
                json!({"detected_buildpack": "test", "droplet_sha1": sha1_hex(droplet.as_bytes()),
                             "detected_start_command": format!("./run {}", heard.task())})
            }
            "busy" => json!({"error": "Not enough memory resources available"}),
            "broken" => json!({"error": "it broke"}),
            "stopped" => json!({"error": "Error staging: task stopped"}),
            "droplet" => {
                return Some(
                    upload(
                        platform,
                        heard.address("upload_uri"),
                        droplet.as_bytes(),
                        &[],
                    )
                    .await,
                );
            }
            "other-droplet" => {
                return Some(upload(platform, heard.address("upload_uri"), b"other", &[]).await);
            }
            "cache" => {
                return Some(
                    upload(
                        platform,
                        heard.address("buildpack_cache_upload_uri"),
                        b"cache",
                        &[],
                    )
                    .await,
                );
            }
            "package" => {
                return Some(read(platform.client.get(heard.address("download_uri"))).await);
            }
            "buildpack" => {
                let address = heard.request["admin_buildpacks"][0]["url"]
                    .as_str()
                    .unwrap();
                return Some(read(platform.client.get(address)).await);
            }
            other => {
                let kind = other
                    .strip_prefix("fail:")
                    .unwrap_or_else(|| panic!("no such step: {other}"));
                json!({"error": "x", "error_info": {"type": kind, "message": "because"}})
            }
        };
        self.stagers.reply(heard, said).await;
        None
    }

    /// Droplets and build caches of the app in the blobstore.
    fn written(&self) -> String {
        let blobs = self.platform.dir.path().join("blobs/cc-droplets");
        let found = files_below(&blobs).into_iter();
        let found: Vec<String> = found.map(|path| path.display().to_string()).collect();
        let of_app = found.iter().filter(|path| path.contains(&self.app));
        let mut words: Vec<&str> = of_app
            .map(|path| {
                if path.contains("buildpack_cache") {
                    "cache"
                } else {
                    "droplet"
                }
            })
            .collect();
        words.sort_unstable_by(|a, b| b.cmp(a));
        if words.is_empty() {
            "nothing".into()
        } else {
            words.join(" ")
        }
    }

    async fn standing(&self) -> String {
        let answer = self.platform.get(&format!("/v2/apps/{}", self.app)).await;
        if answer.status == 404 {
            return "gone".into();
        }
        let entity = &answer.expect(200)["entity"];
        let state = entity["package_state"].as_str().unwrap();
        match entity["staging_failed_reason"].as_str() {
            Some(reason) => format!("{state} {reason}"),
            None => state.to_owned(),
        }
    }

    async fn events(&self) -> String {
        let path = format!("/v2/events?q=actee:{}&results-per-page=100", self.app);
        let list = self.platform.get(&path).await.expect(200);
        let kinds = list["resources"].as_array().unwrap().iter();
        let kinds: Vec<&str> = kinds
            .map(|event| event["entity"]["type"].as_str().unwrap())
            .map(|kind| kind.trim_start_matches("audit.app."))
            .collect();
        kinds.join(" ")
    }
}

async fn new_buildpack(platform: &Platform, content: &str) -> Answer {
    let list = platform.get("/v2/buildpacks").await.expect(200);
    let url = format!("{}/v2/buildpacks/{}/bits", platform.base, first_guid(&list));
    let zip = zip_of(&[("bin/detect", content, 0o100_755)]);
    let part = reqwest::multipart::Part::bytes(zip).file_name("new.zip");
    let form = reqwest::multipart::Form::new().part("buildpack", part);
    let request = platform.client.request(Method::PUT, url);
    let request = request.header("authorization", format!("bearer {}", platform.token));
    let answer = read(request.multipart(form)).await;
    assert_eq!(answer.status.as_u16(), 201);
    answer
}

fn check_answer(row: &Row, answer: &Answer) {
    let told = String::from_utf8_lossy(&answer.bytes).into_owned();
    let mut words = row.reads.splitn(3, ' ');
    let status: u16 = words.next().unwrap().parse().unwrap();
    assert_eq!(answer.status.as_u16(), status, "{}: {told}", row.situation);
    let Some(code) = words.next() else { return };
    let body = answer.json();
    assert_eq!(body["code"].to_string(), code, "{}: {told}", row.situation);
    let text = body["description"].as_str().unwrap();
    let expected = words.next().unwrap_or_default();
    assert!(
        text.contains(expected),
        "{}: {expected:?} in {text:?}",
        row.situation
    );
}

async fn play(section: &Section) {
    let platform = Platform::start_with(|config| {
        if let Some(seconds) = section.timeout {
            config.staging.timeout_seconds = seconds;
        }
        if section.pool.is_empty() {
            config.staging.locate_wait_ms = 100;
        }
    })
    .await;
    let mut stagers = Stagers::start(&platform, &section.pool).await;
    for (at, row) in section.rows.iter().enumerate() {
        let app = platform.create_app_with_bits(&format!("app{at}")).await;
        let mut play = Play {
            platform: &platform,
            stagers: &mut stagers,
            app,
            heard: Vec::new(),
            last: None,
        };
        for step in &row.steps {
            play.step(step).await;
        }
        check_answer(row, play.last.as_ref().unwrap());
        let (standing, written, events) =
            (play.standing().await, play.written(), play.events().await);
        let found = (standing.as_str(), written.as_str(), events.as_str());
        let expected = (row.app.as_str(), row.written.as_str(), row.events.as_str());
        assert_eq!(found, expected, "{}", row.situation);
    }
    if section
        .pool
        .iter()
        .all(|room| room.memory >= 1024 && room.stack == "host" && room.disk > 4096 && room.listens)
        && !section.pool.is_empty()
    {
        no_stray_request(&platform, &mut stagers).await;
    }
}

/// Every request was one that its row speaks of: after a marker, nothing is left over.
async fn no_stray_request(platform: &Platform, stagers: &mut Stagers) {
    let marker = platform.create_app_with_bits("marker").await;
    let path = format!("/v2/apps/{marker}");
    platform
        .put(&path, json!({"state": "STARTED"}))
        .await
        .expect(201);
    stagers.next(&marker).await;
    let strays: Vec<&str> = stagers.strays.iter().map(Heard::app).collect();
    assert!(strays.is_empty(), "asked for without need: {strays:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_situation_ends_as_the_table_says() {
    let sections = sections();
    assert!(
        sections
            .iter()
            .map(|section| section.rows.len())
            .sum::<usize>()
            >= 50
    );
    futures_util::future::join_all(sections.iter().map(play)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_start_and_restage_at_once_one_is_heard() {
    let platform = Platform::start().await;
    let pool = IDS.map(|id| Room::of(id, 100_000));
    let mut stagers = Stagers::start(&platform, &pool).await;
    let app = platform.create_app_with_bits("wanted").await;
    let path = format!("/v2/apps/{app}");
    let start = || platform.put(&path, json!({"state": "STARTED"}));
    let answers = futures_util::future::join_all((0..8).map(|_| start())).await;
    // Who looked before and wrote after another is told to look again; nobody begins a second staging.
    let started = |answer: &&Answer| answer.status == 201;
    assert!(answers.iter().filter(started).count() >= 1);
    let heard = stagers.next(&app).await;
    upload(&platform, heard.address("upload_uri"), b"droplet", &[])
        .await
        .expect(200);
    stagers
        .reply(
            &heard,
            json!({"droplet_sha1": sha1_hex(b"droplet"), "detected_start_command": "./run"}),
        )
        .await;
    wait_for_package_state(&platform, &app, "STAGED").await;

    let again = format!("{path}/restage");
    let restage = || platform.post(&again, Value::Null);
    let answers = futures_util::future::join_all((0..8).map(|_| restage())).await;
    let accepted = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(accepted, 1, "one restage");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.expect_error(400, 170_002, "CF-NotStaged");
    }
    stagers.next(&app).await;
    let marker = platform.create_app_with_bits("marker").await;
    platform
        .put(&format!("/v2/apps/{marker}"), json!({"state": "STARTED"}))
        .await
        .expect(201);
    stagers.next(&marker).await;
    assert!(stagers.strays.is_empty(), "{:?}", stagers.strays);
}

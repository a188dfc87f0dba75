//! Who is hostile, and how: a table of kinds, and the organizations that do it.

use std::collections::BTreeMap;
use std::process::Child;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::binaries::{Noise, Platform, User, sample_app};

use super::clients::{Door, Ground, Harm, Hold};
use super::plan::Plan;
use super::tally::Tally;

/// The hostile organizations; what is pushed goes to one after the other.
const ORGANIZATIONS: [&str; 2] = ["hostile-0", "hostile-1"];
/// What each of them may promise to its apps.
const QUOTA: &str = "2G";
/// Stagings of each that hang.
const HANGING: usize = 4;

/// One kind of hostility.
#[derive(Debug)]
pub(super) struct Kind {
    /// What the report calls it.
    pub(super) name: &'static str,
    act: Act,
    /// One of these is counted where it took effect.
    pub(super) effect: &'static [&'static str],
    /// One of these is counted where it was limited; empty where its sender does not see the limit.
    pub(super) limit: &'static [&'static str],
}

#[derive(Debug)]
enum Act {
    /// An app of the sample `hostile` in this mode.
    App(&'static str),
    /// Apps whose build never ends.
    Stagings,
    /// Clients.
    Clients(Harm),
}

impl Kind {
    /// Whether it is wanted: all are, unless `BLOOMERY_HOSTILE_ONLY` is set to words, separated by commas, that their names hold.
    pub(super) fn is_wanted(&self) -> bool {
        let only = std::env::var("BLOOMERY_HOSTILE_ONLY").unwrap_or_default();
        only.is_empty() || only.split(',').any(|word| self.name.contains(word))
    }
}

const fn app(name: &'static str, mode: &'static str, limit: &'static [&'static str]) -> Kind {
    Kind {
        name,
        act: Act::App(mode),
        // Who takes too much may end before it is asked how much it was.
        effect: &["done", "out of memory"],
        limit,
    }
}

const fn hold(
    name: &'static str,
    door: Door,
    opening: fn(&Ground) -> Option<String>,
    drip: &'static str,
    limit: &'static [&'static str],
) -> Kind {
    Kind {
        name,
        act: Act::Clients(Harm::Hold(Hold {
            door,
            opening,
            drip,
        })),
        effect: &["opened"],
        limit,
    }
}

/// All of them.
pub(super) const KINDS: [Kind; 18] = [
    app("log: short lines", "short", &[]),
    app("log: lines of 60 KB", "long", &[]),
    app("log: binary", "binary", &[]),
    app("log: never a newline", "endless", &[]),
    app("forks", "fork", &["refused", "out of memory"]),
    app("fills its disk", "disk", &["refused"]),
    // Its limit, 200,000, is further away than the time of the story.
    app("fills its inodes", "inodes", &[]),
    app("takes memory", "memory", &["out of memory"]),
    app("DNS: half queries over TCP", "dns", &[]),
    Kind {
        name: "stagings that hang",
        act: Act::Stagings,
        effect: &["hang"],
        limit: &[],
    },
    hold(
        "API: silent connections",
        Door::Api,
        |_| Some(String::new()),
        "",
        &["closed"],
    ),
    hold(
        "API: heads that never end",
        Door::Api,
        |_| Some("GET /v2/info HTTP/1.1\r\nX-Slow: ".to_owned()),
        "x",
        &["closed"],
    ),
    hold(
        "router: silent connections",
        Door::Router,
        |_| Some(String::new()),
        "",
        &["closed"],
    ),
    hold(
        "router: heads that never end",
        Door::Router,
        |_| Some("GET / HTTP/1.1\r\nX-Slow: ".to_owned()),
        "x",
        &["closed"],
    ),
    hold(
        "router: bodies that never end",
        Door::Router,
        slow_body,
        "x",
        &[],
    ),
    hold(
        "logs: readers that do not read",
        Door::Api,
        log_stream,
        "",
        &[],
    ),
    Kind {
        name: "guesses passwords",
        act: Act::Clients(Harm::Guess),
        effect: &["401", "429"],
        limit: &["429"],
    },
    Kind {
        name: "matches of 34 MB",
        act: Act::Clients(Harm::Lists),
        effect: &["200", "503"],
        limit: &[],
    },
];

fn slow_body(ground: &Ground) -> Option<String> {
    let host = format!("hostile-short.{}", ground.domain);
    Some(format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\n"
    ))
}

fn log_stream(ground: &Ground) -> Option<String> {
    let (guid, token) = (ground.flooding.get()?, &ground.token);
    Some(format!(
        "GET /apps/{guid}/stream HTTP/1.1\r\nHost: logs\r\nAuthorization: {token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ))
}

/// The hostile tenants of a platform.
pub(super) struct Hostile<'a> {
    platform: &'a Platform,
    users: Vec<User<'a>>,
    ground: Arc<Ground>,
    tallies: Vec<Tally>,
    children: Mutex<Vec<Child>>,
}

impl<'a> Hostile<'a> {
    /// They have organizations, and have done nothing yet.
    pub(super) fn arrive(platform: &'a Platform, guessed: &str) -> Self {
        let users = ORGANIZATIONS.map(|name| platform.user(name, QUOTA));
        let settings = platform.settings();
        let door = |key: &str| ([127, 0, 0, 1], settings[key].as_u64().unwrap() as u16).into();
        let ground = Ground {
            api: door("api_port"),
            router: door("router_port"),
            domain: settings["domain"].as_str().unwrap().to_owned(),
            token: users[0].token(),
            flooding: std::sync::OnceLock::new(),
            names: vec!["admin".to_owned(), guessed.to_owned()],
            over: false.into(),
        };
        Self {
            platform,
            users: users.into(),
            ground: Arc::new(ground),
            tallies: KINDS.iter().map(|_| Tally::default()).collect(),
            children: Mutex::default(),
        }
    }

    /// Does everything for the time of the plan, then takes away what was pushed. What came of each kind, in their order.
    pub(super) fn rage(&self, plan: Plan) -> Vec<Tally> {
        let until = Instant::now() + plan.time;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        self.send_clients(&runtime, plan);
        std::thread::scope(|scope| {
            for (at, user) in self.users.iter().enumerate() {
                let mut dice = plan.dice(at as u64);
                let runtime = runtime.handle();
                scope.spawn(move || self.push_all(at, user, &mut dice, runtime));
            }
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            self.ground.over.store(true, Ordering::Relaxed);
        });
        runtime.shutdown_timeout(Duration::from_secs(5));
        self.look_back();
        for mut child in self.children.lock().unwrap().drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
        for name in ORGANIZATIONS {
            self.platform.cf(&["delete-org", name, "-f"]).well();
        }
        self.tallies.clone()
    }

    fn send_clients(&self, runtime: &tokio::runtime::Runtime, plan: Plan) {
        for (at, kind) in KINDS.iter().enumerate() {
            if let Act::Clients(harm) = kind.act
                && kind.is_wanted()
            {
                let dice = plan.dice(100 + at as u64);
                runtime.spawn(harm.run(Arc::clone(&self.ground), dice, self.tallies[at].clone()));
            }
        }
    }

    /// Pushes this organization's part of the apps, one after the other, in an order of the dice; then what hangs.
    fn push_all(
        &self,
        organization: usize,
        user: &User<'_>,
        dice: &mut Noise,
        runtime: &tokio::runtime::Handle,
    ) {
        let apps = KINDS
            .iter()
            .enumerate()
            .filter_map(|(at, kind)| match kind.act {
                Act::App(mode) if at % ORGANIZATIONS.len() == organization && kind.is_wanted() => {
                    Some((at, mode))
                }
                _ => None,
            });
        let mut apps: Vec<(usize, &str)> = apps.collect();
        // The first one stays: log readers wait for it.
        for at in (2..apps.len()).rev() {
            apps.swap(at, dice.between(1, at as u64) as usize);
        }
        let hanging = KINDS
            .iter()
            .position(|kind| matches!(kind.act, Act::Stagings) && kind.is_wanted());
        for (at, mode) in apps {
            self.push(user, mode, dice, &self.tallies[at]);
            runtime.spawn(ask(
                Arc::clone(&self.ground),
                mode,
                self.tallies[at].clone(),
            ));
        }
        for number in 0..HANGING {
            let Some(hanging) = hanging else { return };
            let name = format!("hanging-{number}");
            let line = [
                "push",
                &name,
                "-p",
                &sample_app("hanging"),
                "-m",
                "64M",
                "--no-start",
            ];
            let tally = &self.tallies[hanging];
            if self.ground.goes_on() && self.ends(user.cf_running(&line)) {
                tally.count("begun");
                let going_on = user.cf_running(&["start", &name]);
                self.children
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(going_on);
            }
        }
    }

    fn push(&self, user: &User<'_>, mode: &'static str, dice: &mut Noise, tally: &Tally) {
        if !self.ground.goes_on() {
            return;
        }
        let name = format!("hostile-{mode}");
        let memory = format!("{}M", dice.between(64, 128));
        let seed = dice.between(1, 1_000_000);
        let command = format!("exec /usr/bin/python3 hostile.py {mode} {seed}");
        let sample = sample_app("hostile");
        let line = [
            "push",
            &name,
            "-p",
            &sample,
            "-b",
            "binary_buildpack",
            "-m",
            &memory,
            "-k",
            "64M",
            "-c",
            &command,
        ];
        if !self.ends(user.cf_running(&line)) {
            tally.count("push failed");
        }
        if mode == "short" {
            let guid = user.cf(&["app", &name, "--guid"]);
            let _ = self.ground.flooding.set(guid.text().trim().to_owned());
        }
    }

    /// Waits for a command as long as there is time. Whether it ended well.
    fn ends(&self, mut child: Child) -> bool {
        // Its output is not looked at, and must not stop it.
        drop(child.stdout.take().map(|mut out| {
            std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()))
        }));
        while self.ground.goes_on() {
            if let Ok(Some(status)) = child.try_wait() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }

    /// Counts what only the platform can tell: ends for want of memory, gaps of logs, stagings that still go on.
    fn look_back(&self) {
        for (at, kind) in KINDS.iter().enumerate() {
            let tally = &self.tallies[at];
            match kind.act {
                Act::App(mode) => {
                    let user = &self.users[at % ORGANIZATIONS.len()];
                    let name = format!("hostile-{mode}");
                    let events = user.cf(&["events", &name]);
                    tally.add("out of memory", lines_with(events.text(), "out of memory"));
                    let recent = user.cf(&["logs", &name, "--recent"]);
                    tally.add(
                        "gaps in the recent log",
                        lines_with(recent.text(), "lines were lost"),
                    );
                }
                Act::Stagings => tally.add("hang", self.hanging()),
                Act::Clients(_) => {}
            }
        }
    }

    fn hanging(&self) -> u64 {
        let pending = |user: &User<'_>, number: usize| {
            let guid = user.cf(&["app", &format!("hanging-{number}"), "--guid"]);
            let app = user.cf(&["curl", &format!("/v2/apps/{}", guid.text().trim())]);
            let app: Value = serde_json::from_str(app.text()).unwrap_or_default();
            app["entity"]["package_state"] == "PENDING" && app["entity"]["state"] == "STARTED"
        };
        let of = |user| (0..HANGING).filter(|n| pending(user, *n)).count() as u64;
        self.users.iter().map(of).sum()
    }
}

fn lines_with(text: &str, part: &str) -> u64 {
    text.lines().filter(|line| line.contains(part)).count() as u64
}

/// Asks a hostile app now and then how much it has done; an instance that is gone is counted as it was last seen.
async fn ask(ground: Arc<Ground>, mode: &'static str, tally: Tally) {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build();
    let client = client.expect("a client without certificates needs nothing");
    let mut seen: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    while ground.goes_on() {
        let request = client
            .get(format!("http://{}/", ground.router))
            .header("Host", format!("hostile-{mode}.{}", ground.domain));
        if let Ok(answer) = request.send().await
            && let Ok(counts) = answer.json::<Value>().await
        {
            let number = |key: &str| counts[key].as_u64().unwrap_or(0);
            let instance = counts["instance"].as_str().unwrap_or_default().to_owned();
            let now = (number("done"), number("refused"));
            let before = seen.insert(instance, now).unwrap_or_default();
            tally.add("done", now.0.saturating_sub(before.0));
            tally.add("refused", now.1.saturating_sub(before.1));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

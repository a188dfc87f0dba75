//! The good tenant: answers, pushes, scales, and writes a log of numbered lines that somebody reads.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tests::binaries::{PATIENCE, Platform, Times, Typed, User, eventually, sample_app};

/// Its name, and its organization's.
pub(super) const NAME: &str = "good";
/// Rounds of work that are measured before anybody is hostile.
pub(super) const QUIET_ROUNDS: usize = 3;

/// The good tenant of a platform.
pub(super) struct Good<'a> {
    platform: &'a Platform,
    user: User<'a>,
    tail: Child,
    reader: Option<JoinHandle<()>>,
    log: Arc<Mutex<Vec<String>>>,
    pushes: u64,
}

/// What came of its work for a while.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Answers of its app.
    pub(super) times: Times,
    /// How long each push took.
    pub(super) pushes: Vec<Duration>,
    /// How often it scaled.
    pub(super) scalings: u64,
    /// Commands that failed, with what they said.
    pub(super) failed: Vec<String>,
}

impl Work {
    /// The push in the middle.
    pub(super) fn push(&self) -> Duration {
        let mut sorted = self.pushes.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

/// What of its log arrived.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Lines the app wrote since its reader was there.
    pub(super) written: u64,
    /// Of these, different ones that were read.
    pub(super) seen: u64,
    /// Lines that were read twice or out of order.
    pub(super) wrong: u64,
    /// Lines that say that others are missing.
    pub(super) gaps: Vec<String>,
}

impl<'a> Good<'a> {
    /// It has an app that answers, one that writes, and reads what that one writes.
    pub(super) fn arrive(platform: &'a Platform) -> Self {
        let user = platform.user(NAME, "2G");
        let python = ["-b", "binary_buildpack"];
        let push = |name: &str, sample: &str, flags: &[&str]| {
            let line = ["push", name, "-p", &sample_app(sample), "-m", "64M"];
            user.cf(&[&line, flags].concat()).well();
        };
        push("web", "static", &[]);
        push("scribe", "scribe", &python);
        let mut tail = user.cf_running(&["logs", "scribe"]);
        let log = Arc::new(Mutex::new(Vec::new()));
        let output = BufReader::new(tail.stdout.take().unwrap());
        let kept = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        });
        let good = Self {
            platform,
            user,
            tail,
            reader: Some(reader),
            log,
            pushes: 0,
        };
        eventually("the log of the scribe is read", || {
            good.numbers().last().map(|_| ()).ok_or("no line yet")
        });
        good
    }

    /// Works, round after round, until it is told that it is enough; at least one whole round.
    pub(super) fn work(&mut self, mut enough: impl FnMut(usize) -> bool) -> Work {
        let paced = self.platform.paced("web");
        let mut work = Work::default();
        for round in 1.. {
            self.push(&mut work);
            self.scale(&mut work, 2);
            self.scale(&mut work, 1);
            if enough(round) {
                break;
            }
        }
        work.times = paced.end();
        work
    }

    /// A site that is another one each time.
    fn push(&mut self, work: &mut Work) {
        self.pushes += 1;
        let dir = self.platform.scratch().join("changing");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("Staticfile"), "").unwrap();
        std::fs::write(dir.join("index.html"), format!("version {}", self.pushes)).unwrap();
        let began = Instant::now();
        let path = dir.display().to_string();
        let typed = self
            .user
            .cf(&["push", "changing", "-m", "64M", "-p", &path]);
        work.pushes.push(began.elapsed());
        work.check(typed);
    }

    fn scale(&self, work: &mut Work, instances: usize) {
        work.scalings += 1;
        work.check(
            self.user
                .cf(&["scale", "web", "-i", &instances.to_string()]),
        );
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.user.cf(&["app", "web"]);
            let rows = shown.text().lines().filter(|line| line.starts_with('#'));
            if shown.succeeded()
                && rows.clone().count() == instances
                && rows.clone().all(|row| row.contains("running"))
            {
                return;
            }
            if Instant::now() > deadline {
                return work
                    .failed
                    .push(format!("not {instances} instances in time:\n{shown}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends the scribe's writing, and waits until all of it is read or no more comes.
    pub(super) fn log(&mut self) -> Log {
        let written: u64 = self.scribe("/stop").parse().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while self.numbers().last().is_none_or(|n| n + 1 < written) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
        let numbers = self.numbers();
        let first = numbers.first().copied().unwrap_or(0);
        let mut different = numbers.clone();
        different.sort_unstable();
        different.dedup();
        let steps = numbers.windows(2).filter(|pair| pair[1] <= pair[0]);
        Log {
            written: written.saturating_sub(first),
            seen: different.len() as u64,
            wrong: steps.count() as u64,
            gaps: self.gaps(),
        }
    }

    fn scribe(&self, path: &str) -> String {
        self.platform.app("scribe").body(path)
    }

    fn numbers(&self) -> Vec<u64> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let number = |line: &String| line.rsplit_once("OUT line ")?.1.trim().parse().ok();
        log.iter().filter_map(number).collect()
    }

    fn gaps(&self) -> Vec<String> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let gap = |line: &&String| {
            line.contains("lines were lost") || line.contains("lines were dropped")
        };
        log.iter().filter(gap).cloned().collect()
    }
}

impl Work {
    fn check(&mut self, typed: Typed) {
        if !typed.succeeded() {
            self.failed.push(typed.to_string());
        }
    }
}

impl Drop for Good<'_> {
    fn drop(&mut self) {
        let _ = self.tail.kill();
        let _ = self.tail.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

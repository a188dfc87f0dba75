//! The way to a loggregator that refuses, is away, or is slow.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use bus::log::{BATCH_BYTES, LogAnswer, LogBatch, LogLine};
use component::BasicAuth;
use warden::Stream;

use super::*;

/// What the loggregator of a test says to a batch.
type Judge = Arc<dyn Fn(&LogBatch, usize) -> Response + Send + Sync>;

#[derive(Clone)]
struct Intake {
    taken: Arc<Mutex<Vec<LogLine>>>,
    judge: Judge,
}

/// A loggregator, and the way to it.
struct Stage {
    intake: Intake,
    logs: Logs,
    tasks: Tasks,
}

impl Stage {
    async fn set(judge: impl Fn(&LogBatch, usize) -> Response + Send + Sync + 'static) -> Self {
        let intake = Intake {
            taken: Arc::default(),
            judge: Arc::new(judge),
        };
        let app = Router::new()
            .route(INTAKE_PATH, axum::routing::post(accept))
            .layer(axum::extract::DefaultBodyLimit::max(bus::log::INTAKE_BYTES))
            .with_state(intake.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let tasks = Tasks::new();
        let config = LoggregatorConfig {
            url,
            auth: BasicAuth::default(),
        };
        let logs = Logs::start(&config, &tasks).expect("client");
        Self {
            intake,
            logs,
            tasks,
        }
    }

    /// The output of an app's job; give lines to the sender.
    fn job(&self, app: &str) -> Job {
        let (sender, output) = mpsc::channel(16);
        let (cursor, over) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let pump = self
            .logs
            .pump(output, source(app), Arc::clone(&cursor), over.clone());
        Job {
            sender,
            cursor,
            over,
            pump: tokio::spawn(pump),
            next: 1,
        }
    }

    fn messages(&self, app: &str) -> Vec<String> {
        let taken = self.intake.taken.lock().expect("lock");
        let of_app = taken.iter().filter(|line| line.app_id == app);
        of_app.map(|line| line.message.clone()).collect()
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..6000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never happened: {what}");
    }
}

struct Job {
    sender: mpsc::Sender<Output>,
    cursor: Arc<AtomicU64>,
    over: CancellationToken,
    pump: tokio::task::JoinHandle<()>,
    next: u64,
}

impl Job {
    fn line(&mut self, data: &[u8]) -> Output {
        self.next += 1;
        Output::Line {
            seq: self.next - 1,
            at_ns: 0,
            stream: Stream::Stdout,
            data: data.to_vec(),
        }
    }

    async fn print(&mut self, data: &[u8]) {
        let line = self.line(data);
        self.sender.send(line).await.expect("the pump is alive");
    }

    /// Prints until nobody takes more.
    async fn flood(&mut self, data: &[u8]) {
        loop {
            let line = self.line(data);
            let sent = tokio::time::timeout(Duration::from_millis(300), self.sender.send(line));
            if sent.await.is_err() {
                self.next -= 1;
                return;
            }
        }
    }

    fn acknowledged(&self) -> u64 {
        self.cursor.load(Ordering::SeqCst)
    }
}

fn source(app: &str) -> Source {
    Source {
        app_id: app.into(),
        kind: "App",
        instance: "0".into(),
        instance_id: format!("{app}-i"),
    }
}

async fn accept(State(intake): State<Intake>, body: axum::body::Bytes) -> Response {
    let batch: LogBatch = serde_json::from_slice(&body).expect("a batch");
    let answer = (intake.judge)(&batch, body.len());
    if answer.status().is_success() {
        intake.taken.lock().expect("lock").extend(batch.lines);
    }
    answer
}

fn taken() -> Response {
    Json(LogAnswer::default()).into_response()
}

#[tokio::test]
async fn the_cursor_moves_only_when_the_loggregator_has_taken_the_lines() {
    let refusals = Arc::new(AtomicU64::new(2));
    let left = Arc::clone(&refusals);
    let stage = Stage::set(move |_, _| {
        let less = |n: u64| n.checked_sub(1);
        match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
            Ok(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Err(_) => taken(),
        }
    })
    .await;
    let mut job = stage.job("a");
    for _ in 1..=3 {
        job.print(b"x").await;
    }
    stage
        .until("all are taken", |_| job.acknowledged() == 3)
        .await;
    assert_eq!(stage.messages("a").len(), 3);
    assert_eq!(
        refusals.load(Ordering::SeqCst),
        0,
        "the refusals were used up"
    );
    stage.tasks.shutdown(Duration::from_secs(5)).await;
}

/// What filled a request beyond the intake's limit and stopped the logs of a whole DEA.
#[tokio::test]
async fn no_request_is_larger_than_the_intake_takes_whatever_an_app_prints() {
    let largest = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&largest);
    let stage = Stage::set(move |_, size| {
        seen.fetch_max(size as u64, Ordering::SeqCst);
        taken()
    })
    .await;
    let mut hostile = stage.job("hostile");
    let mut good = stage.job("good");
    for data in [vec![b'x'; 60_000], vec![0xff; 65_536], vec![0; 65_536]] {
        for _ in 0..200 {
            hostile.print(&data).await;
        }
        good.print(b"a line").await;
    }
    stage
        .until("all are taken", |_| hostile.acknowledged() == 600)
        .await;
    stage
        .until("the neighbour's too", |_| good.acknowledged() == 3)
        .await;
    assert_eq!(stage.messages("good"), ["a line"; 3]);
    let largest = largest.load(Ordering::SeqCst);
    assert!(largest as usize <= BATCH_BYTES, "{largest}");
}

#[tokio::test]
async fn a_refused_batch_is_cut_down_to_the_line_that_is_meant_and_the_loss_is_counted() {
    for status in [
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::BAD_REQUEST,
        StatusCode::UNPROCESSABLE_ENTITY,
    ] {
        let stage = Stage::set(move |batch, _| {
            let bad = |line: &LogLine| line.message.contains("poison");
            match batch.lines.iter().any(bad) {
                true => status.into_response(),
                false => taken(),
            }
        })
        .await;
        let (mut job, mut good) = (stage.job("a"), stage.job("good"));
        for seq in 1..=100 {
            let text = if seq % 40 == 0 { "poison" } else { "fine" };
            job.print(text.as_bytes()).await;
            good.print(b"x").await;
        }
        stage
            .until("all are settled", |_| {
                job.acknowledged() == 100 && good.acknowledged() == 100
            })
            .await;
        let told = |stage: &Stage| -> u64 {
            let messages = stage.messages("a");
            let lost = messages.iter().filter_map(|m| m.split_once(" log line"));
            lost.filter_map(|(count, _)| count.parse::<u64>().ok())
                .sum()
        };
        stage
            .until("the loss is told", |stage| told(stage) == 2)
            .await;
        assert_eq!(
            stage.messages("a").iter().filter(|m| *m == "fine").count(),
            98
        );
        assert_eq!(stage.messages("good").len(), 100);
    }
}

#[tokio::test]
async fn an_intake_that_refuses_everything_stops_nobody_for_ever() {
    let stage = Stage::set(|_, _| StatusCode::BAD_REQUEST.into_response()).await;
    let mut job = stage.job("a");
    for _ in 0..40 {
        job.print(b"x").await;
    }
    stage
        .until("all are settled", |_| job.acknowledged() == 40)
        .await;
    drop(job.sender);
    job.pump.await.expect("it ends");
}

#[tokio::test]
async fn lines_of_an_app_with_slow_readers_wait_and_those_of_others_do_not() {
    let open = Arc::new(AtomicU64::new(0));
    let is_open = Arc::clone(&open);
    let stage = Stage::set(move |batch, _| {
        let slow = batch
            .lines
            .iter()
            .filter(|line| line.app_id == "slow")
            .count();
        // One more line each time, once the reader reads.
        let left = slow.saturating_sub(is_open.load(Ordering::SeqCst) as usize);
        let deferred = (left > 0).then(|| ("slow".to_owned(), left));
        Json(LogAnswer {
            accepted: batch.lines.len() - left,
            deferred: deferred.into_iter().collect(),
        })
        .into_response()
    })
    .await;
    let (mut slow, mut good) = (stage.job("slow"), stage.job("good"));
    for _ in 0..20 {
        slow.print(b"x").await;
        good.print(b"x").await;
    }
    stage
        .until("the others are taken", |_| good.acknowledged() == 20)
        .await;
    assert_eq!(slow.acknowledged(), 0);
    open.store(3, Ordering::SeqCst);
    let mut last = 0;
    stage
        .until("all are taken, in their order", |_| {
            let now = slow.acknowledged();
            assert!(now >= last);
            last = now;
            now == 20
        })
        .await;
}

/// A loggregator that answers 500 to everything: nothing is sent on, and nothing grows.
#[tokio::test]
async fn what_cannot_be_shipped_in_time_is_counted() {
    let open = Arc::new(AtomicU64::new(0));
    let is_open = Arc::clone(&open);
    let stage = Stage::set(move |_, _| match is_open.load(Ordering::SeqCst) {
        0 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        _ => taken(),
    })
    .await;
    let mut job = stage.job("a");
    let line = vec![b'x'; 60_000];
    job.flood(&line).await;
    let printed = job.next - 1;
    // Queue, batch under way, channel: no more than that is held.
    assert!(printed * 60_000 < 4 << 20, "{printed} lines are held");
    // The DEA's own lines never wait.
    for _ in 0..10 {
        stage.logs.line(&source("a"), LogStream::Out, "of the DEA");
    }
    drop(job.sender);
    job.over.cancel();
    job.pump.await.expect("it ends while nobody takes a line");
    open.store(1, Ordering::SeqCst);
    let accounted = |stage: &Stage| -> u64 {
        let count = |m: &String| match m.split_once(" log line") {
            Some((count, _)) => count.parse().unwrap_or(0),
            None => 1,
        };
        stage.messages("a").iter().map(count).sum()
    };
    stage
        .until("every line is there or counted", |stage| {
            accounted(stage) == printed + 10
        })
        .await;
}

#[tokio::test]
async fn own_lines_are_numbered_by_app_and_kind() {
    let mut numbering = Numbering::new();
    let of = |app: &str, kind| Source {
        kind,
        ..source(app)
    };
    let (a, b, staging) = (of("a", "DEA"), of("b", "DEA"), of("a", "STG"));
    let numbers = [&a, &a, &b, &staging, &a].map(|source| numbering.next(source));
    assert_eq!(numbers.clone().map(|(_, seq)| seq), [1, 2, 1, 1, 3]);
    assert!(numbers[0].0 == numbers[1].0 && numbers[0].0 != numbers[2].0);
    for n in 0..NUMBERED_APPS {
        numbering.next(&of(&format!("app-{n}"), "DEA"));
    }
    assert!(numbering.last.len() <= NUMBERED_APPS);
    assert_ne!(numbering.next(&a).0, numbers[0].0, "a new name begins at 1");
}

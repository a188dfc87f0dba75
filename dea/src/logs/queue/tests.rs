use std::time::Duration;

use bus::log::{LogStream, MESSAGE_BYTES};

use super::*;

fn source(app: &str) -> Arc<Source> {
    Arc::new(Source {
        app_id: app.into(),
        kind: "App",
        instance: "0".into(),
        instance_id: format!("{app}-i"),
    })
}

fn item(app: &str, seq: u64, text: &str) -> Item {
    let source = source(app);
    let line = line::line(&source, seq, 0, LogStream::Out, text.to_owned());
    Item::new(&source, &line, None)
}

/// Offers lines until one is given back; how many were taken.
fn flood(queues: &mut Queues, app: &str, text: &str) -> u64 {
    let refused = |seq: &u64| queues.offer(item(app, *seq, text)).is_err();
    (1..).find(refused).expect("a queue has a bound") - 1
}

/// Every line that is waiting, batch by batch, as `app/number`.
fn drain(queues: &mut Queues) -> Vec<Vec<String>> {
    let mut batches = Vec::new();
    loop {
        let batch = queues.fill(Instant::now());
        if batch.is_empty() {
            return batches;
        }
        let name = |item: &Item| format!("{}/{}", item.app, item.seq);
        batches.push(batch.iter().map(name).collect());
    }
}

fn bytes(batch: &[Item]) -> usize {
    batch.iter().map(|item| item.text.len() + 1).sum()
}

/// The texts that a hostile app may print: short, long, binary, and what JSON makes six times as long.
fn floods() -> [String; 4] {
    [
        "x".into(),
        "x".repeat(60_000),
        String::from_utf8_lossy(&[0xff; MESSAGE_BYTES]).into_owned(),
        "\0".repeat(MESSAGE_BYTES),
    ]
}

#[test]
fn a_flood_fills_its_own_queue_only() {
    for text in floods() {
        let mut queues = Queues::default();
        assert!(flood(&mut queues, "flood", &text) > 0);
        let waiting = queues.apps["flood"].bytes;
        assert!(waiting <= LOG_QUEUE_BYTES, "{waiting}");
        for seq in 1..=100 {
            queues.offer(item("good", seq, "a line")).expect("room");
        }
        // The good app's lines go with the first requests.
        let first: Vec<String> = drain(&mut queues).into_iter().take(2).flatten().collect();
        let good = first.iter().filter(|name| name.starts_with("good/"));
        assert_eq!(good.count(), 100);
    }
}

#[test]
fn many_apps_share_the_whole() {
    let mut queues = Queues::default();
    let line = "x".repeat(1000);
    for app in 0..1000 {
        flood(&mut queues, &format!("app-{app}"), &line);
    }
    let apps = queues.apps.len();
    // Those that came while there were few have more than their share of now, and get no more.
    assert!(queues.offer(item("app-0", 0, "x")).is_err());
    let newest = queues.apps["app-999"].bytes;
    assert!(newest <= LOG_QUEUES_BYTES / apps + 2000, "{newest}");
}

#[test]
fn a_batch_is_bounded_by_lines_and_bytes() {
    for text in floods() {
        let mut queues = Queues::default();
        let apps = ["a", "b", "c"];
        let total: u64 = apps.map(|app| flood(&mut queues, app, &text)).iter().sum();
        let mut taken = 0;
        loop {
            let batch = queues.fill(Instant::now());
            if batch.is_empty() {
                break;
            }
            assert!(batch.len() <= LOG_BATCH_LINES && bytes(&batch) <= BATCH_BYTES);
            taken += batch.len() as u64;
        }
        assert_eq!(taken, total);
    }
}

#[test]
fn apps_take_turns_in_a_batch() {
    let mut queues = Queues::default();
    let long = "x".repeat(30_000);
    for seq in 1..=4 {
        queues.offer(item("a", seq, &long)).expect("room");
        queues.offer(item("b", seq, &long)).expect("room");
    }
    // A turn is 32 KiB: two such lines, since the first leaves room.
    let batches = drain(&mut queues);
    assert_eq!(
        batches.concat(),
        ["a/1", "a/2", "b/1", "b/2", "a/3", "a/4", "b/3", "b/4"]
    );
}

#[test]
fn a_line_too_large_for_the_rest_of_a_batch_comes_first_in_the_next() {
    let mut queues = Queues::default();
    let worst = "\0".repeat(MESSAGE_BYTES);
    for app in ["a", "b", "c"] {
        queues.offer(item(app, 1, &worst)).expect("room");
        queues.offer(item(app, 2, "x")).expect("room");
    }
    let batches = drain(&mut queues);
    assert_eq!(batches[0], ["a/1", "b/1"]);
    assert_eq!(batches[1][..2], ["c/1", "a/2"]);
}

#[test]
fn what_is_lost_is_counted_behind_what_was_waiting() {
    let mut queues = Queues::default();
    queues.offer(item("a", 1, "x")).expect("room");
    for _ in 0..7 {
        queues.lose(&source("a"), Loss::QueueFull, 1);
    }
    queues.lose(&source("a"), Loss::TooLate, 5);
    let texts: Vec<String> = queues
        .fill(Instant::now())
        .iter()
        .map(|item| String::from_utf8_lossy(&item.text).into_owned())
        .collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(
        texts[1].contains("7 log lines were lost: more lines"),
        "{}",
        texts[1]
    );
    assert!(
        texts[2].contains("5 log lines were lost: the loggregator did not"),
        "{}",
        texts[2]
    );
    assert!(queues.apps.is_empty() && queues.turns.is_empty());
}

#[test]
fn a_refused_report_is_not_reported_again() {
    let mut queues = Queues::default();
    queues.refuse(&item("a", 1, "x"));
    let reports = queues.fill(Instant::now());
    assert!(reports[0].is_report);
    queues.refuse(&reports[0]);
    assert!(queues.fill(Instant::now()).is_empty());
}

#[test]
fn what_comes_back_is_first_again_and_sits_out() {
    let mut queues = Queues::default();
    for seq in 1..=3 {
        queues.offer(item("slow", seq, "x")).expect("room");
        queues.offer(item("good", seq, "x")).expect("room");
    }
    let now = Instant::now();
    let (slow, _good): (Vec<Item>, Vec<Item>) = queues
        .fill(now)
        .into_iter()
        .partition(|i| &*i.app == "slow");
    queues.offer(item("slow", 4, "x")).expect("room");
    queues.offer(item("good", 4, "x")).expect("room");
    let later = now + Duration::from_secs(1);
    queues.put_back(slow, later);
    let names = |batch: Vec<Item>| {
        batch
            .iter()
            .map(|i| (i.app.to_string(), i.seq))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(queues.fill(now)), [("good".to_owned(), 4)]);
    assert_eq!(queues.next_pause_ends(), Some(later));
    let slow = names(queues.fill(later));
    assert_eq!(
        slow.iter().map(|(_, seq)| *seq).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
}

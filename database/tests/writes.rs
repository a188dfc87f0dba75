//! Writes on both databases: one list of claims, run on each.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use database::{Db, Kind, Location, Migration, Options, query, query_scalar};
use support::postgres::Postgres;

const STEPS: &[Migration] = &[Migration {
    version: 1,
    name: "tables",
    sqlite: TABLES,
    postgres: TABLES,
}];

const TABLES: &str = "CREATE TABLE counters (name TEXT NOT NULL UNIQUE, value BIGINT NOT NULL); \
                      CREATE TABLE parts (counter TEXT NOT NULL REFERENCES counters (name), flag BOOLEAN, note TEXT);";

/// The claims.
async fn all_claims(location: Location) {
    let options = Options::default();
    let db = Db::open(&location, &options, STEPS).await.unwrap();
    values_come_back_as_they_were(&db).await;
    a_dropped_write_never_happened(&db).await;
    a_failure_is_named_and_undone_alone(&db).await;
    nobody_loses_a_read_modify_write(&db).await;
    a_caller_that_goes_away_leaves_the_next_one_its_turn(&db).await;
    reading_sees_what_was_acknowledged_and_cannot_write(&db).await;
    let again = db.clone();
    drop(db);
    drop(again);
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_hold_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    all_claims(dir.path().join("test.db").into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_hold_on_postgres() {
    let Some(server) = Postgres::start() else {
        return;
    };
    all_claims(server.main()).await;
}

async fn insert(db: &Db, name: &str) -> Result<(), database::Error> {
    let mut tx = db.begin().await?;
    query("INSERT INTO counters (name, value) VALUES ($1, 0)")
        .bind(name)
        .execute(&mut tx)
        .await?;
    tx.commit().await
}

async fn value(db: &Db, name: &str) -> Option<i64> {
    query_scalar("SELECT value FROM counters WHERE name = $1")
        .bind(name)
        .fetch_optional(db.reader())
        .await
        .unwrap()
}

async fn values_come_back_as_they_were(db: &Db) {
    insert(db, "values").await.unwrap();
    let rows = [
        (Some(true), Some("ä\n'")),
        (None, None),
        (Some(false), Some("")),
    ];
    let mut tx = db.begin().await.unwrap();
    for (flag, note) in rows {
        let flag = database::Value::Bool(flag);
        let insert = query("INSERT INTO parts (counter, flag, note) VALUES ('values', $1, $2)");
        let done = insert.bind(flag).bind(note).execute(&mut tx).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
    }
    tx.commit().await.unwrap();
    for (flag, note) in rows {
        let found = query(
            "SELECT 1 FROM parts WHERE (flag = $1 OR (flag IS NULL AND $1 IS NULL)) AND (note = $2 OR (note IS NULL AND $2 IS NULL))",
        );
        let found = found.bind(database::Value::Bool(flag)).bind(note);
        assert!(
            found.exists(db.reader()).await.unwrap(),
            "{flag:?} {note:?}"
        );
    }
}

async fn a_dropped_write_never_happened(db: &Db) {
    let mut tx = db.begin().await.unwrap();
    query("INSERT INTO counters (name, value) VALUES ('dropped', 0)")
        .execute(&mut tx)
        .await
        .unwrap();
    drop(tx);
    insert(db, "after").await.unwrap();
    assert_eq!(value(db, "dropped").await, None);
    assert_eq!(value(db, "after").await, Some(0));
}

async fn a_failure_is_named_and_undone_alone(db: &Db) {
    insert(db, "once").await.unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|at| {
            let db = db.clone();
            let name = if at % 2 == 0 {
                format!("good-{at}")
            } else {
                "once".into()
            };
            tokio::spawn(async move { insert(&db, &name).await })
        })
        .collect();
    for (at, task) in tasks.into_iter().enumerate() {
        match task.await.unwrap() {
            Ok(()) => assert_eq!(at % 2, 0),
            Err(error) => assert!(at % 2 == 1 && error.is_duplicate(), "{at}: {error}"),
        }
    }
    for at in (0..16).step_by(2) {
        assert_eq!(value(db, &format!("good-{at}")).await, Some(0), "{at}");
    }
    let orphan = query("INSERT INTO parts (counter) VALUES ('nobody')");
    assert!(db.write(orphan).await.unwrap_err().is_referenced());
    // A caller that ignores a failure is not told that all is well.
    let mut tx = db.begin().await.unwrap();
    let failed = query("INSERT INTO counters (name, value) VALUES ('once', 0)")
        .execute(&mut tx)
        .await;
    assert!(failed.unwrap_err().is_duplicate());
    drop(tx);
    let wrong = db.write(query("INSERT INTO nowhere VALUES (1)")).await;
    assert_eq!(wrong.unwrap_err().kind(), Kind::Other);
}

async fn nobody_loses_a_read_modify_write(db: &Db) {
    insert(db, "sum").await.unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut tx = db.begin().await.unwrap();
                let seen: i64 = query_scalar("SELECT value FROM counters WHERE name = 'sum'")
                    .fetch_one(&mut tx)
                    .await
                    .unwrap();
                query("UPDATE counters SET value = $1 WHERE name = 'sum'")
                    .bind(seen + 1)
                    .execute(&mut tx)
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(value(db, "sum").await, Some(64));
}

async fn a_caller_that_goes_away_leaves_the_next_one_its_turn(db: &Db) {
    insert(db, "abandoned").await.unwrap();
    for round in 0..40_u32 {
        let other = db.clone();
        let task = tokio::spawn(async move {
            let mut tx = other.begin().await?;
            query("UPDATE counters SET value = value + 1 WHERE name = 'abandoned'")
                .execute(&mut tx)
                .await?;
            tx.commit().await
        });
        // Cut off somewhere, at another place each time.
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        task.abort();
        let _ = task.await;
        insert(db, &format!("next-{round}")).await.unwrap();
    }
    for round in 0..40 {
        assert_eq!(value(db, &format!("next-{round}")).await, Some(0));
    }
}

async fn reading_sees_what_was_acknowledged_and_cannot_write(db: &Db) {
    let db = Arc::new(db.clone());
    for round in 0..50 {
        insert(&db, &format!("seen-{round}")).await.unwrap();
        assert_eq!(
            value(&db, &format!("seen-{round}")).await,
            Some(0),
            "{round}"
        );
    }
    let refused = query("DELETE FROM counters").execute(db.reader()).await;
    refused.unwrap_err();
    // Not even by a statement that pretends to read.
    let sneaky = query("INSERT INTO counters (name, value) VALUES ('sneaky', 0) RETURNING name");
    sneaky.fetch_all(db.reader()).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_went_away_is_named_and_used_again_when_it_is_back() {
    let Some(mut server) = Postgres::start() else {
        return;
    };
    let options = Options {
        wait_seconds: 2,
        ..Options::default()
    };
    let location = server.main();
    let db = Db::open(&location, &options, STEPS).await.unwrap();
    insert(&db, "before").await.unwrap();
    server.down();
    for error in [
        insert(&db, "while").await.unwrap_err(),
        query("SELECT 1 FROM counters")
            .exists(db.reader())
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Away, "{error}");
        assert!(error.to_string().contains("pg_isready -h /"), "{error}");
    }
    let refused = Db::open(&location, &options, STEPS)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("pg_isready -h /"), "{refused}");
    server.up();
    insert(&db, "after").await.unwrap();
    assert_eq!(value(&db, "before").await, Some(0));
    assert_eq!(value(&db, "while").await, None);
    assert_eq!(value(&db, "after").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_controllers_migrate_one_database_once_and_write_in_turn() {
    let Some(server) = Postgres::start() else {
        return;
    };
    let opened: Vec<_> = (0..4)
        .map(|_| {
            let location = server.main();
            tokio::spawn(async move { Db::open(&location, &Options::default(), STEPS).await })
        })
        .collect();
    let mut controllers = Vec::new();
    for task in opened {
        controllers.push(task.await.unwrap().unwrap());
    }
    insert(&controllers[0], "sum").await.unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|at| {
            let db = controllers[at % 4].clone();
            tokio::spawn(async move {
                let mut tx = db.begin().await.unwrap();
                let read = query_scalar::<i64>("SELECT value FROM counters WHERE name = 'sum'");
                let seen = read.fetch_one(&mut tx).await.unwrap();
                let write = query("UPDATE counters SET value = $1 WHERE name = 'sum'");
                write.bind(seen + 1).execute(&mut tx).await.unwrap();
                tx.commit().await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(value(&controllers[3], "sum").await, Some(64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_may_not_open_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let location = Location::from(dir.path().join("test.db"));
    let first = Db::open(&location, &Options::default(), STEPS)
        .await
        .unwrap();
    let second = Db::open(&location, &Options::default(), STEPS).await;
    let told = second.unwrap_err().to_string();
    assert!(told.contains("PostgreSQL"), "{told}");
    drop(first);
}

/// Not a claim about this machine's speed: 64 clients, a flush each or shared. Prints writes per second of both.
#[tokio::test(flavor = "multi_thread")]
async fn sharing_a_flush_makes_fewer_of_them() {
    let dir = tempfile::tempdir().unwrap();
    for group_commit in [false, true] {
        let location = Location::from(dir.path().join(format!("{group_commit}.db")));
        let options = Options {
            group_commit,
            ..Options::default()
        };
        let db = Db::open(&location, &options, STEPS).await.unwrap();
        let begun = std::time::Instant::now();
        let tasks: Vec<_> = (0..64)
            .map(|client| {
                let db = db.clone();
                tokio::spawn(async move {
                    for round in 0..8 {
                        insert(&db, &format!("{client}-{round}")).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let rate = 512.0 / begun.elapsed().as_secs_f64();
        println!("group commit {group_commit}: {rate:.0} writes/s from 64 clients");
        let kept: i64 = query_scalar("SELECT COUNT(*) FROM counters")
            .fetch_one(db.reader())
            .await
            .unwrap();
        assert_eq!(kept, 512);
    }
}

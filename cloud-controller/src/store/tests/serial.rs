//! What holds when many write at once.

use std::collections::HashMap;

use v2_api::ListQuery;

use super::rows::{ORG, add_apps, app, seed};
use crate::store::{APPS, AppRow, LeaseRow, Reads as _, Scope, Store};

/// Runs `count` tasks at once and waits for all.
async fn at_once<F: Future<Output = ()> + Send + 'static>(count: usize, task: impl Fn(usize) -> F) {
    let tasks: Vec<_> = (0..count).map(|at| tokio::spawn(task(at))).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

pub(super) async fn pages_show_what_was_there_exactly_once_while_others_insert(store: Store) {
    seed(&store).await;
    let before: Vec<String> = (0..60).map(|at| format!("before-{at}")).collect();
    add_apps(
        &store,
        &before.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    let writing = store.clone();
    let writers = tokio::spawn(async move {
        at_once(8, |writer| {
            let store = writing.clone();
            async move {
                for round in 0..10 {
                    add_apps(&store, &[&format!("during-{writer}-{round}")]).await;
                }
            }
        })
        .await;
    });
    for per_page in [1, 7, 50] {
        let mut seen: HashMap<String, u32> = HashMap::new();
        for page in 1.. {
            let query =
                ListQuery::parse(&format!("results-per-page={per_page}&page={page}")).unwrap();
            let (_, rows) = store
                .list::<AppRow>(&APPS, &Scope::all(), &query)
                .await
                .unwrap();
            let is_last = rows.len() < per_page;
            for row in rows {
                *seen.entry(row.name).or_default() += 1;
            }
            if is_last {
                break;
            }
        }
        assert!(
            seen.values().all(|times| *times == 1),
            "shown twice: {seen:?}"
        );
        for name in &before {
            assert!(
                seen.contains_key(name),
                "missed {name} with {per_page} per page"
            );
        }
    }
    writers.await.unwrap();
    assert_eq!(store.count(&APPS, &Scope::all()).await.unwrap(), 140);
}

pub(super) async fn a_quota_holds_under_64_scales_at_once(store: Store) {
    seed(&store).await;
    let names: Vec<String> = (0..8).map(|at| format!("app{at}")).collect();
    add_apps(
        &store,
        &names.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    // 8 x 10 MB are used; 1000 MB are allowed: 92 of the 8 x 64 wishes fit.
    at_once(64, |_| {
        let store = store.clone();
        async move {
            for at in 0..8 {
                let mut tx = store.begin().await.unwrap();
                let mut row = tx
                    .app(&app(&format!("app{at}")).guid)
                    .await
                    .unwrap()
                    .unwrap();
                row.instances += 1;
                let (used, _) = tx.org_usage(ORG, &row.guid).await.unwrap();
                if used + row.memory * row.instances <= 1_000 {
                    tx.save_app(&row).await.unwrap();
                    tx.commit().await.unwrap();
                }
            }
        }
    })
    .await;
    assert_eq!((&store).org_usage(ORG, "").await.unwrap(), (1_000, 100));
}

pub(super) async fn every_change_of_version_is_seen_by_the_next(store: Store) {
    seed(&store).await;
    add_apps(&store, &["a"]).await;
    at_once(32, |_| {
        let store = store.clone();
        async move {
            let mut tx = store.begin().await.unwrap();
            let mut row = tx.app("a-app").await.unwrap().unwrap();
            let seen: u64 = row.version.parse().unwrap_or(0);
            row.version = (seen + 1).to_string();
            tx.save_app(&row).await.unwrap();
            tx.commit().await.unwrap();
        }
    })
    .await;
    assert_eq!(store.app("a-app").await.unwrap().unwrap().version, "32");
}

pub(super) async fn a_lease_has_one_holder_and_epochs_only_grow(store: Store) {
    at_once(16, |at| {
        let store = store.clone();
        async move {
            for _ in 0..4 {
                let mut tx = store.begin().await.unwrap();
                let held = tx.lease("hm").await.unwrap();
                let next = LeaseRow {
                    name: "hm".into(),
                    holder: at.to_string(),
                    epoch: held.map_or(0, |held| held.epoch) + 1,
                    expires_at: 0,
                };
                tx.save_lease(&next).await.unwrap();
                tx.commit().await.unwrap();
            }
        }
    })
    .await;
    assert_eq!(store.lease("hm").await.unwrap().unwrap().epoch, 64);
}

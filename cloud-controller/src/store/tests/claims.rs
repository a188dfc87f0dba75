//! What every statement promises, whichever database runs it.

use database::Kind;
use serde_json::json;
use v2_api::{JobStatus, ListQuery};

use super::rows::{DOMAIN, ORG, SPACE, add_apps, org, route, seed, space};
use crate::store::{
    APPS, AppRow, BUILDPACKS, BuildpackRow, EVENTS, EventRow, NewEvent, ORGS, OrgRow, Reads as _,
    Role, Scope, ServiceRow, StagingTask, Store, USER_PROVIDED,
};

/// The list a client asks for with these parameters.
fn asked(query: &str) -> ListQuery {
    ListQuery::parse(query).unwrap()
}

async fn names(store: &Store, query: &str) -> (u64, Vec<String>) {
    let (total, rows) = store
        .list::<AppRow>(&APPS, &Scope::all(), &asked(query))
        .await
        .unwrap();
    (total, rows.into_iter().map(|row| row.name).collect())
}

pub(super) async fn a_taken_name_and_a_row_in_use_are_named_as_such(store: Store) {
    seed(&store).await;
    let mut tx = store.begin().await.unwrap();
    let taken = tx
        .insert_org(&OrgRow {
            guid: "other".into(),
            ..org("ORG")
        })
        .await;
    assert!(taken.unwrap_err().is_duplicate());
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    assert!(
        tx.delete_quota("quota-guid")
            .await
            .unwrap_err()
            .is_referenced()
    );
    drop(tx);
    let found: Option<OrgRow> = store.find(&ORGS, &Scope::all(), ORG).await.unwrap();
    assert_eq!(found.unwrap().name, "org", "a failed write changes nothing");
}

pub(super) async fn lists_are_filtered_ordered_and_paged_alike(store: Store) {
    seed(&store).await;
    add_apps(&store, &["b", "_x", "A", "é", "a-2", "Z", "zz"]).await;
    let (total, all) = names(&store, "").await;
    assert_eq!(
        (total, all),
        (
            7,
            ["b", "_x", "A", "é", "a-2", "Z", "zz"]
                .map(String::from)
                .to_vec()
        )
    );
    // By their bytes, whatever the server's language.
    let (_, sorted) = names(&store, "order-by=name").await;
    assert_eq!(sorted, ["_x", "A", "a-2", "b", "Z", "zz", "é"]);
    let (_, down) = names(
        &store,
        "order-by=name&order-direction=desc&results-per-page=2&page=2",
    )
    .await;
    assert_eq!(down, ["Z", "b"]);
    assert_eq!(names(&store, "q=name:a").await, (1, vec!["A".into()]));
    assert_eq!(
        names(&store, "q=name%20IN%20a,zz,none").await.1,
        ["A", "zz"]
    );
    assert_eq!(
        names(
            &store,
            &format!("q=organization_guid:{ORG}&results-per-page=1")
        )
        .await,
        (7, vec!["b".into()])
    );
    assert_eq!(names(&store, "q=diego:true").await.0, 0);
    assert_eq!(names(&store, "q=diego:false").await.0, 7);
    let unknown = store
        .list::<AppRow>(&APPS, &Scope::all(), &asked("q=shoe:7"))
        .await;
    unknown.unwrap_err();
}

pub(super) async fn sums_counts_and_flags_are_read_alike(store: Store) {
    seed(&store).await;
    assert_eq!(
        (&store).org_usage(ORG, "").await.unwrap(),
        (0, 0),
        "a sum of nothing"
    );
    add_apps(&store, &["one", "two"]).await;
    let mut tx = store.begin().await.unwrap();
    let mut row = tx.app("one-app").await.unwrap().unwrap();
    row.instances = 5;
    tx.save_app(&row).await.unwrap();
    // A write sees itself; committed rows do not have it yet.
    assert_eq!(tx.org_usage(ORG, "").await.unwrap(), (60, 6));
    assert_eq!((&store).org_usage(ORG, "").await.unwrap(), (20, 2));
    tx.commit().await.unwrap();
    assert_eq!(
        (&store).space_usage(SPACE, "two-app").await.unwrap(),
        (50, 5)
    );
    // An app that is stopped takes no memory; its instances count.
    let mut tx = store.begin().await.unwrap();
    let mut row = tx.app("two-app").await.unwrap().unwrap();
    row.state = "STOPPED".into();
    tx.save_app(&row).await.unwrap();
    assert_eq!(tx.org_usage(ORG, "").await.unwrap(), (50, 6));
    assert_eq!(tx.space_usage(SPACE, "").await.unwrap(), (50, 6));
    drop(tx);
    assert_eq!((&store).count_routes(ORG).await.unwrap(), 0);
    assert_eq!(store.count_users().await.unwrap(), 0);
    assert!(!store.route_taken(DOMAIN, "www", "").await.unwrap());
    let mut tx = store.begin().await.unwrap();
    tx.insert_route(&route("WWW")).await.unwrap();
    assert!(tx.map_route("one-app", "WWW-route").await.unwrap());
    assert!(
        !tx.map_route("one-app", "WWW-route").await.unwrap(),
        "twice"
    );
    tx.commit().await.unwrap();
    assert!(store.route_taken(DOMAIN, "www", "").await.unwrap());
    assert_eq!(
        store.uris_of("one-app").await.unwrap(),
        ["WWW.apps.example.com"]
    );
}

pub(super) async fn a_text_with_nul_is_refused_as_the_senders_fault_or_kept(store: Store) {
    seed(&store).await;
    let mut tx = store.begin().await.unwrap();
    match tx.insert_space(&space("nul\0")).await {
        Ok(()) => tx.commit().await.unwrap(),
        Err(error) => assert_eq!(error.kind(), Some(Kind::Text), "{error}"),
    }
}

pub(super) async fn roles_know_suspended_organizations(store: Store) {
    seed(&store).await;
    let mut tx = store.begin().await.unwrap();
    tx.ensure_user("u", Some("maria"), false).await.unwrap();
    tx.grant("u", Role::SpaceDeveloper, SPACE).await.unwrap();
    tx.grant("u", Role::SpaceDeveloper, SPACE).await.unwrap();
    tx.commit().await.unwrap();
    let suspended = async || {
        store
            .roles_of("u")
            .await
            .unwrap()
            .iter()
            .map(|r| r.suspended)
            .collect::<Vec<_>>()
    };
    assert_eq!(suspended().await, [false]);
    let mut tx = store.begin().await.unwrap();
    tx.update_org(&OrgRow {
        status: "suspended".into(),
        ..org("org")
    })
    .await
    .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(suspended().await, [true]);
    let mut tx = store.begin().await.unwrap();
    let developer = Role::SpaceDeveloper;
    assert!(tx.has_role("u", developer, SPACE).await.unwrap());
    assert!(!tx.has_role("u", Role::OrgUser, ORG).await.unwrap());
    assert_eq!(tx.revoke_in_spaces("u", "another").await.unwrap(), 0);
    assert_eq!(tx.revoke_in_spaces("u", ORG).await.unwrap(), 1);
    assert!(!tx.has_role("u", developer, SPACE).await.unwrap());
    drop(tx);
    assert!(store.knows_user("u", None).await.unwrap());
    assert!(store.knows_user("u", Some("maria")).await.unwrap());
    assert!(!store.knows_user("u", Some("otto")).await.unwrap());
}

pub(super) async fn jobs_are_kept_swept_and_forgotten(store: Store) {
    let mut tx = store.begin().await.unwrap();
    let now = tx.now();
    tx.save_job("done", JobStatus::Finished, None)
        .await
        .unwrap();
    tx.save_job("stuck", JobStatus::Running, None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.sweep_jobs(now + 1, now).await.unwrap();
    tx.commit().await.unwrap();
    let stuck = store.job("stuck").await.unwrap().unwrap();
    assert_eq!(
        (stuck.status, stuck.error.unwrap().0),
        (JobStatus::Failed, 290_006)
    );
    assert_eq!(store.job("done").await.unwrap().unwrap().error, None);
    let mut tx = store.begin().await.unwrap();
    tx.sweep_jobs(now, now + 1).await.unwrap();
    tx.commit().await.unwrap();
    assert!(store.job("done").await.unwrap().is_none());
}

pub(super) async fn events_are_found_by_time_and_pruned(store: Store) {
    for kind in ["audit.app.create", "audit.app.update"] {
        let event = NewEvent {
            kind,
            actor: ("u".into(), "user", None),
            actee: ("a".into(), "app", "name".into()),
            metadata: json!({"a": 1}),
            space_guid: None,
            organization_guid: None,
        };
        let mut tx = store.begin().await.unwrap();
        tx.record_event(&event).await.unwrap();
        tx.commit().await.unwrap();
    }
    let list = async |query: &str| {
        let (_, rows) = store
            .list::<EventRow>(&EVENTS, &Scope::all(), &asked(query))
            .await
            .unwrap();
        rows
    };
    let all = list("").await;
    assert_eq!(
        all.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>(),
        ["audit.app.create", "audit.app.update"]
    );
    assert_eq!(list("q=timestamp%3E%3D2020-01-01T00:00:00Z").await.len(), 2);
    assert_eq!(list("q=timestamp%3C2020-01-01T00:00:00Z").await.len(), 0);
    assert_eq!(list("q=type:audit.app.update").await.len(), 1);
    let mut tx = store.begin().await.unwrap();
    tx.prune_events(all[1].timestamp).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(list("").await.len(), 1);
}

pub(super) async fn buildpacks_keep_their_positions(store: Store) {
    for (name, position) in [("a", 1), ("b", 2), ("first", 1)] {
        let row = BuildpackRow {
            guid: name.into(),
            name: name.into(),
            position,
            enabled: true,
            locked: false,
            filename: None,
            sha1: Some("00".into()),
            created_at: 0,
            updated_at: None,
        };
        let mut tx = store.begin().await.unwrap();
        tx.save_buildpack(&row).await.unwrap();
        tx.commit().await.unwrap();
    }
    let usable = store.usable_buildpacks().await.unwrap();
    let order: Vec<_> = usable
        .iter()
        .map(|row| (row.name.as_str(), row.position))
        .collect();
    assert_eq!(order, [("first", 1), ("a", 2), ("b", 3)]);
    let mut tx = store.begin().await.unwrap();
    tx.delete_buildpack("a").await.unwrap();
    tx.commit().await.unwrap();
    let left: Vec<BuildpackRow> = store.all(&BUILDPACKS, &Scope::all()).await.unwrap();
    assert_eq!(
        left.iter().map(|row| row.position).collect::<Vec<_>>(),
        [1, 2]
    );
}

pub(super) async fn a_deleted_app_takes_its_rows_along(store: Store) {
    seed(&store).await;
    add_apps(&store, &["gone"]).await;
    let mut tx = store.begin().await.unwrap();
    tx.insert_route(&route("gone")).await.unwrap();
    tx.map_route("gone-app", "gone-route").await.unwrap();
    tx.add_droplet("gone-app", "aa", 1, 2).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.delete_app("gone-app").await.unwrap();
    assert!(tx.apps_on_route("gone-route").await.unwrap().is_empty());
    tx.commit().await.unwrap();
    assert!(store.app("gone-app").await.unwrap().is_none());
    assert!(!store.has_droplet("gone-app", "aa").await.unwrap());
    assert!(store.app_of_process("gone-app").await.unwrap().is_none());
}

pub(super) async fn desired_processes_come_in_batches(store: Store) {
    seed(&store).await;
    add_apps(&store, &["a", "b", "c"]).await;
    let first = store.bulk(0, 2).await.unwrap();
    let rest = store.bulk(first[1].id, 2).await.unwrap();
    let guids: Vec<_> = first
        .iter()
        .chain(&rest)
        .map(|row| row.guid.as_str())
        .collect();
    assert_eq!(guids, ["a-app", "b-app", "c-app"]);
    assert!(store.bulk(rest[0].id, 2).await.unwrap().is_empty());
}

pub(super) async fn drains_come_in_batches_of_apps(store: Store) {
    seed(&store).await;
    add_apps(&store, &["one", "two", "none"]).await;
    let mut tx = store.begin().await.unwrap();
    let service = ServiceRow {
        guid: "drain".into(),
        kind: USER_PROVIDED.into(),
        name: "drain".into(),
        space_guid: SPACE.into(),
        credentials_sealed: "x".into(),
        syslog_drain_sealed: Some("sealed".into()),
        tags: "[]".into(),
        created_at: 0,
        updated_at: None,
    };
    tx.save_service(&service).await.unwrap();
    tx.insert_binding("b1", "one-app", "drain").await.unwrap();
    tx.insert_binding("b2", "two-app", "drain").await.unwrap();
    tx.commit().await.unwrap();
    let first = store.drains(0, 1).await.unwrap();
    assert_eq!(first.len(), 1);
    let next = store.drains(first[0].app_id, 1).await.unwrap();
    assert_eq!(
        (first[0].app_guid.as_str(), next[0].app_guid.as_str()),
        ("one-app", "two-app")
    );
    assert!(store.drains(next[0].app_id, 1).await.unwrap().is_empty());
}

pub(super) async fn a_staging_has_one_task_and_one_driver(store: Store) {
    seed(&store).await;
    add_apps(&store, &["a"]).await;
    let task = |id: &str, until: i64| StagingTask {
        task_id: id.into(),
        app_guid: "a-app".into(),
        version: "v".into(),
        stager_id: "s".into(),
        state: "OPEN".into(),
        deadline: i64::MAX,
        driver: "dead".into(),
        driven_until: until,
    };
    let mut tx = store.begin().await.unwrap();
    let now = tx.now();
    tx.open_staging(&task("first", 0)).await.unwrap();
    tx.open_staging(&task("second", 0)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(store.has_orphaned_stagings().await.unwrap());
    let adopt = async |who: &str| {
        let mut tx = store.begin().await.unwrap();
        let until = tx.now() + 60_000_000;
        let tasks = tx.adopt_stagings(who, until).await.unwrap();
        tx.commit().await.unwrap();
        tasks
            .into_iter()
            .map(|task| task.task_id)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        adopt("x").await,
        ["second"],
        "the first was closed by the second"
    );
    assert!(adopt("y").await.is_empty(), "x drives it");
    let mut tx = store.begin().await.unwrap();
    assert!(!tx.renew_staging("second", "dead", now).await.unwrap());
    assert!(tx.renew_staging("second", "x", 0).await.unwrap());
    tx.confirm_staging("second").await.unwrap();
    tx.commit().await.unwrap();
    assert!(adopt("y").await.is_empty(), "it is in a stager's hands");
    assert_eq!(store.overdue_stagings(i64::MAX).await.unwrap().len(), 0);
    let mut tx = store.begin().await.unwrap();
    tx.open_staging(&StagingTask {
        deadline: 5,
        ..task("late", i64::MAX)
    })
    .await
    .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.overdue_stagings(6).await.unwrap()[0].task_id, "late");
}

pub(super) async fn droplets_beyond_the_newest_are_named(store: Store) {
    seed(&store).await;
    add_apps(&store, &["a"]).await;
    let mut old = Vec::new();
    for sha1 in ["d1", "d2", "d3", "d2"] {
        let mut tx = store.begin().await.unwrap();
        old.push(tx.add_droplet("a-app", sha1, 1, 2).await.unwrap());
        tx.commit().await.unwrap();
    }
    assert_eq!(old, [vec![], vec![], vec!["d1".to_owned()], vec![]]);
    assert!(store.has_droplet("a-app", "d3").await.unwrap());
    assert!(!store.has_droplet("a-app", "d1").await.unwrap());
}

pub(super) async fn files_are_condemned_once_and_pardoned(store: Store) {
    let mut tx = store.begin().await.unwrap();
    tx.condemn("aa").await.unwrap();
    let since = tx.now();
    tx.commit().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.condemn("aa").await.unwrap();
    assert!(!tx.is_condemned("aa", since).await.unwrap());
    assert!(tx.is_condemned("aa", since + 1).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(store.condemned().await.unwrap().get("aa"), Some(&since));
    let mut tx = store.begin().await.unwrap();
    tx.uncondemn("aa").await.unwrap();
    tx.commit().await.unwrap();
    assert!(store.condemned().await.unwrap().is_empty());
}

//! Members of several parents, read at once.

use super::rows::{DOMAIN, ORG, SPACE, add_apps, org, route, seed, space};
use crate::store::{
    DOMAINS_USABLE_BY_ORG, DomainRow, Link, MOST_AMONG, ROUTES_OF_APP, RUNNING_GROUPS_OF_SPACE,
    Record, RouteRow, STACKS, Scope, SecurityGroupRow, StackRow, Store,
};

/// Parents with what was found for them, in the order of the answer.
async fn found<R: Record>(
    store: &Store,
    link: &Link,
    parents: &[&str],
    name: fn(R) -> String,
) -> Vec<String> {
    let members = store.members::<R>(link, &link.of_each(parents)).await;
    let shown = members.unwrap().into_iter();
    shown
        .map(|(of, row)| format!("{of}:{}", name(row)))
        .collect()
}

pub(super) async fn members_and_their_number_are_found_for_many_parents_at_once(store: Store) {
    seed(&store).await;
    add_apps(&store, &["one", "two", "three", "none"]).await;
    let mut tx = store.begin().await.unwrap();
    for host in ["a", "b"] {
        tx.insert_route(&route(host)).await.unwrap();
    }
    for (app, host) in [("two", "a"), ("one", "b"), ("one", "a"), ("three", "b")] {
        let (app, route) = (format!("{app}-app"), format!("{host}-route"));
        assert!(tx.map_route(&app, &route).await.unwrap());
    }
    tx.commit().await.unwrap();
    let asked = ["none-app", "one-app", "two-app", "unknown", "another"];
    let routes = async |parents: &[&str]| {
        let mut routes =
            found::<RouteRow>(&store, &ROUTES_OF_APP, parents, |route| route.host).await;
        assert!(
            routes.is_sorted_by_key(|found| found.rsplit(':').next().map(str::to_owned)),
            "members are in default order: {routes:?}"
        );
        routes.sort();
        routes
    };
    let expected = ["one-app:a", "one-app:b", "two-app:a"];
    assert_eq!(routes(&asked).await, expected, "three's was not asked for");
    // Lists are filled up to one of a few lengths; that changes nothing.
    let strangers: Vec<String> = (0..MOST_AMONG).map(|at| at.to_string()).collect();
    for others in 0..=(MOST_AMONG - asked.len()) {
        let strangers = strangers.iter().take(others).map(String::as_str);
        let all: Vec<&str> = asked.into_iter().chain(strangers).collect();
        let counts = store
            .tally(&ROUTES_OF_APP, &ROUTES_OF_APP.of_each(&all))
            .await;
        let mut counts: Vec<(String, i64)> = counts.unwrap().into_iter().collect();
        counts.sort();
        assert_eq!(
            counts,
            [("one-app".into(), 2), ("two-app".into(), 1)],
            "{others} more"
        );
    }
    // Without naming parents: all in scope.
    let here = store.tally(&ROUTES_OF_APP, &Scope::in_space(SPACE)).await;
    assert_eq!(here.unwrap()["three-app"], 1);
    let itself = Link::itself(&STACKS);
    let stacks = found::<StackRow>(&store, &itself, &["stack-guid", "x"], |stack| stack.name).await;
    assert_eq!(stacks, ["stack-guid:host"]);
}

pub(super) async fn what_holds_for_every_parent_belongs_to_each_of_them(store: Store) {
    seed(&store).await;
    let mut tx = store.begin().await.unwrap();
    tx.insert_org(&org("other")).await.unwrap();
    tx.insert_space(&space("another")).await.unwrap();
    let own = DomainRow {
        guid: "own".into(),
        name: "own.example.com".into(),
        owning_organization_guid: Some(ORG.into()),
        created_at: 0,
        updated_at: None,
    };
    tx.insert_domain(&own).await.unwrap();
    tx.ensure_security_group("everywhere", "[]", false)
        .await
        .unwrap();
    let group = SecurityGroupRow {
        guid: "single".into(),
        name: "single".into(),
        rules: "[]".into(),
        running_default: false,
        staging_default: false,
        created_at: 0,
        updated_at: None,
    };
    tx.save_security_group(&group).await.unwrap();
    tx.bind_group("single", SPACE).await.unwrap();
    tx.commit().await.unwrap();
    let link = &DOMAINS_USABLE_BY_ORG;
    let domains = async || {
        let parents = [ORG, "other-guid"];
        let mut domains = found::<DomainRow>(&store, link, &parents, |row| row.guid).await;
        domains.sort();
        domains
    };
    let shared = [ORG, "other-guid"].map(|org| format!("{org}:{DOMAIN}"));
    let mut expected = [shared.to_vec(), vec![format!("{ORG}:own")]].concat();
    expected.sort();
    assert_eq!(domains().await, expected);
    let mut tx = store.begin().await.unwrap();
    tx.share_domain("own", "other-guid").await.unwrap();
    // A loan to the owner shows nothing twice.
    tx.share_domain("own", ORG).await.unwrap();
    tx.commit().await.unwrap();
    expected.push("other-guid:own".into());
    expected.sort();
    assert_eq!(domains().await, expected);
    let link = &RUNNING_GROUPS_OF_SPACE;
    let parents = [SPACE, "another-guid"];
    let mut groups = found::<SecurityGroupRow>(&store, link, &parents, |row| row.name).await;
    groups.sort();
    let expected = [
        "another-guid:everywhere",
        "space-guid:everywhere",
        "space-guid:single",
    ];
    assert_eq!(groups, expected);
}

//! A controller whose database is away says so where operators look.

use crate::support::postgres::Postgres;
use crate::support::{Answer, Platform, eventually};

fn said(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn healthz_names_a_database_that_is_away_and_is_well_when_it_is_back() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let database = postgres.create("watched");
    let platform = Platform::start_with(|config| config.database = database).await;
    let well = platform.status("/varz").await.expect(200);
    assert_eq!(
        (&well["healthy"], &well["database_connected"]),
        (&true.into(), &true.into())
    );

    postgres.down();
    let bad = eventually("the loss is noticed", async || {
        let answer = platform.status("/healthz").await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    let text = said(&bad);
    for part in ["bad: database: PostgreSQL at", "watched", "pg_isready"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let varz = platform.status("/varz").await.expect(200);
    assert_eq!(
        (
            &varz["healthy"],
            &varz["database_connected"],
            &varz["bus_connected"]
        ),
        (&false.into(), &false.into(), &true.into())
    );

    postgres.up();
    eventually("the database is back", async || {
        (platform.status("/healthz").await.status == 200).then_some(())
    })
    .await;
    platform.get("/v2/info").await.expect(200);
}

//! A database that an earlier version wrote.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use sqlx::ConnectOptions as _;

use crate::support::{Platform, first_guid};

/// Steps 1 to 3, with an app, a route, a bound service and a space quota; written by the last version that had no step 4.
const BEFORE: &str = include_str!("before_0004.sql");

/// The key its sealed columns were sealed with.
const SECRETS: &str =
    r#"{"encryption_key": "5d5efa3083b6e1197893ecfe2cdeb9856c0d4906922f4e7377189192c774130b"}"#;

/// Makes a SQLite file of a dump.
fn restore(file: &std::path::Path, dump: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .foreign_keys(false);
    // A runtime of its own, because the caller is inside one.
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut connection = options.connect().await.unwrap();
            sqlx::raw_sql(dump).execute(&mut connection).await.unwrap();
        });
    };
    std::thread::spawn(work).join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_an_earlier_version_is_brought_forward_with_its_data() {
    let platform = Platform::start_with(|config| {
        let file = config.secrets_file.with_file_name("before.db");
        restore(&file, BEFORE);
        config.database = file.into();
        std::fs::write(&config.secrets_file, SECRETS).unwrap();
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&config.secrets_file, mode).unwrap();
    })
    .await;
    let apps = platform.get("/v2/apps?q=name:old").await.expect(200);
    let app = first_guid(&apps);
    let entity = &apps["resources"][0]["entity"];
    assert_eq!(
        (&entity["name"], &entity["instances"], &entity["memory"]),
        (&json!("Old"), &json!(3), &json!(64))
    );
    assert_eq!(
        entity["environment_json"],
        json!({"SECRET": "kept"}),
        "sealed values open"
    );
    let routes = platform
        .get(&format!("/v2/apps/{app}/routes"))
        .await
        .expect(200);
    assert_eq!(routes["resources"][0]["entity"]["host"], "old");
    let services = platform
        .get("/v2/user_provided_service_instances")
        .await
        .expect(200);
    assert_eq!(
        services["resources"][0]["entity"]["credentials"]["uri"],
        "pg://u:p@h"
    );
    let spaces = platform.get("/v2/spaces?q=name:dev").await.expect(200);
    let quota = &spaces["resources"][0]["entity"]["space_quota_definition_guid"];
    assert!(quota.is_string(), "{quota}");
    // And it is written to as any other.
    platform
        .put(&format!("/v2/apps/{app}"), json!({"name": "new"}))
        .await
        .expect(201);
    let events = platform
        .get(&format!("/v2/events?q=actee:{app}"))
        .await
        .expect(200);
    let kinds: Vec<_> = events["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["entity"]["type"])
        .collect();
    assert!(
        kinds.contains(&&json!("audit.app.create")) && kinds.contains(&&json!("audit.app.update")),
        "{kinds:?}"
    );
}

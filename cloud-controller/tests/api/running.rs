//! A running app: scale, routes, crashes, the health manager's wishes, logs.

use crate::support::dea::{DEA, Dea};
use crate::support::{Platform, eventually, first_guid, guid, read};
use bus::log::{LogBatch, LogLine, LogStream};
use reqwest::Method;
use serde_json::{Value, json};

/// A started app with one running instance; returns its guid and version.
pub(crate) async fn running_app(
    platform: &Platform,
    dea: &mut Dea,
    name: &str,
) -> (String, String) {
    let app = platform.create_app_with_bits(name).await;
    platform
        .put(&format!("/v2/apps/{app}"), json!({"state": "STARTED"}))
        .await
        .expect(201);
    dea.stage_well(platform, b"droplet").await;
    let version = eventually("staged, details stored", async || {
        let body = platform.get(&format!("/v2/apps/{app}")).await.expect(200);
        let done = body["entity"]["detected_buildpack"] == "test";
        done.then(|| body["entity"]["version"].as_str().unwrap().to_owned())
    })
    .await;
    dea.heartbeat(&[(&app, &version, 0, "RUNNING")]).await;
    state_is(platform, &app, 0, "RUNNING").await;
    (app, version)
}

async fn state_is(platform: &Platform, app: &str, index: u32, state: &str) -> Value {
    eventually(&format!("index {index} {state}"), async || {
        let body = platform
            .get(&format!("/v2/apps/{app}/instances"))
            .await
            .expect(200);
        (body[index.to_string()]["state"] == state).then(|| body[index.to_string()].clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_starts_and_stops_exactly_the_difference() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let (app, version) = running_app(&platform, &mut dea, "scaled").await;
    platform
        .put(&format!("/v2/apps/{app}"), json!({"instances": 3}))
        .await
        .expect(201);
    for index in [1, 2] {
        let (start, _) = Dea::next("a start", &mut dea.starts).await;
        assert_eq!(
            (&start["index"], &start["version"]),
            (&json!(index), &json!(version))
        );
    }
    platform
        .put(&format!("/v2/apps/{app}"), json!({"instances": 1}))
        .await
        .expect(201);
    let (stop, _) = Dea::next("a stop", &mut dea.stops).await;
    assert_eq!(
        (&stop["indices"], &stop["version"]),
        (&json!([1, 2]), &json!(version))
    );
    platform
        .delete(&format!("/v2/apps/{app}/instances/0?async=true"))
        .await
        .expect(204);
    assert_eq!(
        Dea::next("a stop", &mut dea.stops).await.0["indices"],
        json!([0])
    );
    platform
        .put(&format!("/v2/apps/{app}"), json!({"state": "STOPPED"}))
        .await
        .expect(201);
    let (stop, _) = Dea::next("a stop of all", &mut dea.stops).await;
    assert_eq!(stop["droplet"], json!(app));
    assert!(
        stop.get("indices").is_none_or(Value::is_null),
        "an empty list would mean all: {stop}"
    );
    platform
        .get(&format!("/v2/apps/{app}/instances"))
        .await
        .expect_error(400, 220001, "CF-InstancesError");
    platform
        .get(&format!("/v2/apps/{app}/stats"))
        .await
        .expect_error(400, 200003, "CF-AppStoppedStatsError");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_no_dea_has_room_for_is_undone() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let (app, _) = running_app(&platform, &mut dea, "greedy").await;
    let answer = platform
        .put(
            &format!("/v2/apps/{app}"),
            json!({"instances": 2, "memory": 9000}),
        )
        .await;
    let text = answer.expect_error(503, 150003, "CF-InsufficientRunningResourcesAvailable");
    assert!(text.contains("need 9000 MB memory"), "{text}");
    assert_eq!(
        platform.get(&format!("/v2/apps/{app}")).await.expect(200)["entity"]["instances"],
        1
    );
    let beyond = platform
        .put(&format!("/v2/apps/{app}"), json!({"memory": 50_001}))
        .await;
    beyond.expect_error(400, 100005, "CF-AppMemoryQuotaExceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn mapping_a_route_updates_running_instances_without_a_new_version() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let (app, _) = running_app(&platform, &mut dea, "mapped").await;
    let (_, space) = platform.target().await;
    let domain = first_guid(&platform.get("/v2/shared_domains").await.expect(200));
    let body = json!({"host": "live", "domain_guid": domain, "space_guid": space});
    let route = guid(&platform.post("/v2/routes", body).await.expect(201));
    platform
        .put_empty(&format!("/v2/apps/{app}/routes/{route}"))
        .await
        .expect(201);
    let told = async |dea: &mut Dea, uris: Value| loop {
        let (update, _) = Dea::next("dea.update", &mut dea.updates).await;
        assert_eq!(
            (&update["droplet"], &update["version"]),
            (&json!(app), &Value::Null),
            "a version here would relabel instances of an older one"
        );
        if update["uris"] == uris {
            return;
        }
    };
    told(&mut dea, json!(["live.apps.example.com"])).await;
    told(&mut dea, json!(["live.apps.example.com"])).await;
    platform
        .delete(&format!("/v2/routes/{route}/apps/{app}"))
        .await
        .expect(201);
    told(&mut dea, json!([])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_an_event_and_its_reason_in_the_instances() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let (app, version) = running_app(&platform, &mut dea, "crashing").await;
    let exit = json!({"cc_partition": "default", "droplet": app, "version": version, "instance": format!("{:032x}", 0), "index": 0,
                      "reason": "CRASHED", "exit_status": 137, "exit_description": "out of memory", "crash_timestamp": 1422765999});
    platform
        .bus
        .publish_to("droplet.exited", &exit)
        .await
        .unwrap();
    let down = state_is(&platform, &app, 0, "DOWN").await;
    assert!(
        down["details"].as_str().unwrap().contains("out of memory"),
        "{down}"
    );
    let event = eventually("the crash event", async || {
        let list = platform
            .get(&format!("/v2/events?q=actee:{app}&q=type:app.crash"))
            .await
            .expect(200);
        list["resources"]
            .get(0)
            .map(|event| event["entity"].clone())
    })
    .await;
    assert_eq!(event["metadata"]["exit_description"], "out of memory");
    let evacuated = json!({"droplet": app, "version": version, "instance": "x", "index": 0, "reason": "DEA_EVACUATION",
                           "exit_status": 0, "exit_description": ""});
    for message in [&evacuated, &exit, &exit] {
        platform
            .bus
            .publish_to("droplet.exited", message)
            .await
            .unwrap();
    }
    let flapping = state_is(&platform, &app, 0, "FLAPPING").await;
    assert!(
        flapping["details"].as_str().unwrap().contains("3 in a row"),
        "{flapping}"
    );
    eventually("three crash events", async || {
        let list = platform
            .get(&format!("/v2/events?q=actee:{app}&q=type:app.crash"))
            .await
            .expect(200);
        (list["total_results"] == 3).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_manager_starts_a_missing_index_once_and_only_with_its_lease() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let (app, version) = running_app(&platform, &mut dea, "watched").await;
    let lease = async |holder: &str| {
        let request = platform.client.request(
            Method::PUT,
            format!("{}/internal/v1/health_manager/lease", platform.base),
        );
        read(
            request
                .basic_auth("bulk_api", Some("bulk_api-secret"))
                .json(&json!({"holder": holder, "ttl_seconds": 300.0})),
        )
        .await
    };
    assert_eq!(lease("one").await.expect(200)["epoch"], 1);
    assert_eq!(lease("two").await.expect(409)["holder"], "one");
    // The index is gone; three wishes, one of them stale, one doubled.
    dea.heartbeat(&[]).await;
    state_is(&platform, &app, 0, "DOWN").await;
    let wish = |index: u32, epoch: i64| json!({"droplet": app, "version": version, "instance_index": index, "epoch": epoch});
    for message in [wish(0, 0), wish(0, 1), wish(0, 1), wish(7, 1)] {
        platform
            .bus
            .publish_to("hm9000.start", &message)
            .await
            .unwrap();
    }
    let (start, _) = Dea::next("the start", &mut dea.starts).await;
    assert_eq!(start["index"], 0);
    // A marker after them: scale up. If another start had been sent, it would come first.
    platform
        .put(&format!("/v2/apps/{app}"), json!({"instances": 2}))
        .await
        .expect(201);
    assert_eq!(Dea::next("the marker", &mut dea.starts).await.0["index"], 1);
    // Surplus goes, an old version waits for the current one.
    let stop = |version: &str, instance: &str, index: u32| json!({"droplet": app, "version": version, "instance_guid": instance, "instance_index": index, "is_duplicate": false, "epoch": 1});
    platform
        .bus
        .publish_to("hm9000.stop", &stop("old-version", "too-early", 0))
        .await
        .unwrap();
    platform
        .bus
        .publish_to("hm9000.stop", &stop(&version, "surplus", 5))
        .await
        .unwrap();
    assert_eq!(
        Dea::next("the stop", &mut dea.stops).await.0["instances"],
        json!(["surplus"])
    );
    dea.heartbeat(&[(&app, &version, 0, "RUNNING")]).await;
    state_is(&platform, &app, 0, "RUNNING").await;
    platform
        .bus
        .publish_to("hm9000.stop", &stop("old-version", "now-fine", 0))
        .await
        .unwrap();
    assert_eq!(
        Dea::next("the stop", &mut dea.stops).await.0["instances"],
        json!(["now-fine"])
    );
    let bulk = platform.client.get(format!(
        "{}/bulk/apps?batch_size=10&bulk_token={{}}",
        platform.base
    ));
    let bulk = read(bulk.basic_auth("bulk_api", Some("bulk_api-secret")))
        .await
        .expect(200);
    let row = &bulk["results"][&app];
    assert_eq!(
        (
            &row["version"],
            &row["instances"],
            &row["state"],
            &row["package_state"]
        ),
        (
            &json!(version),
            &json!(2),
            &json!("STARTED"),
            &json!("STAGED")
        )
    );
    let next = format!(
        "{}/bulk/apps?batch_size=10&bulk_token={{\"id\":{}}}",
        platform.base, bulk["bulk_token"]["id"]
    );
    let end = read(
        platform
            .client
            .get(next)
            .basic_auth("bulk_api", Some("bulk_api-secret")),
    )
    .await
    .expect(200);
    assert_eq!(
        (&end["results"], &end["bulk_token"]["id"]),
        (&json!({}), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_come_from_the_dea_and_missing_indices_are_down() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let (app, version) = running_app(&platform, &mut dea, "measured").await;
    platform
        .put(&format!("/v2/apps/{app}"), json!({"instances": 2}))
        .await
        .expect(201);
    let mut asked: bus::Subscription<Value> =
        platform.bus.subscribe_to("dea.find.droplet").await.unwrap();
    platform.bus.flush().await.unwrap();
    let bus = platform.bus.clone();
    let answer = json!({
        "dea": DEA, "droplet": app, "version": version, "instance": "i", "index": 0, "state": "RUNNING", "state_timestamp": 1.5,
        "stats": {"name": "measured", "uris": [], "host": "10.0.1.7", "port": 61012, "uptime": 93, "mem_quota": 268435456u64,
                  "disk_quota": 1073741824u64, "fds_quota": 16384,
                  "usage": {"time": "2015-01-31 21:39:41 -0700", "cpu": 0.0132, "mem": 41943040, "disk": 68157440}}});
    let played = tokio::spawn(async move {
        let delivery = asked.next().await;
        bus.publish_to(&delivery.reply.unwrap(), &answer)
            .await
            .unwrap();
        delivery.body
    });
    let stats = platform
        .get(&format!("/v2/apps/{app}/stats"))
        .await
        .expect(200);
    assert_eq!(stats["0"]["stats"]["usage"]["mem"], 41943040);
    assert_eq!(stats["1"]["state"], "DOWN");
    assert_eq!(stats.as_object().unwrap().len(), 2);
    let question = played.await.unwrap();
    assert_eq!(
        (&question["include_stats"], &question["states"]),
        (&json!(true), &json!(["RUNNING"]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_go_from_the_intake_to_recent_and_stream_for_those_who_may_read() {
    use futures_util::StreamExt as _;
    use prost::Message as _;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

    let platform = Platform::start().await;
    let app = platform.create_app("talkative").await;
    let mut request = format!("{}/apps/{app}/stream", platform.base.replace("http", "ws"))
        .into_client_request()
        .unwrap();
    assert!(
        tokio_tungstenite::connect_async(request.clone())
            .await
            .is_err(),
        "no token, no logs"
    );
    request.headers_mut().insert(
        "authorization",
        format!("bearer {}", platform.token).parse().unwrap(),
    );
    let (mut stream, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let line = LogLine {
        app_id: app.clone(),
        source_type: "App".into(),
        source_instance: "0".into(),
        instance_id: "i".into(),
        seq: 1,
        timestamp_ns: 5,
        stream: LogStream::Out,
        message: "hello".into(),
    };
    let send = async |password: &'static str| {
        let request = platform
            .client
            .post(format!("{}{}", platform.base, bus::log::INTAKE_PATH))
            .basic_auth("internal", Some(password));
        read(request.json(&LogBatch {
            lines: vec![line.clone()],
            may_defer: false,
        }))
        .await
    };
    assert_eq!(send("wrong").await.status.as_u16(), 401);
    assert_eq!(
        send("internal-secret").await.expect(200),
        json!({"accepted": 1})
    );
    assert_eq!(
        send("internal-secret").await.expect(200),
        json!({"accepted": 0})
    );
    let frame = tokio::time::timeout(crate::support::PATIENCE, stream.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let envelope = loggregator::wire::Envelope::decode(frame.into_data()).unwrap();
    let message = envelope.log_message.unwrap();
    assert_eq!(
        (
            message.message.as_slice(),
            message.seq,
            message.instance_id.as_deref()
        ),
        (&b"hello"[..], Some(1), Some("i"))
    );

    let recent = platform.get(&format!("/apps/{app}/recentlogs")).await;
    let kind = recent.headers["content-type"].to_str().unwrap().to_owned();
    let boundary = kind
        .strip_prefix("multipart/x-protobuf; boundary=")
        .expect("boundary last, unquoted")
        .to_owned();
    let text = String::from_utf8_lossy(&recent.bytes).into_owned();
    assert_eq!(
        text.matches(&format!("--{boundary}")).count(),
        3,
        "Created app…, hello, end: {text}"
    );
    assert!(text.contains("Created app with guid"));
    let old = platform.get(&format!("/recent?app={app}")).await;
    assert!(String::from_utf8_lossy(&old.bytes).contains("hello"));
    let stranger = platform
        .client
        .get(format!("{}/recent?app={app}", platform.base))
        .send()
        .await
        .unwrap();
    assert_eq!(stranger.status().as_u16(), 401);
}

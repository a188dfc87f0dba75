//! Stager and DEA, played by hand on the bus.

use std::time::Duration;

use bus::{Bus, Subscription};
use serde_json::{Value, json};

use super::{Answer, Platform, read};

/// The id of the DEA the tests play.
pub const DEA: &str = "0-aabbccddeeff00112233445566778899";

/// A hand-played DEA that also stages.
pub struct Dea {
    bus: Bus,
    pub stagings: Subscription<Value>,
    pub staging_stops: Subscription<Value>,
    pub starts: Subscription<Value>,
    pub stops: Subscription<Value>,
    pub updates: Subscription<Value>,
}

impl Dea {
    /// Subscribes; advertises only when told to.
    pub async fn listen(platform: &Platform) -> Dea {
        let bus = platform.bus.clone();
        let dea = Dea {
            stagings: bus
                .subscribe_to(&format!("staging.{DEA}.start"))
                .await
                .unwrap(),
            staging_stops: bus.subscribe_to("staging.stop").await.unwrap(),
            starts: bus.subscribe_to(&format!("dea.{DEA}.start")).await.unwrap(),
            stops: bus.subscribe_to("dea.stop").await.unwrap(),
            updates: bus.subscribe_to("dea.update").await.unwrap(),
            bus,
        };
        dea.bus.flush().await.unwrap();
        dea
    }

    /// Listens, and answers every `*.locate` with plenty of room; also advertises at once.
    pub async fn with_room(platform: &Platform) -> Dea {
        let dea = Dea::listen(platform).await;
        dea.advertise(8192).await;
        for subject in ["dea.locate", "staging.locate"] {
            let bus = dea.bus.clone();
            let mut asked: Subscription<bus::Anything> = bus.subscribe_to(subject).await.unwrap();
            tokio::spawn(async move {
                loop {
                    asked.next().await;
                    advertise(&bus, 8192).await;
                }
            });
        }
        // Adverts expire on a busy machine; a real DEA repeats them too.
        let bus = dea.bus.clone();
        tokio::spawn(async move {
            loop {
                advertise(&bus, 8192).await;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
        dea
    }

    pub async fn advertise(&self, memory: i64) {
        advertise(&self.bus, memory).await;
        self.bus.flush().await.unwrap();
    }

    /// The next message, or a panic naming what was waited for.
    pub async fn next(what: &str, from: &mut Subscription<Value>) -> (Value, Option<String>) {
        let delivery = tokio::time::timeout(super::PATIENCE, from.next()).await;
        let delivery = delivery.unwrap_or_else(|_| panic!("never came: {what}"));
        (delivery.body, delivery.reply)
    }

    pub async fn reply(&self, inbox: &str, body: Value) {
        let _ = self.bus.publish_to(inbox, &body).await;
        let _ = self.bus.flush().await;
    }

    /// Reports instances as (process, version, index, state).
    pub async fn heartbeat(&self, instances: &[(&str, &str, u32, &str)]) {
        let droplets: Vec<Value> = instances
            .iter()
            .map(|(process, version, index, state)| {
                json!({"cc_partition": "default", "droplet": process, "version": version, "instance": format!("{index:032x}"),
                       "index": index, "state": state, "state_timestamp": 1422765581.42})
            })
            .collect();
        self.bus
            .publish_to("dea.heartbeat", &json!({"dea": DEA, "droplets": droplets}))
            .await
            .unwrap();
        self.bus.flush().await.unwrap();
    }

    /// Plays a whole good staging: takes the request, answers setup, uploads a droplet, answers completion. Returns the request.
    pub async fn stage_well(&mut self, platform: &Platform, droplet: &[u8]) -> Value {
        let (request, inbox) = Dea::next("a staging request", &mut self.stagings).await;
        let inbox = inbox.expect("a staging request names an inbox");
        self.reply(
            &inbox,
            json!({"task_id": request["task_id"], "task_streaming_log_url": null, "error": null}),
        )
        .await;
        let upload = upload(
            platform,
            request["upload_uri"].as_str().unwrap(),
            droplet,
            &[],
        )
        .await;
        upload.expect(200);
        self.reply(
            &inbox,
            json!({"task_id": request["task_id"], "detected_buildpack": "test", "buildpack_key": null,
                   "droplet_sha1": sha1_hex(droplet), "detected_start_command": "./run"}),
        )
        .await;
        request
    }
}

/// One advertisement of stager and DEA.
pub async fn advertise(bus: &Bus, memory: i64) {
    let stager =
        json!({"id": DEA, "stacks": ["host"], "available_memory": memory, "available_disk": 20000});
    let mut dea = stager.clone();
    dea["app_id_to_count"] = json!({});
    dea["placement_properties"] = json!({"zone": "default"});
    let _ = bus.publish_to("staging.advertise", &stager).await;
    let _ = bus.publish_to("dea.advertise", &dea).await;
}

/// Uploads to an address with credentials in it, as a DEA does.
pub async fn upload(
    platform: &Platform,
    uri: &str,
    content: &[u8],
    headers: &[(&'static str, &str)],
) -> Answer {
    let part = reqwest::multipart::Part::bytes(content.to_vec()).file_name("droplet.tgz");
    let mut request = platform
        .client
        .post(uri)
        .multipart(reqwest::multipart::Form::new().part("upload[droplet]", part));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    read(request).await
}

pub fn sha1_hex(content: &[u8]) -> String {
    use sha1::Digest as _;
    hex::encode(sha1::Sha1::digest(content))
}

//! Every message type against the golden file of its subject. The files are
//! typed from the public record of the original protocol, not printed by our
//! serializer, so a renamed or missing field fails here.
#![allow(clippy::unwrap_used)]

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Golden text → type → JSON must give the golden value again, also with an
/// unknown key beside the known ones.
fn check<T: Serialize + DeserializeOwned>(name: &str) {
    let path = format!("{}/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    let parsed: T =
        serde_json::from_value(golden.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(
        serde_json::to_value(&parsed).unwrap(),
        golden,
        "{name} does not survive a round trip"
    );

    if let Value::Object(mut map) = golden {
        map.insert("a_key_of_the_future".into(), json!({"x": [1]}));
        let extended = Value::Object(map);
        serde_json::from_value::<T>(extended)
            .unwrap_or_else(|e| panic!("{name} with an unknown key: {e}"));
    }
}

/// Keys that may be null or missing in messages of the Ruby originals.
fn accepts<T: DeserializeOwned>(name: &str, body: Value) -> T {
    serde_json::from_value(body).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn every_subject_has_a_golden_file_that_survives_a_round_trip() {
    check::<bus::router::Start>("router.start");
    check::<bus::router::Register>("router.register");
    check::<bus::router::Unregister>("router.unregister");
    check::<bus::component::Announce>("vcap.component.announce");
    check::<bus::dea::Hello>("dea.start");
    check::<bus::dea::Status>("dea.status.reply");
    check::<bus::dea::Advertise>("dea.advertise");
    check::<bus::dea::StartInstance>("dea.ID.start");
    check::<bus::dea::Stop>("dea.stop");
    check::<bus::dea::Stop>("dea.stop.instances");
    check::<bus::dea::Update>("dea.update");
    check::<bus::dea::Find>("dea.find.droplet");
    check::<bus::dea::Found>("dea.find.droplet.reply");
    check::<bus::dea::Heartbeat>("dea.heartbeat");
    check::<bus::dea::Shutdown>("dea.shutdown");
    check::<bus::droplet::Exited>("droplet.exited");
    check::<bus::staging::Advertise>("staging.advertise");
    check::<bus::staging::Start>("staging.ID.start");
    check::<bus::staging::Reply>("staging.reply.setup");
    check::<bus::staging::Reply>("staging.reply.done");
    check::<bus::staging::Reply>("staging.reply.failed");
    check::<bus::staging::Stop>("staging.stop");
    check::<bus::staging::Buildpacks>("buildpacks");
    check::<bus::health::Start>("hm9000.start");
    check::<bus::health::Stop>("hm9000.stop");
}

#[test]
fn no_golden_file_is_left_unread() {
    let dir = format!("{}/golden", env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(file!().rsplit('/').next().map_or(String::new(), |f| {
        format!("{}/tests/{f}", env!("CARGO_MANIFEST_DIR"))
    }))
    .unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let stem = name.trim_end_matches(".json");
        assert!(
            source.contains(&format!("\"{stem}\"")),
            "{name} is not checked by any test"
        );
    }
}

#[test]
fn null_means_absent_in_every_optional_key() {
    let start: bus::dea::StartInstance = accepts(
        "dea.ID.start",
        json!({"droplet":"a","name":"n","uris":null,"prod":null,"sha1":null,"executableUri":null,"executableFile":null,
               "version":"v","services":null,"limits":{"mem":1,"disk":2,"fds":3},"env":null,"cc_partition":"default",
               "vcap_application":null,"index":0,"egress_network_rules":null}),
    );
    assert!(start.uris.is_empty() && start.env.is_empty() && start.sha1.is_none());
    let beat: bus::dea::Heartbeat = accepts("dea.heartbeat", json!({"dea":"d","droplets":null}));
    assert!(beat.droplets.is_empty());
    let register: bus::router::Register = accepts(
        "router.register",
        json!({"host":"h","port":1,"uris":null,"tags":null,"private_instance_id":null}),
    );
    assert!(register.0.uris.is_empty());
    let advert: bus::dea::Advertise = accepts(
        "dea.advertise",
        json!({"id":"d","stacks":null,"available_memory":-5,"placement_properties":null}),
    );
    assert_eq!(
        (
            advert.available_memory,
            advert.placement_properties.zone.as_str()
        ),
        (-5, "default")
    );
}

#[test]
fn a_register_with_an_impossible_port_is_an_error_not_a_wrap_around() {
    let bad = json!({"host":"h","port":70000,"uris":["a"]});
    assert!(serde_json::from_value::<bus::router::Register>(bad).is_err());
}

#[test]
fn a_start_message_without_limits_is_refused() {
    let bad = json!({"droplet":"a","name":"n","version":"v","cc_partition":"default","index":0});
    assert!(serde_json::from_value::<bus::dea::StartInstance>(bad).is_err());
}

//! The same stories on nats-lite and on the original's server: one URL differs.

use tests::binaries::{NatsServer, Platform, eventually, may_run};

use crate::PROBE;

type Story = fn(&Platform);

fn on_nats_lite(story: Story) {
    if may_run() {
        story(&Platform::up(&[]));
    }
}

fn on_nats_server(story: Story) {
    if !may_run() {
        return;
    }
    let Some(server) = NatsServer::start() else {
        return;
    };
    let platform = Platform::up(&["--bus", &server.url()]);
    let names: Vec<String> = platform.components().into_iter().map(|c| c.name).collect();
    assert!(
        !names.contains(&"nats-lite".to_owned()),
        "our own bus runs beside: {names:?}"
    );
    story(&platform);
}

fn a_pushed_site_answers(platform: &Platform) {
    let site = platform.app("site");
    site.push("static", &[]).well();
    assert!(site.body("/").contains("Hello from Bloomery"));
}

/// The probe's body is its instance id.
fn a_scaled_app_answers_from_both_instances(platform: &Platform) {
    let probe = platform.app("probe");
    probe.push("probe", &PROBE).well();
    platform.cf(&["scale", "probe", "-i", "2"]).well();
    let first = probe.body("/");
    eventually("the other instance answers too", || match probe.body("/") {
        body if body != first => Ok(body),
        body => Err(body),
    });
    platform.cf(&["scale", "probe", "-i", "1"]).well();
    eventually("one instance is left", || {
        let shown = platform.cf(&["app", "probe"]);
        if shown.text().contains("instances: 1/1") {
            Ok(())
        } else {
            Err(shown)
        }
    });
}

fn a_crashed_instance_is_replaced(platform: &Platform) {
    let probe = platform.app("probe");
    probe.push("probe", &PROBE).well();
    let before = probe.body("/");
    // The answer may be lost with the instance.
    let _ = probe.get("/exit");
    eventually("another instance answers", || match probe.get("/") {
        Ok(answer) if answer.status == 200 && answer.body != before => Ok(()),
        other => Err(format!("{other:?}")),
    });
    probe.events().says(&["app.crash"]);
}

#[test]
fn a_pushed_site_answers_on_nats_lite() {
    on_nats_lite(a_pushed_site_answers);
}

#[test]
fn a_pushed_site_answers_on_nats_server() {
    on_nats_server(a_pushed_site_answers);
}

#[test]
fn a_scaled_app_answers_from_both_instances_on_nats_lite() {
    on_nats_lite(a_scaled_app_answers_from_both_instances);
}

#[test]
fn a_scaled_app_answers_from_both_instances_on_nats_server() {
    on_nats_server(a_scaled_app_answers_from_both_instances);
}

#[test]
fn a_crashed_instance_is_replaced_on_nats_lite() {
    on_nats_lite(a_crashed_instance_is_replaced);
}

#[test]
fn a_crashed_instance_is_replaced_on_nats_server() {
    on_nats_server(a_crashed_instance_is_replaced);
}

#[test]
fn a_nats_server_takes_the_users_of_the_platform_and_no_stranger() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    platform.end().well();
    let users = platform.data_dir().join("config/nats-server-users.conf");
    let Some(server) = NatsServer::with(&["-c", users.to_str().unwrap()]) else {
        return;
    };
    let stranger = server.url().replace("nats://", "nats://dea-0:guessed@");
    platform.resume(&["--bus", &server.url()]).well();
    a_pushed_site_answers(&platform);
    platform.end().well();
    platform.resume(&["--bus", &stranger]).failed();
}

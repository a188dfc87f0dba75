#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::*;

fn parsed(text: &str) -> Result<Vec<AppManifest>, CfError> {
    parse(Path::new("dir/manifest.yml"), text)
}

fn refused(text: &str) -> String {
    parsed(text).expect_err(text).to_string()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    list.iter().map(own).collect()
}

#[test]
fn every_attribute_is_read() {
    let text = "applications:\n- name: a\n  buildpack: ruby\n  command: run it\n  disk_quota: 1G\n  memory: 64M\n  instances: 2\n  path: sub\n  stack: host\n  timeout: 80\n  health-check-type: http\n  health-check-http-endpoint: /up\n  hosts: [h1, h2]\n  domain: d.com\n  no-hostname: false\n  random-route: true\n  services: [db]\n  env: {A: 1, B: true, C: [x]}\n  app-ports: [8080]\n";
    let app = parsed(text).unwrap().remove(0);
    let wanted = AppManifest {
        name: Some("a".into()),
        path: Some("dir/sub".into()),
        memory: Some(64),
        disk_quota: Some(1024),
        instances: Some(2),
        buildpack: Some("ruby".into()),
        command: Some("run it".into()),
        stack: Some("host".into()),
        timeout: Some(80),
        health_check_type: Some("http".into()),
        health_check_http_endpoint: Some("/up".into()),
        hosts: vec!["h1".into(), "h2".into()],
        domains: vec!["d.com".into()],
        random_route: true,
        services: vec!["db".into()],
        env: pairs(&[("A", "1"), ("B", "true"), ("C", "[\"x\"]")]),
        app_ports: vec![8080],
        ..AppManifest::default()
    };
    assert_eq!(app, wanted);
}

#[test]
fn shared_attributes_are_inherited_and_env_is_merged() {
    let apps = parsed(
        "memory: 64M\nenv: {A: 1, B: x}\nservices: [log]\napplications:\n- name: one\n  env: {B: y}\n  services: [db]\n- name: two\n  memory: 1G\n  instances: 2\n",
    )
    .unwrap();
    assert_eq!(apps[0].memory, Some(64));
    assert_eq!(apps[0].env, pairs(&[("A", "1"), ("B", "y")]));
    assert_eq!(apps[0].services, ["log", "db"]);
    assert_eq!((apps[1].memory, apps[1].instances), (Some(1024), Some(2)));
}

#[test]
fn anchors_and_merge_keys_are_expanded() {
    let text = "defaults: &defaults\n  memory: 64M\n  instances: 3\napplications:\n- <<: *defaults\n  name: a\n- name: b\n  <<: *defaults\n  instances: 1\n";
    let apps = parsed(text).unwrap();
    let sizes: Vec<_> = apps.iter().map(|a| (a.memory, a.instances)).collect();
    assert_eq!(sizes, [(Some(64), Some(3)), (Some(64), Some(1))]);
}

#[test]
fn a_misspelt_shared_key_is_not_taken_for_an_anchor() {
    let said = refused("envs:\n  A: 1\napplications:\n- name: a\n");
    assert!(said.contains("`envs`"), "{said}");
}

#[test]
fn errors_name_file_line_app_attribute_and_what_is_accepted() {
    let cases = [
        (
            "applications:\n- name: a\n  memmory: 1G\n",
            3,
            "unknown key `memmory`",
        ),
        (
            "applications:\n- name: b\n  memory: 1G\n- name: a\n  memory: 12\n",
            5,
            "app a: `memory`",
        ),
        (
            "applications:\n- name: a\n  instances: many\n",
            3,
            "whole number",
        ),
        (
            "applications:\n- name: a\n  instances: -1\n",
            3,
            "whole number",
        ),
        ("applications:\n- name: a\n  env: [1]\n", 3, "map of names"),
        ("applications:\n- name: a\n  env:\n    A:\n", 4, "no value"),
        ("applications: 5\n", 1, "list of apps"),
        (
            "applications:\n- name: [x]\n",
            2,
            "must be text, not a list",
        ),
        ("applications:\n- just text\n", 2, "must be a map"),
        (
            "applications:\n- name: a\n  routes: [x.d.com]\n",
            3,
            "`- route: HOST.DOMAIN/PATH`",
        ),
        (
            "applications:\n- name: a\n  no-route: perhaps\n",
            3,
            "true or false",
        ),
        (
            "applications:\n- name: a\n  health-check-type: tcp\n",
            3,
            "one of port, process, http, none",
        ),
        (
            "applications:\n- name: a\n  app-ports: [0]\n",
            3,
            "1 to 65535",
        ),
        (
            "applications:\n- name: a\n  host: h\n  routes:\n  - route: x.d.com\n",
            5,
            "together",
        ),
        ("- a\n", 1, "a manifest is a map"),
    ];
    for (text, line, said) in cases {
        let error = refused(text);
        let start = format!("dir/manifest.yml:{line}:");
        assert!(error.starts_with(&start), "{text}: {error}");
        assert!(error.contains(said), "{said} in {error}");
    }
}

#[test]
fn words_that_yaml_once_took_for_booleans_stay_words() {
    let apps = parsed("applications:\n- name: a\n  env: {N: y, on: off}\n").unwrap();
    assert_eq!(apps[0].env, pairs(&[("N", "y"), ("on", "off")]));
}

#[test]
fn a_manifest_without_a_list_is_one_app() {
    assert_eq!(
        parsed("name: solo\n").unwrap()[0].name.as_deref(),
        Some("solo")
    );
}

#[test]
fn the_random_word_is_the_same_everywhere_and_fit_for_a_host() {
    let app = parsed("name: a\nhost: x-${random-word}\nenv: {W: \"${random-word}\"}\n").unwrap();
    let host = app[0].hosts[0].strip_prefix("x-").unwrap();
    assert_eq!(app[0].env[0].1, host);
    assert!(
        host.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
        "{host}"
    );
}

#[test]
fn inherited_attributes_are_below_and_apps_of_one_name_are_one_app() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "base.yml",
        "memory: 64M\ninstances: 1\napplications:\n- name: a\n  path: lib\n  env: {A: 1}\n",
    );
    write("mid.yml", "inherit: base.yml\ninstances: 2\n");
    write(
        "top.yml",
        "inherit: mid.yml\napplications:\n- name: a\n  env: {B: 2}\n- name: b\n",
    );
    let apps = read(&dir.path().join("top.yml")).unwrap();
    assert_eq!(apps.len(), 2);
    assert_eq!((apps[0].memory, apps[0].instances), (Some(64), Some(2)));
    assert_eq!(apps[0].env, pairs(&[("A", "1"), ("B", "2")]));
    assert_eq!(apps[0].path, Some(dir.path().join("lib")));
    assert_eq!(apps[1].memory, Some(64));
}

#[test]
fn a_circle_of_inheritance_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.yml"), "inherit: ./b.yml\n").unwrap();
    std::fs::write(dir.path().join("b.yml"), "inherit: a.yml\n").unwrap();
    let error = read(&dir.path().join("a.yml"))
        .expect_err("refused")
        .to_string();
    assert!(
        error.contains("circle") && error.contains("b.yml"),
        "{error}"
    );
}

#[test]
fn what_is_no_text_is_refused_with_its_place() {
    let path = Path::new("m.yml");
    let cases: [(Vec<u8>, &str); 3] = [
        (b"name: a\n\x00".to_vec(), "m.yml:2: a zero byte"),
        (
            b"name: a\nx: \xff\n".to_vec(),
            "m.yml:2: byte 11 is no UTF-8",
        ),
        (vec![b'#'; 1024 * 1024 + 1], "longer than 1024 KiB"),
    ];
    for (bytes, said) in cases {
        let error = source::decode(path, bytes).expect_err(said).to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let items = vec![format!("*a{}", n - 1); 9].join(", ");
        text.push_str(&format!("a{n}: &a{n} [{items}]\n"));
    }
    assert!(refused(&text).contains("not readable as YAML"));
    let deep = format!("name: a\nenv: {}{}\n", "[".repeat(500), "]".repeat(500));
    assert!(refused(&deep).contains("not readable as YAML"));
}

#[test]
fn rubbish_is_an_error_or_nothing_and_never_a_panic() {
    for text in [
        "%&*",
        "a: b: c",
        "- - -",
        "applications:\n- \"x",
        "",
        "--- 1\n--- 2\n",
    ] {
        let _ = parsed(text);
    }
}

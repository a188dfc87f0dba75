//! Buildpacks and stacks (reference: tier 1 and 3 tables).

use serde_json::{Value, json};

use crate::script::*;

fn ruby() -> Value {
    resource(
        "b",
        json!({
            "name": "ruby", "position": 1, "enabled": true, "locked": false, "filename": "ruby.zip",
        }),
    )
}

fn lookup() -> Exchange {
    find("/v2/buildpacks?q=name:ruby", &[ruby()])
}

fn bits() -> Exchange {
    let parts = &["name=\"buildpack\"; filename=\"bp.zip\"", "PK"];
    form("PUT", "/v2/buildpacks/b/bits", parts, ruby())
}

#[test]
fn buildpacks_and_stacks_are_listed() {
    let stack = resource(
        "k",
        json!({"name": "host", "description": "the host's /usr"}),
    );
    converse(vec![
        (
            "buildpacks",
            vec![find("/v2/buildpacks", &[ruby()])],
            "Getting buildpacks...\n\nbuildpack   position   enabled   locked   filename\nruby        1          true      false    ruby.zip\n",
        ),
        (
            "stacks",
            vec![find("/v2/stacks", std::slice::from_ref(&stack))],
            "OK\n\nname   description\nhost   the host's /usr\n",
        ),
        (
            "stack host",
            vec![find("/v2/stacks?q=name:host", std::slice::from_ref(&stack))],
            "the host's /usr",
        ),
        (
            "stack host --guid",
            vec![find("/v2/stacks?q=name:host", &[stack])],
            "k\n",
        ),
    ]);
}

#[test]
fn buildpacks_are_made_of_a_zip_or_a_directory() {
    let body = json!({"name": "ruby", "position": 2, "enabled": false});
    let script = || [post("/v2/buildpacks", body.clone(), ruby()), bits()];
    let zip = cf("create-buildpack ruby bp.zip 2 --disable").file("bp.zip", "PK…");
    let directory = cf("create-buildpack ruby bp 2 --disable");
    std::fs::create_dir(directory.dir().join("bp")).unwrap();
    std::fs::write(directory.dir().join("bp/detect"), "#!/bin/sh").unwrap();
    for typed in [zip, directory] {
        let ended = typed.with(script());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.out.contains("Done uploading"), "{ended:?}");
    }
}

#[test]
fn buildpacks_are_updated_renamed_and_deleted() {
    let update = cf("update-buildpack ruby -p bp.zip -i 3 --enable").file("bp.zip", "PK…");
    let body = json!({"position": 3, "enabled": true});
    let ended = update.with([lookup(), put("/v2/buildpacks/b", body, ruby()), bits()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mut deletion = vec![lookup()];
    deletion.extend(delete_job("/v2/buildpacks/b?async=true"));
    converse(vec![
        (
            "update-buildpack ruby --lock",
            vec![
                lookup(),
                put("/v2/buildpacks/b", json!({"locked": true}), ruby()),
            ],
            "Updating buildpack ruby...\nOK\n",
        ),
        (
            "rename-buildpack ruby gem",
            vec![
                lookup(),
                put("/v2/buildpacks/b", json!({"name": "gem"}), ruby()),
            ],
            "Renaming buildpack ruby to gem...\nOK\n",
        ),
        (
            "delete-buildpack ruby -f",
            deletion,
            "Deleting buildpack ruby...\nOK\n",
        ),
    ]);
}

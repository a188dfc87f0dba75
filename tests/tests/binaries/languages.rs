//! One small app per language on the stack `debian12`, and what its second push costs.

use std::time::Instant;

use tests::binaries::{Platform, Typed, debian12, may_run};

/// What a command printed, once its seconds have been told.
fn timed(what: &str, type_it: impl FnOnce() -> Typed) -> Typed {
    let began = Instant::now();
    let typed = type_it().well();
    eprintln!("{what}: {:.1} s", began.elapsed().as_secs_f64());
    typed
}

/// A platform that offers the built stack; none where it cannot be built.
fn platform(flags: &[&str]) -> Option<Platform> {
    if !may_run() {
        return None;
    }
    let stacks = debian12()?.display().to_string();
    Some(Platform::up(&[&["--stacks", &stacks], flags].concat()))
}

#[test]
fn every_language_answers_on_debian12_and_a_second_push_uses_the_cache() {
    let Some(platform) = platform(&[]) else {
        return;
    };
    platform
        .cf(&["curl", "/v2/stacks"])
        .well()
        .says(&["debian12", "cflinuxfs2"]);
    let cache = "Downloaded app buildpack cache";
    for (sample, memory, expected, cached) in [
        (
            "python",
            "128M",
            "python 3.11",
            &[cache, "Requirement already satisfied: six==1.16.0"][..],
        ),
        (
            "node",
            "256M",
            "a day has 86400000 ms",
            &[cache, "npm ci from the build cache"],
        ),
        ("go", "64M", "go go1.19", &[cache]),
        ("ruby", "128M", "ruby 3.1", &[]),
        ("java", "256M", "java 17", &[]),
        ("php", "128M", "php 8 by fpm-fcgi", &[]),
    ] {
        let app = platform.app(sample);
        let flags = ["-s", "debian12", "-m", memory];
        timed(&format!("{sample}, first"), || app.push(sample, &flags));
        let body = app.body("/");
        assert!(body.contains(expected), "{sample}: {body}");
        let again = timed(&format!("{sample}, second"), || app.restage());
        again.says(cached);
        assert!(app.body("/").contains(expected));
    }
    // 256 MB of a container: the heap stays below it.
    let java = platform.app("java").body("/");
    assert!(java.contains("heap 15"), "60 % of 256 MB: {java}");
}

#[test]
fn the_alias_of_a_stack_runs_the_same_system_and_an_unknown_stack_is_refused() {
    let Some(platform) = platform(&["--stack-alias", "lucid64=debian12"]) else {
        return;
    };
    let app = platform.app("old");
    app.push("ruby", &["-s", "lucid64", "-m", "128M"]).well();
    assert!(app.body("/").contains("ruby 3.1"));
    app.push("ruby", &["-s", "windows"])
        .failed()
        .says(&["Stack windows not found"]);
}

#[test]
fn system_properties_choose_among_the_registered_javas() {
    let Some(stacks) = may_run().then(debian12).flatten() else {
        return;
    };
    let stacks = stacks.display().to_string();
    let platform = Platform::prepared();
    let jdk = platform.scratch().join("jdk-23");
    std::fs::create_dir_all(jdk.join("bin")).unwrap();
    std::fs::write(jdk.join("release"), "JAVA_VERSION=\"23.0.1\"\n").unwrap();
    // The stack's own in disguise: a version that no host has.
    let program = jdk.join("bin/java");
    std::fs::write(
        &program,
        "#!/bin/sh\necho chosen 23\nexec /usr/bin/java \"$@\"\n",
    )
    .unwrap();
    std::fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let runtime = format!("java={}", jdk.display());
    platform
        .resume(&["--stacks", &stacks, "--runtime", &runtime])
        .well();
    let sample = platform.scratch().join("java");
    let sample_path = sample.display().to_string();
    let copied = std::process::Command::new("cp")
        .args(["-r", &tests::binaries::sample_app("java"), &sample_path])
        .status();
    assert!(copied.unwrap().success());
    let app = platform.app("java");
    let push = |version: &str| {
        std::fs::write(
            sample.join("system.properties"),
            format!("java.runtime.version={version}\n"),
        )
        .unwrap();
        platform.cf(&[
            "push",
            "java",
            "-p",
            &sample_path,
            "-s",
            "debian12",
            "-m",
            "256M",
        ])
    };
    push("23").well().says(&["Using java 23.0.1"]);
    assert!(app.body("/").contains("java 17"));
    platform
        .cf(&["logs", "java", "--recent"])
        .well()
        .says(&["chosen 23"]);
    push("1.6")
        .failed()
        .says(&["there is no java 1.6; there are: 17", "23.0.1"]);
}

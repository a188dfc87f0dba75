//! Bad input and missing means: refused, with the reason and the next step.

use reqwest::Method;
use serde_json::json;
use tests::binaries::{Entry, Noise, Platform, Scripts, eventually, may_run, zip_of};

use crate::PROBE;

#[test]
fn wrong_input_at_the_command_line_is_refused_with_the_next_step() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let api = format!("http://127.0.0.1:{}", platform.settings()["api_port"]);
    let login = [
        "login", "-a", &api, "-u", "admin", "-o", "demo", "-s", "dev",
    ];
    platform
        .cf_with_password(&login, "wrong")
        .failed()
        .says(&["Credentials were rejected", "TIP:"]);
    platform
        .cf(&["app", "nobody"])
        .failed()
        .says(&["App nobody not found", "TIP: `cf apps`"]);
    let manifest = platform.scratch().join("manifest.yml");
    std::fs::write(&manifest, "---\napplications:\n- name: x\n  memroy: 64M\n").unwrap();
    let manifest = manifest.display().to_string();
    platform
        .cf(&["push", "-f", &manifest])
        .failed()
        .says(&[&format!("{manifest}:4: unknown key `memroy`"), "memory"]);
    platform
        .cf(&["push", "x", "--no-manifest", "-p", "/nowhere/at/all"])
        .failed()
        .says(&["/nowhere/at/all does not exist"]);
}

#[test]
fn hostile_archives_are_refused_and_the_app_stays_as_it_was() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let site = platform.app("site");
    site.push("static", &[]).well();
    let bits = format!("/v2/apps/{}/bits", site.guid());
    let outside = platform.scratch().join("evil").display().to_string();
    for (entry, reason) in [
        (Entry::File("../../evil", "x"), "leads out of the archive"),
        (Entry::Symlink("link", "/etc/passwd"), "symbolic link"),
        (Entry::File(&outside, "x"), "absolute path"),
    ] {
        let hostile = zip_of(&[Entry::File("index.html", "taken over"), entry]);
        let answer = platform.upload(&bits, "application", hostile, &[("resources", "[]")]);
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (400, &json!(160_001)),
            "{entry:?}: {answer:?}"
        );
        assert!(answer.body.contains(reason), "{entry:?}: {answer:?}");
    }
    assert!(!std::path::Path::new(&outside).exists());
    platform.cf(&["restart", "site"]).well();
    assert!(site.body("/").contains("Hello from Bloomery"));
    let harmless = zip_of(&[Entry::File("index.html", "a new page")]);
    let answer = platform.upload(&bits, "application", harmless, &[("resources", "[]")]);
    assert_eq!(
        answer.status, 201,
        "the same upload without the hostile entry: {answer:?}"
    );
}

#[test]
fn a_buildpack_that_fails_is_named_with_its_own_words() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let fortran = Scripts {
        detect: "echo Fortran",
        compile: "echo 'this stack has no gfortran' >&2\nexit 1",
        release: "echo '--- {}'",
    };
    platform.install_buildpack("fortran", 1, fortran);
    let old = platform.app("old");
    old.push("probe", &["-b", "fortran"]).failed().says(&[
        "this stack has no gfortran",
        "BuildpackCompileFailed",
        "exit status 1",
        "TIP: use `cf logs old --recent`",
    ]);
    platform
        .cf(&["logs", "old", "--recent"])
        .well()
        .says(&["ERR this stack has no gfortran"]);
}

#[test]
fn no_dea_with_enough_memory_names_the_resource_and_the_shortage() {
    if !may_run() {
        return;
    }
    // The organization may promise 4096 MB, but no single DEA has more than 2048.
    let platform = Platform::up(&["--deas", "2", "--memory", "4096"]);
    let big = platform.app("big");
    big.push("probe", &[&PROBE[..], &["-m", "3000M"]].concat())
        .failed()
        .says(&["no available stagers: need 3000 MB memory", "has 2048 MB"]);
    big.push("probe", &[&PROBE[..], &["-m", "64M"]].concat())
        .well();
    big.body("/");
}

#[test]
fn without_the_bus_writes_are_503_with_retry_after_and_reads_answer() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let probe = platform.app("probe");
    probe.push("probe", &PROBE).well();
    let instance = probe.body("/");
    let app = format!("/v2/apps/{}", probe.guid());
    platform.kill_supervisor();
    platform.kill("nats-lite");
    eventually("the controller notices", || {
        let health = platform.cf(&["curl", &format!("{app}/summary")]);
        if health.text().contains("\"running_instances\":-1") {
            Ok(())
        } else {
            Err(health)
        }
    });
    let refused = platform
        .api(Method::PUT, &app, Some(json!({"state": "STOPPED"})))
        .unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
    let seconds: u32 = refused
        .retry_after
        .as_deref()
        .unwrap_or("none")
        .parse()
        .unwrap();
    assert!((1..=60).contains(&seconds), "{refused:?}");
    for path in ["/v2/apps", "/v2/spaces", "/v2/info", &app] {
        let answer = platform.api(Method::GET, path, None).unwrap();
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    assert_eq!(probe.body("/"), instance, "apps do not need the bus");
    platform.resume(&[]).well();
    eventually("writes are taken again", || {
        let answer = platform
            .api(Method::PUT, &app, Some(json!({"state": "STOPPED"})))
            .unwrap();
        if answer.status == 201 {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    });
}

#[test]
fn a_full_disk_on_the_dea_is_named_and_other_apps_go_on() {
    if !may_run() {
        return;
    }
    let small = SmallDisk::mount("48m");
    let platform = Platform::prepared();
    std::fs::create_dir_all(platform.data_dir()).unwrap();
    std::os::unix::fs::symlink(small.0.path(), platform.data_dir().join("dea-0")).unwrap();
    platform.resume(&[]).well();
    let site = platform.app("site");
    site.push("static", &["-m", "32M", "-k", "16M"]).well();
    let dir = platform.scratch().join("big");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("Staticfile"), "").unwrap();
    std::fs::write(dir.join("index.html"), "too big for this host").unwrap();
    let noise = Noise::default().take(8 << 20).flat_map(u64::to_le_bytes);
    std::fs::write(dir.join("noise"), noise.collect::<Vec<_>>()).unwrap();
    let path = dir.display().to_string();
    platform
        .cf(&["push", "big", "-m", "32M", "-p", &path])
        .failed()
        .says(&["No space left on device", "dea-0"]);
    assert!(site.body("/").contains("Hello from Bloomery"));
}

/// A file system of that size; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(dir.path())
            .status();
        assert!(mount.unwrap().success());
        Self(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmount = std::process::Command::new("umount")
            .arg(self.0.path())
            .status();
        assert!(unmount.is_ok_and(|s| s.success()) || std::thread::panicking());
    }
}

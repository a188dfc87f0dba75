//! The system buildpacks as programs, outside of any platform: what they recognise, and
//! what they say of a stack that lacks their runtime.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tests::binaries::sample_app;

fn script(buildpack: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../buildpacks")
        .join(buildpack)
        .join("bin")
        .join(name)
}

/// A stack with these programs of the host and no others.
fn stack_of(programs: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in programs {
        let found = ["/usr/bin", "/bin"]
            .iter()
            .map(|place| Path::new(place).join(name))
            .find(|p| p.exists());
        symlink(
            found.unwrap_or_else(|| panic!("{name} is missing here")),
            dir.path().join(name),
        )
        .unwrap();
    }
    dir
}

const TOOLS: [&str; 17] = [
    "basename", "cat", "cp", "cut", "dirname", "find", "grep", "head", "ls", "mkdir", "mktemp",
    "printf", "readlink", "rm", "sed", "tr", "wc",
];

/// Runs compile on a copy of the sample.
fn compile(buildpack: &str, sample: &str, stack: &Path) -> Output {
    let work = tempfile::tempdir().unwrap();
    let app = work.path().join("app");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(sample_app(sample))
        .arg(&app)
        .status()
        .unwrap();
    assert!(copied.success());
    let mut command = Command::new("/bin/sh");
    command
        .arg(script(buildpack, "compile"))
        .arg(&app)
        .arg(work.path().join("cache"));
    command
        .env_clear()
        .env("PATH", stack)
        .env("HOME", work.path())
        .env("BLOOMERY_RUNTIMES", work.path());
    command.output().unwrap()
}

#[test]
fn a_stack_that_lacks_the_runtime_is_told_in_a_sentence() {
    let stack = stack_of(&TOOLS);
    for (buildpack, sample, words) in [
        ("nodejs", "node", "this stack has no node"),
        ("go", "go", "this stack has no go"),
        ("ruby", "ruby", "this stack has no ruby"),
        ("java", "java", "this stack has no java"),
    ] {
        let output = compile(buildpack, sample, stack.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{buildpack}: {output:?}");
        assert!(said.contains(words), "{buildpack}: {said}");
        assert!(
            !said.contains("not found"),
            "a shell error of {buildpack}: {said}"
        );
    }
}

/// A program that does nothing.
fn dummy(stack: &Path, name: &str) {
    std::fs::write(stack.join(name), "#!/bin/sh\nexit 0\n").unwrap();
    std::fs::set_permissions(stack.join(name), PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn ruby_without_bundler_names_the_package() {
    let stack = stack_of(&TOOLS);
    dummy(stack.path(), "ruby");
    let output = compile("ruby", "ruby", stack.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("ruby-bundler"),
        "{said}"
    );
}

#[test]
fn every_sample_is_recognised_by_its_own_buildpack_first() {
    // The order in which `bloomery up` installs them.
    let order = [
        "staticfile",
        "java",
        "ruby",
        "nodejs",
        "go",
        "python",
        "php",
        "binary",
    ];
    for (sample, expected) in [
        ("static", "staticfile"),
        ("java", "java"),
        ("ruby", "ruby"),
        ("node", "nodejs"),
        ("go", "go"),
        ("python", "python"),
        ("php", "php"),
        ("probe", "binary"),
    ] {
        let detects = |buildpack: &&str| {
            let output = Command::new(script(buildpack, "detect"))
                .arg(sample_app(sample))
                .output()
                .unwrap();
            output.status.success()
        };
        assert_eq!(
            order.iter().find(|b| detects(b)),
            Some(&expected),
            "{sample}"
        );
    }
}

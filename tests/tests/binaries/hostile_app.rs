//! What a hostile app can do to its neighbours: nothing.

use tests::binaries::{Platform, eventually, may_run};

use crate::PROBE;

/// Traps for those who read files, then three seconds of lines of 60 KB, of binary ones, and of one that has no end; beside it the
/// app serves.
const HOSTILE: &str = r#"echo text > plain; ln -s /dev/zero zero; mkfifo fifo; truncate -s 3G hole
/usr/bin/python3 -c '
import os, time
end = time.time() + 3
while time.time() < end:
    os.write(1, b"x" * 60000 + b"\n")
    os.write(1, bytes(range(128, 256)) * 300 + b"\n")
    os.write(1, b"\0" * 60000)
os.write(1, b"\nthe flood is over\n")' &
exec /usr/bin/python3 probe.py"#;

#[test]
fn an_app_that_floods_its_log_and_sets_traps_harms_nobody() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let good = platform.app("good");
    good.push("probe", &PROBE).well();
    let hostile = platform.app("hostile");
    hostile
        .push("probe", &[&PROBE[..], &["-c", HOSTILE]].concat())
        .well();
    // Its neighbour's lines arrive, all of them, and a staging beside it ends.
    assert_eq!(good.body("/lines/200"), "printed");
    platform.app("late").push("probe", &PROBE).well();
    let recent = |app: &str| {
        platform
            .cf(&["logs", app, "--recent"])
            .well()
            .text()
            .to_owned()
    };
    eventually("every line of the neighbour is there", || {
        let text = recent("good");
        let is_there = |n: u32| text.contains(&format!("OUT line {n}\n"));
        let missing = (0..200).find(|n| !is_there(*n));
        missing.map_or(Ok(()), |n| Err(format!("line {n} is missing")))
    });
    eventually("the flood's own log goes on to its end", || {
        let text = recent("hostile");
        let is_over = text.contains("the flood is over");
        is_over.then_some(()).ok_or("it is not over")
    });
    platform
        .cf(&["files", "hostile", "app/plain"])
        .well()
        .says(&["text"]);
    for trap in ["app/zero", "app/fifo", "app/hole"] {
        platform.cf(&["files", "hostile", trap]).failed();
    }
    good.body("/");
}

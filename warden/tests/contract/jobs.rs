//! How a job starts and what it finds.

use std::io::{Read, Write};

use warden::{Backend, Exit, Pipes, ProcessSpec, User};

use super::{collect, plain_spec, script};

pub(crate) async fn exit_code_and_signal_are_reported(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let (exit, _) = script(&container, "exit 7").await;
    assert_eq!(
        exit,
        Exit {
            code: 7,
            signal: None
        }
    );
    let (exit, _) = script(&container, "kill -SEGV $$").await;
    assert_eq!(
        exit,
        Exit {
            code: 128 + 11,
            signal: Some(11)
        }
    );
    backend.destroy(container.handle()).await.unwrap();
}

pub(crate) async fn a_missing_program_is_named_in_the_error(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let mut spec = ProcessSpec::script("");
    spec.argv = vec!["no-such-program".into()];
    let error = container
        .run(spec, Pipes::default())
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "exec no-such-program: No such file or directory (os error 2)"
    );
    backend.destroy(container.handle()).await.unwrap();
}

pub(crate) async fn the_environment_is_exactly_what_was_given(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let mut spec = ProcessSpec::script("");
    spec.argv = vec!["env".into()];
    spec.env = vec![
        ("A".into(), "1".into()),
        ("LANG".into(), "C".into()),
        ("A".into(), "$x `y`".into()),
    ];
    let big = "v".repeat(100_000);
    spec.env.push(("BIG".into(), big.clone()));
    let job = container.run(spec, Pipes::default()).await.unwrap();
    let (_, lines) = collect(&container, &job).await;
    let names: Vec<&str> = lines
        .iter()
        .filter_map(|l| l.split_once('='))
        .map(|(k, _)| k)
        .collect();
    assert_eq!(names, ["HOME", "USER", "PATH", "LANG", "A", "BIG"]);
    assert!(lines.contains(&"A=$x `y`".to_owned()) && lines.contains(&"LANG=C".to_owned()));
    assert!(
        lines.contains(&"USER=vcap".to_owned()) && lines.contains(&"PATH=/bin:/usr/bin".to_owned())
    );
    // A line is cut after 64 KiB.
    let tail = &lines[lines.len() - 2..];
    assert_eq!(tail.concat(), format!("BIG={big}"));
    backend.destroy(container.handle()).await.unwrap();
}

pub(crate) async fn a_job_starts_at_home_without_foreign_descriptors(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let (_, lines) = script(
        &container,
        "pwd; cd /proc/self/fd && echo *; ulimit -c; umask",
    )
    .await;
    assert_eq!(lines[0], "/home/vcap");
    // 3 is the shell reading the directory.
    assert_eq!(lines[1..], ["0 1 2 3", "0", "0022"]);
    backend.destroy(container.handle()).await.unwrap();
}

pub(crate) async fn a_root_job_is_called_root(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let mut spec = ProcessSpec::script("echo $USER $PATH");
    spec.user = User::Root;
    let job = container.run(spec, Pipes::default()).await.unwrap();
    assert_eq!(
        collect(&container, &job).await.1,
        ["root /sbin:/bin:/usr/sbin:/usr/bin"]
    );
    backend.destroy(container.handle()).await.unwrap();
}

pub(crate) async fn a_terminal_belongs_to_the_job(backend: &dyn Backend) {
    let container = backend.create(plain_spec()).await.unwrap();
    let spec = ProcessSpec::script("read line; stty size; echo \"got $line\"; test -t 2; exit $?");
    let size = warden::WindowSize {
        rows: 33,
        columns: 77,
    };
    let (job, terminal) = container.run_on_terminal(spec, size).await.unwrap();
    let said = tokio::task::spawn_blocking(move || {
        let mut terminal = std::fs::File::from(terminal);
        terminal.write_all(b"keys\n").unwrap();
        let mut said = Vec::new();
        // Ends with EIO when the last program has left.
        let _ = terminal.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    });
    let said = said.await.unwrap();
    assert!(
        said.contains("33 77") && said.contains("got keys"),
        "{said:?}"
    );
    assert_eq!(container.wait(&job).await.unwrap().code, 0);
    backend.destroy(container.handle()).await.unwrap();
}

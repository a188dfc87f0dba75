//! One function per verb.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::args::{Args, Verb};
use super::{copy, shell};
use crate::{
    Backend, Container, ContainerSpec, DiskLimits, Error, JobId, Output, Pipes, ProcessSpec,
    Result, Rootfs, Stream, User,
};

/// Prints a result as JSON or as text.
pub(super) fn show<T: Serialize>(json: bool, value: &T, text: &str) {
    let json = json.then(|| serde_json::to_string_pretty(value).expect("results serialize"));
    let text = json.as_deref().unwrap_or(text);
    if !text.is_empty() {
        // A reader such as `head` may be gone; that is no failure of the verb.
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

/// Runs the verb; the code to exit with.
pub(super) async fn run(backend: &dyn Backend, args: Args) -> Result<u8> {
    let json = args.json;
    match args.verb {
        Verb::Ping => {
            backend.ping().await?;
            show(json, &"pong", "pong");
        }
        Verb::Capacity => {
            let c = backend.capacity().await?;
            let text = format!(
                "memory {} disk {} containers {} disk limits by {}",
                c.memory_bytes,
                c.disk_bytes,
                c.max_containers,
                disk_limits(c.disk_limits)
            );
            show(json, &c, &text);
        }
        Verb::List { property } => {
            let handles = backend.list(&property.into_iter().collect()).await?;
            show(json, &handles, &handles.join("\n"));
        }
        Verb::Destroy { handle } => backend.destroy(&handle).await?,
        Verb::Create { .. } => {
            let container = backend.create(container_spec(args.verb)).await?;
            show(json, &container.handle(), container.handle());
        }
        Verb::Teardown => {}
        other => return on_container(backend, other, json).await,
    }
    Ok(0)
}

fn disk_limits(way: DiskLimits) -> &'static str {
    match way {
        DiskLimits::ProjectQuota => "project quota",
        DiskLimits::Image => "image",
        DiskLimits::None => "nothing",
    }
}

async fn on_container(backend: &dyn Backend, verb: Verb, json: bool) -> Result<u8> {
    match verb {
        Verb::Run {
            handle,
            root,
            env,
            detach,
            argv,
        } => {
            let container = backend.lookup(&handle).await?;
            let spec = ProcessSpec {
                argv,
                env,
                dir: None,
                user: user(root),
                nofile: None,
            };
            let job = container.run(spec, Pipes::default()).await?;
            if !detach {
                return follow(&container, &job, 1).await;
            }
            show(json, &job, &job.0);
        }
        Verb::Attach { handle, job, from } => {
            return follow(&backend.lookup(&handle).await?, &JobId(job), from).await;
        }
        Verb::Info { handle } => {
            let info = backend.lookup(&handle).await?.info().await?;
            let text = serde_json::to_string_pretty(&info).expect("info serializes");
            show(json, &info, &text);
        }
        Verb::Shell { handle, root } => {
            return shell::run(&backend.lookup(&handle).await?, user(root)).await;
        }
        Verb::Limit { handle, limits } => {
            let container = backend.lookup(&handle).await?;
            container.limit(&limits.limits()).await?;
        }
        Verb::NetIn {
            handle,
            container_port,
        } => {
            let port = backend
                .lookup(&handle)
                .await?
                .net_in(container_port)
                .await?;
            show(
                json,
                &port,
                &format!("{} -> {}", port.host_port, port.container_port),
            );
        }
        Verb::NetOut {
            handle,
            protocol,
            destination,
            ports,
        } => {
            let rule = Verb::rule(protocol, destination, ports);
            backend.lookup(&handle).await?.net_out(&[rule]).await?;
        }
        Verb::CopyIn { handle, src, dst } => {
            copy::into(&backend.lookup(&handle).await?, &src, &dst).await?;
        }
        Verb::CopyOut { handle, src, dst } => {
            copy::out_of(&backend.lookup(&handle).await?, &src, &dst).await?;
        }
        Verb::Stop { handle, kill } => backend.lookup(&handle).await?.stop(kill).await?,
        Verb::Create { .. }
        | Verb::List { .. }
        | Verb::Destroy { .. }
        | Verb::Ping
        | Verb::Capacity
        | Verb::Teardown => {}
    }
    Ok(0)
}

fn container_spec(verb: Verb) -> ContainerSpec {
    let Verb::Create {
        handle,
        rootfs,
        limits,
        grace,
        bind,
        property,
    } = verb
    else {
        unreachable!("called for create only")
    };
    ContainerSpec {
        handle,
        rootfs: if rootfs == "host" {
            Rootfs::Host
        } else {
            Rootfs::Dir(rootfs.into())
        },
        bind_mounts: bind,
        limits: limits.limits(),
        net_out: Vec::new(),
        properties: property.into_iter().collect(),
        grace_time: grace.map(Duration::from_secs),
    }
}

fn user(root: bool) -> User {
    if root { User::Root } else { User::Vcap }
}

/// Shows output as it comes; the job's exit code.
async fn follow(container: &Arc<dyn Container>, job: &JobId, from: u64) -> Result<u8> {
    let mut output = container.attach(job, from).await?;
    while let Some(item) = output.recv().await {
        print(item).map_err(|e| Error::step("write output", e))?;
    }
    let exit = container.wait(job).await?;
    Ok(u8::try_from(exit.code).unwrap_or(255))
}

fn print(item: Output) -> std::io::Result<()> {
    match item {
        Output::Line {
            stream: Stream::Stdout,
            data,
            ..
        } => {
            let mut out = std::io::stdout().lock();
            out.write_all(&data)?;
            out.write_all(b"\n")
        }
        Output::Line { data, .. } => {
            let mut out = std::io::stderr().lock();
            out.write_all(&data)?;
            out.write_all(b"\n")
        }
        Output::Gap { from, to } => {
            writeln!(std::io::stderr(), "[lines {from} to {to} were dropped]")
        }
    }
}

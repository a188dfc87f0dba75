//! The start sequence of the original, each step named in logs and errors.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bus::log::LogStream;
use tokio_util::sync::CancellationToken;
use warden::{
    Bandwidth, BindMount, Container, ContainerSpec, Limits, OomKill, Pipes, ProcessSpec, Rootfs,
    User,
};

use super::env::{self, Placement};
use super::exit::{self, ExitRecord};
use super::health_check::{self, Unhealthy};
use super::state::State;
use super::{Instance, script};
use crate::capture::{self, CaptureError};
use crate::droplets::DropletError;
use crate::egress;
use crate::host::Host;
use crate::limits::INSTANCE_LOG_SECONDS;

/// Directory inside the container where the droplet is visible.
const DROPLET_INSIDE: &str = "/tmp/droplet";

/// The steps, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Download and check the droplet.
    Droplet,
    /// Make the container, limits and rules in force.
    Container,
    /// Map a port.
    Port,
    /// Unpack the droplet.
    Unpack,
    /// Find out what to run.
    Command,
    /// Run it.
    Spawn,
    /// Wait for the port.
    HealthCheck,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Droplet => "download droplet",
            Step::Container => "create container",
            Step::Port => "map port",
            Step::Unpack => "unpack droplet",
            Step::Command => "find start command",
            Step::Spawn => "run start command",
            Step::HealthCheck => "health check",
        })
    }
}

/// Why an instance did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The droplet could not be had.
    #[error("download droplet: {0}")]
    Droplet(#[from] DropletError),
    /// The stack is not installed here.
    #[error("create container: stack {0} is not installed on this DEA")]
    StackNotFound(String),
    /// A rule of a security group is unreadable.
    #[error("create container: {0}")]
    Egress(#[from] egress::BadRule),
    /// A verb of the container failed.
    #[error("{0}: {1}")]
    Warden(Step, #[source] warden::Error),
    /// The droplet does not unpack.
    #[error("{0}: {1}")]
    Script(Step, #[source] CaptureError),
    /// Neither the app nor the droplet names a command.
    #[error("missing start command")]
    MissingStartCommand,
    /// The port stayed closed.
    #[error("{0}")]
    Unhealthy(#[from] Unhealthy),
    /// Somebody stopped it meanwhile.
    #[error("stopped while starting")]
    Cancelled,
}

impl StartError {
    /// What the user reads in `droplet.exited`: the original's phrases where it had
    /// one, with the step and its reason where it only said `failed to start`.
    fn exit_description(&self) -> String {
        match self {
            Self::MissingStartCommand => {
                "missing start command: add a Procfile with a `web:` line or push with -c COMMAND"
                    .into()
            }
            Self::Unhealthy(e) => e.to_string(),
            other => format!("failed to start: {other}"),
        }
    }
}

/// Runs the whole sequence and leaves the instance RUNNING or CRASHED.
pub async fn run(host: Arc<Host>, instance: Arc<Instance>) {
    let _working = instance.work.lock().await;
    if host.change(&instance, State::Starting).is_err() {
        return;
    }
    let (name, index) = (&instance.message.name, instance.message.index);
    host.tell(
        &instance,
        LogStream::Out,
        &format!("Starting app instance (index {index}) of {name}"),
    );
    match steps(&host, &instance).await {
        Ok(()) => {
            let _ = host.change(&instance, State::Running);
        }
        Err(StartError::Cancelled) => {}
        Err(error) => {
            tracing::warn!(app = %instance.message.droplet, instance = %instance.id, %error, "instance did not start");
            host.tell(
                &instance,
                LogStream::Err,
                &format!("Instance (index {index}) failed to start: {error}"),
            );
            instance
                .standing()
                .exit
                .get_or_insert(ExitRecord::never_ran(error.exit_description()));
            let _ = host.change(&instance, State::Crashed);
        }
    }
}

async fn steps(host: &Arc<Host>, instance: &Arc<Instance>) -> Result<(), StartError> {
    let (droplet, container) =
        tokio::try_join!(droplet(host, instance), container(host, instance))?;
    still_wanted(instance)?;
    let port = container
        .net_in(None)
        .await
        .map_err(|e| StartError::Warden(Step::Port, e))?;
    let info = container
        .info()
        .await
        .map_err(|e| StartError::Warden(Step::Port, e))?;
    {
        let mut standing = instance.standing();
        standing.port = Some(port);
        standing.container_ip = Some(info.container_ip);
    }
    let inside = format!("{DROPLET_INSIDE}/{droplet}");
    until_cancelled(
        instance,
        capture::run(&*container, &script::unpack(&inside)),
        Step::Unpack,
    )
    .await?;
    let command = command(instance, &*container).await?;
    spawn(host, instance, &container, &command).await?;
    wait_healthy(host, instance).await
}

fn still_wanted(instance: &Instance) -> Result<(), StartError> {
    if instance.state() == State::Starting {
        Ok(())
    } else {
        Err(StartError::Cancelled)
    }
}

async fn until_cancelled<T>(
    instance: &Instance,
    work: impl Future<Output = Result<T, CaptureError>>,
    step: Step,
) -> Result<T, StartError> {
    tokio::select! {
        () = instance.cancel.cancelled() => Err(StartError::Cancelled),
        done = work => done.map_err(|e| StartError::Script(step, e)),
    }
}

/// Makes sure the droplet is in the cache; returns its file name there.
async fn droplet(host: &Host, instance: &Instance) -> Result<&'static str, StartError> {
    let message = &instance.message;
    tokio::select! {
        () = instance.cancel.cancelled() => Err(StartError::Cancelled),
        found = host.droplets.fetch(message.sha1.as_deref(), message.executable_uri.as_deref()) => {
            found?;
            Ok(crate::droplets::FILE)
        }
    }
}

async fn container(host: &Host, instance: &Instance) -> Result<Arc<dyn Container>, StartError> {
    let spec = container_spec(host, instance)?;
    let made = host
        .backend
        .create(spec)
        .await
        .map_err(|e| StartError::Warden(Step::Container, e))?;
    instance.standing().handle = Some(made.handle().to_owned());
    Ok(made)
}

fn container_spec(host: &Host, instance: &Instance) -> Result<ContainerSpec, StartError> {
    let message = &instance.message;
    let stack = host.config.stack(message.stack.as_deref());
    let stack = stack
        .ok_or_else(|| StartError::StackNotFound(message.stack.clone().unwrap_or_default()))?;
    let sha1 = message.sha1.as_deref().unwrap_or_default();
    let mut bind_mounts = vec![BindMount {
        src: host.droplets.directory(sha1),
        dst: Path::new(DROPLET_INSIDE).into(),
        writable: false,
    }];
    bind_mounts.extend(host.common_binds());
    Ok(ContainerSpec {
        handle: Some(instance.id.clone()),
        rootfs: stack.rootfs.clone().map_or(Rootfs::Host, Rootfs::Dir),
        bind_mounts,
        limits: Limits {
            memory_bytes: Some(message.limits.mem * 1024 * 1024),
            cpu_shares: Some(host.config.cpu_shares(message.limits.mem)),
            disk_bytes: Some(message.limits.disk * 1024 * 1024),
            disk_inodes: Some(host.config.instance.disk_inode_limit),
            pids: Some(host.config.instance.nproc_limit),
            bandwidth: host.config.instance.bandwidth_limit.map(Bandwidth::from),
            ..Limits::default()
        },
        net_out: egress::translate(&message.egress_network_rules)?,
        properties: host.properties("instance"),
        grace_time: None,
    })
}

async fn command(instance: &Instance, container: &dyn Container) -> Result<String, StartError> {
    if let Some(command) = instance
        .message
        .start_command
        .as_deref()
        .filter(|c| !c.trim().is_empty())
    {
        return Ok(command.to_owned());
    }
    let text = capture::file(container, "/home/vcap/staging_info.yml")
        .await
        .map_err(|e| StartError::Script(Step::Command, e))?;
    crate::staging::info::StagingInfo::parse(&text)
        .ok()
        .and_then(|info| info.start_command)
        .filter(|c| !c.trim().is_empty())
        .ok_or(StartError::MissingStartCommand)
}

async fn spawn(
    host: &Arc<Host>,
    instance: &Arc<Instance>,
    container: &Arc<dyn Container>,
    command: &str,
) -> Result<(), StartError> {
    still_wanted(instance)?;
    let spec = ProcessSpec {
        argv: vec!["/bin/bash".into(), "-c".into(), script::start(command)],
        env: env::of_instance(&instance.message, &placement(host, instance)),
        dir: Some("/home/vcap".into()),
        user: User::Vcap,
        nofile: Some(instance.message.limits.fds),
    };
    let job = container
        .run(spec, Pipes::default())
        .await
        .map_err(|e| StartError::Warden(Step::Spawn, e))?;
    instance.standing().job = Some(job);
    host.snapshot();
    follow(host, instance, container)
        .await
        .map_err(|e| StartError::Warden(Step::Spawn, e))
}

fn placement<'a>(host: &Host, instance: &'a Instance) -> Placement<'a> {
    let standing = instance.standing();
    let port = standing.port.unwrap_or(warden::PortMapping {
        host_port: 0,
        container_port: 0,
    });
    Placement {
        instance_id: &instance.id,
        ip: host.config.ip.to_string(),
        container_port: port.container_port,
        host_port: port.host_port,
        started_at: standing.started.unwrap_or_default() as i64,
    }
}

/// Ships the job's output from where the loggregator last was, and watches for
/// its end. Used after a start and after an adoption alike.
pub async fn follow(
    host: &Arc<Host>,
    instance: &Arc<Instance>,
    container: &Arc<dyn Container>,
) -> Result<(), warden::Error> {
    let Some(job) = instance.standing().job.clone() else {
        return Ok(());
    };
    let from = instance.log_cursor.load(Ordering::Acquire) + 1;
    let output = container.attach(&job, from).await?;
    let over = CancellationToken::new();
    let pump = host.logs.pump(
        output,
        instance.log_source(),
        Arc::clone(&instance.log_cursor),
        over.clone(),
    );
    host.tasks.spawn_job("log pump", pump);
    let (host_, instance_, container_) = (
        Arc::clone(host),
        Arc::clone(instance),
        Arc::clone(container),
    );
    host.tasks.spawn_job("exit watch", async move {
        let exit = container_.wait(&job).await;
        let (events, oom) = match container_.info().await {
            Ok(info) => (info.events, info.oom),
            Err(_) => Default::default(),
        };
        let record = match exit {
            Ok(exit) => ExitRecord::of_process(exit, &events),
            Err(_) => ExitRecord::unknown(),
        };
        ended(&host_, &instance_, record, oom.as_ref());
        drop(container_);
        tokio::time::sleep(INSTANCE_LOG_SECONDS).await;
        over.cancel();
    });
    Ok(())
}

/// The app's process is gone: a crash, unless somebody asked for it.
fn ended(host: &Arc<Host>, instance: &Arc<Instance>, record: ExitRecord, oom: Option<&OomKill>) {
    instance.cancel.cancel();
    if matches!(instance.state(), State::Stopping | State::Stopped) {
        return;
    }
    let text = format!(
        "App instance exited with status {}: {}",
        record.status, record.description
    );
    host.tell(instance, LogStream::Err, &text);
    if let Some(kill) = oom {
        host.tell(instance, LogStream::Err, &exit::out_of_memory_line(kill));
    }
    instance.standing().exit = Some(record);
    let _ = host.change(instance, State::Crashed);
}

async fn wait_healthy(host: &Host, instance: &Instance) -> Result<(), StartError> {
    let message = &instance.message;
    let kind = message.health_check_type.as_deref();
    let (ip, port) = {
        let standing = instance.standing();
        (
            standing.container_ip,
            standing.port.map(|p| p.container_port),
        )
    };
    let (Some(ip), Some(port)) = (ip, port) else {
        return Ok(());
    };
    if message.uris.is_empty() || matches!(kind, Some("none" | "process")) {
        return Ok(());
    }
    let secs = message
        .health_check_timeout
        .unwrap_or(host.config.instance.default_health_check_timeout);
    let (step, limit) = (host.config.times().health_step, Duration::from_secs(secs));
    let check = async {
        if kind != Some("http") {
            return health_check::port_opens(ip.into(), port, step, limit).await;
        }
        let path = message.health_check_http_endpoint.as_deref().unwrap_or("/");
        health_check::path_answers(ip.into(), port, path, step, limit).await
    };
    tokio::select! {
        () = instance.cancel.cancelled() => Err(StartError::Cancelled),
        result = check => result.map_err(|error| {
            host.tell(instance, LogStream::Err, &hint(&error, message.index, port, secs));
            error.into()
        }),
    }
}

/// What the app's developers read when it is not healthy in time.
fn hint(error: &Unhealthy, index: u32, port: u16, secs: u64) -> String {
    let what = match error {
        Unhealthy::NotListening => format!("did not accept connections on port {port}"),
        Unhealthy::NotOk { path, last } => {
            format!("did not answer GET {path} on port {port} with 200 ({last})")
        }
    };
    format!(
        "Instance (index {index}) {what} within {secs} s. \
         Listen on 0.0.0.0:$PORT, or push with a longer timeout (-t SECONDS)."
    )
}

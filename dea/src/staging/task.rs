//! The steps of one staging, in the original's order: workspace, buildpacks,
//! container, downloads, reply 1, buildpack, droplet, uploads, reply 2, instance 0.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use bus::dea::EgressRule;
use bus::log::LogStream;
use bus::staging::{Reply, Start};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use warden::{
    BindMount, Container, ContainerSpec, Exit, JobId, Limits, Output, Pipes, ProcessSpec, Rootfs,
    User,
};

use super::error::StagingError;
use super::info::StagingInfo;
use super::plan::{Plan, inside, name};
use super::{buildpacks, needs, refusals};
use crate::capture::{self, CaptureError};
use crate::config::Stack;
use crate::droplets;
use crate::egress;
use crate::host::Host;
use crate::instance::env;
use crate::limits::STAGING_LOG_SECONDS;
use crate::logs::Source;

/// Files and processes of a staging container are bounded like an instance's.
const PIDS: u64 = 1024;
/// Descriptors a buildpack may open.
const NOFILE: u64 = 16_384;

struct Task<'a> {
    host: &'a Arc<Host>,
    request: &'a Start,
    workspace: TempDir,
    source: Source,
}

struct Staged {
    info: StagingInfo,
    droplet_sha1: String,
}

/// Runs a staging to its end: replies, releases the reservation, starts instance
/// 0 when the request brought its start message, destroys the container.
pub async fn run(host: &Arc<Host>, request: Start, inbox: &str, stop: CancellationToken) {
    let limit = host.config.staging.max_staging_duration;
    let outcome = tokio::select! {
        () = stop.cancelled() => Err(StagingError::Stopped),
        () = host.tasks_ending() => Err(StagingError::Stopped),
        () = tokio::time::sleep(Duration::from_secs(limit)) => Err(StagingError::TimedOut(limit)),
        done = steps(host, &request, inbox) => done,
    };
    let reply = match &outcome {
        Ok(staged) => done_reply(&request, staged),
        Err(error) => {
            tracing::warn!(app = %request.app_id, task = %request.task_id, %error, "staging failed");
            host.logs.line(
                &source(host, &request),
                LogStream::Err,
                &format!("Staging failed: {error}"),
            );
            error.reply(&request.task_id)
        }
    };
    let _ = host.bus.publish_to(inbox, &reply).await;
    super::finish(host, &request.task_id);
    if let (Ok(staged), Some(mut start)) = (outcome, request.start_message) {
        start.sha1 = Some(staged.droplet_sha1);
        crate::inbox::accept(host, start);
    }
    let destroyed = host.backend.destroy(&request.task_id).await;
    if let Err(error) = destroyed.or_else(|e| {
        matches!(e, warden::Error::UnknownHandle(_))
            .then_some(())
            .ok_or(e)
    }) {
        tracing::warn!(task = %request.task_id, %error, "staging container not destroyed");
    }
}

fn done_reply(request: &Start, staged: &Staged) -> Reply {
    let path = staged.info.buildpack_path.as_deref().unwrap_or_default();
    let key = Path::new(path)
        .file_name()
        .map(|n| n.to_string_lossy().into_owned());
    Reply {
        task_id: request.task_id.clone(),
        detected_buildpack: staged.info.detected_buildpack.clone(),
        buildpack_key: key.filter(|k| request.admin_buildpacks.iter().any(|b| b.key == *k)),
        droplet_sha1: Some(staged.droplet_sha1.clone()),
        detected_start_command: staged.info.start_command.clone(),
        ..Reply::default()
    }
}

fn source(host: &Host, request: &Start) -> Source {
    Source {
        app_id: request.app_id.clone(),
        kind: "STG",
        instance: host.config.index.to_string(),
        instance_id: request.task_id.clone(),
    }
}

async fn steps(host: &Arc<Host>, request: &Start, inbox: &str) -> Result<Staged, StagingError> {
    let workspace = tempfile::Builder::new()
        .prefix("task-")
        .tempdir_in(host.dir("staging"))?;
    std::fs::set_permissions(
        workspace.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    let task = Task {
        host,
        request,
        workspace,
        source: source(host, request),
    };
    let container = match task.set_up().await {
        Ok(container) => container,
        Err(error) => {
            // A failed set-up is reported twice, as the original did.
            let _ = host
                .bus
                .publish_to(inbox, &error.reply(&request.task_id))
                .await;
            return Err(error);
        }
    };
    let ready = Reply {
        task_id: request.task_id.clone(),
        ..Reply::default()
    };
    let _ = host.bus.publish_to(inbox, &ready).await;
    let began = Instant::now();
    let staged = task.stage_in(&container).await;
    let refused = refusals::within(&*container, began.elapsed() + GRACE).await;
    let Some(refusals) = refusals::worded(&refused) else {
        return staged;
    };
    task.say(&refusals);
    staged.map_err(|error| StagingError::Refused {
        cause: Box::new(error),
        refusals,
    })
}

/// The ages of refusals are whole seconds.
const GRACE: Duration = Duration::from_secs(1);

impl Task<'_> {
    fn say(&self, text: &str) {
        self.host.logs.line(&self.source, LogStream::Out, text);
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.workspace.path().join(name)
    }

    /// Everything after the first reply.
    async fn stage_in(&self, container: &Arc<dyn Container>) -> Result<Staged, StagingError> {
        let info = self.run_buildpack(container).await?;
        let droplet_sha1 = self.pack_droplet(&**container).await?;
        self.upload(&**container).await?;
        Ok(Staged { info, droplet_sha1 })
    }

    /// The rules of the container: the controller's and this DEA's own.
    fn egress(&self) -> Vec<EgressRule> {
        let mut rules = self.request.egress_network_rules.clone();
        rules.extend(self.host.config.staging.extra_egress.iter().cloned());
        rules
    }

    /// Everything before the first reply: downloads beside the making of the container.
    async fn set_up(&self) -> Result<Arc<dyn Container>, StagingError> {
        let buildpack_dir = buildpacks::ensure(self.host, &self.request.admin_buildpacks).await?;
        let ((), has_cache) = tokio::try_join!(self.download_package(), self.download_cache())?;
        let plan = serde_json::to_vec(&self.plan(has_cache)).map_err(std::io::Error::other)?;
        std::fs::write(self.path(name::PLAN), plan)?;
        Ok(self
            .host
            .backend
            .create(self.container_spec(&buildpack_dir)?)
            .await?)
    }

    async fn download_package(&self) -> Result<(), StagingError> {
        let url = self
            .request
            .download_uri
            .as_deref()
            .ok_or(StagingError::Missing("download_uri"))?;
        let fetched = self
            .host
            .staging
            .transfer
            .download(url, &self.path(name::PACKAGE))
            .await;
        let fetched = fetched.map_err(|source| StagingError::Transfer {
            what: "app package",
            source,
        })?;
        self.say(&format!(
            "-----> Downloaded app package ({})",
            human(fetched.size)
        ));
        Ok(())
    }

    /// A cache that cannot be had costs time, not the staging.
    async fn download_cache(&self) -> Result<bool, StagingError> {
        let Some(url) = self.request.buildpack_cache_download_uri.as_deref() else {
            return Ok(false);
        };
        match self
            .host
            .staging
            .transfer
            .download(url, &self.path(name::CACHE))
            .await
        {
            Ok(fetched) => {
                self.say(&format!(
                    "-----> Downloaded app buildpack cache ({})",
                    human(fetched.size)
                ));
                Ok(true)
            }
            Err(error) => {
                tracing::info!(app = %self.request.app_id, %error, "no buildpack cache");
                let _ = std::fs::remove_file(self.path(name::CACHE));
                Ok(false)
            }
        }
    }

    fn plan(&self, has_cache: bool) -> Plan {
        let properties = &self.request.properties;
        let dir = |key: &str| format!("{}/{key}", inside::BUILDPACKS);
        Plan {
            package: format!("{}/{}", inside::WORKSPACE, name::PACKAGE),
            cache_archive: has_cache.then(|| format!("{}/{}", inside::WORKSPACE, name::CACHE)),
            source_dir: inside::UNSTAGED.into(),
            dest_dir: inside::STAGED.into(),
            cache_dir: inside::CACHE.into(),
            buildpack_dirs: self
                .request
                .admin_buildpacks
                .iter()
                .map(|b| dir(&b.key))
                .collect(),
            chosen_dir: properties.buildpack_key.as_deref().map(dir),
            git_url: properties
                .buildpack_git_url
                .clone()
                .or_else(|| properties.buildpack.clone()),
            command: properties
                .meta
                .command
                .clone()
                .filter(|c| !c.trim().is_empty()),
            egress: self.egress(),
            timeout_secs: self.host.config.staging.max_staging_duration,
        }
    }

    fn stack(&self) -> Result<&Stack, StagingError> {
        let start = self.request.start_message.as_ref();
        let asked = self
            .request
            .stack
            .as_deref()
            .or_else(|| start.and_then(|s| s.stack.as_deref()));
        let found = self.host.config.stack(asked);
        found.ok_or_else(|| StagingError::StackNotFound(asked.unwrap_or_default().to_owned()))
    }

    fn container_spec(&self, buildpack_dir: &Path) -> Result<ContainerSpec, StagingError> {
        let (config, needed) = (&self.host.config.staging, needs(self.host, self.request));
        let bind = |src: &Path, dst: &str| BindMount {
            src: src.into(),
            dst: dst.into(),
            writable: false,
        };
        let mut bind_mounts = vec![
            bind(self.workspace.path(), inside::WORKSPACE),
            bind(&self.host.tools_dir(), inside::TOOLS),
            bind(buildpack_dir, inside::BUILDPACKS),
        ];
        bind_mounts.extend(self.host.common_binds());
        Ok(ContainerSpec {
            handle: Some(self.request.task_id.clone()),
            rootfs: self
                .stack()?
                .rootfs
                .clone()
                .map_or(Rootfs::Host, Rootfs::Dir),
            bind_mounts,
            limits: Limits {
                memory_bytes: Some(needed.memory_mb * 1024 * 1024),
                cpu_shares: Some(config.cpu_limit_shares),
                disk_bytes: Some(needed.disk_mb * 1024 * 1024),
                disk_inodes: Some(config.disk_inode_limit),
                pids: Some(PIDS),
                ..Limits::default()
            },
            net_out: egress::translate(&self.egress())?,
            properties: self.host.properties("staging"),
            grace_time: None,
        })
    }

    /// Runs `bloomery-stage`; its output is the user's staging log.
    async fn run_buildpack(
        &self,
        container: &Arc<dyn Container>,
    ) -> Result<StagingInfo, StagingError> {
        let (timeout, memory) = (
            self.host.config.staging.max_staging_duration,
            needs(self.host, self.request).memory_mb,
        );
        let spec = ProcessSpec {
            argv: vec![
                format!("{}/bloomery-stage", inside::TOOLS),
                format!("{}/{}", inside::WORKSPACE, name::PLAN),
            ],
            env: env::of_staging(self.request, memory, timeout, &self.stack()?.name),
            dir: Some("/home/vcap".into()),
            user: User::Vcap,
            nofile: Some(NOFILE),
        };
        let job = container.run(spec, Pipes::default()).await?;
        let output = container.attach(&job, 1).await?;
        let exit = self.ship_until_exit(&**container, &job, output).await?;
        let text = capture::file(
            &**container,
            &format!("{}/staging_info.yml", inside::STAGED),
        )
        .await;
        let text = match text {
            Ok(text) => text,
            Err(error) if is_absent(&error) => return Err(StagingError::NoResult(exit.code)),
            Err(error) => return Err(StagingError::BadResult(error)),
        };
        let Ok(info) = StagingInfo::parse(&text) else {
            return Err(StagingError::NoResult(exit.code));
        };
        match info.staging_error {
            Some(failure) => Err(StagingError::Buildpacks(failure)),
            None if exit.code != 0 => Err(StagingError::NoResult(exit.code)),
            None => Ok(info),
        }
    }

    /// Waits for the runner's end while its output is shipped. Its log may take a moment more, and no longer: a staging
    /// does not hang on a loggregator.
    async fn ship_until_exit(
        &self,
        container: &dyn Container,
        job: &JobId,
        output: mpsc::Receiver<Output>,
    ) -> Result<Exit, StagingError> {
        let source = Source {
            instance: "0".into(),
            ..self.source.clone()
        };
        let over = CancellationToken::new();
        // Also when the staging is stopped.
        let _over = over.clone().drop_guard();
        let cursor = Arc::new(AtomicU64::new(0));
        let pump = self.host.logs.pump(output, source, cursor, over.clone());
        let shipped = tokio::spawn(pump);
        let exit = container.wait(job).await?;
        if tokio::time::timeout(STAGING_LOG_SECONDS, shipped)
            .await
            .is_err()
        {
            tracing::warn!(app = %self.request.app_id, task = %self.request.task_id, "the loggregator does not take the log of a staging; the rest of it is only counted");
        }
        Ok(exit)
    }

    /// Packs a directory of the container into a file here. What it holds and what comes of it both keep to the disk limit of the
    /// staging: a hole counts as the bytes it stands for, and nothing more than that is ever written.
    async fn pack(
        &self,
        container: &dyn Container,
        dir: &str,
        what: &'static str,
        file: &Path,
    ) -> Result<u64, StagingError> {
        let limit_mb = needs(self.host, self.request).disk_mb;
        let limit = limit_mb.saturating_mul(1024 * 1024);
        let mut target = tokio::fs::File::create(file).await?;
        let script = pack_script(dir, limit);
        let packed = capture::run_into(container, &script, &mut target, limit).await;
        packed.map_err(|source| {
            // Nobody will send it, and it may be large.
            let _ = std::fs::remove_file(file);
            match source {
                CaptureError::TooLarge { .. } => StagingError::TooLarge { what, limit_mb },
                CaptureError::Status { status, .. } if status == BEYOND => {
                    StagingError::TooLarge { what, limit_mb }
                }
                source => StagingError::Script { what, source },
            }
        })
    }

    async fn pack_droplet(&self, container: &dyn Container) -> Result<String, StagingError> {
        let file = self.path("droplet.tgz");
        let size = self
            .pack(container, inside::STAGED, "droplet", &file)
            .await?;
        let sha1 = droplets::digest_of(&file)
            .await
            .ok_or_else(|| std::io::Error::other("droplet not readable"))?;
        if let Err(error) = self.host.droplets.adopt(&sha1, &file) {
            tracing::warn!(%error, "staged droplet not kept in the cache; it will be downloaded");
        }
        self.say(&format!("-----> Uploading droplet ({})", human(size)));
        Ok(sha1)
    }

    async fn upload(&self, container: &dyn Container) -> Result<(), StagingError> {
        let transfer = &self.host.staging.transfer;
        let failed = |what| move |source| StagingError::Transfer { what, source };
        if let Some(url) = self.request.buildpack_cache_upload_uri.as_deref()
            && has_files(container, inside::CACHE).await
        {
            let file = self.path("cache.tgz");
            self.pack(container, inside::CACHE, "buildpack cache", &file)
                .await?;
            transfer
                .upload(url, &file, "buildpack_cache.tgz")
                .await
                .map_err(failed("upload buildpack cache"))?;
        }
        // Last, because the controller takes the staging for done once it has the droplet.
        let url = self
            .request
            .upload_uri
            .as_deref()
            .ok_or(StagingError::Missing("upload_uri"))?;
        transfer
            .upload(url, &self.path("droplet.tgz"), "droplet.tgz")
            .await
            .map_err(failed("upload droplet"))
    }
}

fn is_absent(error: &CaptureError) -> bool {
    let CaptureError::Warden(warden::Error::Unreadable { why, .. }) = error else {
        return false;
    };
    *why == warden::Unreadable::Absent
}

/// How the packing script says that there is more than the limit.
const BEYOND: i32 = 87;

/// Counts what is packed before it is made small: `head` takes the limit from the pipe and not a byte more, and the next one is
/// one too many.
fn pack_script(dir: &str, limit: u64) -> String {
    format!(
        "set -o pipefail; mkdir -p {dir} && cd {dir} && tar -c . \
         | {{ head -c {limit}; [ \"$(head -c 1 | wc -c)\" -eq 0 ] || exit {BEYOND}; }} | gzip -1"
    )
}

/// Whether there is anything to keep. What cannot be looked at is packed, and the
/// packing says why it cannot.
async fn has_files(container: &dyn Container, dir: &str) -> bool {
    let listed = capture::output(container, &format!("ls -A {dir} | head -n 1")).await;
    listed.map_or(true, |text| !text.trim().is_empty())
}

/// `4.0K`, `12M`: sizes as `du -h` prints them.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["K", "M", "G", "T"];
    let mut value = bytes as f64 / 1024.0;
    for unit in UNITS {
        if value < 1024.0 || unit == "T" {
            let rounded_up = if value < 10.0 {
                (value * 10.0).ceil() / 10.0
            } else {
                value.ceil()
            };
            return if rounded_up < 10.0 {
                format!("{rounded_up:.1}{unit}")
            } else {
                format!("{rounded_up:.0}{unit}")
            };
        }
        value /= 1024.0;
    }
    unreachable!("the loop returns at the last unit")
}

impl Host {
    /// Resolves when the DEA stops.
    async fn tasks_ending(&self) {
        self.tasks.token().cancelled().await;
    }

    /// Where `bloomery-stage` stands: configured, or beside the DEA's own program.
    fn tools_dir(&self) -> std::path::PathBuf {
        if !self.config.staging.tools_dir.as_os_str().is_empty() {
            return self.config.staging.tools_dir.clone();
        }
        let own = std::env::current_exe().ok();
        own.and_then(|p| p.parent().map(Path::to_path_buf))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{BEYOND, human, pack_script};

    /// The script as a container's shell runs it, on a directory whose archive has a known size.
    #[test]
    fn what_is_packed_is_counted_with_its_holes_before_it_is_made_small() {
        let dir = tempfile::tempdir().expect("tempdir");
        let hole = std::fs::File::create(dir.path().join("hole")).expect("create");
        hole.set_len(64 << 20).expect("a hole");
        let path = dir.path().display().to_string();
        let run = |limit: u64| {
            let mut bash = std::process::Command::new("bash");
            bash.args(["-c", &pack_script(&path, limit)])
                .output()
                .expect("bash")
        };
        let archive = std::process::Command::new("tar")
            .args(["-C", &path, "-c", "."])
            .output();
        let size = archive.expect("tar").stdout.len() as u64;
        let whole = run(size);
        assert!(
            whole.status.success() && whole.stdout.len() < 1 << 20,
            "{whole:?}"
        );
        for limit in [size - 1, 1 << 20, 0] {
            assert_eq!(run(limit).status.code(), Some(BEYOND), "{limit}");
        }
    }

    #[test]
    fn sizes_read_like_du() {
        assert_eq!(
            [4096, 12 * 1024 * 1024, 1, 10_240, 1024 * 1024].map(human),
            ["4.0K", "12M", "0.1K", "10K", "1.0M"]
        );
    }
}

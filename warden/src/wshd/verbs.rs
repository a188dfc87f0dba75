//! What each request does.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::clients::{Client, Waiting, failed};
use super::jobs::Job;
use super::keeper::{Ending, Keeper};
use super::msg::{self, FromInit, ToInit};
use super::ring::Cursor;
use super::{network, plain, rootfs};
use crate::cgroup::Cgroups;
use crate::sys::{At, files, quota, socket};
use crate::wire::{KeeperInfo, Reply, Request, names};
use crate::{Error, JobId, Limits, ProcessSpec, Result, User, WindowSize};

/// From TERM to KILL.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Finished jobs whose logs are kept.
const FINISHED_JOBS: usize = 64;

/// How a job's standard streams are given.
struct Streams {
    stdin: bool,
    stdout: bool,
    tty: Option<WindowSize>,
}

/// The kernel would end processes to get below a limit: that is for `stop` to do.
fn room(cgroups: &Cgroups, limits: &Limits) -> Result<()> {
    let used = cgroups.memory_bytes();
    match limits.memory_bytes.filter(|wanted| *wanted < used) {
        Some(wanted) => Err(Error::BelowUsage {
            resource: "memory".into(),
            wanted,
            used,
        }),
        None => Ok(()),
    }
}

impl Keeper {
    /// Answers one request, at once or by what the client then waits for.
    pub(super) fn answer(&mut self, client: &mut Client, request: Request, fds: Vec<OwnedFd>) {
        let reply = match request {
            Request::Ping => Ok(Reply::Done),
            Request::Info => Ok(Reply::Info {
                info: Box::new(self.info()),
            }),
            Request::Run {
                spec,
                stdin,
                stdout,
                tty,
            } => self.run(&spec, Streams { stdin, stdout, tty }, fds),
            Request::Attach { job, from } => {
                return self.wait_for(client, job, |id| Waiting::Output(id, Cursor::at(from)));
            }
            Request::Wait { job } => return self.wait_for(client, job, Waiting::Exit),
            Request::Limit { limits } => self.limit(&limits).map(|()| Reply::Done),
            Request::Grace { time } => {
                self.spec.grace_time = time;
                Ok(Reply::Done)
            }
            Request::Stop { kill } => match self.stop(kill) {
                Ok(()) => {
                    client.waiting = Waiting::Quiet;
                    return;
                }
                Err(error) => Err(error),
            },
            Request::Destroy => self.destroy().map(|()| Reply::Done),
        };
        client.last(&reply.unwrap_or_else(|error| failed(&error)));
    }

    fn wait_for(&self, client: &mut Client, job: JobId, waiting: impl FnOnce(JobId) -> Waiting) {
        if self.jobs.contains_key(&job) {
            client.waiting = waiting(job);
        } else {
            client.last(&Reply::UnknownJob { job });
        }
    }

    fn run(
        &mut self,
        spec: &ProcessSpec,
        Streams { stdin, stdout, tty }: Streams,
        fds: Vec<OwnedFd>,
    ) -> Result<Reply> {
        if !self.init_alive {
            return Err(msg::protocol(
                "the container's init is dead; destroy the container",
            ));
        }
        let mut fds = fds.into_iter();
        let mut next = |wanted| if wanted { fds.next() } else { None };
        let (stdin_fd, stdout_fd) = (next(stdin), next(stdout));
        if stdin_fd.is_some() != stdin || stdout_fd.is_some() != stdout {
            return Err(msg::protocol("a descriptor of the job is missing"));
        }
        self.forget_old_jobs();
        let id = JobId(format!("j{}", self.next_job));
        self.next_job += 1;
        let owner = self.job_owner(spec.user);
        let jobs_dir = self.dir.join(names::JOBS);
        let (mut job, ends) = Job::prepare(
            id.clone(),
            &jobs_dir,
            self.spec.ring_bytes,
            stdout_fd,
            owner,
        )?;
        let packed = msg::pack(spec)?;
        let procs = self
            .cgroups
            .as_ref()
            .map_or_else(|| Ok(vec![]), |c| c.open_doors())?;
        let mut pass = vec![packed.as_raw_fd()];
        pass.extend(stdin_fd.as_ref().map(AsRawFd::as_raw_fd));
        pass.extend([ends.stdout.as_raw_fd(), ends.stderr.as_raw_fd()]);
        pass.extend(msg::raw::<File>(&procs));
        msg::send(&self.init.sock, &ToInit::Run { stdin, tty }, &pass)?;
        match self.await_start() {
            Ok(pid) => job.pid = pid,
            Err(error) => {
                // The job never was; its empty log goes with it.
                let _ = job.remove();
                return Err(error);
            }
        }
        self.jobs.insert(id.clone(), job);
        Ok(Reply::Started { job: id })
    }

    /// Init answers in order, but ends of other jobs may come in between.
    fn await_start(&mut self) -> Result<i32> {
        loop {
            match msg::recv(&self.init.sock)? {
                Some((FromInit::Started { pid }, _)) => return Ok(pid),
                Some((FromInit::Failed { step, message }, _)) => {
                    return Err(Error::Keeper { step, message });
                }
                Some((other, _)) => self.take_word(other)?,
                None => return Err(msg::protocol("init died while starting the job")),
            }
        }
    }

    fn job_owner(&self, user: User) -> Option<u32> {
        let base = self.spec.isolation.as_ref()?.uid_base;
        Some(if user == User::Root {
            base
        } else {
            base + rootfs::VCAP
        })
    }

    fn forget_old_jobs(&mut self) {
        let number = |id: &JobId| id.0.trim_start_matches('j').parse::<u64>().unwrap_or(0);
        let mut finished: Vec<JobId> = self
            .jobs
            .values()
            .filter(|job| job.exit.is_some())
            .map(|job| job.id.clone())
            .collect();
        finished.sort_by_key(number);
        let surplus = finished.len().saturating_sub(FINISHED_JOBS);
        for id in &finished[..surplus] {
            if let Some(job) = self.jobs.remove(id) {
                // A leftover file only costs space until the container goes.
                let _ = job.remove();
            }
        }
    }

    fn limit(&mut self, limits: &Limits) -> Result<()> {
        if let Some(cgroups) = &self.cgroups {
            room(cgroups, limits)?;
            cgroups.limit(limits)?;
        }
        if let (Some(bandwidth), Some(netns)) = (limits.bandwidth, &self.netns) {
            let link = self
                .spec
                .isolation
                .as_ref()
                .and_then(|iso| iso.link.as_ref());
            link.map_or(Ok(()), |link| network::shape(link, netns, bandwidth))?;
        }
        self.limits = self.limits.updated(limits);
        Ok(())
    }

    fn stop(&mut self, kill: bool) -> Result<()> {
        let signal = if kill { libc::SIGKILL } else { libc::SIGTERM };
        if !self.init_alive {
            return Ok(());
        }
        self.signal_jobs(signal)?;
        let patience = if kill {
            Duration::from_millis(100)
        } else {
            STOP_PATIENCE
        };
        self.ending = Some(Ending {
            kill_at: Instant::now() + patience,
            stop: true,
        });
        Ok(())
    }

    fn info(&self) -> KeeperInfo {
        let (memory_bytes, cpu_ns) = match &self.cgroups {
            Some(cgroups) => (cgroups.memory_bytes(), cgroups.cpu_ns()),
            None => plain::usage(self.init.pid),
        };
        KeeperInfo {
            state: self.state,
            events: self.events.clone(),
            jobs: self
                .jobs
                .values()
                .filter(|j| j.exit.is_none())
                .map(|j| j.id.clone())
                .collect(),
            memory_bytes,
            cpu_ns,
            disk: self.disk_use(),
            isolation: self.isolation.clone(),
            keeper_pid: std::process::id() as i32,
            init_pid: self.init.pid,
            processes: match &self.cgroups {
                Some(cgroups) => cgroups.processes(),
                None => plain::processes(self.init.pid),
            },
            limits: self.limits.clone(),
            oom: self.oom_kill.clone(),
            grace_time: self.spec.grace_time,
        }
    }

    /// Bytes and files on a disk with a limit.
    fn disk_use(&self) -> Option<(u64, u64)> {
        let iso = self.spec.isolation.as_ref()?;
        let disk = self.dir.join(names::DISK);
        if iso.disk_image {
            let used = files::fs_use(&disk).ok()?;
            return Some((used.used_bytes, used.used_inodes));
        }
        let used = quota::get(&disk, iso.project?).ok()?;
        Some((used.used_bytes, used.used_inodes))
    }

    /// Ends everything inside.
    pub(super) fn destroy(&mut self) -> Result<()> {
        self.destroyed = true;
        if self.spec.isolation.is_none() && self.init_alive {
            self.kill_plain_jobs()?;
        }
        self.init.kill()?;
        self.init_alive = false;
        self.end_all_jobs();
        // The mounts go with the keeper, the files are the backend's.
        match &self.cgroups {
            Some(cgroups) => cgroups.remove_jobs(),
            None => Ok(()),
        }
    }

    /// Without a pid namespace the tree must be empty before init goes, or its
    /// rest would belong to nobody.
    fn kill_plain_jobs(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            self.signal_jobs(libc::SIGKILL)?;
            let mut fds = [socket::readable(self.init.sock.as_raw_fd())];
            while socket::poll(&mut fds, 100).at("poll")? > 0 {
                match msg::recv(&self.init.sock)? {
                    Some((FromInit::Quiet, _)) | None => return Ok(()),
                    Some((other, _)) => self.take_word(other)?,
                }
            }
        }
        Err(msg::protocol("processes of the container survive KILL"))
    }
}

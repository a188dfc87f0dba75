//! What backend and keeper say to each other: `spec.json`, the requests and
//! replies on `ctl.sock`, and their frames.
//!
//! A frame is a big-endian u32 length, one kind byte and the body; kind `J` is
//! JSON, kind `L` one log line in binary. One connection carries one request;
//! descriptors (stdin, stdout of a job) travel with its first byte.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::step::Fault;
use crate::{
    BindMount, Exit, JobId, Limits, OomKill, Output, ProcessSpec, State, Stream, WindowSize,
};

/// Longest accepted frame body.
pub(crate) const MAX_FRAME: usize = 8 << 20;
/// Longest piece of a line in one record.
pub(crate) const MAX_LINE: usize = 64 << 10;

/// File names inside a container's directory.
pub(crate) mod names {
    pub(crate) const SPEC: &str = "spec.json";
    pub(crate) const STATE: &str = "state.json";
    pub(crate) const SOCKET: &str = "ctl.sock";
    #[cfg(feature = "host")]
    pub(crate) const LOG: &str = "keeper.log";
    pub(crate) const JOBS: &str = "jobs";
    pub(crate) const IMAGE: &str = "disk.img";
    pub(crate) const DISK: &str = "disk";
    pub(crate) const ROOT: &str = "root";
    /// The keeper ended its container by itself; the text says why.
    pub(crate) const ENDED: &str = "ended";
    /// A whole proc, where the host's is covered.
    pub(crate) const PROC: &str = "proc";
}

/// Everything a keeper must know; written by the backend before it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeeperSpec {
    pub(crate) handle: String,
    /// `None`: plain processes without isolation.
    pub(crate) isolation: Option<Isolation>,
    pub(crate) bind_mounts: Vec<BindMount>,
    pub(crate) limits: Limits,
    /// The container ends after this long without a connection.
    pub(crate) grace_time: Option<Duration>,
    /// Bytes of log kept per job.
    pub(crate) ring_bytes: u64,
    #[serde(default)]
    pub(crate) fail_after: Option<Fault>,
}

/// The isolated kind of container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Isolation {
    /// First host uid and gid of the container's 65,536.
    pub(crate) uid_base: u32,
    /// Lowest layer: a skeleton or a whole stack.
    pub(crate) lower: PathBuf,
    /// Bind the host's `/usr` read-only over the skeleton.
    pub(crate) host_usr: bool,
    /// Cgroup path below every hierarchy, e.g. `bloomery/1a2b3c/web`.
    pub(crate) cgroup: String,
    /// A sparse ext4 image takes the writes.
    pub(crate) disk_image: bool,
    /// It is mounted already: the mount comes with the first byte on descriptor 0.
    #[serde(default)]
    pub(crate) warm_disk: bool,
    /// The directory `disk` takes the writes; the kernel limits it by this
    /// project. Without either the container's directory takes them.
    #[serde(default)]
    pub(crate) project: Option<u32>,
    pub(crate) link: Option<Link>,
    /// Text of `/etc/resolv.conf`.
    pub(crate) resolv_conf: String,
    /// A certificate bundle shown read-only at its usual place.
    pub(crate) ca_bundle: Option<PathBuf>,
}

/// The container's link to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    /// Name of the host's end.
    pub(crate) name: String,
    pub(crate) host_ip: Ipv4Addr,
    pub(crate) container_ip: Ipv4Addr,
    pub(crate) mtu: u32,
    /// It was made ahead: the network namespace with its inner end comes with
    /// the first byte on descriptor 0, before a disk.
    #[serde(default)]
    pub(crate) warm: bool,
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verb")]
pub(crate) enum Request {
    Ping,
    Info,
    /// Descriptors follow in this order for those that are true.
    Run {
        spec: ProcessSpec,
        stdin: bool,
        stdout: bool,
        /// A terminal instead of pipes; its controlling side is sent back
        /// through the socket given as stdin.
        #[serde(default)]
        tty: Option<WindowSize>,
    },
    Attach {
        job: JobId,
        from: u64,
    },
    Wait {
        job: JobId,
    },
    Limit {
        limits: Limits,
    },
    Grace {
        time: Option<Duration>,
    },
    Stop {
        kill: bool,
    },
    Destroy,
}

/// What the keeper answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub(crate) enum Reply {
    Done,
    /// First message of a new keeper on descriptor 0.
    Ready {
        keeper_pid: i32,
        init_pid: i32,
    },
    Started {
        job: JobId,
    },
    Exited {
        exit: Exit,
    },
    Gap {
        from: u64,
        to: u64,
    },
    /// The job's output is complete.
    End,
    Info {
        info: Box<KeeperInfo>,
    },
    UnknownJob {
        job: JobId,
    },
    BelowUsage {
        resource: String,
        wanted: u64,
        used: u64,
    },
    Failed {
        step: String,
        message: String,
    },
}

/// The keeper's part of `Info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeeperInfo {
    pub(crate) state: State,
    pub(crate) events: Vec<String>,
    pub(crate) jobs: Vec<JobId>,
    pub(crate) memory_bytes: u64,
    pub(crate) cpu_ns: u64,
    /// Bytes and files on the disk, when it has a limit.
    pub(crate) disk: Option<(u64, u64)>,
    pub(crate) isolation: Vec<String>,
    pub(crate) keeper_pid: i32,
    pub(crate) init_pid: i32,
    // A keeper started by an older program does not know the following.
    #[serde(default)]
    pub(crate) processes: Vec<i32>,
    #[serde(default)]
    pub(crate) limits: Limits,
    #[serde(default)]
    pub(crate) oom: Option<OomKill>,
    #[serde(default)]
    pub(crate) grace_time: Option<Duration>,
}

/// `state.json`: how a later backend recognises a live keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeeperState {
    pub(crate) keeper_pid: i32,
    /// Field 22 of `/proc/PID/stat`: tells a reused pid apart.
    pub(crate) keeper_started: u64,
    pub(crate) init_pid: i32,
}

/// A JSON frame, ready to send.
pub(crate) fn json_frame<T: Serialize>(value: &T) -> Vec<u8> {
    let body = serde_json::to_vec(value).expect("wire types serialize");
    frame(b'J', &[&body])
}

/// A log-line frame, ready to send.
pub(crate) fn line_frame(seq: u64, at_ns: i64, stream: Stream, data: &[u8]) -> Vec<u8> {
    let mut head = [0u8; 17];
    head[..8].copy_from_slice(&seq.to_be_bytes());
    head[8..16].copy_from_slice(&at_ns.to_be_bytes());
    head[16] = u8::from(stream == Stream::Stderr);
    frame(b'L', &[&head, data])
}

fn frame(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len = 1 + parts.iter().map(|p| p.len()).sum::<usize>();
    let mut out = Vec::with_capacity(4 + len);
    out.extend_from_slice(&(len as u32).to_be_bytes());
    out.push(kind);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// Takes one whole frame off the front of `buf`: kind and body. `Ok(None)`:
/// more bytes are needed.
pub(crate) fn take_frame(buf: &mut Vec<u8>) -> Result<Option<(u8, Vec<u8>)>, String> {
    let Some(head) = buf.first_chunk::<4>() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes(*head) as usize;
    if len == 0 || len > MAX_FRAME {
        return Err(format!(
            "frame of {len} bytes; allowed are 1 to {MAX_FRAME}"
        ));
    }
    if buf.len() < 4 + len {
        return Ok(None);
    }
    let body = buf[5..4 + len].to_vec();
    let kind = buf[4];
    buf.drain(..4 + len);
    Ok(Some((kind, body)))
}

/// Reads the body of an `L` frame.
#[cfg(feature = "host")]
pub(crate) fn parse_line(body: &[u8]) -> Result<Output, String> {
    let (head, data) = body.split_at_checked(17).ok_or("log frame is too short")?;
    let number = |range: std::ops::Range<usize>| {
        head[range]
            .iter()
            .fold(0u64, |acc, byte| acc << 8 | u64::from(*byte))
    };
    Ok(Output::Line {
        seq: number(0..8),
        at_ns: number(8..16) as i64,
        stream: if head[16] == 0 {
            Stream::Stdout
        } else {
            Stream::Stderr
        },
        data: data.to_vec(),
    })
}

// Without the host feature nothing decodes output.
#[cfg(not(feature = "host"))]
const _: Option<Output> = None;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn frames_survive_any_split() {
        let whole = [
            json_frame(&Request::Ping),
            line_frame(7, -1, Stream::Stderr, b"x\0y"),
        ]
        .concat();
        for cut in 0..whole.len() {
            let mut buf = whole[..cut].to_vec();
            let mut got = Vec::new();
            while let Some(frame) = take_frame(&mut buf).unwrap() {
                got.push(frame);
            }
            buf.extend_from_slice(&whole[cut..]);
            while let Some(frame) = take_frame(&mut buf).unwrap() {
                got.push(frame);
            }
            assert_eq!(got.len(), 2, "cut at {cut}");
            assert_eq!(got[0].0, b'J');
            #[cfg(feature = "host")]
            assert_eq!(
                parse_line(&got[1].1).unwrap(),
                Output::Line {
                    seq: 7,
                    at_ns: -1,
                    stream: Stream::Stderr,
                    data: b"x\0y".to_vec()
                }
            );
        }
    }

    #[test]
    fn oversized_frame_is_refused() {
        let mut buf = ((MAX_FRAME + 1) as u32).to_be_bytes().to_vec();
        assert!(take_frame(&mut buf).is_err());
    }
}

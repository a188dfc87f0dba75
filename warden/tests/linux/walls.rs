//! What a job sees of itself, and what it is refused.

use warden::{Pipes, ProcessSpec, User};

use crate::contract::{collect, plain_spec, script};
use crate::linux;

#[tokio::test]
async fn info_names_what_is_enforced() {
    let Some(fixture) = linux().await else { return };
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    let isolation = container.info().await.unwrap().isolation;
    for wall in [
        "userns",
        "pidns",
        "mountns",
        "netns",
        "seccomp",
        "no_new_privs",
        "memory",
        "pids",
        "cpu",
        "firewall",
    ] {
        assert!(
            isolation.iter().any(|i| i == wall),
            "{wall} is missing in {isolation:?}"
        );
    }
    assert!(
        !isolation.contains(&"disk".to_owned()),
        "no disk limit was asked for"
    );
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

#[tokio::test]
async fn jobs_of_both_users_have_no_rights_at_all() {
    let Some(fixture) = linux().await else { return };
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    for (user, uid) in [(User::Vcap, "2000"), (User::Root, "0")] {
        let mut spec = ProcessSpec::script(
            "id -u; grep -E '^(Cap|NoNew|Seccomp:|Groups)' /proc/self/status; cat /proc/self/uid_map; cut -d: -f3 /proc/self/cgroup | sort -u; hostname",
        );
        spec.user = user;
        spec.dir = Some("/".into());
        let job = container.run(spec, Pipes::default()).await.unwrap();
        let (exit, lines) = collect(&container, &job).await;
        assert_eq!((exit.code, lines[0].as_str()), (0, uid), "{lines:?}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert!(
                lines.contains(&format!("{set}:\t0000000000000000")),
                "{set} in {lines:?}"
            );
        }
        assert!(
            lines.contains(&"NoNewPrivs:\t1".to_owned())
                && lines.contains(&"Seccomp:\t2".to_owned())
        );
        assert!(lines.iter().any(|l| l.trim_end() == "Groups:"), "{lines:?}");
        let map: Vec<&str> = lines
            .iter()
            .find(|l| l.trim_end().ends_with("65536"))
            .unwrap()
            .split_whitespace()
            .collect();
        assert_eq!((map[0], map[2]), ("0", "65536"));
        assert!(map[1].parse::<u32>().unwrap() >= 1 << 30);
        assert_eq!(
            lines[lines.len() - 2..],
            ["/".to_owned(), container.handle().to_owned()]
        );
    }
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

#[tokio::test]
async fn a_job_sees_only_its_own_processes() {
    let Some(fixture) = linux().await else { return };
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    let (_, lines) = script(&container, "cat /proc/1/comm; ls /proc | grep -c '^[0-9]'; ls -ld /proc/1/fd; cat /proc/1/environ; ls /proc/1/root; kill -9 1").await;
    assert_eq!(lines[0], "wshd: init");
    assert!(lines[1].parse::<u32>().unwrap() <= 5, "{lines:?}");
    let refused = lines
        .iter()
        .filter(|l| l.contains("Permission denied") || l.contains("Operation not permitted"));
    assert_eq!(refused.count(), 3, "{lines:?}");
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

/// Each attempt prints the errno it got. The test that the same calls work with
/// the guard off belongs into a virtual machine.
const ATTEMPTS: &str = r#"
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(name, number, *args):
    ctypes.set_errno(0)
    r = libc.syscall(number, *args)
    print(name, 'OK' if r >= 0 else errno.errorcode[ctypes.get_errno()], flush=True)
def attempt(name, f):
    try:
        f(); print(name, 'OK', flush=True)
    except OSError as e:
        print(name, errno.errorcode[e.errno], flush=True)
call('mount', 165, b'none', b'/tmp', b'tmpfs', 0, 0)
call('unshare-user', 272, 0x10000000)
call('unshare-net', 272, 0x40000000)
call('clone3', 435, 0, 0)
call('keyctl', 250, 0, 0)
call('bpf', 321, 0, 0, 0)
call('io_uring_setup', 425, 1, 0)
call('userfaultfd', 323, 0)
call('perf_event_open', 298, 0, 0, -1, -1, 0)
call('ptrace', 101, 0, 0, 0, 0)
call('setns', 308, 0, 0)
call('x32-getpid', 0x40000000 + 39)
call('unknown', 999)
attempt('mknod', lambda: os.mknod('/tmp/null', 0o20666, os.makedev(1, 3)))
attempt('usr', lambda: open('/usr/x', 'w'))
attempt('sysctl', lambda: open('/proc/sys/kernel/hostname', 'w'))
attempt('passwd', lambda: open('/etc/passwd', 'w'))
attempt('packet', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt('setuid', lambda: os.setuid(0))
print('kcore', len(open('/proc/kcore', 'rb').read(10)) if os.path.exists('/proc/kcore') else 0, 'bytes')
"#;

#[tokio::test]
async fn escape_attempts_fail_with_the_expected_errno() {
    let Some(fixture) = linux().await else { return };
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    let mut spec = ProcessSpec::script("");
    spec.argv = vec!["python3".into(), "-c".into(), ATTEMPTS.into()];
    let job = container.run(spec, Pipes::default()).await.unwrap();
    let (exit, lines) = collect(&container, &job).await;
    assert_eq!(exit.code, 0, "{lines:?}");
    let want = [
        "mount EPERM",
        "unshare-user EPERM",
        "unshare-net EPERM",
        "clone3 ENOSYS",
        "keyctl EPERM",
        "bpf EPERM",
        "io_uring_setup EPERM",
        "userfaultfd EPERM",
        "perf_event_open EPERM",
        "ptrace EPERM",
        "setns EPERM",
        "x32-getpid ENOSYS",
        "unknown ENOSYS",
        "mknod EPERM",
        "usr EROFS",
        "sysctl EROFS",
        "passwd EACCES",
        "packet EAFNOSUPPORT",
        "raw EPERM",
        "setuid EPERM",
        "kcore 0 bytes",
    ];
    assert_eq!(lines, want);
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

#[tokio::test]
async fn setuid_programs_gain_nothing() {
    let Some(fixture) = linux().await else { return };
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    let (_, lines) = script(&container, "find /usr/bin -perm -4000 | head -1 | grep -c . ; grep nosuid /proc/self/mounts | grep -c -E ' (/|/usr) '; su -c id root </dev/null; id -u").await;
    assert_eq!(lines[1], "2", "{lines:?}");
    // Two pipes: the order of their lines is not the shell's.
    assert!(lines.contains(&"2000".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|l| l.contains("uid=0")), "{lines:?}");
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

#[tokio::test]
async fn common_runtimes_work_behind_the_filter() {
    let Some(fixture) = linux().await else { return };
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    let (exit, lines) = script(&container, "set -e; python3 -c 'import ssl,threading,subprocess; t=threading.Thread(target=lambda: print(\"thread\", flush=True)); t.start(); t.join(); print(len(ssl.create_default_context().get_ca_certs()) > 0, flush=True); print(subprocess.check_output([\"echo\",\"child\"]).decode().strip(), flush=True)'; if command -v node >/dev/null; then node -e 'console.log(1+1)'; else echo 2; fi; echo ok > /dev/shm/x; cat /dev/shm/x; echo tty > /dev/null; ls /app/ | wc -l").await;
    assert_eq!(exit.code, 0, "{lines:?}");
    assert_eq!(lines, ["thread", "True", "child", "2", "ok", "0"]);
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

//! The list itself, by purpose. What a web application, a compiler, an
//! interpreter and a package manager need; nothing that configures the host.

use libc::*;

use super::tree::{Is, Table, Test, Verdict};

/// One past the highest number this table knows.
const KNOWN: usize = 463;

const FILES: &[c_long] = &[
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_preadv2,
    SYS_pwritev2,
    SYS_openat,
    SYS_openat2,
    SYS_close,
    SYS_close_range,
    SYS_lseek,
    SYS_dup,
    SYS_dup3,
    SYS_fcntl,
    SYS_flock,
    SYS_fsync,
    SYS_fdatasync,
    SYS_sync_file_range,
    SYS_fallocate,
    SYS_ftruncate,
    SYS_truncate,
    SYS_fadvise64,
    SYS_readahead,
    SYS_sync,
    SYS_syncfs,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_statfs,
    SYS_fstatfs,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_readlinkat,
    SYS_getdents64,
    SYS_getcwd,
    SYS_chdir,
    SYS_fchdir,
    SYS_umask,
    SYS_mkdirat,
    SYS_unlinkat,
    SYS_renameat,
    SYS_renameat2,
    SYS_linkat,
    SYS_symlinkat,
    SYS_mknodat,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_utimensat,
    SYS_pipe2,
    SYS_splice,
    SYS_tee,
    SYS_vmsplice,
    SYS_sendfile,
    SYS_copy_file_range,
    SYS_getxattr,
    SYS_lgetxattr,
    SYS_fgetxattr,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_listxattr,
    SYS_llistxattr,
    SYS_flistxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    SYS_inotify_rm_watch,
    SYS_memfd_create,
    SYS_io_setup,
    SYS_io_destroy,
    SYS_io_submit,
    SYS_io_cancel,
    SYS_io_getevents,
    452, // fchmodat2
];

const WAITING: &[c_long] = &[
    SYS_ppoll,
    SYS_pselect6,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_eventfd2,
    SYS_signalfd4,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_timerfd_gettime,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_gettimeofday,
    SYS_getitimer,
    SYS_setitimer,
    SYS_timer_create,
    SYS_timer_settime,
    SYS_timer_gettime,
    SYS_timer_getoverrun,
    SYS_timer_delete,
    SYS_times,
    SYS_futex,
    SYS_futex_waitv,
    SYS_get_robust_list,
    SYS_set_robust_list,
    SYS_restart_syscall,
    SYS_rseq,
    SYS_membarrier,
    333,
    454,
    455,
    456, // io_pgetevents, futex_wake, futex_wait, futex_requeue
];

const MEMORY: &[c_long] = &[
    SYS_brk,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_mincore,
    SYS_msync,
    SYS_mlock,
    SYS_mlock2,
    SYS_munlock,
    SYS_mlockall,
    SYS_munlockall,
    SYS_pkey_alloc,
    SYS_pkey_free,
    SYS_pkey_mprotect,
    SYS_remap_file_pages,
    SYS_shmget,
    SYS_shmat,
    SYS_shmdt,
    SYS_shmctl,
    451,
    453, // cachestat, map_shadow_stack
];

const PROCESSES: &[c_long] = &[
    SYS_execve,
    SYS_execveat,
    SYS_exit,
    SYS_exit_group,
    SYS_wait4,
    SYS_waitid,
    SYS_kill,
    SYS_tkill,
    SYS_tgkill,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigpending,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_rt_sigreturn,
    SYS_rt_sigsuspend,
    SYS_rt_sigtimedwait,
    SYS_sigaltstack,
    SYS_getpid,
    SYS_getppid,
    SYS_gettid,
    SYS_getpgid,
    SYS_setpgid,
    SYS_getsid,
    SYS_setsid,
    SYS_set_tid_address,
    SYS_prctl,
    SYS_prlimit64,
    SYS_getrlimit,
    SYS_setrlimit,
    SYS_getrusage,
    SYS_getpriority,
    SYS_setpriority,
    SYS_ioprio_get,
    SYS_ioprio_set,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_sched_setaffinity,
    SYS_sched_getparam,
    SYS_sched_setparam,
    SYS_sched_getscheduler,
    SYS_sched_setscheduler,
    SYS_sched_get_priority_max,
    SYS_sched_get_priority_min,
    SYS_sched_rr_get_interval,
    SYS_sched_getattr,
    SYS_sched_setattr,
    SYS_getcpu,
    SYS_uname,
    SYS_sysinfo,
    SYS_getrandom,
    SYS_pidfd_open,
    SYS_pidfd_send_signal,
    SYS_capget,
    SYS_seccomp,
    SYS_landlock_create_ruleset,
    SYS_landlock_add_rule,
    SYS_landlock_restrict_self,
];

/// Init starts jobs under the same filter; a job lacks the capabilities that
/// would make these do anything.
const IDENTITY: &[c_long] = &[
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getresuid,
    SYS_getresgid,
    SYS_getgroups,
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setgroups,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_capset,
];

const NETWORK: &[c_long] = &[
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_connect,
    SYS_getsockname,
    SYS_getpeername,
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_sendmmsg,
    SYS_recvmmsg,
    SYS_shutdown,
    SYS_setsockopt,
    SYS_getsockopt,
];

const SYSTEM_V: &[c_long] = &[
    SYS_semget,
    SYS_semop,
    SYS_semctl,
    SYS_semtimedop,
    SYS_msgget,
    SYS_msgsnd,
    SYS_msgrcv,
    SYS_msgctl,
    SYS_mq_open,
    SYS_mq_unlink,
    SYS_mq_timedsend,
    SYS_mq_timedreceive,
    SYS_mq_notify,
    SYS_mq_getsetattr,
];

#[cfg(target_arch = "x86_64")]
const OLD_NAMES: &[c_long] = &[
    SYS_open,
    SYS_creat,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_getdents,
    SYS_mkdir,
    SYS_rmdir,
    SYS_unlink,
    SYS_rename,
    SYS_link,
    SYS_symlink,
    SYS_mknod,
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
    SYS_pipe,
    SYS_dup2,
    SYS_poll,
    SYS_select,
    SYS_epoll_create,
    SYS_epoll_wait,
    SYS_eventfd,
    SYS_signalfd,
    SYS_inotify_init,
    SYS_alarm,
    SYS_pause,
    SYS_time,
    SYS_fork,
    SYS_vfork,
    SYS_getpgrp,
    SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_NAMES: &[c_long] = &[];

/// Families a job may make sockets of; every call that makes one is tested for them.
const FAMILIES: &[u32] = &[
    AF_UNIX as u32,
    AF_INET as u32,
    AF_INET6 as u32,
    AF_NETLINK as u32,
];

/// The calls that make sockets of a family given as their first argument.
pub(super) const MAKE_SOCKETS: [c_long; 2] = [SYS_socket, SYS_socketpair];

/// Flags of clone and unshare that make namespaces.
const NAMESPACES: u32 = 0x7e02_0000;

fn tests() -> Vec<(c_long, Test)> {
    let eperm = EPERM as u32;
    vec![
        (
            SYS_clone,
            Test {
                arg: 0,
                is: Is::WithoutBits(NAMESPACES),
                errno: eperm,
            },
        ),
        // Init gives each job its own cgroup namespace; useless without CAP_SYS_ADMIN.
        (
            SYS_unshare,
            Test {
                arg: 0,
                is: Is::OneOf(&[CLONE_NEWCGROUP as u32]),
                errno: eperm,
            },
        ),
        (
            SYS_personality,
            Test {
                arg: 0,
                is: Is::OneOf(&[0, 0x0008, 0x2_0000, 0x2_0008, 0x4_0000, 0xffff_ffff]),
                errno: eperm,
            },
        ),
        (MAKE_SOCKETS[0], family()),
        (MAKE_SOCKETS[1], family()),
        // Pushing characters into a terminal's input.
        (
            SYS_ioctl,
            Test {
                arg: 1,
                is: Is::NoneOf(&[0x5412, 0x541C]),
                errno: eperm,
            },
        ),
    ]
}

/// Foreign families are the way to code that few look at.
fn family() -> Test {
    Test {
        arg: 0,
        is: Is::OneOf(FAMILIES),
        errno: EAFNOSUPPORT as u32,
    }
}

/// The verdict for every known number.
pub(super) fn verdicts() -> Table {
    let mut table = vec![Verdict::Errno(EPERM as u32); KNOWN];
    let groups = [
        FILES, WAITING, MEMORY, PROCESSES, IDENTITY, NETWORK, SYSTEM_V, OLD_NAMES,
    ];
    for nr in groups.into_iter().flatten() {
        table[*nr as usize] = Verdict::Allow;
    }
    for (nr, test) in tests() {
        table[nr as usize] = Verdict::When(test);
    }
    // 335–423 were never assigned on x86_64.
    #[cfg(target_arch = "x86_64")]
    for verdict in &mut table[335..424] {
        *verdict = Verdict::Errno(ENOSYS as u32);
    }
    table[SYS_clone3 as usize] = Verdict::Errno(ENOSYS as u32);
    table
}

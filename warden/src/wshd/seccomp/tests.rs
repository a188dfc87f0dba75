#![allow(clippy::unwrap_used)]

use super::list;
use super::tree::{Is, Verdict};
use crate::sys::creds::Insn;

/// Runs the program as the kernel would, on number and arguments.
fn run(program: &[Insn], nr: u32, args: [u64; 6]) -> u32 {
    let mut acc = 0u32;
    let mut pc = 0usize;
    loop {
        let i = program[pc];
        pc += 1;
        match i.code {
            0x20 if i.k == 0 => acc = nr,
            0x20 if i.k == 4 => {
                acc = if cfg!(target_arch = "x86_64") {
                    0xC000_003E
                } else {
                    0xC000_00B7
                }
            }
            0x20 => acc = args[(i.k as usize - 16) / 8] as u32,
            0x05 => pc += i.k as usize,
            0x15 => pc += usize::from(if acc == i.k { i.jt } else { i.jf }),
            0x35 => pc += usize::from(if acc >= i.k { i.jt } else { i.jf }),
            0x45 => pc += usize::from(if acc & i.k != 0 { i.jt } else { i.jf }),
            0x06 => return i.k,
            other => panic!("unknown opcode {other:#x}"),
        }
    }
}

const ALLOW: u32 = 0x7fff_0000;

fn errno(e: i32) -> u32 {
    0x0005_0000 | e as u32
}

#[test]
fn program_agrees_with_the_table_for_every_number() {
    let (table, program) = (list::verdicts(), super::program());
    for nr in 0..1024u32 {
        let want = match table.get(nr as usize) {
            None => errno(libc::ENOSYS),
            Some(Verdict::Allow) => ALLOW,
            Some(Verdict::Errno(e)) => errno(*e as i32),
            Some(Verdict::When(test)) => match test.is {
                Is::OneOf(values) => {
                    assert!(!values.contains(&0xdead));
                    let mut args = [0; 6];
                    args[test.arg as usize] = 0xdead;
                    assert_eq!(run(&program, nr, args), errno(test.errno as i32), "{nr}");
                    args[test.arg as usize] = values[0].into();
                    assert_eq!(run(&program, nr, args), ALLOW, "{nr}");
                    continue;
                }
                Is::NoneOf(values) => {
                    for value in values {
                        let mut args = [0; 6];
                        args[test.arg as usize] = (*value).into();
                        assert_eq!(run(&program, nr, args), errno(test.errno as i32), "{nr}");
                    }
                    ALLOW
                }
                Is::WithoutBits(bits) => {
                    let mut args = [0; 6];
                    args[test.arg as usize] = (bits & bits.wrapping_neg()).into();
                    assert_eq!(run(&program, nr, args), errno(test.errno as i32), "{nr}");
                    ALLOW
                }
            },
        };
        assert_eq!(run(&program, nr, [0; 6]), want, "{nr}");
    }
}

#[test]
fn the_x32_numbers_do_not_exist() {
    let program = super::program();
    for nr in 0..512u32 {
        assert_eq!(run(&program, nr | 0x4000_0000, [0; 6]), errno(libc::ENOSYS));
    }
}

#[test]
fn dangerous_calls_are_refused() {
    let program = super::program();
    for nr in [
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_setns,
        libc::SYS_bpf,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_userfaultfd,
        libc::SYS_perf_event_open,
        libc::SYS_io_uring_setup,
        libc::SYS_open_tree,
        libc::SYS_move_mount,
        libc::SYS_kexec_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_open_by_handle_at,
        libc::SYS_process_vm_writev,
    ] {
        assert_eq!(run(&program, nr as u32, [0; 6]), errno(libc::EPERM), "{nr}");
    }
    assert_eq!(
        run(&program, libc::SYS_clone3 as u32, [0; 6]),
        errno(libc::ENOSYS)
    );
}

/// Every family that Linux has a number for, and one past them.
#[test]
fn no_call_makes_a_socket_of_a_foreign_family() {
    let program = super::program();
    let ours = [
        libc::AF_UNIX,
        libc::AF_INET,
        libc::AF_INET6,
        libc::AF_NETLINK,
    ];
    for nr in list::MAKE_SOCKETS {
        for family in 0..=46 {
            let got = run(&program, nr as u32, [family as u64, 1, 0, 0, 0, 0]);
            let want = match ours.contains(&family) {
                true => ALLOW,
                false => errno(libc::EAFNOSUPPORT),
            };
            assert_eq!(got, want, "call {nr}, family {family}");
        }
    }
    // The ring makes sockets without a call of its own, which no filter sees.
    for nr in [425u32, 426, 427] {
        assert_ne!(run(&program, nr, [0; 6]), ALLOW, "io_uring {nr}");
    }
}

#[test]
fn the_program_stays_small() {
    assert!(super::program().len() < 300, "{}", super::program().len());
}

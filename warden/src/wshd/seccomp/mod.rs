//! The system calls a job may use, as one small BPF program.
//!
//! Unknown numbers and `clone3` answer ENOSYS, because the C library falls back
//! only then; everything known but not listed answers EPERM.

mod list;
mod tree;

pub(crate) use tree::compile;

use crate::sys::creds::Insn;

/// The program for jobs of this architecture.
pub(crate) fn program() -> Vec<Insn> {
    compile(&list::verdicts())
}

#[cfg(test)]
mod tests;

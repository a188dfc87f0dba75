//! From a table of verdicts per number to a balanced tree over number ranges:
//! about ten comparisons for any call, where a list needs hundreds.

use crate::sys::creds::Insn;

/// What happens to one system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Goes through.
    Allow,
    /// Fails with this errno.
    Errno(u32),
    /// Goes through when the test of an argument holds.
    When(Test),
}

/// A test of the low 32 bits of one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Test {
    /// Argument, 0–5.
    pub(crate) arg: u32,
    /// The comparison.
    pub(crate) is: Is,
    /// Errno when it does not hold.
    pub(crate) errno: u32,
}

/// Comparisons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Is {
    /// None of these bits is set.
    WithoutBits(u32),
    /// One of these values.
    OneOf(&'static [u32]),
    /// None of these values.
    NoneOf(&'static [u32]),
}

/// Verdicts for the numbers `0..len`; higher ones answer ENOSYS.
pub(crate) type Table = Vec<Verdict>;

const LD_ABS: u16 = 0x20;
const JA: u16 = 0x05;
const JEQ: u16 = 0x15;
const JGE: u16 = 0x35;
const JSET: u16 = 0x45;
const RET: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const KILL: u32 = 0x8000_0000;
const AT_NR: u32 = 0;
const AT_ARCH: u32 = 4;
const AT_ARGS: u32 = 16;

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xC000_00B7;

/// The whole program: architecture check, then the tree.
pub(crate) fn compile(table: &Table) -> Vec<Insn> {
    let mut code = vec![
        insn(LD_ABS, 0, 0, AT_ARCH),
        insn(JEQ, 1, 0, ARCH),
        insn(RET, 0, 0, KILL),
        insn(LD_ABS, 0, 0, AT_NR),
    ];
    code.extend(subtree(&ranges(table)));
    code
}

/// Runs of equal verdicts: first number, verdict. The last one is open-ended.
fn ranges(table: &Table) -> Vec<(u32, Verdict)> {
    let enosys = Verdict::Errno(libc::ENOSYS as u32);
    let mut out: Vec<(u32, Verdict)> = Vec::new();
    for (nr, verdict) in table.iter().chain(std::iter::once(&enosys)).enumerate() {
        if out.last().is_none_or(|(_, last)| last != verdict) {
            out.push((nr as u32, verdict.clone()));
        }
    }
    out
}

fn subtree(ranges: &[(u32, Verdict)]) -> Vec<Insn> {
    if let [(_, verdict)] = ranges {
        return leaf(verdict);
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let (low_code, high_code) = (subtree(low), subtree(high));
    let mut code = Vec::with_capacity(low_code.len() + high_code.len() + 2);
    match u8::try_from(low_code.len()) {
        Ok(over) => code.push(insn(JGE, over, 0, high[0].0)),
        // Conditional jumps reach 255 instructions; a long one goes further.
        Err(_) => {
            code.push(insn(JGE, 0, 1, high[0].0));
            code.push(insn(JA, 0, 0, low_code.len() as u32));
        }
    }
    code.extend(low_code);
    code.extend(high_code);
    code
}

fn leaf(verdict: &Verdict) -> Vec<Insn> {
    match verdict {
        Verdict::Allow => vec![insn(RET, 0, 0, ALLOW)],
        Verdict::Errno(errno) => vec![insn(RET, 0, 0, ERRNO | errno)],
        Verdict::When(test) => test_code(test),
    }
}

fn test_code(test: &Test) -> Vec<Insn> {
    let mut code = vec![insn(LD_ABS, 0, 0, AT_ARGS + 8 * test.arg)];
    let (values, opcode, hit, miss) = match &test.is {
        Is::WithoutBits(bits) => (std::slice::from_ref(bits), JSET, ERRNO | test.errno, ALLOW),
        Is::OneOf(values) => (*values, JEQ, ALLOW, ERRNO | test.errno),
        Is::NoneOf(values) => (*values, JEQ, ERRNO | test.errno, ALLOW),
    };
    for (i, value) in values.iter().enumerate() {
        let to_hit = (values.len() - i) as u8;
        code.push(insn(opcode, to_hit, 0, *value));
    }
    code.push(insn(RET, 0, 0, miss));
    code.push(insn(RET, 0, 0, hit));
    code
}

fn insn(code: u16, jt: u8, jf: u8, k: u32) -> Insn {
    Insn { code, jt, jf, k }
}

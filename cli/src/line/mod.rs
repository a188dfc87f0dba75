//! The command line as data: [`spec`] says what a command is, `groups` in which
//! order help shows them; [`parse`], [`help`] and [`completion`] are made from it.

pub mod completion;
pub mod help;
pub mod parse;
pub mod spec;
pub mod suggest;

pub use parse::Args;
pub use spec::{Arg, Flag, Group, Json, NONE, Spec, Task, arg, maybe, option, rest, switch};

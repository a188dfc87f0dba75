//! The security battery: named attempts to leave a container, each refused with
//! every wall up, each successful with exactly its walls down.
//!
//! * `rows`      – the attempts as a table, with the code of each
//! * `walls`     – what can be left out to make an attempt succeed
//! * `attacker`  – runs one attempt inside and prints its outcome
//! * `lab`       – namespaces without a way out, containers, listeners, victims
//! * `judge`     – runs rows, compares, prints the table
//! * `scenarios` – attempts on the host's side: copies, binds, stacks (`stage`),
//!   logs (`flood`)
//! * `beside_runc` – the same attempts under runc's default spec
//!
//! One program in three roles, hence no libtest: the tests, the attacker, and a
//! keeper whose walls are chosen by the container's handle.

#![allow(clippy::unwrap_used)]

mod attacker;
mod beside_runc;
mod flood;
mod harness;
mod judge;
mod lab;
mod outer;
mod row;
mod rows;
mod scenarios;
mod stage;
mod sys;
mod walls;

use std::process::ExitCode;

use harness::Test;

const TESTS: &[Test] = &[
    Test::new("the_table_is_whole", judge::the_table_is_whole),
    Test::new(
        "attempts_fail_behind_their_walls_and_succeed_without",
        judge::attempts_fail_behind_their_walls_and_succeed_without,
    ),
    Test::new(
        "copies_binds_and_logs_stay_where_they_belong",
        scenarios::copies_binds_and_logs_stay_where_they_belong,
    ),
    Test::ignored(
        "blocks_all_that_runc_blocks",
        beside_runc::blocks_all_that_runc_blocks,
    ),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if args[0].ends_with(walls::KEEPER) {
        return walls::keep(args);
    }
    match args.get(1).map(String::as_str) {
        Some("attack") => attacker::main(&args[2..]),
        _ => harness::main(TESTS, &args[1..]),
    }
}

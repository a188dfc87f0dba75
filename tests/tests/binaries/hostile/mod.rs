//! Hostile tenants beside a good one, who notices nothing.

mod clients;
mod daemons;
mod good;
mod plan;
mod report;
mod tally;
mod tenants;

use tests::binaries::{Platform, may_run};

use daemons::Daemons;
use good::{Good, NAME, QUIET_ROUNDS};
use plan::Plan;
use report::Report;
use tenants::Hostile;

#[test]
fn a_good_tenant_notices_nothing_of_hostile_ones() {
    if !may_run() {
        return;
    }
    let plan = Plan::from_environment();
    println!("hostile for {} s, seed {}", plan.time.as_secs(), plan.seed);
    let platform = Platform::up(&[]);
    let mut good = Good::arrive(&platform);
    let hostile = Hostile::arrive(&platform, NAME);
    let before = good.work(|rounds| rounds == QUIET_ROUNDS);
    let daemons = Daemons::watch(&platform);
    let (during, tallies) = std::thread::scope(|scope| {
        let raging = scope.spawn(|| hostile.rage(plan));
        let during = good.work(|_| raging.is_finished());
        (during, raging.join().unwrap())
    });
    let log = good.log();
    let (rest, memory) = daemons.rest();
    let changes = daemons.changes();
    let report = Report {
        plan,
        before,
        during,
        log,
        tallies,
        rest,
        memory,
        changes,
    };
    report.print();
    let broken = report.broken();
    assert!(
        broken.is_empty(),
        "with seed {}, these promises were broken:\n{}",
        plan.seed,
        broken.join("\n")
    );
}

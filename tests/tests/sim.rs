//! The platform's decisions under faults, on a virtual clock. A failure names its seed:
//! `SIM_SEED=<seed> cargo test -p tests --test sim every_seed` runs that one alone, and
//! `SIM_SEEDS=20000` as many instead of the usual 200.
#![allow(clippy::unwrap_used)]

use tests::sim::flaw::ALL;
use tests::sim::{Failure, Report, Setup, run};

const SEEDS: u64 = 200;

fn count() -> u64 {
    match std::env::var("SIM_SEEDS") {
        Ok(count) => count.parse().expect("SIM_SEEDS must be a number"),
        Err(_) => SEEDS,
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("SIM_SEED") {
        Ok(seed) => vec![seed.parse().expect("SIM_SEED must be a number")],
        Err(_) => (0..count()).collect(),
    }
}

/// Runs every seed; panics with the first failure and the list of all.
fn all_hold(setup: Setup) -> Vec<Report> {
    let outcomes: Vec<Result<Report, Failure>> =
        seeds().into_iter().map(|seed| run(seed, setup)).collect();
    let failures: Vec<&Failure> = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().err())
        .collect();
    if let Some(first) = failures.first() {
        let all: Vec<(u64, &str)> = failures
            .iter()
            .map(|failure| (failure.seed, failure.rule))
            .collect();
        panic!(
            "{first}\n{} of {} seeds fail: {all:?}",
            all.len(),
            outcomes.len()
        );
    }
    outcomes.into_iter().flatten().collect()
}

#[test]
fn every_seed_keeps_the_rules_and_converges() {
    let reports = all_hold(Setup::default());
    let slowest = reports
        .iter()
        .max_by_key(|report| report.converged_after)
        .unwrap();
    println!("{} seeds; the slowest: {slowest:?}", reports.len());
}

#[test]
fn every_seed_converges_when_apps_are_scaled_to_zero() {
    all_hold(Setup {
        scale_to_zero: true,
        ..Setup::default()
    });
}

#[test]
fn the_last_of_several_duplicates_stays() {
    run(576, Setup::default()).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn every_run_is_the_same_when_repeated() {
    for seed in 0..10 {
        let twice = [run(seed, Setup::default()), run(seed, Setup::default())]
            .map(|outcome| format!("{outcome:?}"));
        assert_eq!(twice[0], twice[1], "seed {seed}");
    }
}

#[test]
fn trouble_really_happens() {
    let reports: Vec<Report> = (0..SEEDS)
        .filter_map(|seed| run(seed, Setup::default()).ok())
        .collect();
    let sum = |of: fn(&Report) -> u32| reports.iter().map(of).sum::<u32>();
    let (faults, operations) = (sum(|r| r.happened.0), sum(|r| r.happened.1));
    assert!(
        faults > 1000 && operations > 1000,
        "{faults} faults, {operations} operations"
    );
}

#[test]
fn every_planted_defect_is_found() {
    let mut missed = Vec::new();
    for flaw in ALL {
        // A seed that fails without the defect would prove nothing.
        let sound = (0..SEEDS).filter(|seed| run(*seed, Setup::default()).is_ok());
        let setup = Setup {
            flaw: Some(flaw),
            ..Setup::default()
        };
        match sound.into_iter().find_map(|seed| run(seed, setup).err()) {
            Some(failure) => println!("{flaw:?}: seed {}, rule \"{}\"", failure.seed, failure.rule),
            None => missed.push(flaw),
        }
    }
    assert!(
        missed.is_empty(),
        "not found within {SEEDS} seeds: {missed:?}"
    );
}

//! `./x bench api`: a controller with 10,000 apps in 50 organizations, on SQLite and on PostgreSQL.
//!
//! The controller is a process of its own, built as it is released; the driver shares the machine with it and with the database.
//! Answers are timed by the driver, mutations from the moment they were due: a server that falls behind cannot hide it. CPU time is
//! the controller's own (without PostgreSQL's), divided by the requests of that line.
#![allow(clippy::unwrap_used, missing_docs)]

mod load;
mod process;
#[path = "../../tests/support/mod.rs"]
mod support;
mod table;
mod world;

use std::time::Duration;

use process::Controller;
use support::NatsServer;
use support::postgres::Postgres;
use table::Row;
use world::World;

/// Organizations, each with one space.
const ORGS: usize = 50;
/// Mutations a second, and the clients they come from.
const RATE: u32 = 200;
const CLIENTS: usize = 64;

/// A figure from the environment, for short tries.
fn figure(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

fn main() {
    // `cargo bench` passes arguments of its own; there are none of ours.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let rows = measure("SQLite", dir.path(), None).await;
        println!("{}\n{}", table::HEAD, table::of(&rows));
        if let Some(server) = Postgres::start_flushing() {
            let dir = tempfile::tempdir().unwrap();
            let rows = measure("PostgreSQL", dir.path(), Some(&server)).await;
            println!("{}", table::of(&rows));
        }
    });
}

async fn measure(database: &str, dir: &std::path::Path, server: Option<&Postgres>) -> Vec<Row> {
    let apps = figure("BENCH_APPS", 10_000);
    let nats = NatsServer::start().await;
    let controller = Controller::start(dir, &nats, server).await;
    eprintln!("{database}: making {apps} apps in {ORGS} organizations");
    let begun = std::time::Instant::now();
    let world = World::build(&controller, ORGS, apps / ORGS).await;
    let made = begun.elapsed().as_secs_f64();
    eprintln!("{database}: made with their routes in {made:.0} s");
    let mut rows = reads(database, &controller, &world).await;
    rows.push(mutations(database, &controller, &world).await);
    rows.push(logins(database, &controller).await);
    rows
}

/// Reads, one after the other, as the answer's time is what counts.
async fn reads(database: &str, controller: &Controller, world: &World) -> Vec<Row> {
    let count = figure("BENCH_READS", 1_000);
    let mut rows = Vec::new();
    for (name, as_developer, path) in world::READS {
        let token = if as_developer {
            &world.developer
        } else {
            &controller.token
        };
        let before = controller.cpu();
        let times = load::in_turn(count, async |at| {
            let path = path(world, at);
            controller
                .ask(token, reqwest::Method::GET, &path, None)
                .await
        })
        .await;
        rows.push(Row::new(database, name, times, controller.cpu() - before).at(controller));
    }
    rows
}

async fn mutations(database: &str, controller: &Controller, world: &World) -> Row {
    let seconds = figure("BENCH_SECONDS", 20);
    let before = controller.cpu();
    let times = load::at_rate(
        RATE,
        CLIENTS,
        Duration::from_secs(seconds as u64),
        async |at| {
            let (method, path, body) = world.mutation(at);
            controller
                .ask(&controller.token, method, &path, Some(body))
                .await
        },
    )
    .await;
    let name = format!("mutations, {RATE}/s from {CLIENTS} clients");
    Row::new(database, &name, times, controller.cpu() - before).at(controller)
}

async fn logins(database: &str, controller: &Controller) -> Row {
    let count = figure("BENCH_LOGINS", 50);
    let before = controller.cpu();
    let times = load::in_turn(count, async |_| {
        controller
            .log_in("admin", support::PASSWORD)
            .await
            .is_some()
    })
    .await;
    Row::new(database, "login", times, controller.cpu() - before).at(controller)
}

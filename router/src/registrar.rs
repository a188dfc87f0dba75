//! The bus feeds the table: registrations, greetings, and whether the bus is there at all.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bus::router::{Endpoint, GREET, Register, Start, Unregister};
use bus::{Anything, Bus, BusError, Subscription};
use component::Tasks;

use crate::engine::{Engine, Shared};
use crate::names::Names;

/// Follows the bus for as long as the router runs.
///
/// # Errors
/// When a subscription is refused.
pub(crate) async fn follow(
    bus: Bus,
    edge: Edge,
    hello: Start,
    tasks: &Tasks,
) -> Result<(), BusError> {
    let subscriptions = Subscriptions {
        register: bus.subscribe().await?,
        unregister: bus.subscribe().await?,
        greet: bus.subscribe_to(GREET).await?,
    };
    tasks.spawn(
        "connection watch",
        watch(bus.clone(), edge.shared.clone(), hello.clone()),
    );
    let registrar = Registrar {
        edge,
        names: Names::new(),
        tasks: tasks.clone(),
    };
    tasks.spawn(
        "registrations",
        listen(bus, registrar, hello, subscriptions),
    );
    Ok(())
}

struct Subscriptions {
    register: Subscription<Register>,
    unregister: Subscription<Unregister>,
    greet: Subscription<Anything>,
}

/// What registrations change: the table, and connections to those who left it.
#[derive(Clone)]
pub(crate) struct Edge {
    pub(crate) shared: Arc<Shared>,
    pub(crate) engine: Engine,
}

impl Edge {
    fn register(&self, message: &Endpoint) {
        let retired = self.shared.table().register(message, Instant::now());
        self.engine.forget(&retired);
    }

    fn unregister(&self, message: &Endpoint) {
        let gone = self.shared.table().unregister(message, Instant::now());
        self.engine.forget(&gone);
    }
}

/// Registrations, with names in place of addresses resolved so that no request has to wait for that.
struct Registrar {
    edge: Edge,
    names: Names,
    tasks: Tasks,
}

impl Registrar {
    fn register(&self, message: &Endpoint) {
        if message.host.parse::<IpAddr>().is_ok() {
            return self.edge.register(message);
        }
        let edge = self.edge.clone();
        let later = move |waited: &Endpoint| edge.register(waited);
        if let Some(located) = self.names.register(message, &self.tasks, later) {
            self.edge.register(&located);
        }
    }

    fn unregister(&self, message: &Endpoint) {
        if message.host.parse::<IpAddr>().is_ok() {
            return self.edge.unregister(message);
        }
        self.edge.unregister(&self.names.unregister(message));
    }
}

async fn listen(bus: Bus, registrar: Registrar, hello: Start, mut from: Subscriptions) {
    loop {
        tokio::select! {
            message = from.register.next() => registrar.register(&message.body.0),
            message = from.unregister.next() => registrar.unregister(&message.body.0),
            message = from.greet.next() => if let Some(inbox) = message.reply {
                report(bus.publish_to(&inbox, &hello).await);
            },
        }
    }
}

/// On every (re)connect: nothing is stale, and everybody registers now.
async fn watch(bus: Bus, shared: Arc<Shared>, hello: Start) {
    let mut changes = bus.connection_changes();
    loop {
        bus.wait_connected().await;
        // The subscriptions must have arrived before we ask for registrations.
        report(bus.flush().await);
        shared.table().resume(Instant::now());
        report(bus.publish(&hello).await);
        while bus.is_connected() {
            if changes.changed().await.is_err() {
                return;
            }
        }
        shared.table().pause();
    }
}

fn report(outcome: Result<(), BusError>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "could not greet registrars");
    }
}

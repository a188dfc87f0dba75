//! The bus feeds the table: registrations, greetings, and whether the bus is there at all.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bus::router::{Endpoint, GREET, Register, Start, Unregister};
use bus::{Anything, Bus, BusError, Subscription};
use component::Tasks;

use crate::engine::{Engine, Shared};

/// Subscriptions of a router.
struct Ears {
    register: Subscription<Register>,
    unregister: Subscription<Unregister>,
    greet: Subscription<Anything>,
}

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
    let ears = Ears {
        register: bus.subscribe().await?,
        unregister: bus.subscribe().await?,
        greet: bus.subscribe_to(GREET).await?,
    };
    tasks.spawn(
        "connection watch",
        watch(bus.clone(), edge.shared.clone(), hello.clone()),
    );
    tasks.spawn("registrations", listen(bus, edge, hello, ears));
    Ok(())
}

/// What registrations change: the table, and connections to those who left it.
#[derive(Clone)]
pub(crate) struct Edge {
    pub(crate) shared: Arc<Shared>,
    pub(crate) engine: Engine,
}

impl Edge {
    async fn register(&self, message: &Endpoint) {
        let message = resolved(message).await;
        let retired = self.shared.table().register(&message, Instant::now());
        self.engine.forget(&retired);
    }

    async fn unregister(&self, message: &Endpoint) {
        let message = resolved(message).await;
        let gone = self.shared.table().unregister(&message, Instant::now());
        self.engine.forget(&gone);
    }
}

/// With an address in place of a name, so that no request has to wait for one to be resolved.
/// A name that leads nowhere stays: the first dial says so.
async fn resolved(message: &Endpoint) -> Cow<'_, Endpoint> {
    if message.host.parse::<IpAddr>().is_ok() {
        return Cow::Borrowed(message);
    }
    let found = tokio::net::lookup_host((message.host.as_str(), message.port)).await;
    match found.ok().and_then(|mut found| found.next()) {
        Some(address) => Cow::Owned(Endpoint {
            host: address.ip().to_string(),
            ..message.clone()
        }),
        None => Cow::Borrowed(message),
    }
}

async fn listen(bus: Bus, edge: Edge, hello: Start, mut ears: Ears) {
    loop {
        tokio::select! {
            message = ears.register.next() => match message {
                Some(message) => edge.register(&message.body.0).await,
                None => return,
            },
            message = ears.unregister.next() => match message {
                Some(message) => edge.unregister(&message.body.0).await,
                None => return,
            },
            message = ears.greet.next() => match message {
                Some(message) => if let Some(inbox) = message.reply {
                    report(bus.publish_to(&inbox, &hello).await);
                },
                None => return,
            },
        }
    }
}

/// On every (re)connect: nothing is stale, and everybody shall register now.
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

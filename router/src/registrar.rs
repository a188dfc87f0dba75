//! The bus feeds the table: registrations, greetings, and whether the bus is there at all.

use std::sync::Arc;
use std::time::Instant;

use bus::router::{GREET, Register, Start, Unregister};
use bus::{Anything, Bus, BusError, Subscription};
use component::Tasks;

use crate::proxy::Proxy;

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
    proxy: Arc<Proxy>,
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
        watch(bus.clone(), proxy.clone(), hello.clone()),
    );
    tasks.spawn("registrations", listen(bus, proxy, hello, ears));
    Ok(())
}

async fn listen(bus: Bus, proxy: Arc<Proxy>, hello: Start, mut ears: Ears) {
    loop {
        tokio::select! {
            message = ears.register.next() => match message {
                Some(message) => {
                    let retired = proxy.table().register(&message.body.0, Instant::now());
                    proxy.upstream.forget(&retired);
                }
                None => return,
            },
            message = ears.unregister.next() => match message {
                Some(message) => {
                    let gone = proxy.table().unregister(&message.body.0, Instant::now());
                    proxy.upstream.forget(&gone);
                }
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
async fn watch(bus: Bus, proxy: Arc<Proxy>, hello: Start) {
    let mut changes = bus.connection_changes();
    loop {
        bus.wait_connected().await;
        // The subscriptions must have arrived before we ask for registrations.
        report(bus.flush().await);
        proxy.table().resume(Instant::now());
        report(bus.publish(&hello).await);
        while bus.is_connected() {
            if changes.changed().await.is_err() {
                return;
            }
        }
        proxy.table().pause();
    }
}

fn report(outcome: Result<(), BusError>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "could not greet registrars");
    }
}

//! Which routers may reach the instances of this host. A router says where it is when it starts and whenever it is greeted; it is
//! let in from then on, and forgotten only after it has left many greetings without an answer while the bus was there. Nothing is
//! forgotten while the bus is away.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::router::{GREET, Start};
use bus::{BusError, Subscription};

use crate::host::Host;
use crate::limits::{ROUTER_ADDRESSES, ROUTERS};

/// Greetings in a row that a router may leave without an answer; one goes out with each registration.
const UNANSWERED: u32 = 120;
/// How long answers to a greeting are collected.
const ANSWERS: Duration = Duration::from_secs(2);

/// The routers, and how many greetings each has left without an answer. Pure.
#[derive(Debug, Default)]
pub struct Routers(BTreeMap<Ipv4Addr, u32>);

impl Routers {
    /// Those of an earlier run.
    pub fn new(known: BTreeSet<Ipv4Addr>) -> Self {
        Self(known.into_iter().map(|address| (address, 0)).collect())
    }

    /// A router said where it is.
    pub fn heard(&mut self, hosts: &[String]) {
        let addresses = hosts.iter().filter_map(|host| outside(host));
        for address in addresses.take(ROUTER_ADDRESSES) {
            self.0.insert(address, 0);
        }
        while self.0.len() > ROUTERS {
            let silent = self.0.iter().max_by_key(|(_, unanswered)| **unanswered);
            let Some(address) = silent.map(|(address, _)| *address) else {
                return;
            };
            self.0.remove(&address);
        }
    }

    /// A greeting was sent, and its answers have been heard.
    pub fn greeted(&mut self) {
        self.0.values_mut().for_each(|unanswered| *unanswered += 1);
        self.0.retain(|_, unanswered| *unanswered <= UNANSWERED);
    }

    /// Where they are.
    pub fn addresses(&self) -> BTreeSet<Ipv4Addr> {
        self.0.keys().copied().collect()
    }
}

/// An address that packets from elsewhere can have. Processes of this host are let in without one.
fn outside(host: &str) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = host.parse().ok()?;
    let elsewhere = !address.is_unspecified()
        && !address.is_loopback()
        && !address.is_multicast()
        && !address.is_broadcast();
    elsewhere.then_some(address)
}

/// Hears routers that start, and greets them now and then.
///
/// # Errors
/// When the bus refuses the subscription.
pub async fn start(host: &Arc<Host>) -> Result<(), BusError> {
    let starts = host.bus.subscribe::<Start>().await?;
    let host_ = Arc::clone(host);
    host.tasks.spawn("routers", async move {
        let known = Routers::new(host_.backend.allowed_routers().await);
        let routers = Mutex::new(known);
        tokio::join!(
            hear_starts(&host_, &routers, starts),
            greet(&host_, &routers)
        );
    });
    Ok(())
}

async fn hear_starts(host: &Host, routers: &Mutex<Routers>, mut starts: Subscription<Start>) {
    loop {
        let start = starts.next().await;
        change(host, routers, |routers| routers.heard(&start.body.hosts)).await;
        // After it was let in: it may ask an instance as soon as it knows of it.
        host.nudge.register.notify_one();
    }
}

async fn greet(host: &Host, routers: &Mutex<Routers>) {
    let period = host.config.times().router_register;
    loop {
        host.bus.wait_connected().await;
        let question = serde_json::json!({});
        let answers = host
            .bus
            .gather::<_, Start>(GREET, &question, ROUTERS, ANSWERS.min(period))
            .await;
        if let (Ok(answers), true) = (answers, host.bus.is_connected()) {
            change(host, routers, |routers| {
                routers.greeted();
                let hosts = answers.iter().map(|answer| &answer.hosts);
                hosts.for_each(|hosts| routers.heard(hosts));
            })
            .await;
        }
        tokio::time::sleep(period).await;
    }
}

/// Changes what is known, and the packet filter with it when that makes a difference.
async fn change(host: &Host, routers: &Mutex<Routers>, change: impl FnOnce(&mut Routers)) {
    let wanted = {
        let mut routers = routers.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut routers);
        routers.addresses()
    };
    if wanted == host.backend.allowed_routers().await {
        return;
    }
    tracing::info!(routers = ?wanted, "routers that may reach instances");
    if let Err(error) = host.backend.allow_routers(&wanted).await {
        tracing::error!(%error, "the packet filter does not let routers in; will retry");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn only_addresses_from_elsewhere_are_let_in() {
        let mut routers = Routers::default();
        routers.heard(&hosts(&[
            "192.0.2.1",
            "router.example",
            "127.0.0.1",
            "0.0.0.0",
            "::1",
            "224.0.0.1",
            "255.255.255.255",
            "",
        ]));
        assert_eq!(routers.addresses(), [[192, 0, 2, 1].into()].into());
    }

    #[test]
    fn a_router_is_forgotten_only_after_many_greetings_without_an_answer() {
        let mut routers = Routers::new([[192, 0, 2, 1].into(), [192, 0, 2, 2].into()].into());
        for _ in 0..UNANSWERED {
            routers.greeted();
            routers.heard(&hosts(&["192.0.2.2"]));
        }
        assert_eq!(routers.addresses().len(), 2);
        routers.greeted();
        assert_eq!(routers.addresses(), [[192, 0, 2, 2].into()].into());
        // One answer is enough to begin from the start.
        for _ in 0..UNANSWERED - 1 {
            routers.greeted();
        }
        routers.heard(&hosts(&["192.0.2.2"]));
        for _ in 0..UNANSWERED {
            routers.greeted();
        }
        assert_eq!(routers.addresses().len(), 1);
    }

    #[test]
    fn the_table_of_routers_is_bounded() {
        let mut routers = Routers::default();
        let many: Vec<String> = (1..=250u8).map(|n| format!("192.0.2.{n}")).collect();
        routers.heard(&many);
        assert_eq!(routers.addresses().len(), ROUTER_ADDRESSES);
        routers.greeted();
        for n in 0..100 * ROUTERS as u32 {
            routers.heard(&[Ipv4Addr::from(0x0a00_0000 + n).to_string()]);
        }
        assert_eq!(routers.addresses().len(), ROUTERS);
        assert!(
            !routers.addresses().contains(&[192, 0, 2, 1].into()),
            "the silent ones went first"
        );
    }
}

//! Registrations may give a name instead of an address. It is resolved beside the loop that reads registrations: a resolver
//! that does not answer delays those of its own name only.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bus::router::Endpoint;
use tokio::sync::Semaphore;

use crate::limits::{LOOKUPS, NAMES, WAITING_REGISTRATIONS};

/// An answer is used this long before it is asked for again; the last one stays in use meanwhile.
const FRESH: Duration = Duration::from_secs(30);
/// After a look-up that failed.
const PAUSE: Duration = Duration::from_secs(5);
/// A look-up that takes longer counts as failed.
const LIMIT: Duration = Duration::from_secs(2);

/// The names that were registered. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Names {
    table: Arc<Mutex<NameTable>>,
    lookups: Arc<Semaphore>,
    resolve: fn(&str) -> Option<IpAddr>,
}

/// Asks the system's resolver, which cannot be interrupted.
fn system_resolver(host: &str) -> Option<IpAddr> {
    let mut found = (host, 0u16).to_socket_addrs().ok()?;
    found.next().map(|address| address.ip())
}

/// What is known of names. Pure.
#[derive(Default)]
struct NameTable(HashMap<String, Name>);

#[derive(Default)]
struct Name {
    address: Option<IpAddr>,
    asked: Option<Instant>,
    answered: bool,
    /// Registrations that came before the first answer.
    waiting: Vec<Endpoint>,
}

/// What becomes of a registration.
#[derive(Debug, PartialEq, Eq)]
enum Resolution {
    /// Use this address.
    Known(IpAddr),
    /// It is kept until the first answer.
    Waits,
    /// The name leads nowhere: it is registered as it is, and the first dial says so.
    Unknown,
}

impl NameTable {
    /// What to do with a registration, and whether to ask for its name.
    fn registered(&mut self, message: &Endpoint, now: Instant) -> (Resolution, bool) {
        if self.0.len() >= NAMES && !self.0.contains_key(&message.host) {
            self.forget_one();
        }
        let name = self.0.entry(message.host.clone()).or_default();
        let pause = if name.address.is_some() { FRESH } else { PAUSE };
        let ask = name.asked.is_none_or(|at| now.duration_since(at) >= pause);
        if ask {
            name.asked = Some(now);
        }
        let resolution = match name.address {
            Some(address) => Resolution::Known(address),
            None if name.answered => Resolution::Unknown,
            None => {
                name.keep(message);
                Resolution::Waits
            }
        };
        (resolution, ask)
    }

    /// The address to unregister; registrations of it that wait are dropped.
    fn unregistered(&mut self, message: &Endpoint) -> Option<IpAddr> {
        let name = self.0.get_mut(&message.host)?;
        name.waiting.retain_mut(|waiting| {
            if waiting.port == message.port {
                waiting.uris.retain(|uri| !message.uris.contains(uri));
            }
            !waiting.uris.is_empty()
        });
        name.address
    }

    /// Notes an answer; gives the registrations that waited for it.
    fn answered(&mut self, host: &str, address: Option<IpAddr>) -> Vec<Endpoint> {
        let Some(name) = self.0.get_mut(host) else {
            return Vec::new();
        };
        name.answered = true;
        // A failed look-up leaves the last good answer.
        name.address = address.or(name.address);
        std::mem::take(&mut name.waiting)
    }

    /// The one that was asked for longest ago.
    fn forget_one(&mut self) {
        let oldest = self.0.iter().min_by_key(|(_, name)| name.asked);
        if let Some(host) = oldest.map(|(host, _)| host.clone()) {
            self.0.remove(&host);
        }
    }
}

impl Name {
    /// The last word on the same place counts.
    fn keep(&mut self, message: &Endpoint) {
        let same =
            |waiting: &Endpoint| waiting.port == message.port && waiting.uris == message.uris;
        self.waiting.retain(|waiting| !same(waiting));
        if self.waiting.len() < WAITING_REGISTRATIONS {
            self.waiting.push(message.clone());
        }
    }
}

impl Names {
    pub(crate) fn new() -> Self {
        Self::with(system_resolver)
    }

    fn with(resolve: fn(&str) -> Option<IpAddr>) -> Self {
        Self {
            table: Arc::default(),
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            resolve,
        }
    }

    fn table(&self) -> MutexGuard<'_, NameTable> {
        // Valid between any two statements.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The registration with an address, if it can be used now. Otherwise, or to refresh the answer, `later` gets what
    /// waited, from a job of its own.
    pub(crate) fn register(
        &self,
        message: &Endpoint,
        tasks: &component::Tasks,
        later: impl Fn(&Endpoint) + Send + 'static,
    ) -> Option<Endpoint> {
        let (resolution, ask) = self.table().registered(message, Instant::now());
        if ask {
            let (names, host) = (self.clone(), message.host.clone());
            tasks.spawn_job("name look-up", async move {
                let address = names.look_up(&host).await;
                let waited = names.table().answered(&host, address);
                for endpoint in waited {
                    later(&located(&endpoint, address));
                }
            });
        }
        match resolution {
            Resolution::Known(address) => Some(located(message, Some(address))),
            Resolution::Unknown => Some(message.clone()),
            Resolution::Waits => None,
        }
    }

    /// What to unregister.
    pub(crate) fn unregister(&self, message: &Endpoint) -> Endpoint {
        located(message, self.table().unregistered(message))
    }

    async fn look_up(&self, host: &str) -> Option<IpAddr> {
        let permit = Arc::clone(&self.lookups).try_acquire_owned().ok()?;
        let (owned, resolve) = (host.to_owned(), self.resolve);
        // Its thread keeps the permit until the resolver is done, however long that takes.
        let asked = tokio::task::spawn_blocking(move || {
            let found = resolve(&owned);
            drop(permit);
            found
        });
        match tokio::time::timeout(LIMIT, asked).await {
            Ok(Ok(Some(address))) => Some(address),
            _ => {
                tracing::warn!(host, "the name of a registered endpoint was not resolved");
                None
            }
        }
    }
}

fn located(message: &Endpoint, address: Option<IpAddr>) -> Endpoint {
    match address {
        Some(address) => Endpoint {
            host: address.to_string(),
            ..message.clone()
        },
        None => message.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn endpoint(host: &str, port: u16, uri: &str) -> Endpoint {
        Endpoint {
            host: host.into(),
            port,
            uris: vec![uri.into()],
            ..Endpoint::default()
        }
    }

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

    #[test]
    fn a_name_is_asked_for_once_and_its_registrations_wait() {
        let (mut names, now) = (NameTable::default(), Instant::now());
        let (a, b) = (endpoint("x", 1, "a"), endpoint("x", 2, "b"));
        assert_eq!(names.registered(&a, now), (Resolution::Waits, true));
        assert_eq!(names.registered(&a, now), (Resolution::Waits, false));
        assert_eq!(names.registered(&b, now), (Resolution::Waits, false));
        assert_eq!(names.unregistered(&b), None);
        assert_eq!(names.answered("x", Some(ADDRESS)), vec![a.clone()]);
        assert_eq!(
            names.registered(&a, now),
            (Resolution::Known(ADDRESS), false)
        );
    }

    #[test]
    fn the_last_answer_stays_when_the_resolver_falls_silent() {
        let (mut names, now) = (NameTable::default(), Instant::now());
        let a = endpoint("x", 1, "a");
        names.registered(&a, now);
        names.answered("x", Some(ADDRESS));
        let later = now + FRESH;
        assert_eq!(
            names.registered(&a, later),
            (Resolution::Known(ADDRESS), true)
        );
        names.answered("x", None);
        assert_eq!(
            names.registered(&a, later),
            (Resolution::Known(ADDRESS), false)
        );
    }

    #[test]
    fn a_name_that_leads_nowhere_is_asked_for_again_after_a_pause() {
        let (mut names, now) = (NameTable::default(), Instant::now());
        let a = endpoint("x", 1, "a");
        names.registered(&a, now);
        assert_eq!(names.answered("x", None), vec![a.clone()]);
        assert_eq!(names.registered(&a, now), (Resolution::Unknown, false));
        assert_eq!(
            names.registered(&a, now + PAUSE),
            (Resolution::Unknown, true)
        );
    }

    /// Velocity#1833: names whose resolver is silent.
    #[tokio::test]
    async fn silent_names_do_not_delay_other_registrations() {
        fn silent_but_for_one(host: &str) -> Option<IpAddr> {
            if host == "good" {
                return Some(ADDRESS);
            }
            std::thread::sleep(Duration::from_secs(3));
            None
        }
        let (names, tasks) = (Names::with(silent_but_for_one), component::Tasks::new());
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let register = |name: &str, port: u16| {
            let tell = tell.clone();
            let later = move |e: &Endpoint| drop(tell.send((e.port, e.host.clone())));
            names.register(&endpoint(name, port, "a"), &tasks, later)
        };
        for port in 1..=5 {
            assert_eq!(register(&format!("silent-{port}"), port), None);
        }
        assert_eq!(register("good", 9), None);
        assert_eq!(told.recv().await, Some((9, ADDRESS.to_string())));
        // The others come as they are, and their first dial says so.
        for _ in 1..=5 {
            let (port, host) = told.recv().await.unwrap();
            assert_eq!(host, format!("silent-{port}"));
        }
        let located = register("good", 9).unwrap();
        assert_eq!(located.host, ADDRESS.to_string());
    }

    #[test]
    fn names_and_what_waits_for_them_are_bounded() {
        let (mut names, now) = (NameTable::default(), Instant::now());
        for port in 0..10 * WAITING_REGISTRATIONS {
            names.registered(&endpoint("x", port as u16, "a"), now);
        }
        assert_eq!(names.0["x"].waiting.len(), WAITING_REGISTRATIONS);
        for n in 0..2 * NAMES {
            names.registered(&endpoint(&format!("n{n}"), 1, "a"), now);
        }
        assert_eq!(names.0.len(), NAMES);
    }
}

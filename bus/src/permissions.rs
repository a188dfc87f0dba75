//! Who may say and hear what: one table from which the users of every bus are made, ours and a real nats-server's.
//!
//! A DEA has a user of its own, because the work of one DEA (start messages, the secrets in staging requests) is nothing for another.
//! Replies come to an inbox below the user's own prefix ([`inbox_prefix`]), which nobody else may hear, and into which only those may write who
//! have heard a request with it (`allow_responses`).

use crate::component::{Announce, DISCOVER};
use crate::dea::{self, Advertise, Find, Heartbeat, Shutdown, StartInstance, Stop, Update};
use crate::droplet::Exited;
use crate::router::{GREET, Register, Start as RouterStart, Unregister};
use crate::{Message, health, staging};

/// A component as the bus knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// The cloud controller.
    Controller,
    /// One DEA, with its id.
    Dea(String),
    /// A router.
    Router,
    /// The health manager.
    HealthManager,
    /// A metrics collector, and daemons that only announce themselves.
    Collector,
}

/// Subjects a user may publish to and subscribe to, `*` and `>` included; everything else is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// May be published to.
    pub publish: Vec<String>,
    /// May be subscribed to.
    pub subscribe: Vec<String>,
    /// Seconds for which a request that was heard may be answered, wherever its answer goes.
    pub answer_seconds: u64,
}

/// Where the older health managers ask for the bulk API's credentials.
const BULK_CREDENTIALS: &str = "cloudcontroller.bulk.credentials.*";
/// A stager says at the end of a staging how it went, a quarter of an hour later at most unless configured otherwise.
const STAGING_SECONDS: u64 = 20 * 60;
/// Everything else is answered at once.
const ANSWER_SECONDS: u64 = 60;

/// Prefix of a user's inboxes, for clients and for [`grant`].
pub fn inbox_prefix(user: &str) -> String {
    format!("_INBOX.{user}")
}

/// What the user `user` in this role may do.
pub fn grant(role: &Role, user: &str) -> Grant {
    let (publish, subscribe) = match role {
        Role::Controller => controller(),
        Role::Dea(id) => dea(id),
        Role::Router => (
            owned(&[RouterStart::SUBJECT]),
            // One subscription to all of them, as gorouter makes it since the end of 2016.
            owned(&["router.*"]),
        ),
        Role::HealthManager => (
            owned(&[
                health::Start::SUBJECT,
                health::Stop::SUBJECT,
                health::HEARTBEAT_NOW,
                BULK_CREDENTIALS,
            ]),
            owned(&[Heartbeat::SUBJECT, Exited::SUBJECT, Advertise::SUBJECT]),
        ),
        Role::Collector => (owned(&[DISCOVER]), owned(&[Announce::SUBJECT])),
    };
    Grant {
        publish: with(publish, &[Announce::SUBJECT]),
        subscribe: with(subscribe, &[DISCOVER, &format!("{}.>", inbox_prefix(user))]),
        answer_seconds: match role {
            Role::Dea(_) => STAGING_SECONDS,
            _ => ANSWER_SECONDS,
        },
    }
}

fn controller() -> (Vec<String>, Vec<String>) {
    let publish = [
        &StartInstance::subject("*"),
        &staging::Start::subject("*"),
        Stop::SUBJECT,
        Update::SUBJECT,
        Find::SUBJECT,
        dea::LOCATE,
        dea::STATUS,
        staging::Stop::SUBJECT,
        staging::LOCATE,
        staging::Buildpacks::SUBJECT,
    ];
    let subscribe = [
        Advertise::SUBJECT,
        staging::Advertise::SUBJECT,
        Shutdown::SUBJECT,
        Heartbeat::SUBJECT,
        Exited::SUBJECT,
        health::Start::SUBJECT,
        health::Stop::SUBJECT,
        BULK_CREDENTIALS,
    ];
    (owned(&publish), owned(&subscribe))
}

fn dea(id: &str) -> (Vec<String>, Vec<String>) {
    let publish = [
        dea::Hello::SUBJECT,
        Advertise::SUBJECT,
        staging::Advertise::SUBJECT,
        Heartbeat::SUBJECT,
        Shutdown::SUBJECT,
        Exited::SUBJECT,
        Register::SUBJECT,
        Unregister::SUBJECT,
        GREET,
    ];
    let subscribe = [
        &StartInstance::subject(id),
        &staging::Start::subject(id),
        Stop::SUBJECT,
        Update::SUBJECT,
        Find::SUBJECT,
        dea::LOCATE,
        dea::STATUS,
        staging::Stop::SUBJECT,
        staging::LOCATE,
        staging::Buildpacks::SUBJECT,
        health::HEARTBEAT_NOW,
        RouterStart::SUBJECT,
    ];
    (owned(&publish), owned(&subscribe))
}

fn owned(subjects: &[&str]) -> Vec<String> {
    subjects.iter().map(|&s| s.to_owned()).collect()
}

fn with(mut subjects: Vec<String>, more: &[&str]) -> Vec<String> {
    subjects.extend(owned(more));
    subjects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hears(role: &Role, subject: &str) -> bool {
        let of = |subject: &str| subject.split('.').map(str::to_owned).collect::<Vec<_>>();
        let wanted = of(subject);
        grant(role, "u").subscribe.iter().any(|pattern| {
            let pattern = of(pattern);
            pattern.len() == wanted.len()
                && pattern.iter().zip(&wanted).all(|(p, w)| p == "*" || p == w)
        })
    }

    #[test]
    fn a_dea_hears_its_own_work_and_not_its_neighbours() {
        let dea = Role::Dea("0-abc".into());
        assert!(hears(&dea, "dea.0-abc.start") && hears(&dea, "staging.0-abc.start"));
        assert!(!hears(&dea, "dea.1-def.start") && !hears(&dea, "staging.1-def.start"));
    }

    #[test]
    fn only_controller_and_health_manager_give_orders() {
        for role in [Role::Dea("0-a".into()), Role::Router, Role::Collector] {
            let grant = grant(&role, "u");
            for order in ["dea.*.start", "dea.stop", "dea.update", "hm9000.start", ">"] {
                assert!(
                    !grant.publish.iter().any(|s| s == order),
                    "{role:?} {order}"
                );
            }
        }
    }

    #[test]
    fn nobody_writes_into_an_inbox_unasked() {
        for role in [
            Role::Controller,
            Role::Dea("0-a".into()),
            Role::Router,
            Role::HealthManager,
            Role::Collector,
        ] {
            let grant = grant(&role, "u");
            let inbox = |s: &String| s.starts_with("_INBOX") || s == ">";
            assert!(!grant.publish.iter().any(inbox), "{role:?}");
            assert!(grant.answer_seconds > 0);
        }
    }

    #[test]
    fn nobody_hears_the_inboxes_of_others() {
        let roles = [
            Role::Controller,
            Role::Dea("0-a".into()),
            Role::Router,
            Role::HealthManager,
            Role::Collector,
        ];
        for role in roles {
            let heard = grant(&role, "me").subscribe;
            let inboxes: Vec<_> = heard.iter().filter(|s| s.starts_with("_INBOX")).collect();
            assert_eq!(inboxes, ["_INBOX.me.>"]);
            assert!(!heard.iter().any(|s| s == ">"));
        }
    }
}

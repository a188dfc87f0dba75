//! Which instances a `dea.stop` or `dea.find.droplet` means, and the answer to the latter.

use bus::dea::{Find, Found, Stats, Stop};

use crate::host::Host;
use crate::instance::state::State;
use crate::instance::{Instance, unix_now};

/// Whether an instance matches all given criteria. An explicitly empty list
/// matches nothing; the 2015 original took it for "no filter", which turned one
/// careless message into the stop of a whole app.
pub fn matches(
    filter: &Stop,
    droplet: &str,
    version: &str,
    id: &str,
    index: u32,
    state: State,
) -> bool {
    let one_of =
        |list: &Option<Vec<String>>| list.as_ref().is_some_and(|l| l.iter().any(|i| i == id));
    let by_id = match (&filter.instances, &filter.instance_ids) {
        (None, None) => true,
        (a, b) => one_of(a) || one_of(b),
    };
    filter.droplet == droplet
        && filter.version.as_deref().is_none_or(|v| v == version)
        && by_id
        && filter.indices.as_ref().is_none_or(|l| l.contains(&index))
        && filter
            .states
            .as_ref()
            .is_none_or(|l| l.iter().any(|s| State::parse(s) == Some(state)))
}

/// The same for a live instance. Its private id is what a sticky session names.
pub fn selects(filter: &Stop, instance: &Instance) -> bool {
    let (version, state) = {
        let standing = instance.standing();
        (standing.version.clone(), standing.state)
    };
    matches(
        filter,
        &instance.message.droplet,
        &version,
        &instance.id,
        instance.message.index,
        state,
    )
}

/// The answer for one instance.
pub fn found(host: &Host, request: &Find, instance: &Instance) -> Found {
    let standing = instance.standing().clone();
    let stats = (request.include_stats && standing.state == State::Running)
        .then(|| stats(host, instance, &standing));
    Found {
        dea: host.id.clone(),
        droplet: instance.message.droplet.clone(),
        version: standing.version.clone(),
        instance: instance.id.clone(),
        index: instance.message.index,
        state: standing.state.to_string(),
        state_timestamp: standing.since,
        staged: Some(format!("/{}", instance.id)),
        file_uri_v2: request
            .path
            .as_deref()
            .map(|path| host.file_url(&instance.id, path)),
        stats,
    }
}

fn stats(host: &Host, instance: &Instance, standing: &crate::instance::Standing) -> Stats {
    const MB: u64 = 1024 * 1024;
    let now = unix_now();
    let limits = instance.message.limits;
    Stats {
        name: instance.message.name.clone(),
        uris: standing.uris.clone(),
        host: host.config.ip.to_string(),
        port: standing.port.map_or(0, |p| p.host_port),
        uptime: standing.started.map_or(0, |s| (now - s).max(0.0) as u64),
        mem_quota: limits.mem * MB,
        disk_quota: limits.disk * MB,
        fds_quota: limits.fds,
        usage: standing.samples.usage(now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter() -> Stop {
        Stop {
            droplet: "app".into(),
            ..Stop::default()
        }
    }

    fn hit(filter: &Stop) -> bool {
        matches(filter, "app", "v1", "i1", 2, State::Running)
    }

    #[test]
    fn every_given_criterion_must_match() {
        assert!(hit(&filter()));
        assert!(!hit(&Stop {
            droplet: "other".into(),
            ..filter()
        }));
        assert!(!hit(&Stop {
            version: Some("v2".into()),
            ..filter()
        }));
        assert!(hit(&Stop {
            version: Some("v1".into()),
            indices: Some(vec![2, 3]),
            ..filter()
        }));
        assert!(!hit(&Stop {
            version: Some("v1".into()),
            indices: Some(vec![3]),
            ..filter()
        }));
        assert!(hit(&Stop {
            states: Some(vec!["running".into()]),
            ..filter()
        }));
        assert!(!hit(&Stop {
            states: Some(vec!["NONSENSE".into()]),
            ..filter()
        }));
    }

    #[test]
    fn ids_may_come_under_either_name() {
        assert!(hit(&Stop {
            instances: Some(vec!["i1".into()]),
            ..filter()
        }));
        assert!(hit(&Stop {
            instance_ids: Some(vec!["i1".into()]),
            instances: Some(vec!["x".into()]),
            ..filter()
        }));
    }

    #[test]
    fn an_empty_list_matches_nothing() {
        assert!(!hit(&Stop {
            instances: Some(vec![]),
            ..filter()
        }));
        assert!(!hit(&Stop {
            indices: Some(vec![]),
            ..filter()
        }));
        assert!(!hit(&Stop {
            states: Some(vec![]),
            ..filter()
        }));
    }
}

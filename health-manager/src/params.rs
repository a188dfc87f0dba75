//! The durations that govern decisions, all counted in heartbeats.

use std::time::Duration;

use bus::times::Times;

/// One set of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// The unit.
    pub heartbeat: Duration,
    /// A DEA not heard of for this long is lost; also how long we listen before we believe our picture.
    pub ttl: Duration,
    /// A missing instance is given this long before it is started. Also how long a sent message blocks another.
    pub grace: Duration,
    /// Desired state older than this is not acted upon.
    pub desired_ttl: Duration,
    /// First delay once back-off begins.
    pub backoff: Duration,
    /// Longest back-off. A crash count is forgotten after twice this time without a crash.
    pub backoff_max: Duration,
    /// Crashes answered at once.
    pub free_crashes: u32,
    /// Starts sent per heartbeat.
    pub send_limit: usize,
}

impl From<&Times> for Params {
    fn from(times: &Times) -> Self {
        Self {
            heartbeat: times.heartbeat,
            ttl: times.heartbeat * times.hm_ttl_heartbeats,
            grace: times.heartbeat * times.hm_grace_heartbeats,
            desired_ttl: times.heartbeat * times.hm_desired_ttl_heartbeats,
            backoff: times.heartbeat * times.hm_backoff_heartbeats,
            backoff_max: times.heartbeat * times.hm_backoff_max_heartbeats,
            free_crashes: 3,
            send_limit: 60,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compat_has_the_originals_numbers() {
        let params = Params::from(&bus::times::COMPAT);
        let seconds = [
            params.ttl,
            params.grace,
            params.desired_ttl,
            params.backoff,
            params.backoff_max,
        ]
        .map(|time| time.as_secs());
        assert_eq!(seconds, [30, 30, 120, 30, 960]);
    }
}

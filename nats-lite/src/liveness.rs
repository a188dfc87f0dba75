//! When to ping a client and when to give it up: pure, driven by `now`.

use std::time::{Duration, Instant};

use crate::limits::{FIRST_PING, Limits};

/// What the clock asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping,
    Stale,
    AuthTimeout,
}

/// Timers of one connection.
#[derive(Debug)]
pub(crate) struct Liveness {
    interval: Duration,
    max_out: u32,
    last: Instant,
    out: u32,
    auth_deadline: Option<Instant>,
    /// When the ping that only measures the round trip is due.
    first_ping: Option<Instant>,
}

impl Liveness {
    pub(crate) fn new(limits: &Limits, auth_required: bool, now: Instant) -> Self {
        Self {
            interval: Duration::from_secs_f64(limits.ping_interval),
            max_out: limits.max_pings_out,
            last: now,
            out: 0,
            auth_deadline: auth_required
                .then(|| now + Duration::from_secs_f64(limits.auth_timeout)),
            first_ping: None,
        }
    }

    pub(crate) fn authenticated(&mut self) {
        self.auth_deadline = None;
    }

    /// The client has said who it is: its round trip can be measured.
    pub(crate) fn greeted(&mut self, now: Instant) {
        self.first_ping = (self.interval > FIRST_PING).then(|| now + FIRST_PING);
    }

    /// A TLS handshake begins: it has a time of its own, after which the time to authenticate starts.
    pub(crate) fn postpone(&mut self, seconds: f64) {
        let more = Duration::from_secs_f64(seconds);
        self.auth_deadline = self.auth_deadline.map(|deadline| deadline + more);
    }

    /// Any bytes from the client prove that it lives.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.last = now;
        self.out = 0;
    }

    pub(crate) fn next(&self) -> Instant {
        let ping = self.last + self.interval;
        let others = [self.auth_deadline, self.first_ping];
        others.into_iter().flatten().fold(ping, Instant::min)
    }

    pub(crate) fn due(&mut self, now: Instant) -> Due {
        if self.auth_deadline.is_some_and(|deadline| now >= deadline) {
            return Due::AuthTimeout;
        }
        if self.first_ping.is_some_and(|first| now >= first) {
            self.first_ping = None;
            return Due::Ping;
        }
        if now < self.last + self.interval {
            return Due::Nothing;
        }
        if self.out >= self.max_out {
            return Due::Stale;
        }
        self.last = now;
        self.out += 1;
        Due::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> Limits {
        Limits {
            ping_interval: 1.0,
            auth_timeout: 0.5,
            ..Limits::default()
        }
    }

    #[test]
    fn a_silent_client_is_stale_after_two_unanswered_pings() {
        let start = Instant::now();
        let mut liveness = Liveness::new(&limits(), false, start);
        let seen: Vec<Due> = (0..4)
            .map(|tick| liveness.due(start + tick * SECOND))
            .collect();
        assert_eq!(seen, [Due::Nothing, Due::Ping, Due::Ping, Due::Stale]);
    }

    #[test]
    fn the_first_ping_comes_early_and_does_not_count() {
        let limits = Limits::default();
        let start = Instant::now();
        let mut liveness = Liveness::new(&limits, false, start);
        liveness.greeted(start);
        assert_eq!(liveness.next(), start + FIRST_PING);
        assert_eq!(liveness.due(start + FIRST_PING), Due::Ping);
        assert_eq!(
            (liveness.out, liveness.due(start + FIRST_PING)),
            (0, Due::Nothing)
        );
    }

    #[test]
    fn traffic_postpones_the_ping() {
        let start = Instant::now();
        let mut liveness = Liveness::new(&limits(), false, start);
        liveness.heard(start + SECOND / 2);
        assert_eq!(liveness.due(start + SECOND), Due::Nothing);
        assert_eq!(liveness.next(), start + SECOND / 2 + SECOND);
    }

    #[test]
    fn authentication_has_a_deadline_of_its_own() {
        let start = Instant::now();
        let mut liveness = Liveness::new(&limits(), true, start);
        assert_eq!(liveness.next(), start + SECOND / 2);
        assert_eq!(liveness.due(start + SECOND / 2), Due::AuthTimeout);
        liveness.authenticated();
        assert_eq!(liveness.due(start + SECOND / 2), Due::Nothing);
    }
}

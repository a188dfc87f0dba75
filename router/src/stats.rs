//! Counters behind `/varz`. Pure: everything that depends on time takes `now`.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// Latencies remembered for the percentiles, the size of the original's reservoir.
const SAMPLES: usize = 1028;
/// Rates are averaged in steps of this length.
const TICK: Duration = Duration::from_secs(5);
/// Top apps are counted over this many slots of one second.
const SLOTS: u64 = 60;
/// Apps on the top list.
const TOP: usize = 10;

/// One finished exchange.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Status sent, absent without one.
    pub status: Option<u16>,
    /// Until the response head.
    pub latency: Duration,
    /// Metrics group.
    pub component: Option<&'a str>,
    /// App guid.
    pub app: Option<&'a str>,
}

/// All counters of a router.
#[derive(Debug)]
pub struct Stats {
    start: Instant,
    total: Meter,
    components: HashMap<String, Meter>,
    bad_requests: u64,
    bad_gateways: u64,
    apps: HashMap<String, AppSlots>,
}

impl Stats {
    /// All zero.
    pub fn new(now: Instant) -> Self {
        Self {
            start: now,
            total: Meter::new(now),
            components: HashMap::new(),
            bad_requests: 0,
            bad_gateways: 0,
            apps: HashMap::new(),
        }
    }

    /// Counts an exchange with an app.
    pub fn record(&mut self, sample: &Sample<'_>, now: Instant) {
        self.total.record(sample, now);
        if let Some(component) = sample.component {
            match self.components.get_mut(component) {
                Some(meter) => meter.record(sample, now),
                None => self
                    .components
                    .entry(component.to_owned())
                    .or_insert_with(|| Meter::new(now))
                    .record(sample, now),
            }
        }
        if let Some(app) = sample.app {
            let second = now.duration_since(self.start).as_secs();
            match self.apps.get_mut(app) {
                Some(slots) => slots.count(second),
                None => self.apps.entry(app.to_owned()).or_default().count(second),
            }
        }
    }

    /// Counts a request for an unknown route.
    pub fn bad_request(&mut self) {
        self.bad_requests += 1;
    }

    /// Counts a 502.
    pub fn bad_gateway(&mut self) {
        self.bad_gateways += 1;
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.total.requests
    }

    /// Responses so far by class: 2xx, 3xx, 4xx, 5xx, others and none.
    pub fn responses(&self) -> [u64; 5] {
        self.total.responses
    }

    /// The router's own `/varz` keys, without those of the table.
    pub fn varz(&mut self, now: Instant) -> Map<String, Value> {
        let second = now.duration_since(self.start).as_secs();
        let mut map = self.total.varz(now);
        let components: Map<String, Value> = self
            .components
            .iter_mut()
            .map(|(name, meter)| (name.clone(), meter.varz(now).into()))
            .collect();
        map.insert("tags".into(), json!({"component": components}));
        map.insert("bad_requests".into(), self.bad_requests.into());
        map.insert("bad_gateways".into(), self.bad_gateways.into());
        map.insert("requests_per_sec".into(), self.total.rate[0].into());
        map.insert("top10_app_requests".into(), self.top_apps(second));
        map
    }

    fn top_apps(&mut self, second: u64) -> Value {
        self.apps.retain(|_, slots| slots.sum(second) > 0);
        let mut rows: Vec<(&String, u64)> = self
            .apps
            .iter()
            .map(|(app, slots)| (app, slots.sum(second)))
            .collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        rows.iter()
            .take(TOP)
            .map(|(app, rpm)| json!({"application_id": app, "rps": rpm / SLOTS, "rpm": rpm}))
            .collect()
    }
}

/// Requests of one app per second, the last minute.
#[derive(Debug, Default)]
struct AppSlots {
    slots: VecDeque<(u64, u64)>,
}

impl AppSlots {
    fn count(&mut self, second: u64) {
        match self.slots.back_mut() {
            Some((at, count)) if *at == second => *count += 1,
            _ => self.slots.push_back((second, 1)),
        }
        while self
            .slots
            .front()
            .is_some_and(|(at, _)| at + SLOTS <= second)
        {
            self.slots.pop_front();
        }
    }

    fn sum(&self, second: u64) -> u64 {
        self.slots
            .iter()
            .filter(|(at, _)| at + SLOTS > second)
            .map(|(_, count)| count)
            .sum()
    }
}

/// Counts, rates and latencies of one group.
#[derive(Debug)]
struct Meter {
    requests: u64,
    responses: [u64; 5],
    rate: [f64; 3],
    ticked: Instant,
    since_tick: u64,
    latencies: VecDeque<f64>,
}

impl Meter {
    fn new(now: Instant) -> Self {
        Self {
            requests: 0,
            responses: [0; 5],
            rate: [0.0; 3],
            ticked: now,
            since_tick: 0,
            latencies: VecDeque::new(),
        }
    }

    fn record(&mut self, sample: &Sample<'_>, now: Instant) {
        self.tick(now);
        self.requests += 1;
        self.since_tick += 1;
        let class = match sample.status.map(|status| status / 100) {
            Some(class @ 2..=5) => usize::from(class) - 2,
            _ => 4,
        };
        self.responses[class] += 1;
        if self.latencies.len() == SAMPLES {
            self.latencies.pop_front();
        }
        self.latencies.push_back(sample.latency.as_secs_f64());
    }

    /// Moving averages over 1, 5 and 15 minutes.
    fn tick(&mut self, now: Instant) {
        let idle_limit = self.ticked + Duration::from_secs(3600);
        if now > idle_limit {
            (self.rate, self.ticked, self.since_tick) = ([0.0; 3], now, 0);
        }
        while now.duration_since(self.ticked) >= TICK {
            self.ticked += TICK;
            let current = std::mem::take(&mut self.since_tick) as f64 / TICK.as_secs_f64();
            for (rate, minutes) in self.rate.iter_mut().zip([1.0, 5.0, 15.0]) {
                *rate += (current - *rate) * (1.0 - (-TICK.as_secs_f64() / (60.0 * minutes)).exp());
            }
        }
    }

    fn varz(&mut self, now: Instant) -> Map<String, Value> {
        self.tick(now);
        let mut map = Map::new();
        map.insert("requests".into(), self.requests.into());
        map.insert("rate".into(), json!(self.rate));
        for (name, count) in ["2xx", "3xx", "4xx", "5xx", "xxx"]
            .iter()
            .zip(self.responses)
        {
            map.insert(format!("responses_{name}"), count.into());
        }
        map.insert("latency".into(), self.latency());
        map
    }

    fn latency(&self) -> Value {
        let mut sorted: Vec<f64> = self.latencies.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            sorted
                .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
                .copied()
                .unwrap_or(0.0)
        };
        json!({"50": at(50), "75": at(75), "90": at(90), "95": at(95), "99": at(99), "value": at(50) * 1000.0, "samples": 1})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(status: Option<u16>, app: &'static str) -> Sample<'static> {
        Sample {
            status,
            latency: Duration::from_millis(4),
            component: Some("dea-0"),
            app: Some(app),
        }
    }

    #[test]
    fn counts_by_class_component_and_app() {
        let start = Instant::now();
        let mut stats = Stats::new(start);
        for (status, app) in [
            (Some(200), "a"),
            (Some(204), "a"),
            (Some(302), "b"),
            (Some(404), "a"),
            (Some(502), "a"),
            (None, "a"),
            (Some(101), "a"),
        ] {
            stats.record(&sample(status, app), start);
        }
        stats.bad_request();
        let varz = stats.varz(start);
        assert_eq!(
            (
                &varz["requests"],
                &varz["responses_2xx"],
                &varz["responses_xxx"],
                &varz["bad_requests"]
            ),
            (&7.into(), &2.into(), &2.into(), &1.into())
        );
        assert_eq!(varz["tags"]["component"]["dea-0"]["requests"], 7);
        assert_eq!(
            varz["top10_app_requests"][0],
            json!({"application_id": "a", "rps": 0, "rpm": 6})
        );
        assert_eq!(varz["latency"]["99"], 0.004);
    }

    #[test]
    fn rates_rise_and_fall() {
        let start = Instant::now();
        let mut stats = Stats::new(start);
        for step in 0..600_u32 {
            stats.record(
                &sample(Some(200), "a"),
                start + Duration::from_millis(100) * step,
            );
        }
        let busy = stats.varz(start + Duration::from_secs(60))["rate"][0]
            .as_f64()
            .unwrap_or_default();
        assert!((5.0..10.5).contains(&busy), "{busy}");
        let later = stats.varz(start + Duration::from_secs(600))["rate"][0]
            .as_f64()
            .unwrap_or_default();
        assert!(later < 0.1, "{later}");
        assert_eq!(
            stats.varz(start + Duration::from_secs(600))["top10_app_requests"],
            json!([])
        );
    }
}

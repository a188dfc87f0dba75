//! Configuration of the router.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bus::BusConfig;
use bus::times::Profile;
use component::{DaemonConfig, StatusConfig};
use serde::{Deserialize, Serialize};

use crate::access_log::{Format, Target};
use crate::engine::Times;
use crate::rewrite::{Cidr, Names, Trust};
use crate::table::{Balancing, Settings};
use crate::tls::TlsConfig;

/// Everything the router can be told. Times are seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where clients connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Further addresses and the host name each stands for: what comes in there is for that
    /// host, whatever its Host header says. For clients that know only an address and a port.
    pub listen_as: BTreeMap<SocketAddr, String>,
    /// A listener for TLS and HTTP/2 besides; none when absent.
    pub tls: Option<TlsConfig>,
    /// The message bus.
    pub bus: BusConfig,
    /// `/healthz`, `/varz`, `/metrics`, `/routes` and `/health`.
    pub status: StatusConfig,
    /// Job index, first part of the router's id.
    pub index: u32,
    /// Column of the table of times that fills in absent times below.
    pub profile: Profile,
    /// Address told to registrars in `router.start`, and let in by DEAs; when empty, the listener's and the one that leads to the bus.
    pub advertised_host: String,
    /// How often registrars shall register; also how long a freshly started router answers 503
    /// instead of 404 for unknown hosts. Absent: from the profile.
    pub register_interval: Option<f64>,
    /// An endpoint not refreshed for this long is dropped. Absent: from the profile.
    pub stale_threshold: Option<f64>,
    /// How often stale endpoints are looked for. Absent: from the profile.
    pub prune_interval: Option<f64>,
    /// Time for connecting to an instance; 5 as the original.
    pub dial_timeout: f64,
    /// Time from request to response head; 60 as the original.
    pub endpoint_timeout: f64,
    /// Idle connections to instances are closed after this: sooner than common app servers do it.
    pub keep_alive: f64,
    /// Idle connections kept per instance.
    pub max_idle_per_endpoint: usize,
    /// Time a client has to finish its request head.
    pub header_timeout: f64,
    /// Largest request head in bytes.
    pub max_header_bytes: usize,
    /// Most header lines of a request.
    pub max_header_fields: usize,
    /// A client that sends nothing in the middle of a body, or takes nothing of an answer that is
    /// waiting for it, is dropped after this. Websockets and other upgrades are exempt.
    pub body_idle_timeout: f64,
    /// Second attempts at another instance per request, on average: up to 100 are saved up, and
    /// when they are spent failures are answered rather than tried again. 0 to 2.
    pub retry_share: f64,
    /// Client connections at a time; more are answered 503 and closed. 0 is no limit.
    pub max_connections: usize,
    /// Connections of one client address at a time, balancers and loopback excepted; more are
    /// answered 429 and closed. 0 is no limit.
    pub max_connections_per_client: usize,
    /// Requests of one app at a time; more are answered 503. 0 is no limit.
    pub max_requests_per_app: usize,
    /// Endpoints go stale even while the bus is away. The original does so; the default keeps
    /// the last known routes, because nobody can refresh anything then.
    pub prune_without_bus: bool,
    /// How the instances of a route share its requests: `round-robin` or `least-connection`. An instance
    /// registered with the tag `weight` counts for that many, up to 100.
    pub balancing: Balancing,
    /// Networks of load balancers whose forwarded headers are believed, such as `10.0.0.0/8`.
    pub trusted_proxies: Vec<String>,
    /// The original's pass-through of forwarded headers.
    pub compat_forwarded_headers: bool,
    /// Cookies by which apps say that there is a session.
    pub session_cookies: Vec<String>,
    /// The cookie that remembers a session's instance.
    pub instance_cookie: String,
    /// It is always marked Secure.
    pub secure_cookies: bool,
    /// Threads that carry requests; 0 is one per core.
    pub threads: usize,
    /// File for the access log, `-` for standard output, empty for none.
    pub access_log: String,
    /// The same as JSON, one object per line: file, `-` for standard output, empty for none.
    pub access_log_json: String,
    /// After the stop signal: how long health checks see 503 while requests are still accepted.
    pub drain_wait: f64,
    /// After that: how long open requests may take.
    pub drain_timeout: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
            listen_as: BTreeMap::new(),
            tls: None,
            bus: BusConfig::default(),
            status: StatusConfig::default(),
            index: 0,
            profile: Profile::default(),
            advertised_host: String::new(),
            register_interval: None,
            stale_threshold: None,
            prune_interval: None,
            dial_timeout: 5.0,
            endpoint_timeout: 60.0,
            keep_alive: 4.0,
            max_idle_per_endpoint: 100,
            header_timeout: 15.0,
            max_header_bytes: 64 * 1024,
            max_header_fields: 100,
            body_idle_timeout: 60.0,
            retry_share: 0.2,
            max_connections: 20_000,
            max_connections_per_client: 1_000,
            max_requests_per_app: 0,
            prune_without_bus: false,
            balancing: Balancing::default(),
            trusted_proxies: Vec::new(),
            compat_forwarded_headers: false,
            session_cookies: vec!["JSESSIONID".into()],
            instance_cookie: "__VCAP_ID__".into(),
            secure_cookies: false,
            threads: 0,
            access_log: String::new(),
            access_log_json: String::new(),
            drain_wait: 0.0,
            drain_timeout: 60.0,
        }
    }
}

impl Config {
    /// How often registrars shall register.
    pub fn register_interval(&self) -> Duration {
        self.register_interval.map_or(
            self.profile.times().router_min_register,
            Duration::from_secs_f64,
        )
    }

    /// How often stale endpoints are looked for.
    pub fn prune_interval(&self) -> Duration {
        self.prune_interval
            .map_or(self.profile.times().router_prune, Duration::from_secs_f64)
    }

    /// Time constants of the table. Registrars that keep their own interval (the DEA does) are waited for as well.
    pub fn table(&self) -> Settings {
        let times = self.profile.times();
        let learning = match self.register_interval {
            Some(_) => self.register_interval(),
            None => times.router_register.max(times.router_min_register),
        };
        Settings {
            stale: self
                .stale_threshold
                .map_or(times.router_stale, Duration::from_secs_f64),
            learning,
            prune_without_bus: self.prune_without_bus,
            balancing: self.balancing,
        }
    }

    /// Whose forwarded headers are believed; bad networks were refused by [`DaemonConfig::validate`].
    pub fn trust(&self) -> Trust {
        let networks = self
            .trusted_proxies
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect();
        Trust {
            networks,
            compat: self.compat_forwarded_headers,
        }
    }

    /// Where the access log goes, in which formats.
    pub fn access_logs(&self) -> Vec<(Format, Target)> {
        let target = |text: &str| match text {
            "" => None,
            "-" => Some(Target::Stdout),
            path => Some(Target::File(path.into())),
        };
        let both = [
            (Format::Original, target(&self.access_log)),
            (Format::Json, target(&self.access_log_json)),
        ];
        both.into_iter()
            .filter_map(|(format, target)| Some((format, target?)))
            .collect()
    }

    /// Names of the cookies of sticky sessions.
    pub fn cookies(&self) -> Names {
        Names {
            sessions: self.session_cookies.clone(),
            instance: self.instance_cookie.clone(),
            secure: self.secure_cookies,
        }
    }

    /// How long everything may take.
    pub(crate) fn limits_of_time(&self) -> Times {
        let seconds = Duration::from_secs_f64;
        Times {
            dial: seconds(self.dial_timeout),
            endpoint: seconds(self.endpoint_timeout),
            keep_alive: seconds(self.keep_alive),
            header: seconds(self.header_timeout),
            body_idle: seconds(self.body_idle_timeout),
        }
    }

    /// Threads that carry requests.
    pub(crate) fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        match self.threads {
            0 => cores(),
            threads => threads,
        }
    }

    /// How much of a head is read.
    pub fn head_limits(&self) -> crate::guard::Limits {
        crate::guard::Limits {
            head_bytes: self.max_header_bytes,
            fields: self.max_header_fields,
        }
    }

    fn times(&self) -> [(&'static str, Option<f64>); 10] {
        [
            ("register_interval", self.register_interval),
            ("stale_threshold", self.stale_threshold),
            ("prune_interval", self.prune_interval),
            ("dial_timeout", Some(self.dial_timeout)),
            ("endpoint_timeout", Some(self.endpoint_timeout)),
            ("keep_alive", Some(self.keep_alive)),
            ("header_timeout", Some(self.header_timeout)),
            ("body_idle_timeout", Some(self.body_idle_timeout)),
            ("drain_wait", Some(self.drain_wait + 0.001)),
            ("drain_timeout", Some(self.drain_timeout + 0.001)),
        ]
    }
}

impl DaemonConfig for Config {
    fn validate(&self) -> Vec<(String, String)> {
        let usable = |seconds: f64| (0.001..=86_400.0).contains(&seconds);
        let times = self
            .times()
            .into_iter()
            .filter(|(_, value)| value.is_some_and(|seconds| !usable(seconds)));
        let mut found: Vec<(String, String)> = times
            .map(|(key, _)| (key.into(), "must be between 0.001 and 86400 seconds".into()))
            .collect();
        for (at, network) in self.trusted_proxies.iter().enumerate() {
            if let Err(problem) = network.parse::<Cidr>() {
                found.push((format!("trusted_proxies[{at}]"), problem));
            }
        }
        if self.max_header_bytes < 8192 {
            found.push((
                "max_header_bytes".into(),
                "must be at least 8192: ordinary cookies need that".into(),
            ));
        }
        if !(0.0..=2.0).contains(&self.retry_share) {
            found.push(("retry_share".into(), "must be between 0 and 2".into()));
        }
        for (addr, host) in &self.listen_as {
            if !crate::guard::is_host(host.as_bytes()) {
                found.push((
                    format!("listen_as[{addr}]"),
                    "must be a host name such as a.example.com".into(),
                ));
            }
        }
        let cookies = self
            .session_cookies
            .iter()
            .map(|name| ("session_cookies", name));
        for (key, name) in cookies.chain([("instance_cookie", &self.instance_cookie)]) {
            let token =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if name.is_empty() || !name.bytes().all(token) {
                found.push((key.into(), "must be cookie names such as JSESSIONID".into()));
            }
        }
        if self.threads > 64 {
            found.push(("threads".into(), "must be at most 64".into()));
        }
        if !(10..=1000).contains(&self.max_header_fields) {
            found.push((
                "max_header_fields".into(),
                "must be between 10 and 1000".into(),
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), []);
    }

    #[test]
    fn bad_values_are_all_named() {
        let config = Config {
            dial_timeout: 0.0,
            stale_threshold: Some(-1.0),
            trusted_proxies: vec!["10.0.0.0/8".into(), "ten".into()],
            max_header_bytes: 1,
            retry_share: f64::NAN,
            listen_as: [(SocketAddr::from(([0, 0, 0, 0], 1)), "a b".into())].into(),
            ..Config::default()
        };
        let keys: Vec<String> = config.validate().into_iter().map(|(key, _)| key).collect();
        assert_eq!(
            keys,
            [
                "stale_threshold",
                "dial_timeout",
                "trusted_proxies[1]",
                "max_header_bytes",
                "retry_share",
                "listen_as[0.0.0.0:1]"
            ]
        );
    }

    #[test]
    fn compat_has_the_originals_times() {
        let config = Config {
            profile: Profile::Compat,
            ..Config::default()
        };
        assert_eq!(
            (
                config.table().stale,
                config.prune_interval(),
                config.register_interval()
            ),
            (
                Duration::from_secs(120),
                Duration::from_secs(30),
                Duration::from_secs(5)
            )
        );
    }
}

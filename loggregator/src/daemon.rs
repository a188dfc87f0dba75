//! The log server alone, asking the controller who may read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use component::prometheus_client::registry::Registry;
use component::{BasicAuth, Daemon, Gauges, Pages, Tasks, VisibilityError};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::{Access, Answer, Config, Hub, Moment, router};

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The status pages could not be shown.
    #[error(transparent)]
    Visibility(#[from] VisibilityError),
    /// The address could not be bound.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// Address.
        listen: String,
        /// Cause.
        source: std::io::Error,
    },
    /// The HTTP client could not be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// A started log server.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where it shows its state.
    pub status_addr: SocketAddr,
    tasks: Tasks,
}

impl Daemon for Running {
    fn describe(&self) -> String {
        format!(
            "logs on http://{}, status on {}",
            self.addr, self.status_addr
        )
    }

    fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    async fn shutdown(self) {
        self.tasks.shutdown(Duration::from_secs(10)).await;
    }
}

/// Starts the log server; the socket is bound when this returns.
///
/// # Errors
/// [`StartError`].
pub async fn start(config: Config) -> Result<Running, StartError> {
    let listen = |source| StartError::Listen {
        listen: config.listen.clone(),
        source,
    };
    let listener = TcpListener::bind(&config.listen).await.map_err(listen)?;
    let addr = listener.local_addr().map_err(listen)?;
    let tasks = Tasks::new();
    let access = ask_controller(config.controller.clone(), config.intake_auth())?;
    let hub = Hub::new(&config);
    component::serve(
        listener,
        router(hub.clone(), access, config.intake_auth()),
        &tasks,
    );
    let visibility = &config.visibility;
    let status = visibility.start("Loggregator", pages(hub), &tasks).await?;
    Ok(Running {
        addr,
        status_addr: status.addr(),
        tasks,
    })
}

fn pages(hub: Hub) -> Pages {
    let mut registry = Registry::default();
    let counted = hub.clone();
    let gauges = Gauges::new("loggregator", move || counters(&counted));
    registry.register_collector(Box::new(gauges));
    Pages {
        registry,
        varz: Arc::new(move || counters(&hub)),
        ..Pages::default()
    }
}

/// Lines by what became of them.
fn counters(hub: &Hub) -> Map<String, Value> {
    let counters = hub.counters();
    let pairs = [
        ("accepted", counters.accepted),
        ("duplicates", counters.duplicates),
        ("missing", counters.missing),
        ("displaced", counters.displaced),
        ("lagged", counters.lagged),
    ];
    pairs
        .map(|(key, n)| (key.to_owned(), json!(n)))
        .into_iter()
        .collect()
}

/// Asks the controller; that a stream is open already is said with the credentials of the intake, which the controller has too.
fn ask_controller(controller: String, intake: BasicAuth) -> Result<Access, reqwest::Error> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .no_proxy()
        .build()?;
    Ok(Arc::new(move |token, app, moment| {
        let mut request = client
            .get(format!("{controller}/internal/log_access/{app}"))
            .header("authorization", token);
        if moment == Moment::Open {
            request = request.header("proxy-authorization", intake.header());
        }
        Box::pin(async move {
            match request.send().await.map(|answer| answer.status()) {
                Ok(status) if status.is_success() => Answer::Yes,
                Ok(status) if status.is_client_error() => Answer::No,
                _ => Answer::Unknown,
            }
        })
    }))
}

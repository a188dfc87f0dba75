//! The token server alone, with a database of its own.

use std::net::SocketAddr;
use std::time::Duration;

use component::serve::Limits;
use component::{Daemon, DaemonConfig, Pages, Tasks, VisibilityError};
use tokio::net::TcpListener;

use crate::error::OpenError;
use crate::store::Store;
use crate::{Config, NewUser, Uaa};

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The service could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
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
    /// The administrator's password could not be read.
    #[error("cannot read admin_password_file {path}: {source}")]
    AdminPassword {
        /// File.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
}

/// A started token server.
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
            "tokens on http://{}, status on {}",
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

impl DaemonConfig for Config {}

/// Starts the token server; the socket is bound when this returns.
///
/// # Errors
/// [`StartError`].
pub async fn start(config: Config) -> Result<Running, StartError> {
    let store = Store::open(&config).await?;
    let uaa = Uaa::open(store, &config).await?;
    seed_admin(&uaa, &config).await?;
    let listen = |source| StartError::Listen {
        listen: config.listen.clone(),
        source,
    };
    let listener = TcpListener::bind(&config.listen).await.map_err(listen)?;
    let addr = listener.local_addr().map_err(listen)?;
    let tasks = Tasks::new();
    let limits = Limits::behind(config.trusted_forwarders.clone());
    let router = uaa.router(format!("http://{addr}"));
    component::serve_within(listener, router, &tasks, limits);
    let visibility = &config.visibility;
    let status = visibility.start("UAA", Pages::default(), &tasks).await?;
    Ok(Running {
        addr,
        status_addr: status.addr(),
        tasks,
    })
}

async fn seed_admin(uaa: &Uaa, config: &Config) -> Result<(), StartError> {
    let (Some(user), Some(path)) = (&config.admin_user, &config.admin_password_file) else {
        return Ok(());
    };
    let password = std::fs::read_to_string(path).map_err(|source| StartError::AdminPassword {
        path: path.display().to_string(),
        source,
    })?;
    uaa.ensure_user(NewUser {
        username: user.clone(),
        password: password.trim().to_owned(),
        email: user.clone(),
        given_name: String::new(),
        family_name: String::new(),
        admin: true,
    })
    .await?;
    Ok(())
}

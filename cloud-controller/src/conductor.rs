//! Carries out effects: the one place that tells DEAs to start, stop and update.

use std::time::{Duration, Instant};

use bus::dea::{self, StartInstance, Stop, Update};
use v2_api::{ApiError, Code};

use crate::controller::{Controller, Ctl};
use crate::failure::{Failure, Outcome};
use crate::messages::{Surroundings, start_instance};
use crate::placement::{Need, Shortage, choose_dea};
use crate::runner::Effect;
use crate::store::AppRow;

/// Least time a start may take to show up in a heartbeat before it may be sent again.
const START_PATIENCE: Duration = Duration::from_secs(5);
/// How often a route change is told again, in heartbeats one after the other.
const UPDATE_REPEATS: u32 = 5;

impl Controller {
    /// Carries out the effects of one change, staging excepted. All indices are tried; the first error is returned.
    pub(crate) async fn execute(&self, app: &AppRow, effects: &[Effect]) -> Outcome<()> {
        let mut first_error = None;
        for effect in effects {
            let done = match effect {
                Effect::Stage => Ok(()),
                Effect::Start(indices) => self.start_indices(app, indices.clone()).await,
                Effect::StopAll => self.stop_all(&app.guid).await,
                Effect::Stop(indices) => self.stop_indices(app, indices.clone()).await,
            };
            if let Err(error) = done {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Starts indices of the current version.
    pub(crate) async fn start_indices(
        &self,
        app: &AppRow,
        indices: std::ops::Range<u32>,
    ) -> Outcome<()> {
        if app.droplet_hash.is_none() {
            return Err(ApiError::with(Code::AppPackageNotFound, &app.guid).into());
        }
        let around = self.surroundings(app).await?;
        let mut first_error = None;
        for index in indices {
            if let Err(error) = self.start_index(app, &around, index).await {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Starts one index, unless a start of it is under way or it runs.
    pub(crate) async fn start_index(
        &self,
        app: &AppRow,
        around: &Surroundings,
        index: u32,
    ) -> Outcome<()> {
        let now = Instant::now();
        let until = now + START_PATIENCE.max(self.times.heartbeat * 5);
        if !self
            .live()
            .claim_start(&app.guid, &app.version, index, now, until)
        {
            return Ok(());
        }
        let sent = self.send_start(app, around, index).await;
        if sent.is_err() {
            self.live().release_start(&app.guid, &app.version, index);
        }
        sent
    }

    async fn send_start(&self, app: &AppRow, around: &Surroundings, index: u32) -> Outcome<()> {
        let dea = self.place(app, &around.stack_name).await?;
        let message = start_instance(app, around, index);
        self.bus
            .publish_to(&StartInstance::subject(&dea), &message)
            .await?;
        self.deas().reserve(&dea, app.memory, Some(&app.guid));
        self.stagers().reserve(&dea, app.memory, None);
        tracing::info!(app = %app.guid, version = %app.version, index, %dea, "told to start");
        Ok(())
    }

    /// A DEA for one instance; asks all to advertise and waits a moment when nothing is known.
    async fn place(&self, app: &AppRow, stack: &str) -> Outcome<String> {
        let need = Need {
            process: &app.guid,
            stack,
            memory: app.memory,
            disk: app.disk_quota,
        };
        let choose =
            || choose_dea(&self.dea_offers(), need, rand::random()).map(|offer| offer.id.clone());
        match choose() {
            Ok(dea) => Ok(dea),
            Err(_) => self.locate(dea::LOCATE, choose).await.map_err(no_room),
        }
    }

    /// Asks for advertisements and chooses again after each, as long as nobody at all is known and the wait is not over.
    pub(crate) async fn locate<T>(
        &self,
        subject: &str,
        choose: impl Fn() -> Result<T, Shortage>,
    ) -> Result<T, Shortage> {
        let limit = Duration::from_millis(self.config.staging.locate_wait_ms);
        let deadline = tokio::time::Instant::now() + limit;
        let mut heard = Box::pin(self.advertised.notified());
        if self.bus.publish_empty(subject, None).await.is_err() {
            return choose();
        }
        while tokio::time::timeout_at(deadline, heard).await.is_ok() {
            // Made before choosing: an advertisement in between is not missed.
            heard = Box::pin(self.advertised.notified());
            match choose() {
                Err(Shortage::Nobody) => {}
                decided => return decided,
            }
        }
        choose()
    }

    /// Stops everything of a process, also what is being staged: a stager starts the first instance itself.
    pub(crate) async fn stop_all(&self, process: &str) -> Outcome<()> {
        self.live().forget(process);
        self.stop_staging(process).await;
        Ok(self.bus.publish(&stop(process)).await?)
    }

    /// Stops indices of the current version. An empty list would mean "all": it is never sent.
    pub(crate) async fn stop_indices(&self, app: &AppRow, indices: Vec<u32>) -> Outcome<()> {
        if indices.is_empty() {
            return Ok(());
        }
        let message = Stop {
            version: Some(app.version.clone()),
            indices: Some(indices),
            ..stop(&app.guid)
        };
        Ok(self.bus.publish(&message).await?)
    }

    /// Stops one instance by its id.
    pub(crate) async fn stop_instance(&self, process: &str, instance: &str) -> Outcome<()> {
        let message = Stop {
            instances: Some(vec![instance.to_owned()]),
            ..stop(process)
        };
        Ok(self.bus.publish(&message).await?)
    }

    /// Tells DEAs the routes of an app now. The list is complete, so telling twice does no harm.
    pub(crate) async fn announce_routes(&self, app: &AppRow) -> Outcome<()> {
        if !(app.is_started() && app.is_staged()) {
            return Ok(());
        }
        let uris = self.store.uris_of(&app.guid).await?;
        let message = Update {
            droplet: app.guid.clone(),
            uris,
            // A route change does not change the version (decision 9); naming it would
            // relabel instances of an older one, which then were never replaced.
            version: None,
        };
        Ok(self.bus.publish(&message).await?)
    }
}

/// Tells the routes at once and a few times more: a message may be lost, and a DEA may be just starting an instance.
pub(crate) fn keep_announcing_routes(ctl: &Ctl, app: String) {
    let shared = ctl.clone();
    ctl.tasks.spawn_job("route update", async move {
        for _ in 0..UPDATE_REPEATS {
            if let Ok(Some(row)) = shared.store.app(&app).await
                && let Err(error) = shared.announce_routes(&row).await
            {
                tracing::debug!(?error, %app, "route update not sent; it is repeated");
            }
            tokio::time::sleep(shared.times.heartbeat).await;
        }
    });
}

fn stop(process: &str) -> Stop {
    Stop {
        droplet: process.to_owned(),
        version: None,
        instances: None,
        instance_ids: None,
        indices: None,
        states: None,
    }
}

fn no_room(shortage: Shortage) -> Failure {
    ApiError::with(
        Code::InsufficientRunningResourcesAvailable,
        format!("no DEA fits: {shortage}"),
    )
    .into()
}

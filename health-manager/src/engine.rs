//! The one task that owns the brain: events in, messages out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bus::Bus;
use bus::health::AppStateQuery;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::api;
use crate::brain::{Brain, Event};
use crate::lease::Standing;
use crate::metrics::{self, Numbers};
use crate::params::Params;
use crate::sender::Outgoing;

/// Events taken in before the world is looked at again: a storm of heartbeats costs one analysis.
const BATCH: usize = 1024;

/// What the engine is told.
pub(crate) enum Input {
    /// Something the world told us.
    Event(Event),
    /// How long the last fetch took.
    FetchTook(Duration),
    /// `POST /bulk_app_state`.
    Ask(Vec<AppStateQuery>, oneshot::Sender<Value>),
}

/// What others may see of the engine.
#[derive(Clone, Default)]
pub(crate) struct Window(Arc<Mutex<(Numbers, bool)>>);

impl Window {
    /// Numbers and freshness at the last look.
    pub(crate) fn look(&self) -> (Numbers, bool) {
        // Only assigned to under the lock: never half-written.
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn show(&self, numbers: Numbers, fresh: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (numbers, fresh);
    }
}

pub(crate) struct Engine {
    pub(crate) bus: Bus,
    pub(crate) inputs: mpsc::Receiver<Input>,
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) window: Window,
    pub(crate) brain: Brain,
    pub(crate) tick: Duration,
    pub(crate) fetch_seconds: f64,
}

impl Engine {
    pub(crate) fn new(
        bus: Bus,
        inputs: mpsc::Receiver<Input>,
        standing: watch::Receiver<Standing>,
        window: Window,
        params: Params,
    ) -> Self {
        Self {
            bus,
            inputs,
            standing,
            window,
            brain: Brain::new(params),
            tick: params.heartbeat / 2,
            fetch_seconds: 0.0,
        }
    }

    /// Runs until nobody can send inputs any more.
    pub(crate) async fn run(mut self) {
        let mut next_look = Instant::now();
        loop {
            let input = tokio::select! {
                input = self.inputs.recv() => match input {
                    Some(input) => Some(input),
                    None => return,
                },
                () = tokio::time::sleep_until(next_look.into()) => None,
            };
            let mut worth_it = input.is_none() | input.is_some_and(|input| self.take(input));
            for _ in 0..BATCH {
                let Ok(input) = self.inputs.try_recv() else {
                    break;
                };
                worth_it |= self.take(input);
            }
            if worth_it {
                self.look().await;
                let now = Instant::now();
                let tick = now + self.tick;
                next_look = self
                    .brain
                    .pending
                    .next_event(now)
                    .map_or(tick, |due| due.min(tick));
            }
        }
    }

    /// Takes an input in; true when everything should be looked at again.
    fn take(&mut self, input: Input) -> bool {
        let now = Instant::now();
        match input {
            Input::Event(event) => self.brain.learn(event, now),
            Input::FetchTook(time) => {
                self.fetch_seconds = time.as_secs_f64();
                false
            }
            Input::Ask(queries, answer) => {
                // An asker that has gone away needs no answer.
                let _ = answer.send(api::states(&self.brain, &queries, now));
                false
            }
        }
    }

    async fn look(&mut self) {
        let now = Instant::now();
        let voice = self.standing.borrow().voice(now);
        let speaks = voice.is_some() && self.bus.is_connected();
        for message in self.brain.step(speaks, now, chrono::Utc::now().timestamp()) {
            self.publish(message, voice.flatten()).await;
        }
        let numbers = metrics::collect(&self.brain, self.fetch_seconds, now);
        self.window.show(numbers, self.brain.is_fresh(now));
    }

    /// A message that cannot be sent is not kept: the next look decides anew.
    async fn publish(&self, message: Outgoing, epoch: Option<i64>) {
        let message_id = Some(bus::ids::guid());
        let outcome = match message {
            Outgoing::Start(start) => {
                let (process, instance_index) = (start.key.process, start.key.index);
                tracing::info!(droplet = process.guid, version = process.version, index = instance_index, reason = ?start.reason, "start");
                let body = bus::health::Start {
                    message_id,
                    droplet: process.guid,
                    version: process.version,
                    instance_index,
                    epoch,
                };
                self.bus.publish(&body).await
            }
            Outgoing::Stop(stop, is_duplicate) => {
                tracing::info!(droplet = stop.process.guid, version = stop.process.version, instance = stop.instance, reason = ?stop.reason, "stop");
                let body = bus::health::Stop {
                    message_id,
                    droplet: stop.process.guid,
                    version: stop.process.version,
                    instance_guid: stop.instance,
                    instance_index: stop.index,
                    is_duplicate,
                    epoch,
                };
                self.bus.publish(&body).await
            }
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "a decision was not sent; it will be taken again");
        }
    }
}

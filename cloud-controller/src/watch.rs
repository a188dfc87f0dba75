//! Whether the database answers: asked now and then, because `/healthz` itself waits for nobody.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use component::Tasks;

use crate::store::Store;

/// An answer that takes longer than this is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was last heard of the database. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct DatabaseWatch(Arc<Mutex<Option<String>>>);

impl DatabaseWatch {
    /// Asks every `period` as long as the daemon runs.
    pub(crate) fn start(store: &Store, period: Duration, tasks: &Tasks) -> DatabaseWatch {
        let watch = DatabaseWatch::default();
        let (shared, store) = (watch.clone(), store.clone());
        tasks.every("database watch", period, move || {
            let (watch, store) = (shared.clone(), store.clone());
            async move { watch.note(ask(&store).await) }
        });
        watch
    }

    /// What is wrong, naming the database; absent when it answers.
    pub(crate) fn trouble(&self) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }

    fn note(&self, trouble: Option<String>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*kept, &trouble) {
            (None, Some(why)) => tracing::error!(%why, "the database is away"),
            (Some(_), None) => tracing::info!("the database answers again"),
            _ => {}
        }
        *kept = trouble;
    }
}

async fn ask(store: &Store) -> Option<String> {
    match tokio::time::timeout(PATIENCE, store.ping()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!(
            "database: no answer within {} s",
            PATIENCE.as_secs()
        )),
    }
}

//! Writing, one transaction at a time, with **group commit**.
//!
//! A flush of the disk costs milliseconds, a transaction of ours costs less. So transactions that wait for their turn anyway share
//! one of the database: each is a savepoint in it (its failure undoes only its own statements), and the database's `COMMIT` comes
//! when everybody who queued before the first of them ended has had his turn. [`Tx::commit`] returns after that `COMMIT`: what is
//! acknowledged is durable. When it fails, everybody in it is told, and nothing was acknowledged.
//!
//! The queue is a fair mutex around the connection. The first member of a batch sends a task to the end of that queue which commits
//! it; nobody's leaving (a client that hangs up) can leave a batch open.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::connection::{Connection, Connector};
use crate::error::{Error, Kind, Place};
use crate::row::Row;
use crate::sql::{Done, Executor, Query};

const NEXT: &str = "SAVEPOINT one";
const DONE: &str = "RELEASE SAVEPOINT one";
const UNDO: &str = "ROLLBACK TO SAVEPOINT one; RELEASE SAVEPOINT one";

/// How a batch ended; absent: not yet.
type Outcome = Option<Result<(), Error>>;

/// The writing side.
#[derive(Debug, Clone)]
pub(crate) struct Writer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slot: Arc<Mutex<Slot>>,
    connector: Connector,
    place: Arc<Place>,
    wait: Duration,
    group_commit: bool,
}

/// The connection, and what is open on it. Whoever holds the mutex has his turn.
#[derive(Debug, Default)]
struct Slot {
    /// A connection with nothing open.
    idle: Option<Connection>,
    batch: Option<Batch>,
}

/// A transaction of the database that members share.
#[derive(Debug)]
struct Batch {
    connection: Connection,
    members: usize,
    outcome: watch::Sender<Outcome>,
}

/// One write. Dropped without [`Tx::commit`], nothing happened.
#[derive(Debug)]
pub struct Tx {
    writer: Writer,
    /// Absent after the end.
    slot: Option<OwnedMutexGuard<Slot>>,
    /// The error that ended what it could do, if any.
    failed: Option<Error>,
}

impl Writer {
    pub(crate) fn new(
        connector: Connector,
        place: Arc<Place>,
        wait: Duration,
        group_commit: bool,
    ) -> Writer {
        Writer(Arc::new(Shared {
            slot: Arc::default(),
            connector,
            place,
            wait,
            group_commit,
        }))
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Result<Connection, Error> {
        let place = &self.0.place;
        let late = |_| {
            place.of_kind(
                Kind::Away,
                format!("no connection within {:?}", self.0.wait),
            )
        };
        let made = tokio::time::timeout(self.0.wait, self.0.connector.connect());
        let made = made.await.map_err(late)?;
        made.map_err(|error| match place.error(&error) {
            // Whatever a server says at the door, e.g. a wrong password, it is worth the server's name.
            said if said.kind() == Kind::Other => place.of_kind(Kind::Away, error),
            said => said,
        })
    }

    /// Keeps a connection for the next write.
    pub(crate) async fn keep(&self, connection: Connection) {
        self.0.slot.lock().await.idle = Some(connection);
    }

    /// Waits for a turn.
    pub(crate) async fn begin(&self) -> Result<Tx, Error> {
        let turn = tokio::time::timeout(self.0.wait, self.0.slot.clone().lock_owned()).await;
        let slot = turn.map_err(|_| {
            let text = format!("no turn to write within {:?}", self.0.wait);
            Error::new(Kind::Busy, text)
        })?;
        let mut tx = Tx {
            writer: self.clone(),
            slot: Some(slot),
            failed: None,
        };
        // In a task of its own: a caller that goes away in the middle leaves no half-made savepoint.
        uninterrupted(async move {
            tx.enter().await?;
            Ok(tx)
        })
        .await
    }

    /// Opens a batch on the connection at hand; one that broke meanwhile is replaced once.
    async fn open(&self, slot: &mut Slot) -> Result<(), Error> {
        if let Some(mut connection) = slot.idle.take() {
            let begun = connection.raw(connection.begin()).await;
            match begun.map_err(|error| self.0.place.error(&error)) {
                Ok(()) => {
                    slot.batch = Some(Batch::new(connection));
                    return Ok(());
                }
                Err(busy) if busy.kind() == Kind::Busy => return Err(busy),
                Err(_) => {}
            }
        }
        let mut connection = self.connect().await?;
        let begun = connection.raw(connection.begin()).await;
        begun.map_err(|error| self.0.place.error(&error))?;
        slot.batch = Some(Batch::new(connection));
        Ok(())
    }

    /// Sends somebody to the end of the queue who commits what has gathered by then.
    fn commit_later(&self) {
        let writer = self.clone();
        tokio::spawn(async move {
            let mut slot = writer.0.slot.lock().await;
            slot.commit(&writer.0.place).await;
        });
    }
}

impl Batch {
    fn new(connection: Connection) -> Batch {
        Batch {
            connection,
            members: 0,
            outcome: watch::Sender::new(None),
        }
    }
}

impl Slot {
    /// Commits the batch, if there is one, and tells its members.
    async fn commit(&mut self, place: &Place) {
        let Some(mut batch) = self.batch.take() else {
            return;
        };
        let done = batch.connection.raw("COMMIT").await;
        if done.is_ok() {
            self.idle = Some(batch.connection);
        }
        batch
            .outcome
            .send_replace(Some(done.map_err(|error| place.error(&error))));
    }

    /// Gives up the batch and its connection, and tells its members why.
    fn fail(&mut self, why: Error) {
        if let Some(batch) = self.batch.take() {
            batch.outcome.send_replace(Some(Err(why)));
        }
    }

    /// Undoes what the one whose turn it is did; a batch nobody is in ends.
    async fn undo(&mut self, why: Option<Error>, place: &Place) {
        let Some(batch) = &mut self.batch else { return };
        let undone = batch.connection.raw(UNDO).await;
        match (undone, batch.members) {
            (Err(error), _) => self.fail(why.unwrap_or_else(|| place.error(&error))),
            (Ok(()), 0) => {
                if let Some(mut batch) = self.batch.take()
                    && batch.connection.raw("ROLLBACK").await.is_ok()
                {
                    self.idle = Some(batch.connection);
                }
            }
            // Its own task commits the others.
            (Ok(()), _) => {}
        }
    }
}

impl Tx {
    /// Makes a savepoint in the open batch, or opens one.
    async fn enter(&mut self) -> Result<(), Error> {
        let writer = self.writer.clone();
        let Some(mut slot) = self.slot.take() else {
            return Err(self.ended());
        };
        if let Some(batch) = &mut slot.batch {
            match batch.connection.raw(NEXT).await {
                Ok(()) => {
                    self.slot = Some(slot);
                    return Ok(());
                }
                Err(error) => slot.fail(writer.0.place.error(&error)),
            }
        }
        writer.open(&mut slot).await?;
        self.slot = Some(slot);
        Ok(())
    }

    /// Makes the write durable.
    ///
    /// # Errors
    /// [`Error`]; unless the server went away in this very moment, nothing was changed.
    pub async fn commit(self) -> Result<(), Error> {
        let mut outcome = uninterrupted(self.join()).await?;
        let ended = outcome.wait_for(Option::is_some).await;
        match ended.map(|outcome| outcome.clone()) {
            Ok(Some(done)) => done,
            _ => Err(Error::new(Kind::Busy, "the process ends")),
        }
    }

    /// Becomes a member of the batch.
    async fn join(mut self) -> Result<watch::Receiver<Outcome>, Error> {
        let writer = self.writer.clone();
        let place = &writer.0.place;
        let ended = self.ended();
        let Some(batch) = self.batch() else {
            return Err(ended);
        };
        if let Err(error) = batch.connection.raw(DONE).await {
            // Dropping undoes. After a failed statement PostgreSQL refuses; that statement's error is the true one.
            let refused = place.error(&error);
            return Err(self.failed.get_or_insert(refused).clone());
        }
        batch.members += 1;
        let (is_first, outcome) = (batch.members == 1, batch.outcome.subscribe());
        if let Some(mut slot) = self.slot.take() {
            if !writer.0.group_commit {
                slot.commit(place).await;
            } else if is_first {
                writer.commit_later();
            }
        }
        Ok(outcome)
    }

    fn batch(&mut self) -> Option<&mut Batch> {
        self.slot.as_mut().and_then(|slot| slot.batch.as_mut())
    }

    fn ended(&self) -> Error {
        Error::new(Kind::Other, "the transaction has ended")
    }

    fn failed(&mut self, error: &sqlx::Error) -> Error {
        let error = self.writer.0.place.error(error);
        self.failed = Some(error.clone());
        error
    }
}

impl Executor for &mut Tx {
    async fn rows(self, query: Query) -> Result<Vec<Row>, Error> {
        let Some(batch) = self.batch() else {
            return Err(self.ended());
        };
        let rows = batch.connection.rows(query).await;
        rows.map_err(|error| self.failed(&error))
    }

    async fn change(self, query: Query) -> Result<Done, Error> {
        let Some(batch) = self.batch() else {
            return Err(self.ended());
        };
        let done = batch.connection.change(query).await;
        done.map_err(|error| self.failed(&error))
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        let Some(mut slot) = self.slot.take() else {
            return;
        };
        let (writer, why) = (self.writer.clone(), self.failed.take());
        // Without a runtime the process ends, and the connection with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { slot.undo(why, &writer.0.place).await });
        }
    }
}

/// Runs to the end even when the caller goes away.
async fn uninterrupted<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(_) => Err(Error::new(Kind::Busy, "the process ends")),
    }
}

//! The connections of this process, lent to one task each.
//!
//! Never lends a connection again whose last use failed or was given up: nothing goes on in a transaction of unknown state.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgConnection};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{StoreError, place::Place};

/// A bounded number of connections to one place.
pub(super) struct Connections {
    place: Place,
    permits: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: PgConnection,
    since: Instant,
}

/// A connection that is lent; dropped without [`Lent::keep`] it is closed.
pub(super) struct Lent<'a> {
    home: &'a Connections,
    connection: PgConnection,
    _permit: SemaphorePermit<'a>,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Connections {
    /// Returns an empty set that grows to `most`.
    pub(super) fn new(place: Place, most: u32) -> Self {
        Self {
            place,
            permits: Semaphore::new(most.max(1) as usize),
            idle: Mutex::default(),
        }
    }

    /// Lends a connection that answers, in the order of asking; whoever asks has a deadline ([`within`]).
    pub(super) async fn lend(&self, doing: &'static str) -> Result<Lent<'_>, StoreError> {
        let permit = self.permits.acquire().await;
        let permit = permit.map_err(|closed| given_up(doing, Box::new(closed)))?;
        let connection = match self.rested().await {
            Some(connection) => connection,
            None => self.place.connect().await?,
        };
        Ok(Lent {
            home: self,
            connection,
            _permit: permit,
        })
    }

    /// Returns an idle connection that is not known to be dead.
    ///
    /// After a fail-over all of them are: one question tells, where the last use lies back.
    async fn rested(&self) -> Option<PgConnection> {
        loop {
            let mut idle = self.idle().pop()?;
            if idle.since.elapsed() < FRESH || matches!(timeout(PING, idle.connection.ping()).await, Ok(Ok(()))) {
                return Some(idle.connection);
            }
        }
    }

    /// Ends all connections that are not lent; none is lent any more.
    pub(super) async fn close(&self) {
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        for idle in idle {
            if let Ok(Err(error)) = timeout(PING, idle.connection.close()).await {
                tracing::debug!(%error, "a connection to the store did not close cleanly");
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent<'_> {
    /// Returns the connection.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Gives it back: it stands outside any transaction.
    pub(super) fn keep(self) {
        self.home.idle().push(Idle {
            connection: self.connection,
            since: Instant::now(),
        });
    }
}

/// Gives `work` up after `limit`: a peer that vanished without a word would be waited for minutes.
pub(super) async fn within<T>(
    limit: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(limit, work)
        .await
        .map_err(|elapsed| given_up(doing, Box::new(elapsed)))?
}

fn given_up(doing: &'static str, source: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    StoreError::Unavailable { doing, source }
}

/// A connection that answered so lately is lent without a question.
const FRESH: Duration = Duration::from_secs(1);

/// A round trip of half a second means that the connection is of no use.
const PING: Duration = Duration::from_millis(500);

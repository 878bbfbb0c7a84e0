//! Where replicas tell each other what they publish.
//!
//! Each replica writes its own report only, so that none can undo what another said.

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::Mutex;

use super::observation::Report;
use crate::store::{BoxFuture, Store, StoreError};

/// Keeps the reports of all replicas.
pub trait Reports: Send + Sync + fmt::Debug {
    /// Keeps what this replica says of itself.
    ///
    /// # Errors
    /// Fails where the store does.
    fn tell(&self, report: Report) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Returns what every replica last said.
    ///
    /// # Errors
    /// Fails where the store does.
    fn told(&self) -> BoxFuture<'_, Result<Vec<Report>, StoreError>>;
}

/// Reports as facts of the store, one for each seat that a replica can take.
#[derive(Debug)]
pub struct FactReports {
    store: Arc<dyn Store>,
    seat: Seat,
    seats: u32,
}

/// How a replica comes to its seat.
#[derive(Debug)]
enum Seat {
    Given(u32),
    Leased { hold: Duration, taken: Mutex<Option<u32>> },
}

impl FactReports {
    /// Takes a given seat, counted from 0, among `seats`.
    pub fn seated(store: Arc<dyn Store>, seat: u32, seats: u32) -> Self {
        let seat = Seat::Given(seat);
        Self { store, seat, seats }
    }

    /// Takes the first free seat among `seats` under the replica's name.
    ///
    /// It stays taken for `hold` after the last report: as long as a silent replica counts, so that nobody overwrites what it
    /// said.
    pub fn leased(store: Arc<dyn Store>, seats: u32, hold: Duration) -> Self {
        let taken = Mutex::default();
        let seat = Seat::Leased { hold, taken };
        Self { store, seat, seats }
    }

    async fn seat(&self, report: &Report) -> Result<u32, StoreError> {
        let (hold, taken) = match &self.seat {
            Seat::Given(seat) => return Ok(*seat),
            Seat::Leased { hold, taken } => (*hold, taken),
        };
        // Whoever leaves in order gives its seat back.
        let hold = if report.at_seconds == 0 {
            Duration::from_millis(1)
        } else {
            hold
        };
        let mut taken = taken.lock().await;
        for seat in taken.iter().copied().chain(0..self.seats) {
            if self.store.lease(&name(seat), &report.replica, hold).await?.is_some() {
                *taken = Some(seat);
                return Ok(seat);
            }
        }
        *taken = None;
        Err(StoreError::Unavailable {
            doing: "finding a seat for a replica's report",
            source: format!("found all {} seats taken, expected a free one", self.seats).into(),
        })
    }
}

impl Reports for FactReports {
    fn tell(&self, report: Report) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let seat = self.seat(&report).await?;
            let text = serde_json::to_string(&report).map_err(|source| StoreError::Unavailable {
                doing: "writing a replica's report",
                source: Box::new(source),
            })?;
            self.store.set_fact(&name(seat), &text).await
        })
    }

    fn told(&self) -> BoxFuture<'_, Result<Vec<Report>, StoreError>> {
        Box::pin(async move {
            let mut reports = Vec::new();
            for seat in 0..self.seats {
                let Some(text) = self.store.fact(&name(seat)).await? else {
                    continue;
                };
                // What cannot be read is no report: the replica counts as silent, and writes a new one.
                reports.extend(serde_json::from_str::<Report>(&text).ok());
            }
            Ok(reports)
        })
    }
}

fn name(seat: u32) -> String {
    format!("rotation.replica.{seat}")
}

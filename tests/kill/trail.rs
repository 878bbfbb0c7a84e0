//! What the trail holds after a kill and after the restart, against what clients and the cloud hold.

use std::collections::{HashMap, HashSet};

use cambio::{
    audit::verify::{self, Against},
    exchange::aws_sts::sim::AwsSim,
    store::{Store as _, TrailFilter, TrailRow, sqlite::SqliteStore},
};
use serde_json::Value;

use crate::{Promise, ground::Ground};

/// All that was read from the trail so far.
#[derive(Default)]
pub(crate) struct Seen {
    /// The last position that was read of each chain.
    chains: HashMap<String, u64>,
    entries: usize,
    /// Digests of SVIDs that an entry about a mint names.
    minted: HashSet<String>,
    /// The beginnings of the ids of exchanges with an intent.
    intended: HashSet<String>,
    /// Exchanges with an outcome or a held credential that opens something.
    released: HashSet<String>,
    /// Exchanges that were closed as lost.
    unknown: HashSet<String>,
}

impl Seen {
    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    /// Holds the promises of one life against the trail as the kill left it; returns the exchanges it left open.
    pub(crate) async fn after_kill(
        &mut self,
        ground: &Ground,
        promises: &[Promise],
        faults: &mut Vec<String>,
    ) -> Vec<String> {
        let store = SqliteStore::open_read_only(&ground.store()).await.expect("the store");
        self.read(&store).await;
        for promise in promises {
            let kept = match promise {
                Promise::Credential { exchange_id } => self.released.contains(exchange_id),
                Promise::Svid { sha256 } => self.minted.contains(sha256),
            };
            if !kept {
                faults.push(format!("a client holds what no entry names: {promise:?}"));
            }
        }
        intact(&store, faults).await;
        let lost = open(&store).await.iter().map(|row| row.exchange_id.clone()).collect();
        store.close().await;
        lost
    }

    /// Every intent that the kill left open is closed as `unknown` before anything new is served.
    pub(crate) async fn after_restart(&mut self, ground: &Ground, lost: &[String], faults: &mut Vec<String>) {
        let store = SqliteStore::open_read_only(&ground.store()).await.expect("the store");
        self.read(&store).await;
        for exchange_id in lost.iter().filter(|id| !self.unknown.contains(*id)) {
            faults.push(format!("the lost intent of {exchange_id} was not closed"));
        }
        let left = open(&store).await;
        if !left.is_empty() {
            faults.push(format!("{} intents are open after the restart", left.len()));
        }
        store.close().await;
    }

    /// Whatever the cloud gave, it gave for a durable intent.
    pub(crate) fn cloud(&self, aws: &AwsSim, faults: &mut Vec<String>) {
        let sessions = aws.sessions();
        println!("the cloud issued {} sessions", sessions.len());
        for session in &sessions {
            let id = session
                .session_name
                .rsplit_once('@')
                .map(|(_, id)| id)
                .unwrap_or_default();
            if !self.intended.contains(id) {
                faults.push(format!(
                    "the cloud issued session {} without an intent",
                    session.session_name
                ));
            }
        }
    }

    async fn read(&mut self, store: &SqliteStore) {
        for head in store.heads().await.expect("the heads") {
            loop {
                let known = self.chains.get(&head.writer).copied();
                let filter = TrailFilter {
                    writer: Some(head.writer.clone()),
                    after_sequence: known,
                    ..TrailFilter::default()
                };
                let rows = store.trail(filter).await.expect("the trail");
                let Some(last) = rows.last() else {
                    break;
                };
                self.chains.insert(head.writer.clone(), last.sequence);
                for row in &rows {
                    self.take(row);
                }
            }
        }
    }

    fn take(&mut self, row: &TrailRow) {
        self.entries += 1;
        let body: Value = serde_json::from_str(&row.body).expect("an entry");
        match row.kind.as_str() {
            "mint" => {
                let digest = body.pointer("/svid/sha256").and_then(Value::as_str);
                self.minted.insert(digest.expect("a digest").to_owned());
            }
            "intent" => {
                self.intended
                    .insert(row.exchange_id.chars().take(SHOWN_TO_THE_CLOUD).collect());
            }
            "held" | "outcome" if row.code.is_empty() && !row.opens.is_empty() => {
                self.released.insert(row.exchange_id.clone());
            }
            "unknown" => {
                self.unknown.insert(row.exchange_id.clone());
            }
            _ => {}
        }
    }
}

/// A session's name ends with so much of the exchange's id (ARCHITECTURE section 5).
const SHOWN_TO_THE_CLOUD: usize = 12;

async fn open(store: &SqliteStore) -> Vec<TrailRow> {
    let filter = TrailFilter {
        open: true,
        ..TrailFilter::default()
    };
    store.trail(filter).await.expect("the open intents")
}

async fn intact(store: &SqliteStore, faults: &mut Vec<String>) {
    let report = verify::verify(store, Against::default()).await.expect("the trail");
    for fault in report.faults {
        faults.push(format!(
            "the trail does not verify: {} at {}: {}",
            fault.writer, fault.sequence, fault.what
        ));
    }
}

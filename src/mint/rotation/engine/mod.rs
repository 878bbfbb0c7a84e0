//! Does what is due: looks, tells, decides, records, and swaps.
//!
//! Any number of processes may run one on the same store. Nothing it knows matters but what the store holds: it may die
//! between any two lines, and another goes on from there.

mod outside;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::SystemTime,
};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::{
    alarm::{Alarm, alarms},
    decision::decide,
    forced::{self, NotForced, Revoked, Selection},
    observation::{Look, Observations, PlaceSeen, Report},
    replica::{NotRenewed, Replica, chain},
    report::Reports,
    rules::{Lane, Rules},
    standing::Standing,
    step::Step,
};
use crate::{
    clock::{from_unix_seconds, unix_seconds},
    mint::{
        authority::{self, KeyRingRefused},
        outside::ChainRefused,
    },
    store::{Authorities, AuthorityRow, BoxFuture, StoreError},
};

pub use self::outside::Installed;

/// A public place that our keys are served at.
pub trait Place: Send + Sync + fmt::Debug {
    /// Returns its name, as configured.
    fn name(&self) -> &str;

    /// Looks which keys stand there.
    ///
    /// # Errors
    /// Fails where it cannot be reached or read.
    fn look(&self) -> BoxFuture<'_, Result<BTreeSet<String>, Unwell>>;
}

/// Writes changes into the trail.
pub trait Journal: Send + Sync + fmt::Debug {
    /// Returns once the entry is durable.
    ///
    /// # Errors
    /// Fails where nothing can be recorded; nothing is changed then.
    fn record(&self, detail: String) -> BoxFuture<'_, Result<(), Unwell>>;
}

/// Why something around the engine failed.
pub type Unwell = Box<dyn std::error::Error + Send + Sync>;

/// What an engine is made of.
#[derive(Debug)]
pub struct EngineParts {
    /// This replica's name, its own among all.
    pub name: String,
    /// The public places.
    pub places: Vec<Arc<dyn Place>>,
    /// Where replicas tell each other what they publish.
    pub reports: Arc<dyn Reports>,
    /// Where changes are recorded.
    pub journal: Arc<dyn Journal>,
    /// What to go by.
    pub rules: Rules,
}

/// How the keys are doing, as the last round found them.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// When that was.
    pub at: Option<SystemTime>,
    /// The keys.
    pub keys: Vec<Standing>,
    /// What was seen of them.
    pub seen: Observations,
    /// What somebody should look at.
    pub alarms: Vec<Alarm>,
    /// Why the last look at each place failed, for those where it did.
    pub unreachable: BTreeMap<String, String>,
    /// Why the last round failed; `None` once one succeeded again.
    pub failure: Option<String>,
}

/// Does what is due to the authorities.
#[derive(Debug)]
pub struct Engine {
    replica: Arc<Replica>,
    parts: EngineParts,
    looks: Mutex<BTreeMap<String, Look>>,
    condition: ArcSwap<Condition>,
}

/// A round did not come to its end; the next one begins anew.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotationFailed {
    /// A chain is not what was asked for.
    #[error(transparent)]
    Chain(#[from] ChainRefused),
    /// Others changed the authorities at each try.
    #[error("other processes changed the authorities at each of {tries} tries")]
    Contended {
        /// How often it was tried.
        tries: usize,
    },
    /// What an operator asked for cannot be done.
    #[error(transparent)]
    Forced(#[from] NotForced),
    /// The change could not be recorded, so it was not made.
    #[error("the change cannot be recorded")]
    Journal(#[source] Unwell),
    /// The process's copy of the keys could not be renewed.
    #[error("the keys cannot be taken over")]
    Replica(#[from] NotRenewed),
    /// A key cannot be made, or a row cannot be read.
    #[error("the authorities cannot be used")]
    Rows(#[from] KeyRingRefused),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl Engine {
    /// Puts the parts together.
    pub fn new(replica: Arc<Replica>, parts: EngineParts) -> Self {
        Self {
            replica,
            parts,
            looks: Mutex::default(),
            condition: ArcSwap::default(),
        }
    }

    /// Returns this process's copy of the keys.
    pub fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    /// Returns what it goes by.
    pub fn rules(&self) -> &Rules {
        &self.parts.rules
    }

    /// Returns how the keys are doing.
    pub fn condition(&self) -> Arc<Condition> {
        self.condition.load_full()
    }

    /// Does one round: what is due by what is known, a look at every place, and what is due by that.
    ///
    /// The first half comes before this process says that it lives: after an outage the silence must still show.
    ///
    /// # Errors
    /// Fails where the store, the trail or the key source does; what was done until then stands.
    pub async fn tick(&self) -> Result<(), RotationFailed> {
        let mut looks = self.looks.lock().await;
        let ended = self.round(&mut looks).await;
        if let Err(failed) = &ended {
            let mut condition = Condition::clone(&self.condition.load());
            condition.failure = Some(chain(failed));
            self.condition.store(Arc::new(condition));
        }
        ended
    }

    async fn round(&self, looks: &mut BTreeMap<String, Look>) -> Result<(), RotationFailed> {
        self.replica.refresh().await?;
        let told = self.parts.reports.told().await?;
        self.settle(&told, looks).await?;
        let unreachable = self.look(looks).await;
        self.parts.reports.tell(self.report(looks)).await?;
        let told = self.parts.reports.told().await?;
        let (keys, seen) = self.settle(&told, looks).await?;
        self.parts.reports.tell(self.report(looks)).await?;
        let now = self.replica.parts().clock.now();
        self.condition.store(Arc::new(Condition {
            at: Some(now),
            alarms: alarms(&keys, &seen, now, &self.parts.rules),
            keys,
            seen,
            unreachable,
            failure: None,
        }));
        Ok(())
    }

    /// Takes step after step until none is due; returns the keys as they stand then.
    async fn settle(
        &self,
        told: &[Report],
        looks: &BTreeMap<String, Look>,
    ) -> Result<(Vec<Standing>, Observations), RotationFailed> {
        for _ in 0..MOST_STEPS {
            let stored = self.replica.parts().store.authorities().await?;
            let keys = Standing::all(&stored.rows)?;
            let seen = self.observed(told, looks);
            let now = self.replica.parts().clock.now();
            let Some(step) = decide(&keys, &seen, now, &self.parts.rules) else {
                return Ok((keys, seen));
            };
            self.take(&step, &stored, now).await?;
        }
        Err(RotationFailed::Contended { tries: MOST_STEPS })
    }

    /// Records a step and writes it, if nobody else changed anything meanwhile.
    ///
    /// The entry comes first, as an intent does: no change is without one, and one without a change tells of a crash or of
    /// another process that was faster.
    async fn take(&self, step: &Step, stored: &Authorities, now: SystemTime) -> Result<(), RotationFailed> {
        let rules = &self.parts.rules;
        let made = match step {
            Step::Prepare { lane } => Some(self.make(lane, &stored.rows, now).await?),
            Step::Activate { .. }
            | Step::Discard { .. }
            | Step::Forget { .. }
            | Step::Lose { .. }
            | Step::Observe { .. }
            | Step::Publish { .. }
            | Step::Remove { .. }
            | Step::Retire { .. } => None,
        };
        let made_id = made.as_ref().map(|row| format!(" ({})", row.id)).unwrap_or_default();
        let rows = step.apply(&stored.rows, made, now, rules);
        let detail = format!("{}{made_id}", step.describe());
        self.swap(detail, stored.generation, &rows).await.map(drop)
    }

    /// Returns whether the rows are now the store's; this process follows in either case.
    async fn swap(&self, detail: String, generation: u64, rows: &[AuthorityRow]) -> Result<bool, RotationFailed> {
        let detail = format!("{detail}, at generation {}", generation + 1);
        self.parts
            .journal
            .record(detail)
            .await
            .map_err(RotationFailed::Journal)?;
        let store = &self.replica.parts().store;
        let swapped = store.replace_authorities(generation, rows).await?;
        self.replica.refresh().await?;
        Ok(swapped)
    }

    async fn make(&self, lane: &Lane, rows: &[AuthorityRow], now: SystemTime) -> Result<AuthorityRow, KeyRingRefused> {
        let parts = self.replica.parts();
        let kind = (lane.purpose, lane.algorithm.as_str());
        authority::prepare(&*parts.source, self.replica.certification(), kind, (rows, now)).await
    }

    async fn look(&self, looks: &mut BTreeMap<String, Look>) -> BTreeMap<String, String> {
        let mut unreachable = BTreeMap::new();
        for place in &self.parts.places {
            match place.look().await {
                Ok(keys) => {
                    let at = self.replica.parts().clock.now();
                    looks.insert(place.name().to_owned(), Look { at, keys });
                }
                Err(failed) => {
                    unreachable.insert(place.name().to_owned(), chain(&*failed));
                }
            }
        }
        unreachable
    }

    fn report(&self, looks: &BTreeMap<String, Look>) -> Report {
        let published = self.replica.published().load();
        let looked = looks.iter().map(|(place, look)| (place.clone(), unix_seconds(look.at)));
        Report {
            replica: self.parts.name.clone(),
            at_seconds: unix_seconds(self.replica.parts().clock.now()),
            generation: published.sequence(),
            keys: published.ids().clone(),
            places: looked.collect(),
        }
    }

    /// Others as they said, this replica as it is.
    fn observed(&self, told: &[Report], looks: &BTreeMap<String, Look>) -> Observations {
        let places = self.parts.places.iter().map(|place| {
            let looked = told.iter().filter_map(|report| report.places.get(place.name()));
            PlaceSeen {
                name: place.name().to_owned(),
                look: looks.get(place.name()).cloned(),
                covered: looked.max().and_then(|seconds| from_unix_seconds(*seconds)),
            }
        });
        let serves = self.report(looks);
        let mut replicas = told.to_vec();
        for report in replicas.iter_mut().filter(|report| report.replica == self.parts.name) {
            report.keys.clone_from(&serves.keys);
        }
        Observations {
            places: places.collect(),
            replicas,
        }
    }

    /// Makes the successors of the selected keys due at once, and does what is due.
    ///
    /// # Errors
    /// Refuses what cannot be done, and fails where a round does.
    pub async fn rotate(&self, selection: &Selection) -> Result<(), RotationFailed> {
        let mut due = false;
        for _ in 0..MOST_TRIES {
            let stored = self.replica.parts().store.authorities().await?;
            let now = self.replica.parts().clock.now();
            let rows = forced::rotate(&stored.rows, selection, now, &self.parts.rules)?;
            let detail = format!("a rotation was asked for: {}", selected(selection));
            due = rows == stored.rows || self.swap(detail, stored.generation, &rows).await?;
            if due {
                break;
            }
        }
        if !due {
            return Err(RotationFailed::Contended { tries: MOST_TRIES });
        }
        self.tick().await
    }

    /// Drops a compromised key at once; its successor signs without waiting for anybody.
    ///
    /// # Errors
    /// Refuses an unknown key, and fails where the store, the trail or the key source does.
    pub async fn revoke(&self, id: &str) -> Result<Revoked, RotationFailed> {
        for _ in 0..MOST_TRIES {
            let stored = self.replica.parts().store.authorities().await?;
            let now = self.replica.parts().clock.now();
            let lane = forced::replacement_needed(&stored.rows, id, &self.parts.rules)?;
            let made = match lane {
                Some(lane) => Some(self.make(&lane, &stored.rows, now).await?),
                None => None,
            };
            let (rows, revoked) = forced::revoke(&stored.rows, id, made, (now, &self.parts.rules))?;
            let successor = revoked.successor.as_deref().unwrap_or("none");
            let was = revoked.was.as_str();
            let detail = format!("key {id}: {was} -> removed, it is compromised; successor without lead: {successor}");
            if self.swap(detail, stored.generation, &rows).await? {
                return Ok(revoked);
            }
        }
        Err(RotationFailed::Contended { tries: MOST_TRIES })
    }

    /// Says that this replica leaves in order: nobody waits for it any more.
    ///
    /// # Errors
    /// Fails where the store does.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let looks = self.looks.lock().await;
        let report = Report {
            at_seconds: 0,
            ..self.report(&looks)
        };
        self.parts.reports.tell(report).await
    }
}

fn selected(selection: &Selection) -> String {
    let purpose = selection
        .purpose
        .map_or("every purpose but roots", |purpose| purpose.as_str());
    let algorithm = selection.algorithm.as_deref().unwrap_or("every algorithm");
    format!("{purpose}, {algorithm}")
}

/// More than a whole life of ten keys takes; only a contradiction needs more.
const MOST_STEPS: usize = 64;
/// More than there are replicas in any sane deployment.
const MOST_TRIES: usize = 16;

#[cfg(test)]
mod tests;

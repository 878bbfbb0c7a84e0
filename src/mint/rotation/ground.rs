//! Two processes on one store, with a public place and a trail, for the tests of rotation.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{Engine, EngineParts, FactReports, Journal, Place, Replica, ReplicaParts, Rules, Standing, Unwell};
use crate::{
    clock::{Clock as _, FakeClock},
    mint::{KeyRing, fixture::parts, outside::RootPlace},
    store::{BoxFuture, Store, forgetful::ForgetfulStore},
};

/// What outlives a process.
pub(super) struct Ground {
    pub(super) store: Arc<ForgetfulStore>,
    pub(super) clock: Arc<FakeClock>,
    pub(super) place: Arc<Balancer>,
    pub(super) journal: Arc<Entries>,
    pub(super) rules: Rules,
    pub(super) root: RootPlace,
}

/// One process.
pub(super) struct Process {
    pub(super) engine: Engine,
    pub(super) ring: KeyRing,
}

impl Ground {
    pub(super) fn new() -> Self {
        Self {
            store: ForgetfulStore::new(),
            clock: FakeClock::at("2026-01-16T14:40:00Z"),
            place: Arc::default(),
            journal: Arc::default(),
            rules: Rules::default(),
            root: RootPlace::Store,
        }
    }

    /// Lets the root be where `root` says, for processes that start from now on.
    pub(super) fn with_root(mut self, root: RootPlace) -> Self {
        self.rules = Rules::default().with_root(root);
        self.root = root;
        self
    }

    pub(super) fn parts(&self) -> ReplicaParts {
        ReplicaParts {
            clock: self.clock.clone(),
            ..parts(self.store.clone())
        }
    }

    /// Starts a process in the `place`th of two places; the balancer sends requests to it.
    pub(super) async fn start(&self, place: u32) -> Process {
        let (ring, replica) = Replica::open_under(self.root, self.parts()).await.unwrap();
        self.place.set(place as usize, &replica);
        let parts = EngineParts {
            name: place.to_string(),
            places: vec![self.place.clone()],
            reports: Arc::new(FactReports::seated(self.store.clone(), place, 2)),
            journal: self.journal.clone(),
            rules: self.rules.clone(),
        };
        Process {
            engine: Engine::new(replica, parts),
            ring,
        }
    }

    /// Ends every process; what was durable stays.
    pub(super) fn crash(&mut self) {
        self.store = self.store.crash();
        self.place.replicas.lock().unwrap().clear();
    }

    pub(super) async fn keys(&self) -> Vec<Standing> {
        Standing::all(&self.store.authorities().await.unwrap().rows).unwrap()
    }

    pub(super) async fn states(&self, algorithm: &str) -> Vec<&'static str> {
        let keys = self.keys().await;
        let of = keys
            .iter()
            .filter(|key| key.lane.algorithm == algorithm && key.purpose().as_str() == "jwt");
        let mut states: Vec<_> = of.map(|key| key.state).collect();
        states.sort_unstable();
        states.into_iter().map(crate::mint::authority::State::as_str).collect()
    }

    /// Lets time pass in steps of five minutes, in each of which every process does a round.
    pub(super) async fn pass(&self, time: Duration, processes: &[&Process]) {
        let until = self.clock.now() + time;
        while self.clock.now() < until {
            self.clock.advance(Duration::from_mins(5));
            for process in processes {
                process.engine.tick().await.unwrap();
            }
        }
    }
}

/// Sends each request to the next process, as a balancer does.
#[derive(Debug, Default)]
pub(super) struct Balancer {
    replicas: Mutex<Vec<Arc<Replica>>>,
    turn: AtomicUsize,
    pub(super) dark: AtomicBool,
}

impl Balancer {
    fn set(&self, place: usize, replica: &Arc<Replica>) {
        let mut replicas = self.replicas.lock().unwrap();
        if place < replicas.len() {
            replicas[place] = Arc::clone(replica);
        } else {
            replicas.push(Arc::clone(replica));
        }
    }

    pub(super) fn keep_none(&self) {
        self.replicas.lock().unwrap().clear();
    }

    pub(super) fn keep_only(&self, place: usize) {
        let mut replicas = self.replicas.lock().unwrap();
        *replicas = vec![Arc::clone(&replicas[place])];
    }
}

impl Place for Balancer {
    fn name(&self) -> &'static str {
        "issuer"
    }

    fn look(&self) -> BoxFuture<'_, Result<BTreeSet<String>, Unwell>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            if self.dark.load(Ordering::Relaxed) {
                return Err("nobody answers".into());
            }
            let replicas = self.replicas.lock().unwrap();
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            Ok(replicas[turn % replicas.len()].published().load().ids().clone())
        })
    }
}

/// A trail that keeps its entries, and can fail.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) all: Mutex<Vec<String>>,
    pub(super) broken: AtomicBool,
}

impl Entries {
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.all.lock().unwrap())
    }
}

impl Journal for Entries {
    fn record(&self, detail: String) -> BoxFuture<'_, Result<(), Unwell>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            if self.broken.load(Ordering::Relaxed) {
                return Err("the disk is full".into());
            }
            self.all.lock().unwrap().push(detail);
            tokio::task::yield_now().await;
            Ok(())
        })
    }
}

//! What keeps the keys of a running gateway: its copy of the key set, the engine, and the two loops that drive them.
//!
//! It never starts with new keys beside others that verifiers already hold as ours.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{task::JoinHandle, time::MissedTickBehavior};

use super::running::Options;
use crate::{
    audit::{Draft, Group, Recorded, Trail},
    cli::environment::Environment,
    config::{Profile, Settings, rotation::Lead, x509::Root},
    fetch::{Fetch, OriginSettings},
    jose::Seal,
    mint::{
        KeyRing,
        authority::Purpose,
        keys::store::StoreKeys,
        outside::RootPlace,
        rotation::{Engine, EngineParts, FactReports, Journal, Lane, Place, Replica, ReplicaParts, Rules, Unwell},
    },
    store::{BoxFuture, Store, StoreError},
    trust::PublicPlace,
};

/// Opens the keys and begins to publish them.
pub(super) async fn open(
    settings: &Settings,
    store: &Arc<dyn Store>,
    environment: &Environment,
    options: Options,
) -> anyhow::Result<(KeyRing, Arc<Replica>)> {
    let fresh = async || Ok::<_, StoreError>(store.authorities().await?.rows.is_empty());
    if options.profile == Profile::Production && !options.accept_new_issuer_keys && fresh().await? {
        let refused = super::published::refuse_other_keys(&settings.issuer).await;
        // What is published may be the keys that another replica made on this store a moment ago.
        if fresh().await? {
            refused?;
        }
    }
    let seal = Seal::new(settings.keys.kek.expose())?;
    let parts = ReplicaParts {
        store: Arc::clone(store),
        source: Arc::new(StoreKeys::new(seal, Arc::clone(&environment.random))),
        clock: Arc::clone(&environment.clock),
        random: Arc::clone(&environment.random),
        trust_domain: settings.trust_domain.clone(),
        issuer: settings.issuer.clone(),
        exchange_url: settings.exchange_url.clone(),
    };
    Ok(Replica::open_under(root(settings), parts).await?)
}

fn root(settings: &Settings) -> RootPlace {
    match settings.x509.root {
        Root::Outside => RootPlace::Outside,
        Root::Store => RootPlace::Store,
    }
}

/// Puts the engine together.
pub(super) fn engine(
    settings: &Settings,
    replica: Arc<Replica>,
    trail: &Trail,
    fetch: &Fetch,
) -> anyhow::Result<Engine> {
    let configured = &settings.rotation.places;
    let issuer = std::slice::from_ref(&settings.issuer);
    let urls: &[String] = if configured.is_empty() { issuer } else { configured };
    let places = urls.iter().map(|url| place(settings, url, fetch));
    let store = Arc::clone(&replica.parts().store);
    let rules = rules(settings);
    // Room for those that were killed and started again while they still count.
    let seats = settings.replicas.get().saturating_mul(SEATS_PER_REPLICA);
    let parts = EngineParts {
        name: trail.health().writer,
        places: places.collect::<anyhow::Result<_>>()?,
        reports: Arc::new(FactReports::leased(store, seats, rules.silence)),
        journal: Arc::new(TrailJournal(trail.clone())),
        rules,
    };
    Ok(Engine::new(replica, parts))
}

fn place(settings: &Settings, url: &str, fetch: &Fetch) -> anyhow::Result<Arc<dyn Place>> {
    let origin = fetch.origin(&OriginSettings {
        url,
        authorities_pem: settings.rotation.authorities_pem.as_deref(),
        allow_addresses: &settings.rotation.allow_addresses,
    });
    let origin = origin.with_context(|| format!("`{url}` cannot be looked at"))?;
    Ok(Arc::new(Outside(PublicPlace::new(url.to_owned(), origin))))
}

fn rules(settings: &Settings) -> Rules {
    let mut rules = Rules::default().with_root(root(settings));
    rules.lanes.retain(|lane| lane.purpose != Purpose::Jwt);
    let algorithms = settings.rotation.jwt_algorithms.iter();
    rules
        .lanes
        .extend(algorithms.map(|one| Lane::new(Purpose::Jwt, one.as_str())));
    match settings.rotation.lead {
        Lead::Careful(lead) => rules.lead = lead,
        Lead::Dangerous(lead) => {
            rules.lead = lead;
            rules.cached = Duration::ZERO;
        }
    }
    rules
}

/// Starts what keeps this process's copy fresh, and what does the rounds.
pub(super) fn start(engine: &Arc<Engine>) -> [JoinHandle<()>; 2] {
    [
        tokio::spawn(keep_fresh(Arc::clone(engine.replica()))),
        tokio::spawn(rounds(Arc::clone(engine))),
    ]
}

async fn keep_fresh(replica: Arc<Replica>) {
    let mut tick = interval(FRESHEN_EVERY);
    let mut changes = replica.parts().store.changes();
    let mut failing = false;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = changes.authorities() => {}
        }
        match replica.refresh().await {
            Ok(()) => failing = false,
            Err(failed) if !failing => {
                failing = true;
                tracing::error!(
                    error = &failed as &dyn std::error::Error,
                    "the keys cannot be compared with the store"
                );
            }
            Err(_same) => {}
        }
    }
}

async fn rounds(engine: Arc<Engine>) {
    let mut tick = interval(ROUND_EVERY);
    let mut told = Vec::new();
    loop {
        tick.tick().await;
        if let Err(failed) = engine.tick().await {
            tracing::error!(
                error = &failed as &dyn std::error::Error,
                "a round of key rotation failed"
            );
        }
        let alarms: Vec<String> = engine.condition().alarms.iter().map(ToString::to_string).collect();
        for alarm in alarms.iter().filter(|alarm| !told.contains(*alarm)) {
            tracing::warn!("keys: {alarm}");
        }
        told = alarms;
    }
}

fn interval(every: Duration) -> tokio::time::Interval {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// Well within the 10 s after which the copy is too old to sign by.
const FRESHEN_EVERY: Duration = Duration::from_secs(2);
const SEATS_PER_REPLICA: u32 = 4;
/// Several rounds fit into the silence after which what was seen counts no longer.
const ROUND_EVERY: Duration = Duration::from_secs(30);

/// A public place, looked at from outside.
#[derive(Debug)]
struct Outside(PublicPlace);

impl Place for Outside {
    fn name(&self) -> &str {
        self.0.url()
    }

    fn look(&self) -> BoxFuture<'_, Result<std::collections::BTreeSet<String>, Unwell>> {
        Box::pin(async { Ok(self.0.keys().await?) })
    }
}

/// The trail, for changes of keys.
#[derive(Debug)]
struct TrailJournal(Trail);

impl Journal for TrailJournal {
    fn record(&self, detail: String) -> BoxFuture<'_, Result<(), Unwell>> {
        Box::pin(async move {
            let group = Group {
                ledger: None,
                entries: vec![Draft::change(&detail)],
            };
            match self.0.record(group).await? {
                Recorded::Committed(_) => Ok(()),
                Recorded::Earlier(_) | Recorded::Refused { .. } => Err("the entry was not taken".into()),
            }
        })
    }
}

//! The entries of the trail about the gateway itself: that it began to serve, with which keys, and that it ended in order.
//!
//! It must never keep a gateway from serving its documents: what cannot be recorded is told in the log.

use anyhow::bail;

use crate::{
    audit::{Draft, Group, Recorded, entry::GatewayFacts},
    gateway::Gateway,
    mint::authority::State,
};

/// Records that the gateway serves from now on, by the policy of `generation`.
pub(super) async fn record_start(gateway: &Gateway, generation: u64) {
    record(gateway, Draft::started(facts(gateway, generation).await)).await;
}

/// Records that the gateway ends in order; nothing may be recorded after it.
pub(super) async fn record_stop(gateway: &Gateway, generation: u64) {
    record(gateway, Draft::stopped(facts(gateway, generation).await)).await;
}

/// Records the keys that were made before there was a trail, which needs one of them.
///
/// A process that dies before the fact is set leaves it to the next start, so that a key may be there twice, but not never.
pub(super) async fn record_first_keys(gateway: &Gateway) {
    if let Err(failed) = first_keys(gateway).await {
        tracing::error!("the first keys could not be recorded: {failed:#}");
    }
}

async fn first_keys(gateway: &Gateway) -> anyhow::Result<()> {
    if gateway.store.fact(RECORDED).await?.is_some() {
        return Ok(());
    }
    let stored = gateway.store.authorities().await?;
    let generation = stored.generation;
    let kept = stored.rows.iter().filter(|row| row.state != State::Removed.as_str());
    let entries = kept.map(|row| {
        let (purpose, algorithm) = (&row.purpose, &row.algorithm);
        let (state, id) = (&row.state, &row.id);
        Draft::change(&format!(
            "key for {purpose} with {algorithm}: -> {state} ({id}), one of the first on record, at generation {generation}"
        ))
    });
    let group = Group {
        ledger: None,
        entries: entries.collect(),
    };
    match gateway.trail.record(group).await? {
        Recorded::Committed(_) => Ok(gateway.store.set_fact(RECORDED, &generation.to_string()).await?),
        Recorded::Earlier(_) | Recorded::Refused { .. } => bail!("the entries were not taken"),
    }
}

/// The fact that the first keys are in the trail; its value is the generation that they stood at.
const RECORDED: &str = "keys.recorded";

async fn facts(gateway: &Gateway, policy_generation: u64) -> GatewayFacts {
    let format = gateway.store.fact("format").await.ok().flatten();
    GatewayFacts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        policy_generation,
        store_format: format.unwrap_or_else(|| "unknown".to_owned()),
    }
}

async fn record(gateway: &Gateway, draft: Draft) {
    let kind = draft.kind.as_str();
    let group = Group {
        ledger: None,
        entries: vec![draft],
    };
    if let Err(failed) = gateway.trail.record(group).await {
        tracing::error!(
            error = &failed as &dyn std::error::Error,
            "the {kind} of the gateway could not be recorded"
        );
    }
}

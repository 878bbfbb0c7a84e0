//! The entries of the trail about the gateway itself: that it began to serve, and that it ended in order.
//!
//! It must never keep a gateway from serving its documents: what cannot be recorded is told in the log.

use crate::{
    audit::{Draft, Group, entry::GatewayFacts},
    gateway::Gateway,
};

/// Records that the gateway serves from now on, by the policy of `generation`.
pub(super) async fn record_start(gateway: &Gateway, generation: u64) {
    record(gateway, Draft::started(facts(gateway, generation).await)).await;
}

/// Records that the gateway ends in order; nothing may be recorded after it.
pub(super) async fn record_stop(gateway: &Gateway, generation: u64) {
    record(gateway, Draft::stopped(facts(gateway, generation).await)).await;
}

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

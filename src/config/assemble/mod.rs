//! Settings become attestors and relying parties: each table is handed to the plugin of its kind.
//!
//! It knows no plugin by name.

use std::sync::Arc;

use super::{
    Settings,
    attestor::AttestorTable,
    diagnostic::{Diagnostic, Fault, Problems},
    path::KeyPath,
    place,
    relying_party::RelyingPartyTable,
};
use crate::{
    attest::{self, Attestor, AttestorContext, Challenges, Misconfigured, OwnDocuments, OwnStore},
    clock::Clock,
    exchange::{self, RelyingParty, RelyingPartyContext},
    fetch::Fetch,
    spiffe::TrustDomain,
};

/// What plugins need that is not in the file.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes challenges, once there is a key for them.
    pub challenges: Challenges,
    /// The one outbound client for issuers' documents.
    pub fetch: Arc<Fetch>,
    /// Our own published documents, once there are any.
    pub own: OwnDocuments,
    /// Our own store, once it is open.
    pub store: OwnStore,
}

/// The configured plugins, in the order of the file.
#[derive(Debug, Default)]
pub struct Assembly {
    /// Who we believe.
    pub attestors: Vec<Arc<dyn Attestor>>,
    /// Where identities may go.
    pub relying_parties: Vec<Arc<dyn RelyingParty>>,
}

/// The plugins that tables are handed to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plugins<'a> {
    pub(super) attestors: &'a [attest::Builtin],
    pub(super) relying_parties: &'a [exchange::Builtin],
}

/// The tables for plugins, and what each is told of us.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables<'a> {
    pub(super) issuer: &'a str,
    pub(super) trust_domain: &'a TrustDomain,
    pub(super) attestors: &'a [AttestorTable],
    pub(super) relying_parties: &'a [RelyingPartyTable],
}

impl Settings {
    /// Configures the plugins.
    ///
    /// # Errors
    /// Returns what plugins find wrong with their tables, all of it.
    pub fn assemble(&self, surroundings: &Surroundings) -> Result<Assembly, Vec<Diagnostic>> {
        self.assemble_with(Plugins::COMPILED_IN, surroundings)
    }

    pub(super) fn assemble_with(
        &self,
        plugins: Plugins<'_>,
        surroundings: &Surroundings,
    ) -> Result<Assembly, Vec<Diagnostic>> {
        let mut problems = Problems::default();
        let tables = Tables {
            issuer: &self.issuer,
            trust_domain: &self.trust_domain,
            attestors: &self.attestors,
            relying_parties: &self.relying_parties,
        };
        let out = tables.configure(plugins, surroundings, &mut problems);
        let (errors, _) = place::sorted(&self.document, problems, Vec::new());
        if errors.is_empty() { Ok(out) } else { Err(errors) }
    }
}

impl Plugins<'static> {
    /// All that are compiled in.
    pub(super) const COMPILED_IN: Self = Self {
        attestors: attest::BUILTINS,
        relying_parties: exchange::BUILTINS,
    };
}

impl Tables<'_> {
    /// Hands each table to the plugin of its kind; a kind that is none was refused where it stands.
    pub(super) fn configure(
        &self,
        plugins: Plugins<'_>,
        surroundings: &Surroundings,
        problems: &mut Problems,
    ) -> Assembly {
        let mut out = Assembly::default();
        for table in self.attestors {
            let plugin = plugins.attestors.iter().find(|plugin| plugin.kind == table.kind);
            let context = AttestorContext {
                name: table.name.clone(),
                issuer: self.issuer.to_owned(),
                trust_domain: self.trust_domain.clone(),
                own: surroundings.own.clone(),
                challenges: surroundings.challenges.clone(),
                store: surroundings.store.clone(),
                fetch: Arc::clone(&surroundings.fetch),
                clock: Arc::clone(&surroundings.clock),
            };
            let made = plugin.map(|plugin| (plugin.configure)(context, table.table.clone()));
            out.attestors.extend(kept(&table.at, made, problems));
        }
        for table in self.relying_parties {
            let plugin = plugins.relying_parties.iter().find(|plugin| plugin.kind == table.kind);
            let context = RelyingPartyContext {
                name: table.name.clone(),
                issuer: self.issuer.to_owned(),
                trust_domain: self.trust_domain.clone(),
                clock: Arc::clone(&surroundings.clock),
            };
            let made = plugin.map(|plugin| (plugin.configure)(context, table.table.clone()));
            out.relying_parties.extend(kept(&table.at, made, problems));
        }
        out
    }
}

/// Returns what a plugin made, or keeps why it did not.
fn kept<T: ?Sized>(
    at: &KeyPath,
    made: Option<Result<Arc<T>, Misconfigured>>,
    problems: &mut Problems,
) -> Option<Arc<T>> {
    match made? {
        Ok(made) => Some(made),
        Err(why) => {
            problems.refuse(&at.below(&why.key), Fault::of_plugin(&why));
            None
        }
    }
}

#[cfg(test)]
mod tests;

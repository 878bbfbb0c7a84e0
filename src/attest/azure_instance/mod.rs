//! Attests machines of Azure by what their metadata service gets them.
//!
//! It must never take a tenant's word for another tenant, and never name anybody by an e-mail address. Each way to prove a
//! machine is a file of its own.

pub mod attested;
mod claims;
mod managed_identity;
mod resource;
mod settings;
#[cfg(feature = "dev")]
pub mod sim;

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

use self::{
    attested::AttestedMachines,
    managed_identity::ManagedIdentity,
    settings::{Checked, Settings},
};
use super::{AttestRefusal, Attestor, AttestorContext, AttestorName, Builtin, Evidence, Misconfigured, Pins, Verdict};
use crate::secret::Secret;

/// The kind `azure_instance`.
pub const BUILTIN: Builtin = Builtin {
    kind: KIND,
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    form,
    configure,
    #[cfg(feature = "dev")]
    sim: Some(sim::SEED),
};

const KIND: &str = "azure_instance";

fn form(token: &Secret) -> Result<(), AttestRefusal> {
    if attested::is_announced(token) {
        return attested::form(token);
    }
    super::form::of_a_compact_jws(token)
}

fn configure(context: AttestorContext, table: toml::Table) -> Result<Arc<dyn Attestor>, Misconfigured> {
    Ok(Arc::new(AzureInstanceAttestor::configure(context, table)?))
}

/// Judges the machines of configured tenants.
#[derive(Debug)]
struct AzureInstanceAttestor {
    name: AttestorName,
    managed_identity: ManagedIdentity,
    attested: Option<AttestedMachines>,
    pins: Pins,
}

impl AzureInstanceAttestor {
    fn configure(context: AttestorContext, table: toml::Table) -> Result<Self, Misconfigured> {
        let Checked {
            managed_identity,
            attested,
        } = Settings::parse(table)?.check(&context)?;
        Ok(Self {
            name: context.name,
            managed_identity,
            attested,
            pins: claims::pins(),
        })
    }

    async fn verdict(&self, evidence: &Evidence, now: SystemTime) -> Verdict {
        match &self.attested {
            Some(attested) if attested::is_announced(evidence.token_unverified()) => {
                attested.verdict(&self.name, evidence, now)
            }
            Some(_) | None => self.managed_identity.verdict(&self.name, evidence, now).await,
        }
    }
}

impl Attestor for AzureInstanceAttestor {
    fn name(&self) -> &AttestorName {
        &self.name
    }

    fn attributes(&self) -> &[&'static str] {
        claims::ATTRIBUTES
    }

    fn immutable(&self) -> &[&'static str] {
        claims::IMMUTABLE
    }

    fn pins(&self) -> Option<&Pins> {
        Some(&self.pins)
    }

    fn judge<'a>(
        &'a self,
        evidence: &'a Evidence,
        now: SystemTime,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>> {
        Box::pin(self.verdict(evidence, now))
    }
}

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests;

//! Attests tokens of OIDC issuers: CI systems by preset, any other by configuration.
//!
//! It must never fetch anything for a token whose `iss` is not the configured one, byte for byte, and never read a
//! claim before the signature over it was checked, except `iss` to tell whose token it is.

mod facts;
#[cfg(any(test, feature = "dev"))]
pub mod fixture;
mod issuer;
mod pattern;
mod pins;
mod preset;
mod rules;
mod settings;
#[cfg(feature = "dev")]
mod sim;
mod view;
mod vocabulary;

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

use self::{rules::Rules, settings::Settings};
use super::{
    AttestRefusal, Attestation, Attestor, AttestorContext, AttestorName, Builtin, Evidence, Findings, Misconfigured,
    Pins, Verdict, conclude, issuer_keys::Keys, signed_token,
};
use crate::jose::{Algorithm, Unverified};

/// The kind `oidc`.
pub const BUILTIN: Builtin = Builtin {
    kind: KIND,
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    form: super::form::of_a_compact_jws,
    configure,
    #[cfg(feature = "dev")]
    sim: Some(sim::SEED),
};

const KIND: &str = "oidc";

fn configure(context: AttestorContext, table: toml::Table) -> Result<Arc<dyn Attestor>, Misconfigured> {
    Ok(Arc::new(OidcAttestor::configure(context, table)?))
}

/// Judges the tokens of one issuer.
#[derive(Debug)]
struct OidcAttestor {
    name: AttestorName,
    rules: Rules,
    algorithms: Vec<Algorithm>,
    keys: Keys,
    attributes: Vec<&'static str>,
    immutable: Vec<&'static str>,
    pins: Pins,
}

impl OidcAttestor {
    fn configure(context: AttestorContext, table: toml::Table) -> Result<Self, Misconfigured> {
        let checked = Settings::parse(table)?.check(&context)?;
        Ok(Self {
            name: context.name,
            rules: checked.rules,
            algorithms: checked.algorithms,
            keys: checked.keys,
            attributes: checked.attributes,
            immutable: checked.immutable,
            pins: checked.pins,
        })
    }

    async fn verdict(&self, evidence: &Evidence, now: SystemTime) -> Verdict {
        let unverified = match signed_token::read(evidence, KIND) {
            Ok(unverified) => unverified,
            Err(verdict) => return verdict,
        };
        if unverified.issuer_unverified() != Some(self.rules.issuer.as_str()) {
            return Verdict::NotMine;
        }
        match self.attest(evidence, &unverified, now).await {
            Ok(attestation) => Verdict::Attested(Box::new(attestation)),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    async fn attest(
        &self,
        evidence: &Evidence,
        unverified: &Unverified<'_>,
        now: SystemTime,
    ) -> Result<Attestation, AttestRefusal> {
        let (verified, delegation) = signed_token::verified(unverified, &self.keys, &self.algorithms, now).await?;
        let accepted = self
            .rules
            .accept(verified.get(), unverified.typ(), evidence.possession(), now)?;
        let findings = Findings {
            attestor: &self.name,
            issuer: self.rules.issuer.clone(),
            subject: accepted.subject,
            token_id: accepted.token_id,
            signing_input_sha256: unverified.signing_input_sha256(),
            attributes: accepted.attributes,
            freshness: accepted.freshness,
            expires: accepted.expires,
            stands_until: accepted.stands_until,
            use_rule: self.rules.use_rule.ledger(),
        };
        Ok(conclude(&verified, evidence, findings).delegated(delegation))
    }
}

impl Attestor for OidcAttestor {
    fn name(&self) -> &AttestorName {
        &self.name
    }

    fn attributes(&self) -> &[&'static str] {
        &self.attributes
    }

    fn immutable(&self) -> &[&'static str] {
        &self.immutable
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

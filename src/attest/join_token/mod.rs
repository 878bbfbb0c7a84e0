//! Attests a machine by the token that an operator gave it; the token serves once.
//!
//! It must never take a token whose digest nobody stored, and never let one be used a second time: its use stands in the
//! ledger with the entry about it, whether that is a credential or a denial.

mod settings;

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

use self::settings::{Checked, Settings};
use super::{
    AttestRefusal, Attestation, Attestor, AttestorContext, AttestorName, Builtin, Evidence, Findings, Freshness,
    Misconfigured, OwnStore, Verdict, conclude,
    joining::{self, JoinToken, Joins, KnownToken},
};
use crate::{jose::MAX_TOKEN_BYTES, secret::Secret, store::UseRule};

/// The kind `join_token`.
pub const BUILTIN: Builtin = Builtin {
    kind: KIND,
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    form,
    configure,
    #[cfg(feature = "dev")]
    sim: None,
};

const KIND: &str = "join_token";

fn configure(context: AttestorContext, table: toml::Table) -> Result<Arc<dyn Attestor>, Misconfigured> {
    Ok(Arc::new(JoinTokenAttestor::configure(context, table)?))
}

/// Refuses what is no join token, or one that was cut off or changed (T-27).
fn form(token: &Secret) -> Result<(), AttestRefusal> {
    let found_bytes = token.expose().len();
    if found_bytes > MAX_TOKEN_BYTES {
        return Err(AttestRefusal::Oversized { found_bytes });
    }
    JoinToken::parse(token).map_or_else(
        |malformed| {
            Err(AttestRefusal::Malformed {
                reason: malformed.to_string(),
            })
        },
        |_token| Ok(()),
    )
}

/// Judges join tokens.
#[derive(Debug)]
struct JoinTokenAttestor {
    name: AttestorName,
    store: OwnStore,
    checked: Checked,
    joins: Joins,
}

impl JoinTokenAttestor {
    fn configure(context: AttestorContext, table: toml::Table) -> Result<Self, Misconfigured> {
        let checked = Settings::parse(table)?.check()?;
        Ok(Self {
            name: context.name,
            store: context.store,
            joins: Joins {
                labels: checked.attributes.labels(),
            },
            checked,
        })
    }

    async fn verdict(&self, evidence: &Evidence, now: SystemTime) -> Verdict {
        if evidence.kind().is_some_and(|kind| kind != KIND) {
            return Verdict::NotMine;
        }
        let token = evidence.token_unverified();
        let found_bytes = token.expose().len();
        if found_bytes > MAX_TOKEN_BYTES {
            return Verdict::Refused(AttestRefusal::Oversized { found_bytes });
        }
        let Ok(token) = JoinToken::parse(token) else {
            return Verdict::NotMine; // of another kind, or broken: then its form says so, whoever is configured
        };
        // A token that nobody made, or that was removed, is answered like any evidence that nobody takes.
        match KnownToken::look_up(&token, &self.name, &self.store).await {
            Ok(None) => Verdict::NotMine,
            Ok(Some(known)) => match self.attest(evidence, &token, &known, now) {
                Ok(attestation) => Verdict::Attested(Box::new(attestation)),
                Err(refusal) => Verdict::Refused(refusal),
            },
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    fn attest(
        &self,
        evidence: &Evidence,
        token: &JoinToken,
        known: &KnownToken,
        now: SystemTime,
    ) -> Result<Attestation, AttestRefusal> {
        known.refuse_expired(now)?;
        let findings = Findings {
            attestor: &self.name,
            issuer: joining::issuer(&self.name),
            subject: known.machine().name.as_str().to_owned(),
            token_id: None,
            signing_input_sha256: token.sha256(),
            attributes: self.checked.attributes.facts(known.machine())?,
            freshness: Freshness::Fresh,
            expires: known.expires(),
            stands_until: now + self.checked.session_max,
            use_rule: Some(UseRule::Once),
        };
        Ok(conclude(known, evidence, findings))
    }
}

impl Attestor for JoinTokenAttestor {
    fn name(&self) -> &AttestorName {
        &self.name
    }

    fn attributes(&self) -> &[&'static str] {
        self.checked.attributes.all()
    }

    /// Whoever makes a token decides whom it names, each time anew: no third party passes a name on.
    fn immutable(&self) -> &[&'static str] {
        self.checked.attributes.all()
    }

    fn joins(&self) -> Option<&Joins> {
        Some(&self.joins)
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
mod tests;

//! Attests EC2 instances by their identity document, as PKCS#7 with SHA-256 (`rsa2048`).
//!
//! The document has no audience and no challenge: whoever reads it may show it until it is too old. It must never be
//! taken long after the instance started, never twice, and never from anything but the signed bytes (T-01, T-47).

mod document;
mod settings;
#[cfg(feature = "dev")]
pub mod sim;

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use self::{document::Rules, settings::Settings};
use super::{
    AttestRefusal, Attestation, Attestor, AttestorContext, AttestorName, Builtin, Evidence, Findings, Freshness,
    Misconfigured, Pins, Verdict, conclude,
    pkcs7::{Certificate, Coverage, Unverified},
};
use crate::{jose::MAX_TOKEN_BYTES, secret::Secret, store::UseRule};

/// The kind `aws_instance`.
pub const BUILTIN: Builtin = Builtin {
    kind: KIND,
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    form,
    configure,
    #[cfg(feature = "dev")]
    sim: None,
};

const KIND: &str = "aws_instance";

fn configure(context: AttestorContext, table: toml::Table) -> Result<Arc<dyn Attestor>, Misconfigured> {
    Ok(Arc::new(AwsInstanceAttestor::configure(context, table)?))
}

/// Says whether this is a signed document at all; it repeats nothing.
fn form(evidence: &Secret) -> Result<(), AttestRefusal> {
    let text = evidence.expose();
    if text.len() > MAX_TOKEN_BYTES {
        return Err(AttestRefusal::Oversized {
            found_bytes: text.len(),
        });
    }
    let malformed = |reason: String| AttestRefusal::Malformed { reason };
    let bytes = decoded(text).ok_or_else(|| malformed("it is no base64 of a signed document".to_owned()))?;
    Unverified::read(&bytes)
        .map(|_read| ())
        .map_err(|why| malformed(why.to_string()))
}

/// Decodes base64 in lines, as the metadata service writes it.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let lines: String = text.lines().collect();
    BASE64_STANDARD.decode(lines).ok().filter(|bytes| !bytes.is_empty())
}

/// Judges the instances of configured accounts, in regions whose certificates are configured.
#[derive(Debug)]
struct AwsInstanceAttestor {
    name: AttestorName,
    rules: Rules,
    signers: Vec<RegionSigner>,
    pins: Option<Pins>,
}

/// What a region's documents are signed with.
#[derive(Debug)]
struct RegionSigner {
    region: String,
    certificate: Certificate,
}

impl AwsInstanceAttestor {
    fn configure(context: AttestorContext, table: toml::Table) -> Result<Self, Misconfigured> {
        let checked = Settings::parse(table)?.check()?;
        Ok(Self {
            name: context.name,
            pins: document::pins(&checked.rules.accounts),
            rules: checked.rules,
            signers: checked.signers,
        })
    }

    fn verdict(&self, evidence: &Evidence, now: SystemTime) -> Verdict {
        if evidence.kind().is_some_and(|kind| kind != KIND) {
            return Verdict::NotMine;
        }
        let text = evidence.token_unverified().expose();
        if text.len() > MAX_TOKEN_BYTES {
            return Verdict::Refused(AttestRefusal::Oversized {
                found_bytes: text.len(),
            });
        }
        let Some(bytes) = decoded(text) else {
            return Verdict::NotMine;
        };
        let Ok(unverified) = Unverified::read(&bytes) else {
            return Verdict::NotMine; // no signed document: some other attestor's kind, or nobody's
        };
        let known = self.signers.iter().map(|signer| &signer.certificate);
        let Some(signer) = unverified.signer(known).cloned() else {
            return Verdict::NotMine; // another region's, or another cloud's
        };
        match self.attest(evidence, unverified, &signer, now) {
            Ok(attestation) => Verdict::Attested(Box::new(attestation)),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    fn attest(
        &self,
        evidence: &Evidence,
        unverified: Unverified<'_>,
        signer: &Certificate,
        now: SystemTime,
    ) -> Result<Attestation, AttestRefusal> {
        let verified = unverified.verify(signer, Coverage::Attributes, now);
        let verified = verified.map_err(|refused| AttestRefusal::Unverifiable {
            reason: refused.to_string(),
        })?;
        let regions: Vec<&str> = self.regions_of(signer).collect();
        let accepted = self.rules.accept(verified.content(), &regions, now)?;
        let findings = Findings {
            attestor: &self.name,
            issuer: format!("ec2:{}", accepted.region),
            subject: accepted.instance_id.clone(),
            // One use for each start of an instance, however often the document is signed anew.
            token_id: Some(accepted.use_id()),
            signing_input_sha256: verified.covered_sha256(),
            attributes: accepted.attributes,
            freshness: Freshness::Fresh,
            expires: accepted.expires,
            stands_until: now + self.rules.session_max,
            use_rule: Some(UseRule::Once),
        };
        Ok(conclude(&verified, evidence, findings))
    }

    fn regions_of(&self, signer: &Certificate) -> impl Iterator<Item = &str> {
        let same = move |one: &&RegionSigner| one.certificate.der() == signer.der();
        self.signers.iter().filter(same).map(|one| one.region.as_str())
    }
}

impl Attestor for AwsInstanceAttestor {
    fn name(&self) -> &AttestorName {
        &self.name
    }

    fn attributes(&self) -> &[&'static str] {
        document::ATTRIBUTES
    }

    fn immutable(&self) -> &[&'static str] {
        document::IMMUTABLE
    }

    fn pins(&self) -> Option<&Pins> {
        self.pins.as_ref()
    }

    fn judge<'a>(
        &'a self,
        evidence: &'a Evidence,
        now: SystemTime,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>> {
        Box::pin(std::future::ready(self.verdict(evidence, now)))
    }
}

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests;

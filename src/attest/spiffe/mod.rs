//! Attests SVIDs of our own trust domain and of pinned foreign ones, as tokens and as client certificates.
//!
//! It must never verify an SVID with the keys of another trust domain than the one it names, and never take an SVID
//! that names anybody beside us as its audience.

mod bundle_file;
mod jwt_svid;
mod settings;

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

use self::settings::{Checked, Pinned, Settings};
use super::{
    AttestRefusal, Attestation, Attestor, AttestorContext, AttestorName, Attributes, Builtin, ClientCertificate,
    ClientCertificates, Delegation, Evidence, Findings, Freshness, Misconfigured, OwnDocuments, Verdict, conclude,
};
use crate::{
    jose::{MAX_TOKEN_BYTES, Unverified},
    spiffe::{Bundle, SpiffeId, SvidRefused, TrustDomain, X509Svid},
    trust::Document,
};

/// The kind `spiffe`.
pub const BUILTIN: Builtin = Builtin {
    kind: KIND,
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    form: super::form::of_a_compact_jws,
    configure,
    #[cfg(feature = "dev")]
    sim: None,
};

const KIND: &str = "spiffe";

fn configure(context: AttestorContext, table: toml::Table) -> Result<Arc<dyn Attestor>, Misconfigured> {
    Ok(Arc::new(SpiffeAttestor::configure(context, table)?))
}

/// Judges the SVIDs of the pinned trust domains.
#[derive(Debug)]
struct SpiffeAttestor {
    name: AttestorName,
    audience: String,
    domains: Vec<Pinned>,
    own: OwnDocuments,
    attributes: Vec<&'static str>,
}

/// The keys of one trust domain at one moment.
struct Authorities {
    bundle: Arc<Bundle>,
    /// The lists of what is revoked, which are known of our own trust domain only.
    lists: Option<Vec<Document>>,
}

impl SpiffeAttestor {
    fn configure(context: AttestorContext, table: toml::Table) -> Result<Self, Misconfigured> {
        let Checked { audience, domains } = Settings::parse(table)?.check(&context)?;
        let mut attributes = vec![ID, SVID_TYPE, TRUST_DOMAIN];
        // SPIFFE-ID-19: beside a second trust domain, a path alone would mean the same path of either.
        attributes.extend((domains.len() == 1).then_some(PATH));
        attributes.sort_unstable();
        Ok(Self {
            name: context.name,
            audience,
            domains,
            own: context.own,
            attributes,
        })
    }

    fn verdict(&self, evidence: &Evidence, now: SystemTime) -> Verdict {
        if evidence.kind().is_some_and(|kind| kind != KIND) {
            return Verdict::NotMine;
        }
        let judged = match evidence.certificate_unverified() {
            Some(certificate) => self.certificate(evidence, certificate, now),
            None => self.token(evidence, now),
        };
        match judged {
            None => Verdict::NotMine,
            Some(Ok(attestation)) => Verdict::Attested(Box::new(attestation)),
            Some(Err(refusal)) => Verdict::Refused(refusal),
        }
    }

    /// Judges a JWT-SVID; `None` where it is none, or of no trust domain that is pinned.
    fn token(&self, evidence: &Evidence, now: SystemTime) -> Option<Result<Attestation, AttestRefusal>> {
        let token = evidence.token_unverified().expose();
        if token.len() > MAX_TOKEN_BYTES {
            return Some(Err(AttestRefusal::Oversized {
                found_bytes: token.len(),
            }));
        }
        let unverified = Unverified::parse_jwt_svid(token).ok()?;
        let subject = unverified.claims_unverified().text("sub").ok().flatten()?;
        let id = SpiffeId::parse(subject).ok()?;
        let pinned = self.pinned(id.trust_domain())?;
        Some(self.attest_token(evidence, (&unverified, pinned), now))
    }

    fn attest_token(
        &self,
        evidence: &Evidence,
        (unverified, pinned): (&Unverified<'_>, &Pinned),
        now: SystemTime,
    ) -> Result<Attestation, AttestRefusal> {
        let unverifiable = |reason: String| AttestRefusal::Unverifiable { reason };
        let authorities = self.authorities(pinned)?;
        let keys = authorities.bundle.jwt_authorities();
        let key = keys
            .find(unverified.kid(), unverified.algorithm())
            .map_err(|missing| unverifiable(missing.to_string()))?;
        let verified = unverified
            .verify(key)
            .map_err(|refused| unverifiable(refused.to_string()))?;
        let accepted = jwt_svid::accept(verified.get(), &pinned.name, &self.audience, now)?;
        let findings = Findings {
            attestor: &self.name,
            issuer: pinned.name.id().to_string(),
            subject: accepted.id.to_string(),
            token_id: accepted.token_id,
            signing_input_sha256: unverified.signing_input_sha256(),
            attributes: self.facts(&accepted.id, JWT_SVID)?,
            freshness: Freshness::Fresh,
            expires: accepted.expires,
            stands_until: standing(accepted.expires, now),
            use_rule: None,
        };
        let delegation = match pinned.foreign {
            None => Delegation::of_our_own(verified.get(), &pinned.name)?,
            Some(_) => Delegation::of_another(verified.get())?,
        };
        Ok(conclude(&verified, evidence, findings).delegated(delegation))
    }

    /// Judges the certificate of a connection, anew for each request (T-04).
    fn certificate(
        &self,
        evidence: &Evidence,
        certificate: &ClientCertificate,
        now: SystemTime,
    ) -> Option<Result<Attestation, AttestRefusal>> {
        let chain = certificate.chain_unverified();
        let found = X509Svid::trust_domain_unverified(chain).ok()?;
        let pinned = self.pinned(&found)?;
        Some(self.attest_certificate(evidence, (certificate, pinned), now))
    }

    fn attest_certificate(
        &self,
        evidence: &Evidence,
        (certificate, pinned): (&ClientCertificate, &Pinned),
        now: SystemTime,
    ) -> Result<Attestation, AttestRefusal> {
        let authorities = self.authorities(pinned)?;
        let svid = authorities
            .verify(certificate, now)
            .map_err(|refused| AttestRefusal::Unverifiable {
                reason: refused.to_string(),
            })?;
        let findings = Findings {
            attestor: &self.name,
            issuer: pinned.name.id().to_string(),
            subject: svid.spiffe_id().to_string(),
            token_id: None,
            signing_input_sha256: svid.sha256(),
            attributes: self.facts(svid.spiffe_id(), X509_SVID)?,
            freshness: Freshness::Fresh,
            expires: svid.not_after(),
            stands_until: standing(svid.not_after(), now),
            use_rule: None,
        };
        Ok(conclude(&svid, evidence, findings))
    }

    fn pinned(&self, trust_domain: &TrustDomain) -> Option<&Pinned> {
        self.domains.iter().find(|pinned| pinned.name == *trust_domain)
    }

    fn authorities(&self, pinned: &Pinned) -> Result<Authorities, AttestRefusal> {
        if let Some(bundle) = &pinned.foreign {
            return Ok(Authorities {
                bundle: Arc::clone(bundle),
                lists: None,
            });
        }
        let unavailable = |source| AttestRefusal::IssuerUnavailable {
            issuer: pinned.name.id().to_string(),
            source: Box::new(source),
        };
        Ok(Authorities {
            bundle: self.own.bundle(&pinned.name).map_err(unavailable)?,
            lists: Some(self.own.revocation_lists()),
        })
    }

    fn facts(&self, id: &SpiffeId, svid_type: &str) -> Result<Attributes, AttestRefusal> {
        let mut facts = Attributes::default();
        facts.insert(ID, id.as_str())?;
        facts.insert(SVID_TYPE, svid_type)?;
        facts.insert(TRUST_DOMAIN, id.trust_domain().as_str())?;
        if self.attributes.contains(&PATH) {
            facts.insert(PATH, id.path())?;
        }
        Ok(facts)
    }
}

impl Authorities {
    fn verify(&self, certificate: &ClientCertificate, now: SystemTime) -> Result<X509Svid, SvidRefused> {
        let lists: Option<Vec<&[u8]>> = self
            .lists
            .as_ref()
            .map(|lists| lists.iter().map(|list| list.body().as_ref()).collect());
        X509Svid::verify(certificate.chain_unverified(), &self.bundle, lists.as_deref(), now)
    }
}

/// Returns until when an attestation stands; never longer than the SVID, so that no SVID lives on in its own successors.
fn standing(expires: SystemTime, now: SystemTime) -> SystemTime {
    expires.min(now + MAX_STANDING)
}

impl ClientCertificates for SpiffeAttestor {
    fn verify(&self, certificate: &ClientCertificate, now: SystemTime) -> Option<Result<X509Svid, SvidRefused>> {
        let found = X509Svid::trust_domain_unverified(certificate.chain_unverified());
        let found = match found {
            Ok(found) => found,
            Err(refused) => return Some(Err(refused)),
        };
        let pinned = self.pinned(&found)?;
        let authorities = self.authorities(pinned).map_err(|missing| SvidRefused::Path {
            trust_domain: found,
            reason: missing.to_string(),
        });
        Some(authorities.and_then(|authorities| authorities.verify(certificate, now)))
    }
}

impl Attestor for SpiffeAttestor {
    fn name(&self) -> &AttestorName {
        &self.name
    }

    fn attributes(&self) -> &[&'static str] {
        &self.attributes
    }

    fn immutable(&self) -> &[&'static str] {
        &[TRUST_DOMAIN]
    }

    fn client_certificates(&self) -> Option<&dyn ClientCertificates> {
        Some(self)
    }

    fn judge<'a>(
        &'a self,
        evidence: &'a Evidence,
        now: SystemTime,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>> {
        Box::pin(async move { self.verdict(evidence, now) })
    }
}

// No name is a dotted-path prefix of another.
const ID: &str = "spiffe.id";
const PATH: &str = "spiffe.path";
const SVID_TYPE: &str = "spiffe.svid_type";
const TRUST_DOMAIN: &str = "spiffe.trust_domain";

const JWT_SVID: &str = "jwt_svid";
const X509_SVID: &str = "x509_svid";

/// LIMITS.md: an attestation stands 1 h; each request brings its evidence again, so nobody needs more.
const MAX_STANDING: std::time::Duration = std::time::Duration::from_hours(1);

#[cfg(test)]
mod tests;

//! The way by token: what Entra signs for a managed identity.
//!
//! It must never look for keys at an address that a token names: each tenant's are where the configuration says.

use std::time::SystemTime;

use super::{KIND, claims::Rules};
use crate::{
    attest::{
        AttestRefusal, Attestation, AttestorName, Evidence, Findings, Freshness, Verdict, conclude, issuer_keys::Keys,
        signed_token,
    },
    jose::{Algorithm, Unverified},
};

/// One tenant, its two issuers, and the keys that they share.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) id: String,
    /// The issuer of tokens of version 1, with its last slash.
    pub(super) v1_issuer: String,
    /// The issuer of tokens of version 2.
    pub(super) v2_issuer: String,
    pub(super) keys: Keys,
}

/// The version of a token, which the registration of the application that it is for decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// `https://sts.windows.net/<tenant>/`, client in `appid`.
    One,
    /// `https://login.microsoftonline.com/<tenant>/v2.0`, client in `azp`.
    Two,
}

/// Judges the tokens of configured tenants.
#[derive(Debug)]
pub(super) struct ManagedIdentity {
    tenants: Vec<Tenant>,
    rules: Rules,
}

impl ManagedIdentity {
    /// Takes a table that was checked.
    pub(super) fn new(tenants: Vec<Tenant>, rules: Rules) -> Self {
        Self { tenants, rules }
    }

    #[cfg(test)]
    #[cfg(feature = "dev")]
    pub(super) fn tenants(&self) -> &[Tenant] {
        &self.tenants
    }

    /// Judges a token of one of the tenants' issuers.
    pub(super) async fn verdict(&self, attestor: &AttestorName, evidence: &Evidence, now: SystemTime) -> Verdict {
        let unverified = match signed_token::read(evidence, KIND) {
            Ok(unverified) => unverified,
            Err(verdict) => return verdict,
        };
        let Some(issuer) = unverified.issuer_unverified() else {
            return Verdict::NotMine;
        };
        let found = self
            .tenants
            .iter()
            .find_map(|tenant| tenant.version(issuer).map(|version| (tenant, version)));
        let Some(found) = found else {
            return Verdict::NotMine;
        };
        match self.attest(attestor, evidence, (&unverified, found), now).await {
            Ok(attestation) => Verdict::Attested(Box::new(attestation)),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    async fn attest(
        &self,
        attestor: &AttestorName,
        evidence: &Evidence,
        (unverified, (tenant, version)): (&Unverified<'_>, (&Tenant, Version)),
        now: SystemTime,
    ) -> Result<Attestation, AttestRefusal> {
        let (verified, delegation) = signed_token::verified(unverified, &tenant.keys, ALGORITHMS, now).await?;
        let accepted = self
            .rules
            .accept(verified.get(), unverified.typ(), (tenant, version), now)?;
        let findings = Findings {
            attestor,
            issuer: tenant.issuer(version).to_owned(),
            subject: accepted.subject,
            token_id: accepted.token_id,
            signing_input_sha256: unverified.signing_input_sha256(),
            attributes: accepted.attributes,
            freshness: Freshness::Fresh,
            expires: accepted.expires,
            stands_until: accepted.stands_until,
            // The metadata service hands the same token to every process of the machine again.
            use_rule: None,
        };
        Ok(conclude(&verified, evidence, findings).delegated(delegation))
    }
}

impl Tenant {
    /// Returns the issuer of a version.
    pub(super) fn issuer(&self, version: Version) -> &str {
        match version {
            Version::One => &self.v1_issuer,
            Version::Two => &self.v2_issuer,
        }
    }

    fn version(&self, issuer: &str) -> Option<Version> {
        [Version::One, Version::Two]
            .into_iter()
            .find(|version| self.issuer(*version) == issuer)
    }
}

/// What Entra signs access tokens with.
pub(super) const ALGORITHMS: &[Algorithm] = &[Algorithm::Rs256];

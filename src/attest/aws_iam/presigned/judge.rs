//! Roles of configured accounts, by presigned questions.
//!
//! It must never take a principal whose secret does not end, and never one of an account that is not listed (T-46).

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use super::{Confirmed, Sts, arn::Principal, is_announced};
use crate::{
    attest::{
        AttestRefusal, Attestation, AttestorName, Attributes, Challenges, Evidence, Findings, Freshness, Verdict,
        aws_iam::{ACCOUNT, KIND, ROLE_ARN, ROLE_ID, ROLE_NAME, SESSION_NAME},
        conclude,
        token_claims::wrong,
    },
    secret::Digest,
    store::UseRule,
};

/// Judges presigned questions.
#[derive(Debug)]
pub struct Presigned {
    /// Whom AWS is asked by.
    pub sts: Sts,
    /// Tells our challenges from others.
    pub challenges: Challenges,
    /// The accounts whose roles are believed.
    pub accounts: BTreeSet<String>,
    /// How long an attestation stands.
    pub session_max: Duration,
}

impl Presigned {
    /// Judges evidence; whatever does not say that it is a presigned question is somebody else's.
    pub async fn verdict(&self, attestor: &AttestorName, evidence: &Evidence, now: SystemTime) -> Verdict {
        if evidence.kind().is_some_and(|kind| kind != KIND) || !is_announced(evidence.token_unverified()) {
            return Verdict::NotMine;
        }
        match self.attest(attestor, evidence, now).await {
            Ok(attestation) => Verdict::Attested(Box::new(attestation)),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    async fn attest(
        &self,
        attestor: &AttestorName,
        evidence: &Evidence,
        now: SystemTime,
    ) -> Result<Attestation, AttestRefusal> {
        let token = evidence.token_unverified();
        let confirmed = self.sts.confirm(token, &self.challenges, now).await?;
        let attributes = self.facts(&confirmed)?;
        let challenge = confirmed.challenge();
        let findings = Findings {
            attestor,
            issuer: format!("sts:{}", confirmed.arn().partition()),
            subject: confirmed.arn().to_string(),
            token_id: Some(challenge.as_str().to_owned()),
            signing_input_sha256: Digest::of(token.expose().as_bytes()),
            attributes,
            freshness: Freshness::Fresh,
            expires: challenge.expires(),
            stands_until: now + self.session_max,
            use_rule: Some(UseRule::Once),
        };
        Ok(conclude(&confirmed, evidence, findings))
    }

    fn facts(&self, confirmed: &Confirmed) -> Result<Attributes, AttestRefusal> {
        let arn = confirmed.arn();
        if !self.accounts.contains(arn.account()) {
            return Err(wrong("Account", arn.account(), "one of `accounts`"));
        }
        let Principal::AssumedRole { role, session } = arn.principal() else {
            return Err(wrong("Arn", &arn.to_string(), "a session of a role, whose secret ends"));
        };
        let mut attributes = Attributes::default();
        attributes.insert(ACCOUNT, arn.account())?;
        attributes.insert(ROLE_ARN, arn.canonical())?;
        attributes.insert(ROLE_ID, confirmed.unique_id())?;
        attributes.insert(ROLE_NAME, role.as_str())?;
        attributes.insert(SESSION_NAME, session.as_str())?;
        Ok(attributes)
    }
}

/// What a presigned question may give.
pub const ATTRIBUTES: &[&str] = &[ACCOUNT, ROLE_ARN, ROLE_ID, ROLE_NAME, SESSION_NAME];

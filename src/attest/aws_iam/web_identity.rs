//! The way by token: what STS signs for a role that calls GetWebIdentityToken.
//!
//! Each account has an issuer of its own, and its keys count for no other account. Tags that the caller chose
//! (`request_tags`) must never become attributes.

use std::time::{Duration, SystemTime};

use super::{
    ACCOUNT, FUNCTION_ARN, INSTANCE_ARN, INSTANCE_ID, KIND, ORG_ID, OU_PATH, PRINCIPAL_ARN, ROLE_ARN, ROLE_NAME,
    SESSION_NAME, SOURCE_REGION,
    arn::{self, Role},
    tags::{self, Tag},
};
use crate::{
    attest::{
        AttestRefusal, Attestation, AttestorName, Attributes, Evidence, Findings, Freshness, Possession, Verdict,
        conclude,
        issuer_keys::Keys,
        signed_token,
        standing::Standing,
        token_claims::{
            Moments, refuse_other_audience, refuse_other_issuer, refuse_other_kind, refused, refused_at, token_id,
            wrong,
        },
    },
    jose::{Algorithm, ClaimRefused, Claims, Object, Unverified},
    store::UseRule,
};

/// One account and its issuer.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) number: String,
    pub(super) issuer: String,
    pub(super) name: Option<String>,
    pub(super) keys: Keys,
}

/// Judges the tokens of configured accounts.
#[derive(Debug)]
pub(super) struct WebIdentity {
    accounts: Vec<Account>,
    audience: String,
    standing: Standing,
    tags: Vec<Tag>,
}

/// What the rules found in order.
#[derive(Debug)]
pub(super) struct Accepted {
    subject: String,
    token_id: Option<String>,
    attributes: Attributes,
    freshness: Freshness,
    expires: SystemTime,
    stands_until: SystemTime,
}

impl WebIdentity {
    /// Takes a table that was checked.
    pub(super) fn new(accounts: Vec<Account>, audience: String, standing: Standing, tags: Vec<Tag>) -> Self {
        Self {
            accounts,
            audience,
            standing,
            tags,
        }
    }

    /// Returns what this way may give.
    pub(super) fn attributes(&self) -> Vec<&'static str> {
        let mut names = ATTRIBUTES.to_vec();
        names.extend(self.tags.iter().map(|tag| tag.attribute));
        names.sort_unstable();
        names
    }

    /// Judges a token of one of the accounts' issuers.
    pub(super) async fn verdict(&self, attestor: &AttestorName, evidence: &Evidence, now: SystemTime) -> Verdict {
        let unverified = match signed_token::read(evidence, KIND) {
            Ok(unverified) => unverified,
            Err(verdict) => return verdict,
        };
        let issuer = unverified.issuer_unverified();
        let Some(account) = self
            .accounts
            .iter()
            .find(|account| issuer == Some(account.issuer.as_str()))
        else {
            return Verdict::NotMine;
        };
        match self.attest(attestor, evidence, (&unverified, account), now).await {
            Ok(attestation) => Verdict::Attested(Box::new(attestation)),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    async fn attest(
        &self,
        attestor: &AttestorName,
        evidence: &Evidence,
        (unverified, account): (&Unverified<'_>, &Account),
        now: SystemTime,
    ) -> Result<Attestation, AttestRefusal> {
        let (verified, delegation) = signed_token::verified(unverified, &account.keys, ALGORITHMS, now).await?;
        refuse_other_kind(unverified.typ())?;
        let accepted = self.accept(account, verified.get(), evidence.possession(), now)?;
        let findings = Findings {
            attestor,
            issuer: account.issuer.clone(),
            subject: accepted.subject,
            token_id: accepted.token_id,
            signing_input_sha256: unverified.signing_input_sha256(),
            attributes: accepted.attributes,
            freshness: accepted.freshness,
            expires: accepted.expires,
            stands_until: accepted.stands_until,
            // A new token is one call away, so that nobody needs another's.
            use_rule: Some(UseRule::Keyed),
        };
        Ok(conclude(&verified, evidence, findings).delegated(delegation))
    }

    /// Judges verified claims of an account's issuer.
    fn accept(
        &self,
        account: &Account,
        claims: &Claims,
        possession: &Possession,
        now: SystemTime,
    ) -> Result<Accepted, AttestRefusal> {
        refuse_other_issuer(claims, &account.issuer)?;
        let moments = Moments::read_within(claims, MAX_LIFE)?;
        moments.refuse_early(now)?;
        refuse_other_audience(claims, &self.audience)?;
        let token_id = token_id(claims)?;
        let subject = claims.required_text("sub").map_err(refused)?;
        let attributes = self.facts(account, claims, subject)?;
        // Last, because only a token in which nothing else is wrong may be resumed.
        let freshness = self.standing.freshness(&moments, possession, now)?;
        Ok(Accepted {
            subject: subject.to_owned(),
            token_id,
            attributes,
            freshness,
            expires: moments.expires,
            stands_until: self.standing.until(&moments, now),
        })
    }

    fn facts(&self, account: &Account, claims: &Claims, subject: &str) -> Result<Attributes, AttestRefusal> {
        let role = Role::parse(subject).ok_or_else(|| wrong("sub", subject, EXPECTED_ROLE))?;
        let own = claims.object(OWN).map_err(refused)?;
        let own = own.ok_or_else(|| refused_at(OWN, ClaimRefused::Missing { name: OWN }))?;
        account.refuse_another(own, &role, subject)?;
        refuse_other_principal(own, &role)?;
        let mut attributes = Attributes::default();
        attributes.insert(ACCOUNT, account.number.as_str())?;
        attributes.insert(ROLE_ARN, role.canonical())?;
        attributes.insert(ROLE_NAME, role.name)?;
        attributes.insert(PRINCIPAL_ARN, subject)?;
        if let Some(session) = role.session {
            attributes.insert(SESSION_NAME, session)?;
        }
        surroundings(own, &mut attributes)?;
        sources(account, own, &mut attributes)?;
        if let Some(found) = tags::of(own)? {
            tags::insert(&self.tags, found, &mut attributes)?;
        }
        Ok(attributes)
    }
}

impl Account {
    /// Refuses an issuer that vouches for another account than its own, in either place where a token names one (T-46).
    fn refuse_another(&self, own: Object<'_>, role: &Role<'_>, subject: &str) -> Result<(), AttestRefusal> {
        let named = own
            .required_text("aws_account")
            .map_err(|why| refused_at(&at("aws_account"), why))?;
        let name = self.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let expected = format!("account `{}`{name}, which this issuer is configured for", self.number);
        if named != self.number {
            return Err(wrong(&at("aws_account"), named, &expected));
        }
        if role.account != self.number {
            return Err(wrong("sub", subject, &format!("a role of {expected}")));
        }
        Ok(())
    }

    /// Refuses what runs in another account.
    fn refuse_source(&self, claim: &str, text: &str, found: Option<&str>) -> Result<(), AttestRefusal> {
        if found == Some(self.number.as_str()) {
            return Ok(());
        }
        let expected = format!("its ARN in account `{}`", self.number);
        Err(wrong(&at(claim), text, &expected))
    }
}

/// What else the token calls the principal must be the same role.
fn refuse_other_principal(own: Object<'_>, role: &Role<'_>) -> Result<(), AttestRefusal> {
    let Some(found) = text(own, "principal_id")? else {
        return Ok(());
    };
    if Role::parse(found).is_some_and(|found| found.is(role)) {
        return Ok(());
    }
    let expected = format!("`{}`, as `sub` says", role.canonical());
    Err(wrong(&at("principal_id"), found, &expected))
}

fn surroundings(own: Object<'_>, attributes: &mut Attributes) -> Result<(), AttestRefusal> {
    if let Some(region) = text(own, "source_region")? {
        if !arn::is_region(region) {
            return Err(wrong(&at("source_region"), region, "the name of a region"));
        }
        attributes.insert(SOURCE_REGION, region)?;
    }
    if let Some(org) = text(own, "org_id")? {
        attributes.insert(ORG_ID, org)?;
    }
    if let Some(path) = ou_path(own)? {
        attributes.insert(OU_PATH, path)?;
    }
    Ok(())
}

fn sources(account: &Account, own: Object<'_>, attributes: &mut Attributes) -> Result<(), AttestRefusal> {
    if let Some(text) = text(own, "ec2_source_instance_arn")? {
        let found = arn::instance(text);
        account.refuse_source("ec2_source_instance_arn", text, found.map(|(account, _)| account))?;
        attributes.insert(INSTANCE_ARN, text)?;
        if let Some((_, id)) = found {
            attributes.insert(INSTANCE_ID, id)?;
        }
    }
    if let Some(text) = text(own, "lambda_source_function_arn")? {
        account.refuse_source("lambda_source_function_arn", text, arn::function(text))?;
        attributes.insert(FUNCTION_ARN, text)?;
    }
    Ok(())
}

/// The documentation shows a text, tokens that others published a list; an account is in one organizational unit.
fn ou_path(own: Object<'_>) -> Result<Option<&str>, AttestRefusal> {
    let list = own.get("ou_path").and_then(|found| found.as_array());
    match list.map(Vec::as_slice) {
        None => text(own, "ou_path"),
        Some([]) => Ok(None),
        Some([one]) => match one.as_str() {
            Some(path) => Ok(Some(path)),
            None => Err(AttestRefusal::Claim {
                claim: at("ou_path"),
                found: "no text".to_owned(),
                expected: "a text".to_owned(),
            }),
        },
        Some(more) => Err(AttestRefusal::Claim {
            claim: at("ou_path"),
            found: format!("{} paths", more.len()),
            expected: "the one of the account".to_owned(),
        }),
    }
}

/// Reads a member that need not be there; an empty one says nothing.
fn text<'c>(own: Object<'c>, member: &'static str) -> Result<Option<&'c str>, AttestRefusal> {
    let found = own.text(member).map_err(|why| refused_at(&at(member), why))?;
    Ok(found.filter(|found| !found.is_empty()))
}

fn at(member: &str) -> String {
    format!("{OWN}.{member}")
}

/// The claim that holds what only AWS says.
const OWN: &str = "https://sts.amazonaws.com/";

const EXPECTED_ROLE: &str = "`arn:aws:iam::<account>:role/<name>` or `arn:aws:sts::<account>:assumed-role/<name>/<session>`; users are not taken";

/// What STS signs with, as the caller asks (STS API Reference, GetWebIdentityToken).
pub(super) const ALGORITHMS: &[Algorithm] = &[Algorithm::Es384, Algorithm::Rs256];

/// A token lives no longer (STS API Reference, GetWebIdentityToken).
const MAX_LIFE: Duration = Duration::from_hours(1);

const ATTRIBUTES: &[&str] = &[
    ACCOUNT,
    FUNCTION_ARN,
    INSTANCE_ARN,
    INSTANCE_ID,
    ORG_ID,
    OU_PATH,
    PRINCIPAL_ARN,
    ROLE_ARN,
    ROLE_NAME,
    SESSION_NAME,
    SOURCE_REGION,
];

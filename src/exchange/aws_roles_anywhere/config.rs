//! The table of an `aws_roles_anywhere` relying party, and what it is turned into.
//!
//! Whatever AWS would refuse on every call is refused here, at load.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{
    request::Endpoint,
    request::signature::Algorithm,
    rules::{
        Refusal,
        limits::DURATION_SECONDS,
        resource::{Kind, ResourceArn},
    },
};
use crate::{
    attest::Misconfigured,
    authorize::{LifetimeMode, Terms},
    bounded_file::{self, MAX_AUTHORITIES_BYTES},
    exchange::aws::arn::{self, RoleArn},
    mint::X509KeyAlgorithm,
    secret::Digest,
    spiffe::TrustDomain,
};

/// The table as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    trust_anchor_arn: String,
    profile_arn: String,
    role_arn: String,
    subject: Option<String>,
    #[serde(default)]
    key: Key,
    #[serde(default)]
    role_session_name: bool,
    #[serde(default = "default_max_session_seconds")]
    max_session_seconds: u32,
    endpoint: Option<String>,
    ca_file: Option<PathBuf>,
}

/// P-384 is missing: its signatures would have to be over SHA-256, and no key here makes those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Key {
    #[default]
    #[serde(rename = "P-256")]
    P256,
    #[serde(rename = "RSA-2048")]
    Rsa2048,
}

impl Key {
    /// Returns the key that is to be certified.
    pub(super) fn kind(self) -> X509KeyAlgorithm {
        match self {
            Self::P256 => X509KeyAlgorithm::P256,
            Self::Rsa2048 => X509KeyAlgorithm::Rsa2048,
        }
    }

    /// Returns what it signs with.
    pub(super) fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::Ecdsa,
            Self::Rsa2048 => Algorithm::Rsa,
        }
    }
}

/// A profile's own default of `durationSeconds`. Source: clouds.md 2.2 [D RA-guide].
fn default_max_session_seconds() -> u32 {
    3600
}

/// What is asked of AWS at every call.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) trust_anchor_arn: String,
    pub(super) profile_arn: String,
    pub(super) role_arn: String,
    /// The role's parts.
    pub(super) role: RoleArn,
    /// The trust anchor's region.
    pub(super) region: String,
    /// The key that the SVID certifies.
    pub(super) key: Key,
    /// Whether the profile lets us name the session.
    pub(super) role_session_name: bool,
}

impl Settings {
    /// Returns the digest of the upstream request without the SVID, the exchange id and what derives from them.
    pub(super) fn digest(&self, subject: &str, endpoint: Digest) -> Digest {
        Digest::of_parts(&[
            b"aws_roles_anywhere",
            endpoint.as_bytes(),
            self.trust_anchor_arn.as_bytes(),
            self.profile_arn.as_bytes(),
            self.role_arn.as_bytes(),
            subject.as_bytes(),
        ])
    }
}

/// A table that was read.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) settings: Settings,
    pub(super) terms: Terms,
    pub(super) endpoint: Endpoint,
    /// The only authorities that may have issued the endpoint's certificate; the platform's where there are none.
    pub(super) ca_pem: Option<Vec<u8>>,
}

impl Configuration {
    /// Reads a table.
    ///
    /// # Errors
    /// Names the first key that is wrong, what was found and what was expected.
    pub(super) fn read(trust_domain: &TrustDomain, table: toml::Table) -> Result<Self, Misconfigured> {
        let table: Table = table
            .try_into()
            .map_err(|problem: toml::de::Error| invalid("", problem.message()))?;
        let anchor = resource("trust_anchor_arn", &table.trust_anchor_arn, Kind::TrustAnchor)?;
        let profile = resource("profile_arn", &table.profile_arn, Kind::Profile)?;
        let role = arn::role_arn(&table.role_arn).map_err(|why| refused("role_arn", &why.into()))?;
        same_place(&anchor, &profile, &role)?;
        let seconds = i64::from(table.max_session_seconds);
        if !DURATION_SECONDS.contains(&seconds) {
            let problem = format!("found {seconds}, expected 900 to 43200: the shorter of what profile and role have");
            return Err(invalid("max_session_seconds", &problem));
        }
        let endpoint = endpoint(table.endpoint.as_deref(), &anchor)?;
        let ca_pem = table.ca_file.as_ref().map(|path| {
            bounded_file::read(path, MAX_AUTHORITIES_BYTES)
                .map_err(|why| invalid("ca_file", &format!("`{}` cannot be read: {why}", path.display())))
        });
        let terms = Terms {
            // A certificate has no audience: whoever trusts the trust domain takes it.
            audience: trust_domain.id().as_str().to_owned(),
            subject: table.subject,
            minimum: Duration::from_mins(15), // durationSeconds is 900 at least; clouds.md 2.2.
            maximum: Duration::from_secs(u64::from(table.max_session_seconds)),
            lifetime_mode: LifetimeMode::Requested,
            session_policy: false,
            svid_is_credential: false,
        };
        let settings = Settings {
            trust_anchor_arn: table.trust_anchor_arn,
            profile_arn: table.profile_arn,
            role_arn: table.role_arn,
            role,
            region: anchor.region,
            key: table.key,
            role_session_name: table.role_session_name,
        };
        Ok(Self {
            settings,
            terms,
            endpoint,
            ca_pem: ca_pem.transpose()?,
        })
    }
}

/// Trust anchor and profile are of one region and account, and a profile's roles of its account.
fn same_place(anchor: &ResourceArn, profile: &ResourceArn, role: &RoleArn) -> Result<(), Misconfigured> {
    let place = |arn: &ResourceArn| (arn.partition.clone(), arn.region.clone(), arn.account.clone());
    if place(anchor) != place(profile) {
        let problem = format!(
            "found a profile of {} in {}, the trust anchor is of {} in {}; expected both in one place",
            profile.account, profile.region, anchor.account, anchor.region
        );
        return Err(invalid("profile_arn", &problem));
    }
    if (&anchor.partition, &anchor.account) != (&role.partition, &role.account) {
        let problem = format!(
            "found a role of account {}, the profile is of {}; expected both in one account",
            role.account, profile.account
        );
        return Err(invalid("role_arn", &problem));
    }
    Ok(())
}

/// Source of the hosts: clouds.md 2.3 [D]; the suffix of China [D botocore endpoints].
fn endpoint(text: Option<&str>, anchor: &ResourceArn) -> Result<Endpoint, Misconfigured> {
    if let Some(text) = text {
        let expected = "expected `https://host[:port]` without path and trailing slash";
        return Endpoint::new(text, &anchor.region)
            .ok_or_else(|| invalid("endpoint", &format!("found `{text}`, {expected}")));
    }
    let suffix = match anchor.partition.as_str() {
        "aws" | "aws-us-gov" => "amazonaws.com",
        "aws-cn" => "amazonaws.com.cn",
        other => {
            let problem = format!("found none, and the host of partition `{other}` is not known: set `endpoint`");
            return Err(invalid("endpoint", &problem));
        }
    };
    let own = format!("https://rolesanywhere.{}.{suffix}", anchor.region);
    Endpoint::new(&own, &anchor.region).ok_or_else(|| invalid("trust_anchor_arn", &format!("`{own}` is no URL")))
}

fn resource(key: &str, text: &str, kind: Kind) -> Result<ResourceArn, Misconfigured> {
    ResourceArn::parse(text, kind).map_err(|why| refused(key, &why))
}

fn refused(key: &str, why: &Refusal) -> Misconfigured {
    let detail = why
        .detail
        .as_ref()
        .map_or_else(String::new, |detail| format!(" ({detail})"));
    let mark = if why.verified { "" } else { " [unverified]" };
    let problem = format!("AWS would refuse this with {}: {}{detail}{mark}", why.code, why.message);
    invalid(key, &problem)
}

pub(super) fn invalid(key: &str, problem: &str) -> Misconfigured {
    Misconfigured {
        code: "config.value_invalid",
        key: key.to_owned(),
        problem: problem.to_owned(),
    }
}

//! The table of an `aws_sts` relying party, and what it is turned into.
//!
//! Whatever AWS would refuse on every call is refused here, at load.

use std::{path::PathBuf, time::Duration};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde::Deserialize;
use url::Url;

use super::{
    request::Endpoint,
    rules::{limits, provider, session_policy},
    session::{self, Holder},
};
use crate::{
    attest::Misconfigured,
    authorize::{LifetimeMode, Terms},
    bounded_file::{self, MAX_AUTHORITIES_BYTES},
    exchange::aws::{
        Refusal,
        arn::{self, RoleArn},
        role_session,
    },
    jose::SigningAlgorithm,
    secret::Digest,
};

/// The table as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    role_arn: String,
    region: String,
    audience: Option<String>,
    subject: Option<String>,
    endpoint: Option<String>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    algorithm: Algorithm,
    #[serde(default)]
    session_tags: Vec<String>,
    #[serde(default)]
    transitive_tags: Vec<String>,
    session_policy: Option<String>,
    #[serde(default)]
    policy_arns: Vec<String>,
    #[serde(default = "default_max_session_seconds")]
    max_session_seconds: u32,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum Algorithm {
    #[serde(rename = "ES256")]
    Es256,
    #[default]
    #[serde(rename = "RS256")]
    Rs256,
}

/// A role's own default of `MaxSessionDuration`. Source: clouds.md 1.3 `[D]`.
fn default_max_session_seconds() -> u32 {
    3600
}

/// What is asked of AWS at every call.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The role.
    pub(super) role_arn: String,
    /// Its parts.
    pub(super) role: RoleArn,
    /// The signature algorithm of the SVID.
    pub(super) algorithm: SigningAlgorithm,
    /// Attributes that become session tags.
    pub(super) session_tags: Vec<String>,
    /// Those of them that are transitive.
    pub(super) transitive_tags: Vec<String>,
    /// The inline session policy.
    pub(super) session_policy: Option<String>,
    /// The managed session policies.
    pub(super) policy_arns: Vec<String>,
}

impl Settings {
    /// Returns the digest of the upstream request without the SVID, the exchange id and what derives from them.
    pub(super) fn digest(&self, holder: &Holder<'_>, endpoint: Digest) -> Digest {
        let tags: Vec<String> = holder
            .tags(self)
            .into_iter()
            .flat_map(|(key, value)| [key, value])
            .collect();
        let lists = [tags.as_slice(), &self.transitive_tags, &self.policy_arns].map(|list| {
            let parts: Vec<&[u8]> = list.iter().map(String::as_bytes).collect();
            Digest::of_parts(&parts)
        });
        let [tags, transitive, policies] = &lists;
        Digest::of_parts(&[
            b"aws_sts",
            endpoint.as_bytes(),
            self.role_arn.as_bytes(),
            self.session_policy.as_deref().unwrap_or_default().as_bytes(),
            holder.source_identity().as_bytes(),
            tags.as_bytes(),
            transitive.as_bytes(),
            policies.as_bytes(),
        ])
    }
}

/// Reads a table; the audience defaults to `<issuer>/aws/<account>`.
pub(super) fn read(issuer: &str, table: toml::Table) -> Result<(Settings, Terms, Endpoint), Misconfigured> {
    let table: Table = table
        .try_into()
        .map_err(|problem: toml::de::Error| invalid("", problem.message()))?;
    let role = arn::role_arn(&table.role_arn).map_err(|why| refused("role_arn", &why))?;
    let audience = table
        .audience
        .clone()
        .unwrap_or_else(|| format!("{issuer}/aws/{}", role.account));
    provider::client_ids(std::slice::from_ref(&audience)).map_err(|why| refused("audience", &why))?;
    provider::url(issuer).map_err(|why| refused("", &why))?;
    check_policies(&table)?;
    check_tags(&table)?;
    let seconds = i64::from(table.max_session_seconds);
    if !role_session::MAX_SESSION_DURATION.contains(&seconds) {
        return Err(invalid(
            "max_session_seconds",
            &format!("found {seconds}, AWS roles have 3600 to 43200"),
        ));
    }
    let endpoint = endpoint(&table)?;
    let terms = Terms {
        audience,
        subject: table.subject,
        minimum: Duration::from_mins(15), // DurationSeconds is 900 at least; clouds.md 1.3.
        maximum: Duration::from_secs(u64::from(table.max_session_seconds)),
        lifetime_mode: LifetimeMode::Requested,
        session_policy: table.session_policy.is_some() || !table.policy_arns.is_empty(),
        svid_is_credential: false,
    };
    let settings = Settings {
        role_arn: table.role_arn,
        role,
        algorithm: match table.algorithm {
            Algorithm::Es256 => SigningAlgorithm::Es256,
            Algorithm::Rs256 => SigningAlgorithm::Rs256,
        },
        session_tags: table.session_tags,
        transitive_tags: table.transitive_tags,
        session_policy: table.session_policy,
        policy_arns: table.policy_arns,
    };
    Ok((settings, terms, endpoint))
}

fn check_policies(table: &Table) -> Result<(), Misconfigured> {
    // The rest of a request is fixed here only so that the policies are judged by the same rule as at the call.
    let request = limits::Request {
        role_arn: Some(&table.role_arn),
        role_session_name: Some("load"),
        web_identity_token: Some("load"),
        policy_arns: &table.policy_arns,
        policy: table.session_policy.as_deref(),
        ..limits::Request::default()
    };
    limits::request(&request).map_err(|why| refused("session_policy", &why))?;
    table
        .session_policy
        .as_deref()
        .map_or(Ok(()), session_policy::check)
        .map_err(|why| refused("session_policy", &why))
}

fn check_tags(table: &Table) -> Result<(), Misconfigured> {
    let mut tags: Vec<(String, String)> = table
        .session_tags
        .iter()
        .map(|tag| (tag.clone(), String::new()))
        .collect();
    tags.push((session::EXCHANGE_TAG.to_owned(), String::new()));
    role_session::tags(&tags, &table.transitive_tags).map_err(|why| {
        let is_transitive = role_session::tags(&tags, &[]).is_ok();
        refused(
            if is_transitive {
                "transitive_tags"
            } else {
                "session_tags"
            },
            &why,
        )
    })
}

fn endpoint(table: &Table) -> Result<Endpoint, Misconfigured> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if table.region.is_empty() || table.region.len() > 32 || !table.region.bytes().all(allowed) {
        return Err(invalid(
            "region",
            &format!("found `{}`, expected a region such as `eu-central-1`", table.region),
        ));
    }
    if let Some(text) = &table.endpoint {
        let is_bare = |url: &Url| url.scheme() == "https" && url.username().is_empty() && url.query().is_none();
        if !Url::parse(text).is_ok_and(|url| is_bare(&url)) {
            return Err(invalid("endpoint", &format!("found `{text}`, expected an https URL")));
        }
    }
    let ca_pem = table.ca_file.as_ref().map(|path| {
        bounded_file::read(path, MAX_AUTHORITIES_BYTES)
            .map_err(|why| invalid("ca_file", &format!("`{}` cannot be read: {why}", path.display())))
    });
    let ca_pem = ca_pem.transpose()?;
    if let Some(pem) = &ca_pem {
        check_certificates(pem)?;
    }
    Ok(Endpoint {
        region: table.region.clone(),
        url: table.endpoint.clone(),
        ca_pem,
    })
}

/// Checks what the HTTP client would take without asking and fail on later.
fn check_certificates(pem: &[u8]) -> Result<(), Misconfigured> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|why| invalid("ca_file", &format!("not PEM: {why:?}")))?;
        roots
            .add(certificate)
            .map_err(|why| invalid("ca_file", &format!("not a certificate: {why}")))?;
    }
    if roots.is_empty() {
        return Err(invalid("ca_file", "found no certificate, expected at least one in PEM"));
    }
    Ok(())
}

fn refused(key: &str, why: &Refusal) -> Misconfigured {
    let detail = why
        .detail
        .as_ref()
        .map_or_else(String::new, |detail| format!(" ({detail})"));
    let mark = if why.verified { "" } else { " [unverified]" };
    invalid(
        key,
        &format!("AWS would refuse this with {}: {}{detail}{mark}", why.code, why.message),
    )
}

fn invalid(key: &str, problem: &str) -> Misconfigured {
    Misconfigured {
        code: "config.value_invalid",
        key: key.to_owned(),
        problem: problem.to_owned(),
    }
}

//! The configuration table of the kind `gcp_sts`, read once and strictly.
//!
//! Never corrects a value: Google compares exactly, so a silent change here would fail there.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use url::Url;

use crate::{
    attest::Misconfigured,
    bounded_file::{self, MAX_AUTHORITIES_BYTES},
    exchange::{
        RelyingPartyContext,
        gcp_sts::{
            request::Google,
            rules::{
                limits::{self, ACCESS_TOKEN_SECONDS, EXTENDED_ACCESS_TOKEN_SECONDS},
                provider::ProviderName,
            },
        },
    },
    jose::SigningAlgorithm,
    spiffe::SpiffeId,
};

/// A table that was read.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) provider: ProviderName,
    pub(super) scopes: Vec<String>,
    pub(super) subject: Option<String>,
    pub(super) form: Form,
    pub(super) impersonated: Option<Impersonated>,
    pub(super) google: Google,
}

/// The service account whose token is asked for.
#[derive(Clone, Debug)]
pub(super) struct Impersonated {
    pub(super) service_account: String,
    pub(super) delegates: Vec<String>,
    pub(super) maximum: Duration,
}

/// The table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    provider: String,
    service_account: Option<String>,
    #[serde(default)]
    delegates: Vec<String>,
    lifetime: Option<String>,
    #[serde(default = "default_scopes")]
    scopes: Vec<String>,
    subject: Option<String>,
    algorithm: Option<Algorithm>,
    #[serde(default)]
    x509: bool,
    sts_endpoint: Option<String>,
    #[serde(default = "default_iamcredentials")]
    iamcredentials_endpoint: String,
    ca_file: Option<PathBuf>,
}

/// Which SVID is exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A JWT-SVID, signed so.
    Jwt(SigningAlgorithm),
    /// An X.509-SVID, by mutual TLS.
    X509,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Algorithm {
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "RS256")]
    Rs256,
}

impl Configuration {
    /// Reads a table.
    ///
    /// # Errors
    /// Names the first key that is wrong, what was found and what was expected.
    pub(super) fn read(context: &RelyingPartyContext, table: toml::Table) -> Result<Self, Misconfigured> {
        let table: Table = table
            .try_into()
            .map_err(|why: toml::de::Error| misconfigured("", why.message().to_owned()))?;
        let provider = provider(&table.provider)?;
        scopes(&table.scopes)?;
        let impersonated = impersonated(table.service_account, table.delegates, table.lifetime.as_deref())?;
        let subject = subject(context, table.subject)?;
        let form = form(table.algorithm, table.x509)?;
        let sts = table.sts_endpoint.unwrap_or_else(|| default_sts(form));
        let google = Google::new(
            certificates(table.ca_file.as_deref())?,
            endpoint("sts_endpoint", sts)?,
            endpoint("iamcredentials_endpoint", table.iamcredentials_endpoint)?,
        )
        .map_err(|why| misconfigured("ca_file", format!("the TLS client cannot be made: {why}")))?;
        Ok(Self {
            provider,
            scopes: table.scopes,
            subject,
            form,
            impersonated,
            google,
        })
    }
}

fn form(algorithm: Option<Algorithm>, x509: bool) -> Result<Form, Misconfigured> {
    match (algorithm, x509) {
        (None | Some(Algorithm::Rs256), false) => Ok(Form::Jwt(SigningAlgorithm::Rs256)),
        (Some(Algorithm::Es256), false) => Ok(Form::Jwt(SigningAlgorithm::Es256)),
        (None, true) => Ok(Form::X509),
        (Some(_), true) => {
            let problem = "found beside `x509`, expected only without it: it is the algorithm of JWT-SVIDs";
            Err(misconfigured("algorithm", problem.to_owned()))
        }
    }
}

fn provider(found: &str) -> Result<ProviderName, Misconfigured> {
    let parsed = ProviderName::parse(found).map_err(|why| {
        let expected =
            "//iam.googleapis.com/projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<id>";
        misconfigured("provider", format!("found `{}`, expected `{expected}`", why.found))
    })?;
    ProviderName::new(parsed.project(), parsed.pool(), parsed.provider())
        .map_err(|why| misconfigured("provider", why.to_string()))
}

fn scopes(found: &[String]) -> Result<(), Misconfigured> {
    let legal = |scope: &String| !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic());
    if found.is_empty() || !found.iter().all(legal) {
        let problem = format!("found {found:?}, expected at least one scope without white space");
        return Err(misconfigured("scopes", problem));
    }
    Ok(())
}

fn impersonated(
    service_account: Option<String>,
    delegates: Vec<String>,
    lifetime: Option<&str>,
) -> Result<Option<Impersonated>, Misconfigured> {
    let Some(service_account) = service_account else {
        let key = match (delegates.is_empty(), lifetime) {
            (true, None) => return Ok(None),
            (false, _) => "delegates",
            (true, Some(_)) => "lifetime",
        };
        let problem = "found without `service_account`, expected only with it: it speaks of the impersonation";
        return Err(misconfigured(key, problem.to_owned()));
    };
    account("service_account", &service_account)?;
    delegates
        .iter()
        .try_for_each(|delegate| account("delegates", delegate))?;
    let maximum = match lifetime {
        None => Duration::from_secs(ACCESS_TOKEN_SECONDS),
        Some(text) => span(text).ok_or_else(|| {
            let problem = format!("found `{text}`, expected 1s to 12h, for example `1h`");
            misconfigured("lifetime", problem)
        })?,
    };
    Ok(Some(Impersonated {
        service_account,
        delegates,
        maximum,
    }))
}

/// An account's email or unique id; nothing that would change the path it is put into.
fn account(key: &str, found: &str) -> Result<(), Misconfigured> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    let is_email = found.split_once('@').is_some_and(|(name, domain)| {
        !name.is_empty()
            && name.bytes().all(allowed)
            && domain.bytes().all(allowed)
            && domain.ends_with(".gserviceaccount.com")
    });
    let is_unique_id = !found.is_empty() && found.bytes().all(|byte| byte.is_ascii_digit());
    if is_email || is_unique_id {
        return Ok(());
    }
    let problem = format!("found `{found}`, expected an address under `.gserviceaccount.com` or a numeric unique id");
    Err(misconfigured(key, problem))
}

/// Reads `3600s`, `60m` or `1h` of 1 s to 12 h.
fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(factor)?;
    (1..=EXTENDED_ACCESS_TOKEN_SECONDS)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
}

/// Refuses at load what would exceed 127 bytes for every workload; the others are refused before they are minted.
fn subject(context: &RelyingPartyContext, found: Option<String>) -> Result<Option<String>, Misconfigured> {
    let whole = match &found {
        // A path has at least one segment of one character.
        None => format!("{}/x", context.trust_domain.id().as_str()),
        Some(path) => {
            let refuse = |expected: &str| misconfigured("subject", format!("found `{path}`, expected {expected}"));
            if path.strip_prefix("/rp/").is_none_or(str::is_empty) {
                return Err(refuse("a path under `/rp/`"));
            }
            // Placeholders are filled per workload, with at least one character each.
            let shortest = shortest(path);
            if !path.contains('{') {
                SpiffeId::generate(&context.trust_domain, path)
                    .map_err(|why| refuse(&format!("the path of a SPIFFE ID: {why}")))?;
            }
            format!("{}{shortest}", context.trust_domain.id().as_str())
        }
    };
    limits::judge_subject(&whole).map_err(|why| misconfigured("subject", why.to_string()))?;
    Ok(found)
}

/// Replaces each `{placeholder}` by one character.
fn shortest(path: &str) -> String {
    let mut shortest = String::with_capacity(path.len());
    let mut inside = false;
    for character in path.chars() {
        match character {
            '{' => inside = true,
            '}' if inside => {
                inside = false;
                shortest.push('x');
            }
            _ if inside => {}
            other => shortest.push(other),
        }
    }
    shortest
}

fn endpoint(key: &str, found: String) -> Result<String, Misconfigured> {
    let is_origin = Url::parse(&found).is_ok_and(|url| {
        url.scheme() == "https" && url.origin().ascii_serialization() == found && url.username().is_empty()
    });
    if is_origin {
        return Ok(found);
    }
    let problem = format!("found `{found}`, expected `https://host[:port]` without path and trailing slash");
    Err(misconfigured(key, problem))
}

fn certificates(file: Option<&Path>) -> Result<Option<Vec<reqwest::Certificate>>, Misconfigured> {
    let Some(file) = file else { return Ok(None) };
    let refuse = |why: String| misconfigured("ca_file", format!("cannot read `{}`: {why}", file.display()));
    let pem = bounded_file::read(file, MAX_AUTHORITIES_BYTES).map_err(|why| refuse(why.to_string()))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|why| refuse(why.to_string()))?;
    if certificates.is_empty() {
        return Err(refuse("found no certificate, expected PEM".to_owned()));
    }
    Ok(Some(certificates))
}

fn misconfigured(key: &str, problem: String) -> Misconfigured {
    Misconfigured {
        code: "config.gcp_sts_invalid",
        key: key.to_owned(),
        problem,
    }
}

fn default_scopes() -> Vec<String> {
    vec![super::CALLER_SCOPE.to_owned()]
}

/// Google answers certificates at a host of its own (documented).
fn default_sts(form: Form) -> String {
    match form {
        Form::Jwt(_) => "https://sts.googleapis.com",
        Form::X509 => "https://sts.mtls.googleapis.com",
    }
    .to_owned()
}

fn default_iamcredentials() -> String {
    "https://iamcredentials.googleapis.com".to_owned()
}

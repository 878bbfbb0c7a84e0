//! The configuration table of the kind `azure_entra`, read once and strictly.
//!
//! Never corrects a value: Entra compares exactly, so a silent change here would fail there.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use crate::{
    attest::Misconfigured,
    bounded_file::{self, MAX_AUTHORITIES_BYTES},
    exchange::{
        RelyingPartyContext,
        azure_entra::{request::Application, rules::limits, transport},
    },
    spiffe::SpiffeId,
};

/// A table that was read.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) application: Application,
    pub(super) audience: String,
    pub(super) subject: Option<String>,
}

/// The table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    tenant: String,
    client_id: String,
    #[serde(default = "default_scope")]
    scope: String,
    audience: Option<String>,
    subject: Option<String>,
    #[serde(default = "default_authority")]
    authority: String,
    ca_file: Option<PathBuf>,
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
        tenant(&table.tenant)?;
        client_id(&table.client_id)?;
        scope(&table.scope)?;
        authority(&table.authority)?;
        let audience = table
            .audience
            .unwrap_or_else(|| format!("{}/azure/{}", context.issuer, table.client_id));
        if audience.is_empty() || audience.trim() != audience {
            let problem = format!("found `{audience}`, expected an audience without white space around it");
            return Err(misconfigured("audience", problem));
        }
        let subject = subject(context, table.subject)?;
        let whole = subject
            .as_ref()
            .map(|path| format!("{}{path}", context.trust_domain.id().as_str()));
        limits::identity(&context.issuer, whole.as_deref().unwrap_or_default(), &audience)
            .map_err(|why| misconfigured(why.property, why.to_string()))?;
        let client = transport::client(certificates(table.ca_file.as_deref())?)
            .map_err(|why| misconfigured("ca_file", format!("the TLS client cannot be made: {why}")))?;
        Ok(Self {
            application: Application::new(client, table.authority, table.tenant, table.client_id, table.scope),
            audience,
            subject,
        })
    }
}

/// A tenant is a GUID or a domain name; never one of the pseudo tenants, which name no directory (T-48).
fn tenant(found: &str) -> Result<(), Misconfigured> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    let is_domain = found.contains('.') && found.bytes().all(allowed) && !found.starts_with('.');
    if PSEUDO_TENANTS.contains(&found) || !(is_guid(found) || is_domain) {
        let problem = format!("found `{found}`, expected the GUID or a domain of one tenant, in lower case");
        return Err(misconfigured("tenant", problem));
    }
    Ok(())
}

fn client_id(found: &str) -> Result<(), Misconfigured> {
    if is_guid(found) {
        return Ok(());
    }
    let problem = format!("found `{found}`, expected the application's client id: a GUID in lower case");
    Err(misconfigured("client_id", problem))
}

/// Entra takes one resource's `.default` for client credentials.
fn scope(found: &str) -> Result<(), Misconfigured> {
    let resource = found.strip_suffix("/.default").unwrap_or_default();
    if resource.is_empty() || resource.contains(char::is_whitespace) {
        let problem = format!("found `{found}`, expected one resource followed by `/.default`");
        return Err(misconfigured("scope", problem));
    }
    Ok(())
}

/// azure_identity replaces the path, so that anything but an origin would be silently wrong.
fn authority(found: &str) -> Result<(), Misconfigured> {
    let is_origin = Url::parse(found).is_ok_and(|url| {
        url.scheme() == "https" && url.origin().ascii_serialization() == found && url.username().is_empty()
    });
    if is_origin {
        return Ok(());
    }
    let problem = format!("found `{found}`, expected `https://host[:port]` without path and trailing slash");
    Err(misconfigured("authority", problem))
}

fn subject(context: &RelyingPartyContext, found: Option<String>) -> Result<Option<String>, Misconfigured> {
    let Some(path) = found else { return Ok(None) };
    let refuse = |expected: &str| misconfigured("subject", format!("found `{path}`, expected {expected}"));
    if path.strip_prefix("/rp/").is_none_or(str::is_empty) {
        return Err(refuse("a path under `/rp/`"));
    }
    // Placeholders are filled per workload; what they will hold is judged then.
    if !path.contains('{') {
        SpiffeId::generate(&context.trust_domain, &path)
            .map_err(|why| refuse(&format!("a SPIFFE ID's path: {why}")))?;
    }
    Ok(Some(path))
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

/// `8-4-4-4-12` lower-case hex digits.
fn is_guid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12]
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

fn misconfigured(key: &str, problem: String) -> Misconfigured {
    Misconfigured {
        code: "config.azure_entra_invalid",
        key: key.to_owned(),
        problem,
    }
}

fn default_scope() -> String {
    "https://management.azure.com/.default".to_owned()
}

fn default_authority() -> String {
    "https://login.microsoftonline.com".to_owned()
}

const PSEUDO_TENANTS: [&str; 4] = ["common", "organizations", "consumers", "adfs"];

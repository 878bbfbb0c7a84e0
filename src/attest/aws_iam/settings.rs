//! The attestor's table of the configuration: the accounts whose roles are believed, each with its own issuer.
//!
//! It must never let an issuer stand for an account that the table does not name beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;

use super::{
    arn,
    presigned::{Elsewhere, Presigned, Sts, StsRefused},
    tags,
    web_identity::{ALGORITHMS, Account, WebIdentity},
};
use crate::attest::{
    AttestorContext, Misconfigured,
    issuer_keys::key_source::{Asked, Reach},
    span::Span,
    standing::{Resume, Standing},
    table::{self, misconfigured},
};

/// The table, without `name` and `kind`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    accounts: Vec<AccountTable>,
    audience: Option<String>,
    max_age: Option<Span>,
    session_max: Option<Span>,
    #[serde(default)]
    principal_tags: BTreeMap<String, String>,
    presigned: Option<PresignedTable>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    allow_addresses: Vec<String>,
}

/// One of `accounts`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountTable {
    account: String,
    issuer: Option<String>,
    name: Option<String>,
}

/// The table `presigned`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PresignedTable {
    regions: Vec<String>,
    endpoint: Option<String>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    allow_addresses: Vec<String>,
}

/// A table that was checked: the ways to prove a role.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) web_identity: WebIdentity,
    pub(super) presigned: Option<Presigned>,
}

impl Settings {
    /// Reads the table.
    pub(super) fn parse(table: toml::Table) -> Result<Self, Misconfigured> {
        table::read(table)
    }

    /// Checks the table.
    pub(super) fn check(self, context: &AttestorContext) -> Result<Checked, Misconfigured> {
        let accounts = self.accounts(context)?;
        let tags = tags::read(&self.principal_tags)?;
        let session_max = bounded("session_max", self.session_max, MAX_SESSION)?.unwrap_or(DEFAULT_SESSION);
        let presigned = self.presigned(context, session_max)?;
        let standing = Standing {
            max_age: Some(bounded("max_age", self.max_age, MAX_AGE)?.unwrap_or(DEFAULT_AGE)),
            session_max,
            resume: Resume::ByBoundKey,
        };
        let audience = self.audience.unwrap_or_else(|| context.issuer.clone());
        Ok(Checked {
            web_identity: WebIdentity::new(accounts, audience, standing, tags),
            presigned,
        })
    }

    fn presigned(&self, context: &AttestorContext, session_max: Duration) -> Result<Option<Presigned>, Misconfigured> {
        let Some(table) = &self.presigned else {
            return Ok(None);
        };
        if table.regions.is_empty() {
            let problem = "found no region, expected those whose STS may be asked".to_owned();
            return Err(misconfigured("config.regions_required", "presigned.regions", problem));
        }
        let reach = Reach {
            table: "presigned.",
            ca_file: table.ca_file.as_deref(),
            allow_addresses: &table.allow_addresses,
        };
        let authorities = reach.authorities()?;
        let addresses = reach.addresses()?;
        let elsewhere = table.endpoint.as_deref().map(|url| Elsewhere {
            url,
            authorities_pem: authorities.as_deref(),
            allow_addresses: &addresses,
        });
        let sts = Sts::new(&context.fetch, &table.regions, elsewhere).map_err(|refused| {
            let key = match refused {
                StsRefused::Origin(_) => "presigned.endpoint",
                StsRefused::Region { .. } => "presigned.regions",
            };
            misconfigured("config.sts_unknown", key, refused.to_string())
        })?;
        Ok(Some(Presigned {
            sts,
            challenges: context.challenges.clone(),
            accounts: self.accounts.iter().map(|table| table.account.clone()).collect(),
            session_max,
        }))
    }

    fn accounts(&self, context: &AttestorContext) -> Result<Vec<Account>, Misconfigured> {
        if self.accounts.is_empty() {
            let problem = "found no account, expected those whose roles are believed".to_owned();
            return Err(misconfigured("config.accounts_required", "accounts", problem));
        }
        let (mut numbers, mut issuers) = (BTreeSet::new(), BTreeSet::new());
        let mut accounts = Vec::new();
        for (at, table) in self.accounts.iter().enumerate() {
            let at = |key: &str| format!("accounts[{at}].{key}");
            table.check(&at)?;
            for (key, new) in [
                ("account", numbers.insert(&table.account)),
                (
                    "issuer",
                    table.issuer.as_ref().is_none_or(|issuer| issuers.insert(issuer)),
                ),
            ] {
                if !new {
                    let problem = format!("found the {key} of another of `accounts`, expected each once");
                    return Err(misconfigured("config.account_twice", &at(key), problem));
                }
            }
            match &table.issuer {
                Some(issuer) => accounts.push(self.account(table, issuer, context)?),
                None if self.presigned.is_some() => {}
                None => {
                    let problem = "found none, expected the account's issuer, or the table `presigned`".to_owned();
                    return Err(misconfigured("config.account_issuer", &at("issuer"), problem));
                }
            }
        }
        Ok(accounts)
    }

    fn account(&self, table: &AccountTable, issuer: &str, context: &AttestorContext) -> Result<Account, Misconfigured> {
        let source = Asked {
            issuer,
            discovery_url: None,
            jwks_uri: None,
            jwks_file: None,
            reach: Reach {
                table: "",
                ca_file: self.ca_file.as_deref(),
                allow_addresses: &self.allow_addresses,
            },
        };
        Ok(Account {
            number: table.account.clone(),
            issuer: issuer.to_owned(),
            name: table.name.clone(),
            keys: source.keys(&context.fetch, ALGORITHMS)?,
        })
    }
}

impl AccountTable {
    fn check(&self, at: &dyn Fn(&str) -> String) -> Result<(), Misconfigured> {
        if !arn::is_account(&self.account) {
            let problem = format!("found `{}`, expected the 12 digits of an account", self.account);
            return Err(misconfigured("config.account_id", &at("account"), problem));
        }
        let Some(found) = &self.issuer else {
            return Ok(());
        };
        if found.contains(['?', '#']) {
            let problem = format!("found `{found}`, expected an https URL without query and fragment");
            return Err(misconfigured("config.issuer_invalid", &at("issuer"), problem));
        }
        if !has_form(found) {
            let problem = format!(
                "found `{found}`, expected `https://<id>.{HOST}`, as `aws iam get-outbound-web-identity-federation-info` \
                 prints it"
            );
            return Err(misconfigured("config.issuer_form", &at("issuer"), problem));
        }
        Ok(())
    }
}

/// Tells whether an issuer that is AWS's names one account; every other is somebody's own.
fn has_form(issuer: &str) -> bool {
    let host = issuer.strip_prefix("https://").unwrap_or(issuer);
    if !host.contains(HOST) && !host.ends_with("sts.amazonaws.com") {
        return true;
    }
    let id = host
        .strip_suffix(HOST)
        .and_then(|id| id.strip_suffix('.'))
        .unwrap_or_default();
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !id.is_empty() && id.bytes().all(inner)
}

fn bounded(key: &str, span: Option<Span>, max: Duration) -> Result<Option<Duration>, Misconfigured> {
    match span {
        None => Ok(None),
        Some(Span(span)) if !span.is_zero() && span <= max => Ok(Some(span)),
        Some(Span(span)) => {
            let problem = format!("found {} s, expected 1 to {} s", span.as_secs(), max.as_secs());
            Err(misconfigured("config.duration_range", key, problem))
        }
    }
}

/// Behind the id of an account (IAM User Guide, "Understanding token claims").
const HOST: &str = "tokens.sts.global.api.aws";

/// LIMITS.md, evidence age: a fresh token is free here.
const DEFAULT_AGE: Duration = Duration::from_mins(10);
/// A token lives no longer (STS API Reference, GetWebIdentityToken).
const MAX_AGE: Duration = Duration::from_hours(1);

// LIMITS.md, attestation standing.
const DEFAULT_SESSION: Duration = Duration::from_hours(1);
const MAX_SESSION: Duration = Duration::from_hours(12);

//! The attestor's table of the configuration: the tenants whose machines are believed.
//!
//! It must never let a table load that would take everybody's tokens, or tokens with which somebody could call Azure.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::{
    attested::{AttestedDocuments, AttestedMachines, Cloud, certificates},
    claims::Rules,
    managed_identity::{ALGORITHMS, ManagedIdentity, Tenant},
    resource::is_guid,
};
use crate::{
    attest::{
        AttestorContext, Misconfigured,
        issuer_keys::key_source::{Asked, Reach},
        pkcs7::Certificate,
        span::Span,
        table::{self, misconfigured},
    },
    bounded_file,
};

/// The table, without `name` and `kind`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    tenants: Vec<String>,
    audience: String,
    authority: Option<String>,
    v1_issuer: Option<String>,
    attested: Option<AttestedTable>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    allow_addresses: Vec<String>,
}

/// The table `attested`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttestedTable {
    subscriptions: Vec<String>,
    roots_file: PathBuf,
    intermediates_file: PathBuf,
    #[serde(default)]
    cloud: CloudName,
    session_max: Option<Span>,
}

/// Which of Azure's clouds signs.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CloudName {
    China,
    Government,
    #[default]
    Public,
}

/// A table that was checked: the ways to prove a machine.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) managed_identity: ManagedIdentity,
    pub(super) attested: Option<AttestedMachines>,
}

impl Settings {
    /// Reads the table.
    pub(super) fn parse(table: toml::Table) -> Result<Self, Misconfigured> {
        table::read(table)
    }

    /// Checks the table.
    pub(super) fn check(self, context: &AttestorContext) -> Result<Checked, Misconfigured> {
        self.refuse_audience()?;
        let authority = url("authority", self.authority.as_deref().unwrap_or(AUTHORITY))?;
        let v1_issuer = url("v1_issuer", self.v1_issuer.as_deref().unwrap_or(V1_ISSUER))?;
        if self.tenants.is_empty() {
            let problem = "found no tenant, expected those whose machines are believed".to_owned();
            return Err(misconfigured("config.tenants_required", "tenants", problem));
        }
        let distinct: BTreeSet<&String> = self.tenants.iter().collect();
        let tenants = distinct.into_iter().map(|id| {
            refuse_tenant(id)?;
            self.tenant(id, (authority, v1_issuer), context)
        });
        let tenants = tenants.collect::<Result<Vec<_>, _>>()?;
        let rules = Rules {
            audience: self.audience.clone(),
        };
        let attested = match &self.attested {
            None => None,
            Some(table) => Some(table.check(context)?),
        };
        Ok(Checked {
            managed_identity: ManagedIdentity::new(tenants, rules),
            attested,
        })
    }

    /// Whoever is sent a token for a service of Azure could call that service with it (WIMSE-WIP-1).
    fn refuse_audience(&self) -> Result<(), Misconfigured> {
        let plain = self.audience.to_ascii_lowercase();
        let plain = plain.trim_end_matches('/');
        if !plain.is_empty() && !SERVICES.contains(&plain) {
            return Ok(());
        }
        let problem = format!(
            "found `{}`, expected the id or URI of an app registration of the gateway's own",
            self.audience
        );
        Err(misconfigured("config.audience_of_azure", "audience", problem))
    }

    fn tenant(
        &self,
        id: &str,
        (authority, v1_issuer): (&str, &str),
        context: &AttestorContext,
    ) -> Result<Tenant, Misconfigured> {
        let v2_issuer = format!("{authority}/{id}/v2.0");
        let keys = format!("{authority}/{id}/discovery/v2.0/keys");
        let source = Asked {
            issuer: &v2_issuer,
            discovery_url: None,
            jwks_uri: Some(&keys),
            jwks_file: None,
            reach: Reach {
                table: "",
                ca_file: self.ca_file.as_deref(),
                allow_addresses: &self.allow_addresses,
            },
        };
        Ok(Tenant {
            id: id.to_owned(),
            v1_issuer: format!("{v1_issuer}/{id}/"),
            keys: source.keys(&context.fetch, ALGORITHMS)?,
            v2_issuer,
        })
    }
}

impl AttestedTable {
    fn check(&self, context: &AttestorContext) -> Result<AttestedMachines, Misconfigured> {
        let at = "attested.subscriptions";
        if self.subscriptions.is_empty() {
            let problem = "found no subscription: Azure signs the documents of all of its customers".to_owned();
            return Err(misconfigured("config.subscriptions_required", at, problem));
        }
        if let Some(other) = self.subscriptions.iter().find(|id| !is_guid(id)) {
            let problem = format!("found `{other}`, expected a subscription's GUID in lower case");
            return Err(misconfigured("config.subscription_id", at, problem));
        }
        let session_max = match self.session_max {
            None => DEFAULT_SESSION,
            Some(Span(span)) if !span.is_zero() && span <= MAX_SESSION => span,
            Some(Span(span)) => {
                let problem = format!("found {} s, expected 1 to {} s", span.as_secs(), MAX_SESSION.as_secs());
                return Err(misconfigured("config.duration_range", "attested.session_max", problem));
            }
        };
        let cloud = match self.cloud {
            CloudName::China => Cloud::China,
            CloudName::Government => Cloud::Government,
            CloudName::Public => Cloud::Public,
        };
        let roots = authorities("attested.roots_file", &self.roots_file)?;
        let intermediates = authorities("attested.intermediates_file", &self.intermediates_file)?;
        Ok(AttestedMachines {
            documents: AttestedDocuments::new(cloud, roots, intermediates),
            challenges: context.challenges.clone(),
            subscriptions: self.subscriptions.iter().cloned().collect(),
            session_max,
        })
    }
}

/// Reads certificates of authorities; a file without any would refuse every document.
fn authorities(key: &str, file: &Path) -> Result<Vec<Certificate>, Misconfigured> {
    let refused = |why: String| {
        let problem = format!(
            "`{}` {why}, expected 1 to {MAX_AUTHORITIES} certificates as PEM",
            file.display()
        );
        misconfigured("config.attested_authorities", key, problem)
    };
    let pem = bounded_file::read(file, MAX_FILE_BYTES);
    let pem = pem.map_err(|error| refused(format!("cannot be read: {error}")))?;
    let found = certificates(&pem).map_err(|error| refused(format!("is refused: {error}")))?;
    match found.len() {
        1..=MAX_AUTHORITIES => Ok(found),
        count => Err(refused(format!("holds {count}"))),
    }
}

/// A token's issuer is one tenant; what stands for many, or for people's own accounts, is refused (T-48).
fn refuse_tenant(id: &str) -> Result<(), Misconfigured> {
    if PSEUDO_TENANTS.contains(&id.to_ascii_lowercase().as_str()) {
        let problem = format!("found `{id}`, which stands for many tenants, expected the GUID of one");
        return Err(misconfigured("config.issuer_pseudo_tenant", "tenants", problem));
    }
    if !is_guid(id) {
        let problem = format!(
            "found `{id}`, expected a tenant's GUID in lower case, as `az account show --query tenantId` prints it"
        );
        return Err(misconfigured("config.tenant_id", "tenants", problem));
    }
    Ok(())
}

/// Returns an address without its last slash.
fn url<'a>(key: &str, found: &'a str) -> Result<&'a str, Misconfigured> {
    let plain = found.strip_suffix('/').unwrap_or(found);
    let host = plain.strip_prefix("https://").unwrap_or_default();
    if !host.is_empty() && !host.contains(['/', '?', '#', '@', '{']) {
        return Ok(plain);
    }
    let problem = format!("found `{found}`, expected `https://<host>`, without a tenant");
    Err(misconfigured("config.issuer_invalid", key, problem))
}

// LIMITS.md, attestation standing.
const DEFAULT_SESSION: Duration = Duration::from_hours(1);
const MAX_SESSION: Duration = Duration::from_hours(12);

/// Azure's chains for this have a few intermediates at a time; the rest is room.
const MAX_AUTHORITIES: usize = 32;
/// As much as a fetched document may have (LIMITS.md, outbound fetch).
const MAX_FILE_BYTES: u64 = 100 * 1024;

const AUTHORITY: &str = "https://login.microsoftonline.com";
const V1_ISSUER: &str = "https://sts.windows.net";

/// What Entra's own documents put in a tenant's place, and the tenant of Microsoft's private customers.
const PSEUDO_TENANTS: &[&str] = &[
    "common",
    "organizations",
    "consumers",
    "{tenantid}",
    "9188040d-6c67-4c5b-b112-36a304b66dad",
];

/// Services of Azure by URI and by id `[M]`; the list is a fence against mistakes, not complete.
const SERVICES: &[&str] = &[
    "https://management.azure.com",
    "https://management.core.windows.net",
    "797f4846-ba00-4fd7-ba43-dac1f8f63013",
    "https://graph.microsoft.com",
    "https://graph.windows.net",
    "00000003-0000-0000-c000-000000000000",
    "https://vault.azure.net",
    "https://storage.azure.com",
    "https://database.windows.net",
    "https://ossrdbms-aad.database.windows.net",
    "api://azureadtokenexchange",
    "fb60f99c-7a34-4190-8149-302f77469936",
];

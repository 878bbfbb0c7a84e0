//! The attestor's table of the configuration: the tenants whose machines are believed.
//!
//! It must never let a table load that would take everybody's tokens, or tokens with which somebody could call Azure.

use std::{collections::BTreeSet, path::PathBuf};

use serde::Deserialize;

use super::{
    claims::Rules,
    managed_identity::{ALGORITHMS, ManagedIdentity, Tenant},
    resource::is_guid,
};
use crate::attest::{
    AttestorContext, Misconfigured,
    issuer_keys::key_source::{Asked, Reach},
    table::{self, misconfigured},
};

/// The table, without `name` and `kind`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    tenants: Vec<String>,
    audience: String,
    authority: Option<String>,
    v1_issuer: Option<String>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    allow_addresses: Vec<String>,
}

impl Settings {
    /// Reads the table.
    pub(super) fn parse(table: toml::Table) -> Result<Self, Misconfigured> {
        table::read(table)
    }

    /// Checks the table.
    pub(super) fn check(self, context: &AttestorContext) -> Result<ManagedIdentity, Misconfigured> {
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
        Ok(ManagedIdentity::new(tenants, rules))
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

//! The attestor's table of the configuration.
//!
//! It must never take a trust domain's keys from anywhere but where the table pins them.

use std::{path::PathBuf, sync::Arc};

use serde::Deserialize;

use super::bundle_file;
use crate::{
    attest::{
        AttestorContext, Misconfigured,
        table::{self, misconfigured},
    },
    secret::Digest,
    spiffe::{Bundle, TrustDomain},
};

/// The table, without `name` and `kind`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    audience: Option<String>,
    trust_domains: Vec<PinnedDomain>,
}

/// One of `trust_domains`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinnedDomain {
    name: String,
    bundle_file: Option<PathBuf>,
}

/// A table that was checked.
pub(super) struct Checked {
    pub(super) audience: String,
    pub(super) domains: Vec<Pinned>,
}

/// A trust domain whose SVIDs are taken.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) name: TrustDomain,
    /// The pinned keys; `None` for our own trust domain, whose keys are those we publish.
    pub(super) foreign: Option<Arc<Bundle>>,
}

impl Settings {
    /// Reads the table.
    pub(super) fn parse(table: toml::Table) -> Result<Self, Misconfigured> {
        table::read(table)
    }

    /// Checks the table, and reads the bundles it names.
    pub(super) fn check(self, context: &AttestorContext) -> Result<Checked, Misconfigured> {
        if self.trust_domains.is_empty() {
            let problem = "found none, expected the trust domains whose SVIDs are taken".to_owned();
            return Err(misconfigured("config.trust_domain_required", "trust_domains", problem));
        }
        let mut domains: Vec<Pinned> = Vec::with_capacity(self.trust_domains.len());
        for (place, domain) in self.trust_domains.into_iter().enumerate() {
            let at = format!("trust_domains[{place}]");
            let pinned = domain.pinned(&at, &context.trust_domain)?;
            if domains.iter().any(|other| other.name == pinned.name) {
                let problem = format!("found `{}` twice, expected it once", pinned.name);
                return Err(misconfigured(
                    "config.trust_domain_twice",
                    &format!("{at}.name"),
                    problem,
                ));
            }
            refuse_shared_keys(&pinned, &domains, &at)?;
            domains.push(pinned);
        }
        Ok(Checked {
            audience: self.audience.unwrap_or_else(|| context.issuer.clone()),
            domains,
        })
    }
}

impl PinnedDomain {
    fn pinned(&self, at: &str, own: &TrustDomain) -> Result<Pinned, Misconfigured> {
        let name = TrustDomain::parse(&self.name)
            .map_err(|why| misconfigured("config.trust_domain_invalid", &format!("{at}.name"), why.to_string()))?;
        let file_at = format!("{at}.bundle_file");
        match (&self.bundle_file, name == *own) {
            (None, true) => Ok(Pinned { name, foreign: None }),
            (Some(path), false) => {
                let bundle = bundle_file::read(&name, path, &file_at)?;
                Ok(Pinned {
                    name,
                    foreign: Some(Arc::new(bundle)),
                })
            }
            (Some(_), true) => {
                let problem =
                    format!("`{name}` is our own trust domain, whose keys are those we publish: expected no file");
                Err(misconfigured("config.bundle_of_our_own", &file_at, problem))
            }
            (None, false) => {
                let problem = format!("found none, expected the file with the bundle of `{name}`");
                Err(misconfigured("config.bundle_required", &file_at, problem))
            }
        }
    }
}

/// SPIFFE-BUNDLE-11: whoever holds a key of two trust domains could speak for both.
fn refuse_shared_keys(pinned: &Pinned, others: &[Pinned], at: &str) -> Result<(), Misconfigured> {
    let Some(bundle) = &pinned.foreign else {
        return Ok(());
    };
    for other in others {
        let shared = other.foreign.iter().any(|theirs| {
            let theirs: Vec<_> = keys(theirs).collect();
            keys(bundle).any(|key| theirs.contains(&key))
        });
        if shared {
            let problem = format!(
                "the bundles of `{}` and `{}` have a key in common, expected each key in one trust domain",
                other.name, pinned.name
            );
            return Err(misconfigured(
                "config.bundle_key_shared",
                &format!("{at}.bundle_file"),
                problem,
            ));
        }
    }
    Ok(())
}

fn keys(bundle: &Bundle) -> impl Iterator<Item = String> {
    let tokens = bundle
        .jwt_authorities()
        .keys()
        .iter()
        .map(|key| key.thumbprint().to_string());
    let roots = bundle
        .x509_authorities()
        .iter()
        .map(|root| Digest::of(root).to_string());
    tokens.chain(roots)
}

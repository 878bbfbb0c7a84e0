//! The attestor's table of the configuration: accounts, and the certificate of each region.
//!
//! It must never let a table load that takes everybody's instances: AWS signs the documents of all of its customers with
//! the same key.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde::Deserialize;

use super::{RegionSigner, document::Rules};
use crate::{
    attest::{
        Misconfigured,
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
    accounts: Vec<String>,
    certificate_files: BTreeMap<String, PathBuf>,
    max_age: Option<Span>,
    dangerous_max_age: Option<Span>,
    session_max: Option<Span>,
}

/// A table that was checked.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) rules: Rules,
    pub(super) signers: Vec<RegionSigner>,
}

impl Settings {
    /// Reads the table.
    pub(super) fn parse(table: toml::Table) -> Result<Self, Misconfigured> {
        table::read(table)
    }

    /// Checks the table, and reads the certificates.
    pub(super) fn check(self) -> Result<Checked, Misconfigured> {
        let accounts = self.accounts()?;
        let max_age = self.max_age()?;
        let session_max = bounded("session_max", self.session_max, MAX_SESSION)?.unwrap_or(DEFAULT_SESSION);
        let signers = self.signers()?;
        Ok(Checked {
            rules: Rules {
                accounts,
                max_age,
                session_max,
            },
            signers,
        })
    }

    fn accounts(&self) -> Result<BTreeSet<String>, Misconfigured> {
        if self.accounts.is_empty() {
            let problem = "found no account, expected those whose instances are believed".to_owned();
            return Err(misconfigured("config.accounts_required", "accounts", problem));
        }
        let mut accounts = BTreeSet::new();
        for (at, account) in self.accounts.iter().enumerate() {
            let at = format!("accounts[{at}]");
            if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
                let problem = format!("found `{account}`, expected the 12 digits of an account");
                return Err(misconfigured("config.account_id", &at, problem));
            }
            if !accounts.insert(account.clone()) {
                let problem = format!("found `{account}` a second time");
                return Err(misconfigured("config.account_twice", &at, problem));
            }
        }
        Ok(accounts)
    }

    /// A document counts for minutes; for longer only by the name of the danger.
    fn max_age(&self) -> Result<Duration, Misconfigured> {
        match (self.max_age, self.dangerous_max_age) {
            (Some(_), Some(_)) => {
                let problem = "found `max_age` as well, expected one of them".to_owned();
                Err(misconfigured("config.duration_range", "dangerous_max_age", problem))
            }
            (age, None) => Ok(bounded("max_age", age, MAX_AGE)?.unwrap_or(MAX_AGE)),
            (None, danger) => Ok(bounded("dangerous_max_age", danger, MAX_DANGEROUS_AGE)?.unwrap_or(MAX_AGE)),
        }
    }

    fn signers(&self) -> Result<Vec<RegionSigner>, Misconfigured> {
        if self.certificate_files.is_empty() {
            let problem = "found no region, expected the certificate of each".to_owned();
            return Err(misconfigured(
                "config.certificates_required",
                "certificate_files",
                problem,
            ));
        }
        let mut signers = Vec::new();
        for (region, path) in &self.certificate_files {
            let at = format!("certificate_files.{region}");
            if !is_region(region) {
                let problem = format!("found region `{region}`, expected such as `eu-central-1`");
                return Err(misconfigured("config.region_form", &at, problem));
            }
            let refused = |problem: String| {
                let problem = format!("`{}`: {problem}", path.display());
                misconfigured("config.instance_certificate", &at, problem)
            };
            for certificate in certificates(path).map_err(refused)? {
                signers.push(RegionSigner {
                    region: region.clone(),
                    certificate,
                });
            }
        }
        Ok(signers)
    }
}

/// Reads the certificates of a region: one, or two while AWS replaces it.
fn certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let pem = bounded_file::read(path, MAX_FILE_BYTES).map_err(|why| why.to_string())?;
    let found: Result<Vec<CertificateDer<'_>>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|why| why.to_string())?;
    if found.is_empty() || found.len() > MAX_CERTIFICATES {
        return Err(format!(
            "found {} certificates, expected 1 to {MAX_CERTIFICATES} in PEM",
            found.len()
        ));
    }
    let read = found
        .iter()
        .map(|der| Certificate::read(der).map_err(|why| why.to_string()));
    read.collect()
}

fn is_region(text: &str) -> bool {
    let part = |part: &str| {
        let byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !part.is_empty() && part.bytes().all(byte)
    };
    text.len() <= 32 && text.contains('-') && text.split('-').all(part)
}

fn bounded(key: &str, span: Option<Span>, max: Duration) -> Result<Option<Duration>, Misconfigured> {
    let Some(Span(span)) = span else {
        return Ok(None);
    };
    if span.is_zero() || span > max {
        let problem = format!("found {} s, expected 1 to {} s", span.as_secs(), max.as_secs());
        return Err(misconfigured("config.duration_range", key, problem));
    }
    Ok(Some(span))
}

/// T-47.
const MAX_AGE: Duration = Duration::from_mins(5);
/// A year: an instance that was never stopped in it should be.
const MAX_DANGEROUS_AGE: Duration = Duration::from_hours(24 * 366);

// LIMITS.md, attestation standing.
const DEFAULT_SESSION: Duration = Duration::from_hours(1);
const MAX_SESSION: Duration = Duration::from_hours(12);

const MAX_FILE_BYTES: u64 = 64 * 1024;
const MAX_CERTIFICATES: usize = 4;

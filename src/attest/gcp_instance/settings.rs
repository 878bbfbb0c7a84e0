//! The attestor's table of the configuration: the projects whose instances are believed.
//!
//! It must never let a table load without projects: Google's issuer signs for every customer.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use super::claims::Rules;
use crate::{
    attest::{
        AttestorContext, Misconfigured,
        issuer_keys::{
            Keys,
            key_source::{Asked, Reach},
        },
        span::Span,
        table::{self, misconfigured},
    },
    jose::Algorithm,
};

/// The table, without `name` and `kind`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    projects: Vec<String>,
    audience: Option<String>,
    max_instance_age: Option<Span>,
    issuer: Option<String>,
    discovery_url: Option<String>,
    jwks_uri: Option<String>,
    jwks_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    allow_addresses: Vec<String>,
}

/// A table that was checked.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) rules: Rules,
    pub(super) keys: Keys,
}

impl Settings {
    /// Reads the table.
    pub(super) fn parse(table: toml::Table) -> Result<Self, Misconfigured> {
        table::read(table)
    }

    /// Checks the table, and reads the keys that it pins.
    pub(super) fn check(self, context: &AttestorContext) -> Result<Checked, Misconfigured> {
        let projects = self.projects()?;
        let max_instance_age = self.max_instance_age()?;
        let issuer = self.issuer()?;
        let keys = self.key_source(issuer).keys(&context.fetch, ALGORITHMS)?;
        Ok(Checked {
            rules: Rules {
                issuer: issuer.to_owned(),
                audience: self.audience.clone().unwrap_or_else(|| context.issuer.clone()),
                projects,
                max_instance_age,
            },
            keys,
        })
    }

    fn projects(&self) -> Result<Vec<u64>, Misconfigured> {
        if self.projects.is_empty() {
            let problem = "found no project, expected the numbers of those whose instances are believed".to_owned();
            return Err(misconfigured("config.projects_required", "projects", problem));
        }
        self.projects.iter().map(|text| project(text)).collect()
    }

    fn max_instance_age(&self) -> Result<Option<Duration>, Misconfigured> {
        let Some(Span(age)) = self.max_instance_age else {
            return Ok(None);
        };
        if (MIN_INSTANCE_AGE..=MAX_INSTANCE_AGE).contains(&age) {
            return Ok(Some(age));
        }
        let problem = format!("found {} s, expected 1 minute to 365 days", age.as_secs());
        Err(misconfigured("config.duration_range", "max_instance_age", problem))
    }

    fn issuer(&self) -> Result<&str, Misconfigured> {
        let issuer = self.issuer.as_deref().unwrap_or(GOOGLE);
        if issuer.contains(['?', '#']) {
            let problem = format!("found `{issuer}`, expected an https URL without query and fragment");
            return Err(misconfigured("config.issuer_invalid", "issuer", problem));
        }
        Ok(issuer)
    }

    fn key_source<'a>(&'a self, issuer: &'a str) -> Asked<'a> {
        let named = self.discovery_url.is_some() || self.jwks_uri.is_some() || self.jwks_file.is_some();
        // Google's keys are on another host than its discovery document, where none would be followed to (T-17).
        let google = (issuer == GOOGLE && !named).then_some(GOOGLE_KEYS);
        Asked {
            issuer,
            discovery_url: self.discovery_url.as_deref(),
            jwks_uri: self.jwks_uri.as_deref().or(google),
            jwks_file: self.jwks_file.as_deref(),
            reach: Reach {
                table: "",
                ca_file: self.ca_file.as_deref(),
                allow_addresses: &self.allow_addresses,
            },
        }
    }
}

/// Reads a project's number, which has no other spelling.
fn project(text: &str) -> Result<u64, Misconfigured> {
    let number = text.parse::<u64>().ok().filter(|number| *number > 0);
    number.filter(|number| number.to_string() == text).ok_or_else(|| {
        let problem = format!(
            "found `{text}`, expected a project's number, as `gcloud projects describe ID \
             --format='value(projectNumber)'` prints it"
        );
        misconfigured("config.project_number", "projects", problem)
    })
}

/// What Google signs identity tokens with.
pub(super) const ALGORITHMS: &[Algorithm] = &[Algorithm::Rs256];

const GOOGLE: &str = "https://accounts.google.com";
const GOOGLE_KEYS: &str = "https://www.googleapis.com/oauth2/v3/certs";

/// Less than an instance takes to start would let nobody in; what is older than a year is no bound worth stating.
const MIN_INSTANCE_AGE: Duration = Duration::from_mins(1);
const MAX_INSTANCE_AGE: Duration = Duration::from_hours(365 * 24);

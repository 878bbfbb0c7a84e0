//! The attestor's table of the configuration: one cluster.
//!
//! It must never let a table load that would take the tokens with which pods call the API server, nor hold a credential.

use std::path::PathBuf;

use serde::Deserialize;

use super::{
    claims::{Rules, Unbound},
    credential::CredentialFile,
    issuer,
    review::Reviewer,
};
use crate::{
    attest::{
        AttestorContext, Misconfigured,
        issuer_keys::{
            Keys,
            key_source::{Asked, Reach},
        },
        table::{self, misconfigured},
    },
    jose::Algorithm,
    name::Name,
};

/// The table, without `name` and `kind`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    cluster: String,
    issuer: String,
    audience: Option<String>,
    discovery_url: Option<String>,
    jwks_uri: Option<String>,
    jwks_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    allow_addresses: Vec<String>,
    #[serde(default)]
    dangerous_unbound_tokens: bool,
    token_review: Option<TokenReview>,
}

/// The table `token_review`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenReview {
    url: String,
    credential_file: PathBuf,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    allow_addresses: Vec<String>,
}

/// A table that was checked.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) rules: Rules,
    pub(super) keys: Keys,
    pub(super) reviewer: Option<Reviewer>,
}

/// What clusters are named with.
#[derive(Debug)]
enum ClusterNamed {}

impl Settings {
    /// Reads the table.
    pub(super) fn parse(table: toml::Table) -> Result<Self, Misconfigured> {
        table::read(table)
    }

    /// Checks the table, and reads the keys that it pins.
    pub(super) fn check(self, context: &AttestorContext) -> Result<Checked, Misconfigured> {
        let cluster = Name::<ClusterNamed>::parse(&self.cluster)
            .map_err(|refused| misconfigured("config.cluster_name", "cluster", refused.to_string()))?;
        self.refuse_issuer()?;
        let audience = self.audience.clone().unwrap_or_else(|| context.issuer.clone());
        self.refuse_audience(&audience)?;
        let keys = self.key_source().keys(&context.fetch, ALGORITHMS)?;
        let reviewer = match &self.token_review {
            None => None,
            Some(review) => Some(review.reviewer(context, cluster.as_str(), &audience)?),
        };
        let unbound = if self.dangerous_unbound_tokens {
            Unbound::Accepted
        } else {
            Unbound::Refused
        };
        Ok(Checked {
            rules: Rules {
                issuer: self.issuer,
                audience,
                cluster: cluster.as_str().to_owned(),
                unbound,
            },
            keys,
            reviewer,
        })
    }

    fn refuse_issuer(&self) -> Result<(), Misconfigured> {
        let found = &self.issuer;
        if found == LEGACY_ISSUER {
            let problem = format!("`{found}` is the issuer of secrets' tokens, which never expire; {EXPECTED_ISSUER}");
            return Err(misconfigured("config.issuer_form", "issuer", problem));
        }
        if found.contains(['?', '#']) {
            let problem = format!("found `{found}`, expected an https URL without query and fragment");
            return Err(misconfigured("config.issuer_invalid", "issuer", problem));
        }
        match issuer::refusal(found) {
            None => Ok(()),
            Some(form) => {
                let problem = format!("found `{found}`, expected `{form}`");
                Err(misconfigured("config.issuer_form", "issuer", problem))
            }
        }
    }

    /// Whoever is sent a token that the API server takes could call the API server with it.
    fn refuse_audience(&self, audience: &str) -> Result<(), Misconfigured> {
        if !audience.is_empty() && audience != self.issuer && !API_SERVERS.contains(&audience) {
            return Ok(());
        }
        let problem = format!(
            "found `{audience}`, expected an audience of the gateway's own: the API server takes tokens for this one"
        );
        Err(misconfigured("config.audience_of_api_server", "audience", problem))
    }

    fn key_source(&self) -> Asked<'_> {
        Asked {
            issuer: &self.issuer,
            discovery_url: self.discovery_url.as_deref(),
            jwks_uri: self.jwks_uri.as_deref(),
            jwks_file: self.jwks_file.as_deref(),
            reach: Reach {
                table: "",
                ca_file: self.ca_file.as_deref(),
                allow_addresses: &self.allow_addresses,
            },
        }
    }
}

impl TokenReview {
    fn reviewer(&self, context: &AttestorContext, cluster: &str, audience: &str) -> Result<Reviewer, Misconfigured> {
        let reach = Reach {
            table: "token_review.",
            ca_file: self.ca_file.as_deref(),
            allow_addresses: &self.allow_addresses,
        };
        if self.url.contains('?') {
            let problem = format!("found `{}`, expected an https URL without query", self.url);
            return Err(misconfigured("config.issuer_invalid", "token_review.url", problem));
        }
        let origin = reach.origin(&context.fetch, "url", &self.url)?;
        let credential = CredentialFile::new(self.credential_file.clone());
        credential.check().map_err(|refused| {
            let at = "token_review.credential_file";
            misconfigured("config.review_credential", at, refused.to_string())
        })?;
        let base = self.url.strip_suffix('/').unwrap_or(&self.url);
        Ok(Reviewer {
            cluster: cluster.to_owned(),
            audience: audience.to_owned(),
            origin,
            url: format!("{base}{REVIEWS}"),
            credential,
        })
    }
}

/// What API servers sign service-account tokens with, of that which we verify.
pub(super) const ALGORITHMS: &[Algorithm] = &[Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384];

/// Where an API server creates reviews.
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";
const EXPECTED_ISSUER: &str = "expected the https URL that `kubectl get --raw /.well-known/openid-configuration` names";

/// The audiences under which API servers know themselves, beside their issuer.
const API_SERVERS: &[&str] = &[
    "https://kubernetes.default",
    "https://kubernetes.default.svc",
    "https://kubernetes.default.svc.cluster.local",
    "kubernetes.default.svc",
    "api",
];

//! Tokens as CI systems issue them, for tests and the simulated CI issuer.
//!
//! Starts from all claims of a real token and changes one. It must never be part of a release.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::preset::Preset;
use crate::{
    clock::{from_unix_seconds, unix_seconds},
    jose::{SigningAlgorithm, SigningFailed, SigningKey},
    secret::Secret,
};

/// A CI system's issuer with one key.
#[derive(Debug)]
pub struct Ci {
    issuer: String,
    kid: String,
    key: SigningKey,
}

impl Ci {
    /// Makes an issuer with a new RS256 key.
    ///
    /// # Errors
    /// Fails where the platform's generator fails.
    pub fn new(issuer: impl Into<String>) -> Result<Self, SigningFailed> {
        let key = SigningKey::generate(SigningAlgorithm::Rs256)?;
        Ok(Self::with_key(issuer, key))
    }

    /// Makes an issuer that signs with `key`.
    pub fn with_key(issuer: impl Into<String>, key: SigningKey) -> Self {
        Self {
            issuer: issuer.into(),
            kid: key.thumbprint().to_string(),
            key,
        }
    }

    /// Names the key `kid`.
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = kid.into();
        self
    }

    /// Returns the issuer's URL.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the discovery document; its key set is `<issuer>/.well-known/jwks`.
    pub fn discovery(&self) -> Value {
        json!({
            "issuer": self.issuer,
            "jwks_uri": format!("{}/.well-known/jwks", self.issuer),
            "subject_types_supported": ["public", "pairwise"],
            "response_types_supported": ["id_token"],
            "id_token_signing_alg_values_supported": [self.key.algorithm().as_str()],
            "scopes_supported": ["openid"],
        })
    }

    /// Returns the key set.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.key.public_jwk(&self.kid)] })
    }
}

/// A token to be: header and claims, all of which a test may change.
#[derive(Clone, Debug)]
pub struct Job {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    withheld: Vec<String>,
}

/// Returns a GitHub Actions job on a push to `main` of `octo-org/octo-repo`.
pub fn github_job() -> Job {
    Job::of_preset("github_actions").with_header("x5t", "ykNaY4qM_ta4k2TgZOCEYLkcYlA")
}

/// Returns a GitLab job on a push to a branch of `my-group/my-project`.
pub fn gitlab_job() -> Job {
    Job::of_preset("gitlab")
}

/// Returns the apply phase of an HCP Terraform run.
pub fn hcp_terraform_run() -> Job {
    Job::of_preset("hcp_terraform")
}

/// Returns a token of an issuer that no preset knows.
pub fn generic_job() -> Job {
    Job::of_preset("generic")
}

/// Returns the issuer of a preset's sample token; empty if there is no such preset.
pub fn issuer_of(name: &str) -> String {
    let sample = Preset::load(name).and_then(Result::ok).map(|preset| preset.sample);
    let issuer = sample.as_ref().and_then(|sample| sample.get("iss")?.as_str());
    issuer.unwrap_or_default().to_owned()
}

impl Job {
    /// Returns the sample token of a preset, without `iss`; no claims if there is no such preset.
    pub fn of_preset(name: &str) -> Self {
        let sample = Preset::load(name).and_then(Result::ok).map(|preset| preset.sample);
        let sample = sample.and_then(|sample| serde_json::to_value(sample).ok());
        let mut claims = sample
            .and_then(|sample| sample.as_object().cloned())
            .unwrap_or_default();
        claims.remove("iss");
        Self {
            header: Map::from_iter([("typ".to_owned(), json!("JWT"))]),
            claims,
            withheld: Vec::new(),
        }
    }

    /// Sets a claim.
    #[must_use]
    pub fn with(mut self, claim: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(claim.to_owned(), value.into());
        self
    }

    /// Leaves a claim out, also one that signing would add.
    #[must_use]
    pub fn without(mut self, claim: &str) -> Self {
        self.claims.remove(claim);
        self.withheld.push(claim.to_owned());
        self
    }

    /// Sets a member of the header.
    #[must_use]
    pub fn with_header(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.header.insert(member.to_owned(), value.into());
        self
    }

    /// Leaves a member of the header out, also one that signing would add.
    #[must_use]
    pub fn without_header(mut self, member: &str) -> Self {
        self.header.remove(member);
        self.withheld.push(member.to_owned());
        self
    }

    /// Sets the audience.
    #[must_use]
    pub fn for_audience(self, audience: &str) -> Self {
        self.with("aud", audience)
    }

    /// Runs the GitHub job in an environment, which is then in its subject.
    #[must_use]
    pub fn with_environment(self, environment: &str) -> Self {
        let repository = self.text("repository");
        let encoded = environment.replace(':', "%3A");
        self.with("environment", environment)
            .with("sub", format!("repo:{repository}:environment:{encoded}"))
    }

    /// Writes the GitHub job's subject in the immutable form, with ids.
    #[must_use]
    pub fn with_immutable_subject(self) -> Self {
        let (owner, owner_id, repository_id) = (
            self.text("repository_owner"),
            self.text("repository_owner_id"),
            self.text("repository_id"),
        );
        let repository = self.text("repository");
        let name = repository.split_once('/').map_or("", |(_, name)| name).to_owned();
        let reference = self.text("ref");
        self.with(
            "sub",
            format!("repo:{owner}@{owner_id}/{name}@{repository_id}:ref:{reference}"),
        )
    }

    /// Moves `iat` to `now`, and `nbf` and `exp` with it.
    #[must_use]
    pub fn issued_at(mut self, now: SystemTime) -> Self {
        let issued = self.claims.get("iat").and_then(Value::as_u64).unwrap_or_default();
        for name in ["nbf", "exp", "iat"] {
            if let Some(old) = self.claims.get(name).and_then(Value::as_u64) {
                let moved = (unix_seconds(now) + old).saturating_sub(issued);
                self.claims.insert(name.to_owned(), json!(moved));
            }
        }
        self
    }

    /// Returns the claims.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Returns the claims that say what the job is, without those that each token has anew (`aud`, `jti`, dates).
    pub fn facts(&self) -> Map<String, Value> {
        let mut facts = self.claims.clone();
        for claim in ["iss", "aud", "jti", "iat", "nbf", "exp"] {
            facts.remove(claim);
        }
        facts
    }

    /// Returns when the token expires.
    pub fn expires(&self) -> Option<SystemTime> {
        from_unix_seconds(self.claims.get("exp")?.as_u64()?)
    }

    /// Returns how long the token lives from its `iat`.
    pub fn life(&self) -> Option<Duration> {
        let issued = from_unix_seconds(self.claims.get("iat")?.as_u64()?)?;
        self.expires()?.duration_since(issued).ok()
    }

    /// Signs the token; adds `iss`, `alg` and `kid` where they were neither set nor left out.
    ///
    /// # Errors
    /// Fails where the library fails.
    pub fn signed_by(self, ci: &Ci) -> Result<Secret, SigningFailed> {
        let mut header = self.header;
        let mut claims = self.claims;
        let withheld = self.withheld;
        let add = |members: &mut Map<String, Value>, name: &str, value: &str| {
            if !members.contains_key(name) && !withheld.iter().any(|left_out| left_out == name) {
                members.insert(name.to_owned(), json!(value));
            }
        };
        add(&mut claims, "iss", &ci.issuer);
        add(&mut header, "alg", ci.key.algorithm().as_str());
        add(&mut header, "kid", &ci.kid);
        let encode = |members| BASE64_URL_SAFE_NO_PAD.encode(Value::Object(members).to_string());
        let input = format!("{}.{}", encode(header), encode(claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(ci.key.sign(input.as_bytes())?);
        Ok(Secret::new(format!("{input}.{signature}")))
    }

    fn text(&self, claim: &str) -> String {
        self.claims
            .get(claim)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }
}

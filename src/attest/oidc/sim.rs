//! Simulated CI systems: an issuer for each, with the sample job of its preset.
//!
//! They are told what their jobs are and sign it; GitHub is the development world's own.

use std::{error::Error, sync::Arc};

use serde_json::{Map, Value, json};

use super::fixture::Job;
use crate::sim::{
    Ground, IssueToken, Platform, SeedPlatforms,
    ci_issuer::{BEARER, CiIssuer},
};

/// Starts GitLab, HCP Terraform and Buildkite.
pub(super) const SEED: SeedPlatforms = |ground| Box::pin(async move { start(&ground) });

fn start(ground: &Ground) -> Result<Vec<Platform>, Box<dyn Error + Send + Sync>> {
    VENDORS.iter().map(|vendor| vendor.start(ground)).collect()
}

/// What is particular to a CI system.
struct Vendor {
    preset: &'static str,
    /// The claims with name and id of the owner.
    owner: [&'static str; 2],
    /// What an entry must pin, by claim.
    pins: &'static [(&'static str, &'static str)],
    hands: Hands,
    /// Whose name the tokens have where the preset takes no other; then only the keys are the simulator's.
    issuer: Option<&'static str>,
}

/// How a job gets its token.
enum Hands {
    /// It asks for one, at its issuer.
    Request,
    /// It finds one in this variable.
    Variable(&'static str),
}

const VENDORS: [Vendor; 3] = [
    Vendor {
        preset: "gitlab",
        owner: ["namespace_path", "namespace_id"],
        pins: &[("ci.repo_id", "project_id"), ("ci.ref", "ref_path")],
        hands: Hands::Variable("CAMBIO_ID_TOKEN"),
        issuer: None,
    },
    Vendor {
        preset: "hcp_terraform",
        owner: ["terraform_organization_name", "terraform_organization_id"],
        pins: &[
            ("iac.workspace_id", "terraform_workspace_id"),
            ("iac.phase", "terraform_run_phase"),
        ],
        hands: Hands::Variable("TFC_WORKLOAD_IDENTITY_TOKEN"),
        issuer: None,
    },
    Vendor {
        preset: "buildkite",
        owner: ["organization_slug", "organization_id"],
        pins: &[("ci.repo_id", "pipeline_id")],
        hands: Hands::Request,
        issuer: Some("https://agent.buildkite.com"),
    },
];

impl Vendor {
    fn start(&self, ground: &Ground) -> Result<Platform, Box<dyn Error + Send + Sync>> {
        let bound = ground.listen.bind()?;
        let url = bound.url;
        let mut job = Job::of_preset(self.preset).claims().clone();
        job.retain(|name, _| !REGISTERED.contains(&name.as_str()));
        let names = (self.issuer.unwrap_or(&url).to_owned(), ground.issuer.clone());
        let means = (Arc::clone(&ground.clock), Arc::clone(&ground.random));
        let issuer = Arc::new(CiIssuer::new(names, job.clone(), means)?);
        (bound.serve)(Arc::clone(&issuer).router());
        let issue: IssueToken = {
            let issuer = Arc::clone(&issuer);
            Arc::new(move || issuer.example_token())
        };
        let (variables, token) = match self.hands {
            Hands::Request => (request(&url, &job), None),
            Hands::Variable(variable) => (Vec::new(), Some((variable, issue))),
        };
        Ok(Platform {
            name: self.preset,
            attestor: self.attestor(ground, &url, &job),
            matches: table(
                self.pins
                    .iter()
                    .map(|(attribute, claim)| (*attribute, text(&job, claim))),
            ),
            variables,
            token,
            ready: json!({ "issuer": url, "example": job }),
            simulator: issuer,
        })
    }

    fn attestor(&self, ground: &Ground, url: &str, job: &Map<String, Value>) -> toml::Table {
        let [name, id] = self.owner;
        let owner = table([("name", text(job, name)), ("id", text(job, id))].into_iter());
        let place = match self.issuer {
            None => ("issuer", url.to_owned()),
            Some(_) => ("jwks_uri", format!("{url}/.well-known/jwks")),
        };
        let kind = [("kind", "oidc".to_owned()), ("preset", self.preset.to_owned()), place];
        let mut attestor = ground.reach();
        attestor.extend(table(kind.into_iter()));
        attestor.insert("owners".to_owned(), toml::Value::Array(vec![owner.into()]));
        attestor
    }
}

/// What Buildkite's agent knows of its job (buildkite/agent `api/oidc.go`).
fn request(url: &str, job: &Map<String, Value>) -> Vec<(&'static str, String)> {
    vec![
        ("BUILDKITE_AGENT_ENDPOINT", format!("{url}/v3")),
        ("BUILDKITE_AGENT_ACCESS_TOKEN", BEARER.to_owned()),
        ("BUILDKITE_JOB_ID", text(job, "job_id")),
    ]
}

fn text(job: &Map<String, Value>, claim: &str) -> String {
    job.get(claim).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn table<'a>(pairs: impl Iterator<Item = (&'a str, String)>) -> toml::Table {
    pairs.map(|(key, value)| (key.to_owned(), value.into())).collect()
}

/// What an issuer says of each token anew.
const REGISTERED: [&str; 5] = ["aud", "exp", "iat", "jti", "nbf"];

//! What CI systems give their jobs: a token in a variable, or the right to ask for one.
//!
//! Never sends a CI system's bearer token anywhere but to the URL that came with it.

use anyhow::{Context as _, bail};
use reqwest::Client;
use serde_json::json;

use super::{Asked, Evidence, Found, Holder, checked, held, https};
use crate::{cli::failure::Failure, secret::Secret};

/// Takes the token that a variable holds.
pub(super) fn variable(asked: &Asked<'_>, name: &str) -> Result<Found, Failure> {
    let Some(token) = asked.variable(name) else {
        return Ok(Found::Nothing(asked.states(&[name])));
    };
    let token = checked(token).with_context(|| format!("{name} holds no evidence"));
    Ok(Found::Evidence(Evidence {
        token: held(token)?,
        holder: Holder::Job,
    }))
}

/// Asks GitHub for a token of its job.
pub(super) async fn github(asked: &Asked<'_>) -> Result<Found, Failure> {
    let (Some(url), Some(bearer)) = (asked.variable(GITHUB_URL), asked.variable(GITHUB_BEARER)) else {
        return Ok(Found::Nothing(asked.states(&[GITHUB_URL, GITHUB_BEARER])));
    };
    let audience = asked.audience("GitHub's")?;
    let token = from_github(&held(https::client())?, url, (bearer, audience)).await;
    made(token.context("GitHub gave no ID token"))
}

/// `GET $ACTIONS_ID_TOKEN_REQUEST_URL&audience=..` (clouds.md 6).
pub(super) async fn from_github(
    client: &Client,
    url: &str,
    (bearer, audience): (&str, &str),
) -> anyhow::Result<Secret> {
    let mut url = https::address(GITHUB_URL, url)?;
    url.query_pairs_mut().append_pair("audience", audience);
    https::token(client.get(url).bearer_auth(bearer), Some("value")).await
}

/// Asks Buildkite for a token of its job.
pub(super) async fn buildkite(asked: &Asked<'_>) -> Result<Found, Failure> {
    let names = [BUILDKITE_URL, BUILDKITE_BEARER, BUILDKITE_JOB];
    let [Some(url), Some(bearer), Some(job)] = names.map(|name| asked.variable(name)) else {
        return Ok(Found::Nothing(asked.states(&names)));
    };
    let audience = asked.audience("Buildkite's")?;
    let token = from_buildkite(&held(https::client())?, url, (bearer, job), audience).await;
    made(token.context("Buildkite gave no OIDC token"))
}

/// What `buildkite-agent oidc request-token` asks (buildkite/agent `api/oidc.go`); without the two claims a token has names
/// only, which pass to whoever takes them next.
pub(super) async fn from_buildkite(
    client: &Client,
    url: &str,
    (bearer, job): (&str, &str),
    audience: &str,
) -> anyhow::Result<Secret> {
    if !job.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        bail!("{BUILDKITE_JOB} is no job's id");
    }
    let base = https::address(BUILDKITE_URL, url)?;
    let url = format!("{}/jobs/{job}/oidc/tokens", base.as_str().trim_end_matches('/'));
    let request = client
        .post(url)
        .header("authorization", format!("Token {bearer}"))
        .json(&json!({ "audience": audience, "claims": ["organization_id", "pipeline_id"] }));
    https::token(request, Some("token")).await
}

/// Asks Azure DevOps for a token of its job; its audience is always Entra's.
pub(super) async fn azure_devops(asked: &Asked<'_>) -> Result<Found, Failure> {
    let names = [DEVOPS_URL, DEVOPS_BEARER];
    let [Some(url), Some(bearer)] = names.map(|name| asked.variable(name)) else {
        return Ok(Found::Nothing(asked.states(&names)));
    };
    let token = from_azure_devops(&held(https::client())?, url, bearer).await;
    made(token.context("Azure DevOps gave no OIDC token"))
}

/// `POST $SYSTEM_OIDCREQUESTURI?api-version=7.1` (clouds.md 6).
pub(super) async fn from_azure_devops(client: &Client, url: &str, bearer: &str) -> anyhow::Result<Secret> {
    let mut url = https::address(DEVOPS_URL, url)?;
    url.query_pairs_mut().append_pair("api-version", "7.1");
    let request = client
        .post(url)
        .bearer_auth(bearer)
        .header("x-tfs-fedauthredirect", "Suppress")
        .json(&json!({}));
    https::token(request, Some("oidcToken")).await
}

fn made(token: anyhow::Result<Secret>) -> Result<Found, Failure> {
    Ok(Found::Evidence(Evidence {
        token: held(token)?,
        holder: Holder::Process,
    }))
}

pub(super) const ID_TOKEN: &str = "CAMBIO_ID_TOKEN";
pub(super) const GITHUB_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
pub(super) const GITHUB_BEARER: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
pub(super) const TERRAFORM: &str = "TFC_WORKLOAD_IDENTITY_TOKEN";
pub(super) const BITBUCKET: &str = "BITBUCKET_STEP_OIDC_TOKEN";
pub(super) const SPACELIFT: &str = "SPACELIFT_OIDC_TOKEN";
const BUILDKITE_URL: &str = "BUILDKITE_AGENT_ENDPOINT";
const BUILDKITE_BEARER: &str = "BUILDKITE_AGENT_ACCESS_TOKEN";
const BUILDKITE_JOB: &str = "BUILDKITE_JOB_ID";
const DEVOPS_URL: &str = "SYSTEM_OIDCREQUESTURI";
const DEVOPS_BEARER: &str = "SYSTEM_ACCESSTOKEN";

//! The token of an Azure VM's managed identity, from its Instance Metadata Service, or from the endpoint that App Service
//! and Functions name.

use anyhow::Context as _;
use reqwest::RequestBuilder;
use url::Url;

use super::{Asked, Attest, Evidence, Found, Holder, held, https, platform::Machine};
use crate::cli::failure::Failure;

/// Asks the metadata service, where there is one.
pub(super) async fn look(asked: &Asked<'_>) -> Result<Found, Failure> {
    let named = [ENDPOINT, HOST].iter().any(|name| asked.variable(name).is_some());
    if !named && asked.machine != Machine::Azure && !asked.names(Attest::AzureInstance) {
        let state = asked.states(&[ENDPOINT, HEADER]);
        let other = asked.states(&[HOST]);
        return Ok(Found::Nothing(format!(
            "{state} or {other} or a machine of Azure's (it is none)"
        )));
    }
    let resource = asked.audience("Azure's managed identity")?;
    let request = request(asked, resource);
    let token = match request {
        Ok(request) => https::token(request, Some("access_token")).await,
        Err(failed) => Err(failed),
    };
    let token = held(token.context("Azure gave no token of a managed identity"))?;
    Ok(Found::Evidence(Evidence {
        token,
        holder: Holder::Job,
    }))
}

fn request(asked: &Asked<'_>, resource: &str) -> anyhow::Result<RequestBuilder> {
    let client = https::neighbour()?;
    let with = |text: &str, variable: &str, version: &str| {
        let mut url = Url::parse(text).with_context(|| format!("{variable} is no URL"))?;
        url.query_pairs_mut()
            .append_pair("api-version", version)
            .append_pair("resource", resource);
        if let Some(client_id) = asked.variable(CLIENT_ID) {
            url.query_pairs_mut().append_pair("client_id", client_id);
        }
        anyhow::Ok(url)
    };
    if let (Some(endpoint), Some(header)) = (asked.variable(ENDPOINT), asked.variable(HEADER)) {
        let url = with(endpoint, ENDPOINT, "2019-08-01")?;
        return Ok(client.get(url).header("x-identity-header", header));
    }
    let host = asked.variable(HOST).unwrap_or(DEFAULT_HOST);
    let url = format!("{}{TOKEN}", host.trim_end_matches('/'));
    Ok(client.get(with(&url, HOST, "2018-02-01")?).header("metadata", "true"))
}

// As Azure's own libraries name them (clouds.md 5.3).
const ENDPOINT: &str = "IDENTITY_ENDPOINT";
const HEADER: &str = "IDENTITY_HEADER";
const HOST: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
/// Which of several user-assigned identities.
const CLIENT_ID: &str = "AZURE_CLIENT_ID";
const DEFAULT_HOST: &str = "http://169.254.169.254";
const TOKEN: &str = "/metadata/identity/oauth2/token";

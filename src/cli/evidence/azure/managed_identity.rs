//! The token of an Azure VM's managed identity, from its Instance Metadata Service, or from the endpoint that App Service
//! and Functions name.

use anyhow::Context as _;
use reqwest::RequestBuilder;
use serde_json::Value;
use url::Url;

use super::{
    super::{Asked, Attest, Evidence, Found, Holder, held, https, platform::Machine},
    DEFAULT_HOST, HOST,
};
use crate::cli::{exit::Exit, failure::Failure};

/// Asks the metadata service, where there is one.
pub(in super::super) async fn look(asked: &Asked<'_>) -> Result<Found, Failure> {
    let named = [ENDPOINT, HOST].iter().any(|name| asked.variable(name).is_some());
    if !named && asked.machine != Machine::Azure && !asked.names(Attest::AzureInstance) {
        return Ok(Found::Nothing(looked_for(asked)));
    }
    let resource = asked.audience("Azure's managed identity")?;
    let asking = held(request(asked, resource).context(REFUSED))?;
    let (address, status, body) = held(https::exchanged_nearby(asking).await.context(REFUSED))?;
    if status == 400 && has_no_identity(&body) && asked.variable(ENDPOINT).or(asked.variable(CLIENT_ID)).is_none() {
        let failure = Failure::saying(
            Exit::Unattested,
            "the machine has no identity of its own, and none was given it",
        );
        return Ok(Found::Unavailable(failure.context(REFUSED).hint(
            "give the machine a managed identity, or try --attest azure_attested, which needs none",
        )));
    }
    let token = https::accepted(status).and_then(|()| https::token_in(&body, Some("access_token")));
    Ok(Found::Evidence(Evidence {
        token: held(token.with_context(|| format!("asked `{address}`")).context(REFUSED))?,
        holder: Holder::Job,
    }))
}

/// Says what would have named the metadata service.
pub(super) fn looked_for(asked: &Asked<'_>) -> String {
    let state = asked.states(&[ENDPOINT, HEADER]);
    let other = asked.states(&[HOST]);
    format!("{state} or {other} or a machine of Azure's (it is none)")
}

/// What the metadata service says on a machine without any `[M]`; whatever else it says is an error.
fn has_no_identity(body: &[u8]) -> bool {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    body.as_ref().and_then(|body| body.get("error_description")?.as_str()) == Some("Identity not found")
}

fn request(asked: &Asked<'_>, resource: &str) -> anyhow::Result<RequestBuilder> {
    let client = https::neighbour()?;
    let with = |mut url: Url, version: &str| {
        url.query_pairs_mut()
            .append_pair("api-version", version)
            .append_pair("resource", resource);
        if let Some(client_id) = asked.variable(CLIENT_ID) {
            url.query_pairs_mut().append_pair("client_id", client_id);
        }
        url
    };
    if let (Some(endpoint), Some(header)) = (asked.variable(ENDPOINT), asked.variable(HEADER)) {
        let url = with(https::address_nearby(ENDPOINT, endpoint)?, "2019-08-01");
        return Ok(client.get(url).header("x-identity-header", header));
    }
    let host = asked.variable(HOST).unwrap_or(DEFAULT_HOST);
    let url = Url::parse(&format!("{}{TOKEN}", host.trim_end_matches('/')));
    let url = url.with_context(|| format!("{HOST} is no URL"))?;
    Ok(client.get(with(url, "2018-02-01")).header("metadata", "true"))
}

const REFUSED: &str = "Azure gave no token of a managed identity";

// As Azure's own libraries name them (clouds.md 5.3).
const ENDPOINT: &str = "IDENTITY_ENDPOINT";
const HEADER: &str = "IDENTITY_HEADER";
/// Which of several user-assigned identities.
const CLIENT_ID: &str = "AZURE_CLIENT_ID";
const TOKEN: &str = "/metadata/identity/oauth2/token";

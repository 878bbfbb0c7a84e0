//! A document about an Azure VM that its Instance Metadata Service signs over a challenge of the gateway.
//!
//! Never asks without a challenge: a document over no nonce would be anybody's.

use anyhow::{Context as _, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use url::Url;

use super::{
    super::{Asked, Attest, Evidence, Found, Holder, checked, held, https, platform::Machine},
    DEFAULT_HOST, HOST, managed_identity,
};
use crate::{
    attest::{azure_instance::attested, challenge},
    cli::failure::Failure,
    secret::Secret,
};

/// Asks the metadata service, where there is one.
pub(in super::super) async fn look(asked: &Asked<'_>) -> Result<Found, Failure> {
    let named = asked.names(Attest::AzureAttested);
    if asked.variable(HOST).is_none() && asked.machine != Machine::Azure && !named {
        return Ok(Found::Nothing(managed_identity::looked_for(asked)));
    }
    let challenge = asked.gateway.challenge().await?;
    let token = evidence(asked, &challenge).await;
    let token = held(token.context("Azure's metadata service gave no attested document"))?;
    Ok(Found::Evidence(Evidence {
        token,
        holder: Holder::Process,
    }))
}

/// What the metadata service answers.
#[derive(Deserialize)]
struct Answer {
    encoding: String,
    signature: String,
}

async fn evidence(asked: &Asked<'_>, challenge: &str) -> anyhow::Result<Secret> {
    let host = asked.variable(HOST).unwrap_or(DEFAULT_HOST).trim_end_matches('/');
    let mut url = Url::parse(&format!("{host}{DOCUMENT}")).with_context(|| format!("{HOST} is no URL"))?;
    url.query_pairs_mut()
        .append_pair("api-version", API_VERSION)
        .append_pair("nonce", &challenge::nonce(challenge));
    let request = https::neighbour()?.get(url).header("metadata", "true");
    let (address, status, body) = https::exchanged_nearby(request).await?;
    let read = https::accepted(status).and_then(|()| read(challenge, &body));
    read.with_context(|| format!("asked `{address}`"))
}

/// Puts what the metadata service answered together with the challenge.
pub(in super::super) fn read(challenge: &str, body: &[u8]) -> anyhow::Result<Secret> {
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    let answer = answer.context("found no `encoding` and `signature`, expected both")?;
    if answer.encoding != "pkcs7" {
        bail!("found another `encoding` than `pkcs7`");
    }
    let signed = BASE64_STANDARD.decode(&answer.signature).ok();
    signed
        .filter(|bytes| !bytes.is_empty())
        .context("found no base64 of a signed document in `signature`")?;
    checked(attested::written(challenge, &answer.signature).expose())
}

const DOCUMENT: &str = "/metadata/attested/document";
/// clouds.md 6.
const API_VERSION: &str = "2025-04-07";

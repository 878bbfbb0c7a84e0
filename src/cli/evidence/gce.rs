//! The identity token of a Google Compute Engine instance, from its metadata server.

use anyhow::{Context as _, bail};
use url::Url;

use super::{Asked, Attest, Evidence, Found, Holder, held, https, platform::Machine};
use crate::{cli::failure::Failure, secret::Secret};

/// Asks the metadata server, where there is one.
pub(super) async fn look(asked: &Asked<'_>) -> Result<Found, Failure> {
    let named = asked.variable(HOST);
    if named.is_none() && asked.machine != Machine::Google && !asked.names(Attest::GcpInstance) {
        let state = asked.states(&[HOST]);
        return Ok(Found::Nothing(format!("{state} or a machine of Google's (it is none)")));
    }
    let audience = asked.audience("Google's identity")?;
    let token = identity(named.unwrap_or(DEFAULT_HOST), audience).await;
    let token = held(token.context("the metadata server of Google Compute Engine gave no identity token"))?;
    Ok(Found::Evidence(Evidence {
        token,
        holder: Holder::Job,
    }))
}

/// `format=full`: without it a token does not name its instance (clouds.md 5.2, 6).
async fn identity(host: &str, audience: &str) -> anyhow::Result<Secret> {
    let mut url = Url::parse(&format!("http://{host}{IDENTITY}")).with_context(|| format!("{HOST} is no host"))?;
    if url.path() != IDENTITY || url.query().is_some() {
        bail!("{HOST} is more than a host, expected `host` or `host:port`");
    }
    url.query_pairs_mut()
        .append_pair("audience", audience)
        .append_pair("format", "full");
    https::token_nearby(https::neighbour()?.get(url).header("metadata-flavor", "Google"), None).await
}

/// As Google's own libraries name it.
const HOST: &str = "GCE_METADATA_HOST";
const DEFAULT_HOST: &str = "metadata.google.internal";
const IDENTITY: &str = "/computeMetadata/v1/instance/service-accounts/default/identity";

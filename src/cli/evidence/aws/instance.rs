//! The identity document of an EC2 instance, as PKCS#7 with SHA-256 (`rsa2048`).
//!
//! Never asked for unless it is named: it serves once for each start of the instance, and what took it unasked would have
//! spent it.

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    super::{Asked, Evidence, Found, Holder, checked, held},
    metadata::Metadata,
};
use crate::{cli::failure::Failure, secret::Secret};

/// Asks the metadata service.
pub(in super::super) async fn look(asked: &Asked<'_>) -> Result<Found, Failure> {
    let document = document(asked).await;
    let token = held(document.context("the metadata service of EC2 gave no identity document"))?;
    Ok(Found::Evidence(Evidence {
        token,
        holder: Holder::Process,
    }))
}

async fn document(asked: &Asked<'_>) -> anyhow::Result<Secret> {
    let metadata = Metadata::open(asked).await?;
    let lines = metadata.get(RSA2048).await?;
    let text: String = lines.lines().collect();
    // A signed document is one DER sequence; whatever else is there is not worth the gateway's time.
    let signed = BASE64_STANDARD
        .decode(&text)
        .ok()
        .filter(|bytes| bytes.first() == Some(&SEQUENCE));
    let address = metadata.address(RSA2048);
    signed.with_context(|| format!("`{address}` is no base64 of a signed document"))?;
    checked(&text)
}

/// The one form that the attestor takes (clouds.md 6).
const RSA2048: &str = "dynamic/instance-identity/rsa2048";
/// X.690 section 8.9.1.
const SEQUENCE: u8 = 0x30;

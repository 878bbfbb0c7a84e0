//! What the issuer URL already publishes: an empty store must not start beside keys that others trust as ours.

use std::time::Duration;

use anyhow::{Context as _, bail};

/// Refuses where `<issuer>/.well-known/jwks.json` answers with any key.
///
/// Nobody answering is what a first start looks like.
///
/// # Errors
/// Says how many keys are there.
pub(super) async fn refuse_other_keys(issuer: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(5))
        .no_proxy()
        .build()
        .context("no client for the issuer URL")?;
    let url = format!("{issuer}/.well-known/jwks.json");
    let Ok(answer) = client.get(&url).send().await else {
        return Ok(());
    };
    let Ok(document) = answer.error_for_status() else {
        return Ok(());
    };
    let body = document.bytes().await.unwrap_or_default();
    let keys = crate::jose::KeySet::parse(&body).map_or(0, |set| set.keys().len());
    if keys > 0 {
        bail!(
            "`{url}` already publishes {keys} keys, but the store is empty: with new keys every token of the old ones is lost; \
             restore the store, or say --accept-new-issuer-keys"
        );
    }
    Ok(())
}

//! How a simulated cloud gets an issuer's documents: over TLS, within five seconds, as the real ones do.

use std::{future::Future, path::Path, pin::Pin, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{Documents, IssuerDocuments, Unavailable};

/// Fetches over TLS with the throw-away CA as the only trusted one.
#[derive(Debug)]
pub struct OverTls {
    client: reqwest::Client,
}

impl OverTls {
    /// Trusts only the authority in `ca_file`.
    ///
    /// # Errors
    /// Fails where the file holds no certificate.
    pub fn new(ca_file: &Path) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self {
            client: client(ca_file)?,
        })
    }

    async fn json(&self, issuer: &str, url: &str) -> Result<Value, Unavailable> {
        let unavailable = |reason: String| Unavailable {
            issuer: issuer.to_owned(),
            reason,
        };
        let response = self
            .client
            .get(url)
            .send()
            .await
            .map_err(|failed| unavailable(failed.to_string()))?;
        if response.status() != 200 {
            return Err(unavailable(format!("status {}", response.status())));
        }
        response.json().await.map_err(|failed| unavailable(failed.to_string()))
    }
}

impl IssuerDocuments for OverTls {
    fn fetch<'a>(
        &'a self,
        issuer: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Documents, Unavailable>> + Send + 'a>> {
        Box::pin(async move {
            let unavailable = |reason: &str| Unavailable {
                issuer: issuer.to_owned(),
                reason: reason.to_owned(),
            };
            let discovery = self
                .json(issuer, &format!("{issuer}/.well-known/openid-configuration"))
                .await?;
            if discovery.get("issuer").and_then(Value::as_str) != Some(issuer) {
                return Err(unavailable("the discovery document names another issuer"));
            }
            let jwks_uri = discovery.get("jwks_uri").and_then(Value::as_str);
            let jwks_uri = jwks_uri
                .ok_or_else(|| unavailable("the discovery document has no jwks_uri"))?
                .to_owned();
            let jwks = self.json(issuer, &jwks_uri).await?;
            Ok(Documents { discovery, jwks })
        })
    }
}

/// Returns an HTTPS client that trusts only the authority in `ca_file`; AWS gives issuers five seconds (clouds.md 1.1).
///
/// # Errors
/// Fails where the file holds no certificate.
pub fn client(ca_file: &Path) -> Result<reqwest::Client, Box<dyn std::error::Error + Send + Sync>> {
    let certificate = reqwest::Certificate::from_pem(&std::fs::read(ca_file)?)?;
    Ok(reqwest::Client::builder()
        .tls_certs_only([certificate])
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(5))
        .no_proxy()
        .build()?)
}

/// Returns the X.509 roots, in DER, that an issuer publishes in its SPIFFE bundle.
///
/// # Errors
/// Fails where the bundle cannot be had, or a root in it cannot be read.
pub async fn x509_roots(
    client: &reqwest::Client,
    issuer: &str,
) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
    let url = format!("{issuer}/.well-known/spiffe/bundle.json");
    let bundle: Value = client.get(url).send().await?.error_for_status()?.json().await?;
    let keys = bundle.get("keys").and_then(Value::as_array).into_iter().flatten();
    let roots = keys.filter(|key| key.get("use").and_then(Value::as_str) == Some("x509-svid"));
    let roots = roots.filter_map(|key| key.pointer("/x5c/0").and_then(Value::as_str));
    Ok(roots.map(|root| STANDARD.decode(root)).collect::<Result<_, _>>()?)
}

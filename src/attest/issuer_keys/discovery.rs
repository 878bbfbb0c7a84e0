//! An issuer's discovery document.
//!
//! It must never move us to another issuer or, unasked, to keys on another host (T-17).

use openidconnect::core::CoreProviderMetadata;
use serde::Deserialize;
use serde_json::Value;

use crate::jose::{
    excerpt,
    strict_json::{self, JsonRefused, Limits},
};

/// Returns the address of the key set that the document of `issuer` names.
///
/// # Errors
/// Refuses what is no strict JSON, and a document of any issuer but `issuer`, byte for byte.
pub(super) fn key_set_url(document: &[u8], issuer: &str) -> Result<String, DiscoveryRefused> {
    let document = strict_json::parse(document, &Limits::default()).map_err(DiscoveryRefused::Json)?;
    let provider = Provider::read(document)?;
    if provider.issuer != issuer {
        return Err(DiscoveryRefused::Issuer {
            expected: issuer.to_owned(),
            found: excerpt(&provider.issuer),
        });
    }
    Ok(provider.jwks_uri)
}

/// Where the issuer's discovery document lies.
pub(super) fn url_of(issuer: &str) -> String {
    // OpenID Connect Discovery 1.0 section 4.1: a terminating `/` is removed first.
    format!(
        "{}/.well-known/openid-configuration",
        issuer.strip_suffix('/').unwrap_or(issuer)
    )
}

struct Provider {
    issuer: String,
    jwks_uri: String,
}

impl Provider {
    /// Reads a complete provider's document as such, and one that only issues tokens by its two members.
    ///
    /// GitHub and Kubernetes have no `authorization_endpoint`, without which a document is not a provider's.
    fn read(document: Value) -> Result<Self, DiscoveryRefused> {
        let complete = document
            .get("authorization_endpoint")
            .and_then(Value::as_str)
            .is_some_and(|endpoint| !endpoint.is_empty());
        if complete {
            let metadata: CoreProviderMetadata = serde_json::from_value(document).map_err(DiscoveryRefused::Members)?;
            return Ok(Self {
                issuer: metadata.issuer().as_str().to_owned(),
                jwks_uri: metadata.jwks_uri().as_str().to_owned(),
            });
        }
        let issuer: IssuerOnly = serde_json::from_value(document).map_err(DiscoveryRefused::Members)?;
        Ok(Self {
            issuer: issuer.issuer,
            jwks_uri: issuer.jwks_uri,
        })
    }
}

#[derive(Deserialize)]
struct IssuerOnly {
    issuer: String,
    jwks_uri: String,
}

/// A discovery document was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryRefused {
    /// The document is another issuer's.
    #[error("the discovery document is of issuer `{found}`, expected `{expected}`")]
    Issuer {
        /// The configured issuer.
        expected: String,
        /// What the document names, shortened and escaped.
        found: String,
    },
    /// The document is not strict JSON.
    #[error("the discovery document is not strict JSON")]
    Json(#[source] JsonRefused),
    /// A member is missing or of the wrong type.
    #[error("the discovery document lacks what a provider must state")]
    Members(#[source] serde_json::Error),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(document: &Value) -> Result<String, DiscoveryRefused> {
        key_set_url(document.to_string().as_bytes(), "https://ci.example")
    }

    #[test]
    fn reads_a_document_without_an_authorization_endpoint() {
        let found = read(&json!({
            "issuer": "https://ci.example",
            "jwks_uri": "https://ci.example/.well-known/jwks",
            "subject_types_supported": ["public", "pairwise"],
            "response_types_supported": ["id_token"],
            "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti", "nbf", "ref"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
        }));

        assert_eq!(found.unwrap(), "https://ci.example/.well-known/jwks");
    }

    #[test]
    fn reads_a_complete_providers_document() {
        let found = read(&complete("https://ci.example"));

        assert_eq!(found.unwrap(), "https://ci.example/oauth/discovery/keys");
    }

    #[test]
    fn refuses_a_complete_document_with_a_member_of_the_wrong_type() {
        let mut document = complete("https://ci.example");
        document["response_types_supported"] = json!("code");

        assert!(matches!(read(&document), Err(DiscoveryRefused::Members(_))));
    }

    #[test]
    fn refuses_every_issuer_that_is_not_equal_byte_for_byte() {
        for issuer in [
            "https://ci.example/",
            "https://CI.example",
            "https://ci.example.",
            "https://ci.example:443",
            "http://ci.example",
            "https://evil.example",
            "",
        ] {
            let own = read(&json!({"issuer": issuer, "jwks_uri": "https://ci.example/keys"}));
            assert!(
                matches!(own, Err(DiscoveryRefused::Issuer { .. })),
                "{issuer:?}: {own:?}"
            );
        }
        assert!(matches!(
            read(&complete("https://evil.example")),
            Err(DiscoveryRefused::Issuer { .. })
        ));
    }

    #[test]
    fn refuses_a_document_with_two_issuers() {
        let text =
            br#"{"issuer":"https://evil.example","issuer":"https://ci.example","jwks_uri":"https://ci.example/k"}"#;

        assert!(matches!(
            key_set_url(text, "https://ci.example"),
            Err(DiscoveryRefused::Json(JsonRefused::DuplicateMember { .. }))
        ));
    }

    #[test]
    fn a_terminating_slash_is_removed_once() {
        assert_eq!(
            url_of("https://ci.example/a/"),
            "https://ci.example/a/.well-known/openid-configuration"
        );
        assert_eq!(
            url_of("https://ci.example"),
            "https://ci.example/.well-known/openid-configuration"
        );
    }

    fn complete(issuer: &str) -> Value {
        json!({
            "issuer": issuer,
            "authorization_endpoint": "https://ci.example/oauth/authorize",
            "token_endpoint": "https://ci.example/oauth/token",
            "userinfo_endpoint": "https://ci.example/oauth/userinfo",
            "jwks_uri": "https://ci.example/oauth/discovery/keys",
            "scopes_supported": ["api", "read_user", "openid", "profile", "email"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "fragment", "form_post"],
            "grant_types_supported": ["authorization_code", "password", "client_credentials", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claim_types_supported": ["normal"],
            "claims_supported": ["iss", "sub", "aud", "exp", "iat", "project_path"],
            "code_challenge_methods_supported": ["plain", "S256"],
        })
    }
}

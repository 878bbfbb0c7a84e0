//! Discovery, JWKS and SPIFFE bundle as bytes, made once for each generation of keys.
//!
//! Serving them depends on nothing: no store, no key, no lock (ARCHITECTURE 2.8). Nothing in them comes from a request.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use crate::{
    jose::{KeyMaterial, PublicJwk},
    secret::Digest,
    spiffe::BundleDocument,
};

/// One published document, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    body: Arc<[u8]>,
    etag: String,
}

impl Document {
    fn of(value: &impl serde::Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::of_bytes(serde_json::to_vec(value)?))
    }

    pub(in crate::trust) fn of_bytes(body: Vec<u8>) -> Self {
        let etag = format!("\"{}\"", &Digest::of(&body));
        Self {
            body: body.into(),
            etag,
        }
    }

    /// Returns what is sent.
    pub fn body(&self) -> &Arc<[u8]> {
        &self.body
    }

    /// Returns the strong entity tag, quoted.
    pub fn etag(&self) -> &str {
        &self.etag
    }
}

/// A root certificate with the numbers of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct X509Authority {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// The numbers of its key.
    pub key: KeyMaterial,
}

/// What the documents of one generation show.
#[derive(Clone, Debug, Default)]
pub struct PublishedKeys {
    /// The keys of tokens.
    pub jwt: Vec<PublicJwk>,
    /// The roots of certificates.
    pub x509: Vec<X509Authority>,
    /// The generation, which is the bundle's sequence.
    pub sequence: u64,
}

impl PublishedKeys {
    /// Returns the ids of all keys: the thumbprint is the id of a root as well.
    fn ids(&self) -> impl Iterator<Item = String> {
        let jwt = self.jwt.iter().map(|key| key.kid().to_owned());
        jwt.chain(self.x509.iter().map(|root| root.key.thumbprint().to_string()))
    }
}

/// All documents of one generation of keys.
#[derive(Clone, Debug)]
pub struct Documents {
    /// `/.well-known/oauth-authorization-server` (RFC 8414).
    pub authorization_server: Document,
    /// `/.well-known/spiffe/bundle.json`.
    pub bundle: Document,
    /// `/.well-known/jwks.json`.
    pub jwks: Document,
    /// `/.well-known/openid-configuration`.
    pub openid_configuration: Document,
    sequence: u64,
    ids: BTreeSet<String>,
}

impl Documents {
    /// Writes the documents of `issuer` for `keys`; only the bundle names the roots (DEC-1).
    ///
    /// # Errors
    /// Refuses an empty key set, which would revoke everything we signed (OIDC-DISC-7).
    pub fn new(issuer: &str, exchange_url: &str, published: &PublishedKeys) -> Result<Self, NoDocuments> {
        let keys = published.jwt.as_slice();
        if keys.is_empty() {
            return Err(NoDocuments::NoKeys);
        }
        let mut algorithms: Vec<&str> = keys.iter().map(|key| key.algorithm().as_str()).collect();
        algorithms.sort_unstable_by_key(|name| (*name != "RS256", *name)); // OIDC-DISC-3: RS256 must be there
        algorithms.dedup();
        let bundle = keys.iter().cloned().fold(
            BundleDocument::new(published.sequence, REFRESH_HINT),
            BundleDocument::with_jwt_authority,
        );
        let bundle = published.x509.iter().fold(bundle, |bundle, root| {
            bundle.with_x509_authority(root.certificate.to_vec(), root.key.clone())
        });
        let token_endpoint = format!("{exchange_url}/v1/token");
        Ok(Self {
            authorization_server: Document::of(&authorization_server(issuer, &token_endpoint))?,
            bundle: Document::of(&bundle)?,
            jwks: Document::of(&json!({ "keys": keys }))?,
            openid_configuration: Document::of(&openid_configuration(issuer, &token_endpoint, &algorithms))?,
            sequence: published.sequence,
            ids: published.ids().collect(),
        })
    }

    /// Returns the generation of keys that they were written for.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns the ids of the keys in them.
    pub fn ids(&self) -> &BTreeSet<String> {
        &self.ids
    }

    /// Returns whether verifiers find the key in them.
    pub fn publishes(&self, id: &str) -> bool {
        self.ids.contains(id)
    }
}

/// `authorization_endpoint` is empty, as SPIRE's provider does and all three clouds take (OIDC-DISC-4).
fn openid_configuration(issuer: &str, token_endpoint: &str, algorithms: &[&str]) -> Value {
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "authorization_endpoint": "",
        "token_endpoint": token_endpoint,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "scopes_supported": ["openid"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nbf", "jti"],
        "grant_types_supported": [TOKEN_EXCHANGE],
        "dpop_signing_alg_values_supported": ["ES256"],
    })
}

/// No grant of ours uses an authorization endpoint, so it is absent (RFC 8414 section 2; AS-META-4).
fn authorization_server(issuer: &str, token_endpoint: &str) -> Value {
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "token_endpoint": token_endpoint,
        "response_types_supported": ["id_token"],
        "grant_types_supported": [TOKEN_EXCHANGE],
        "token_endpoint_auth_methods_supported": ["none"],
        "scopes_supported": ["openid"],
        "dpop_signing_alg_values_supported": ["ES256"],
    })
}

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// LIMITS.md: the bundle's refresh hint is 300 s.
const REFRESH_HINT: Duration = Duration::from_mins(5);

/// The documents that are being served, swapped whole; cheap to clone.
#[derive(Clone, Debug)]
pub struct Published(Arc<ArcSwap<Documents>>);

impl Published {
    /// Begins to publish.
    pub fn new(documents: Documents) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(documents)))
    }

    /// Returns what is published at this moment.
    pub fn load(&self) -> arc_swap::Guard<Arc<Documents>> {
        self.0.load()
    }

    /// Publishes other documents from now on.
    pub fn replace(&self, documents: Documents) {
        self.0.store(Arc::new(documents));
    }
}

/// There is nothing to publish.
#[derive(Debug, thiserror::Error)]
pub enum NoDocuments {
    /// An empty key set would say that every SVID is revoked.
    #[error("no key is published; an empty key set would revoke every SVID")]
    NoKeys,
    /// A document cannot be written as JSON.
    #[error("a document cannot be written")]
    Unwritable(#[from] serde_json::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::{KeySet, SigningAlgorithm, SigningKey};

    const ISSUER: &str = "https://id.acme.example";

    fn keys() -> Vec<PublicJwk> {
        [SigningAlgorithm::Es256, SigningAlgorithm::Rs256]
            .map(|algorithm| SigningKey::generate(algorithm).unwrap())
            .iter()
            .map(|key| key.public_jwk(&key.thumbprint().to_string()))
            .collect()
    }

    fn published() -> PublishedKeys {
        PublishedKeys {
            jwt: keys(),
            x509: Vec::new(),
            sequence: 7,
        }
    }

    fn documents() -> Documents {
        Documents::new(ISSUER, "https://exchange.acme.example:9443", &published()).unwrap()
    }

    fn json(document: &Document) -> Value {
        serde_json::from_slice(document.body()).unwrap()
    }

    #[test]
    fn oidc_disc_2_the_issuer_is_the_configured_one() {
        assert_eq!(json(&documents().openid_configuration)["issuer"], ISSUER);
    }

    #[test]
    fn oidc_disc_3_names_every_required_member_and_rs256_first() {
        let discovery = json(&documents().openid_configuration);

        for member in [
            "issuer",
            "jwks_uri",
            "token_endpoint",
            "response_types_supported",
            "subject_types_supported",
        ] {
            assert!(!discovery[member].is_null(), "{member}");
        }
        assert_eq!(
            discovery["id_token_signing_alg_values_supported"],
            json!(["RS256", "ES256"])
        );
    }

    #[test]
    fn oidc_disc_4_the_authorization_endpoint_is_empty() {
        assert_eq!(json(&documents().openid_configuration)["authorization_endpoint"], "");
    }

    #[test]
    fn as_meta_4_no_authorization_endpoint_where_no_grant_uses_one() {
        assert!(
            json(&documents().authorization_server)
                .get("authorization_endpoint")
                .is_none()
        );
    }

    #[test]
    fn oidc_disc_9_both_documents_agree() {
        let (openid, oauth) = (
            json(&documents().openid_configuration),
            json(&documents().authorization_server),
        );

        for member in ["issuer", "jwks_uri", "token_endpoint", "grant_types_supported"] {
            assert_eq!(openid[member], oauth[member], "{member}");
        }
    }

    #[test]
    fn oidc_disc_7_refuses_to_publish_an_empty_key_set() {
        assert!(matches!(
            Documents::new(ISSUER, ISSUER, &PublishedKeys::default()),
            Err(NoDocuments::NoKeys)
        ));
    }

    #[test]
    fn dec_1_one_key_set_in_two_documents_with_their_own_use() {
        let documents = documents();

        let (jwks, bundle) = (json(&documents.jwks), json(&documents.bundle));

        for (one, other) in jwks["keys"]
            .as_array()
            .unwrap()
            .iter()
            .zip(bundle["keys"].as_array().unwrap())
        {
            assert_eq!(one["kid"], other["kid"]);
            assert_eq!((&one["use"], &other["use"]), (&json!("sig"), &json!("jwt-svid")));
        }
        assert_eq!(bundle["spiffe_sequence"], 7);
        assert_eq!(bundle["spiffe_refresh_hint"], 300);
    }

    #[test]
    fn jwk_6_our_own_strict_reader_takes_the_jwks() {
        let documents = documents();

        assert_eq!(KeySet::parse(documents.jwks.body()).unwrap().keys().len(), 2);
    }
}

//! Looks at our own documents from outside, as verifiers do.
//!
//! It never believes that a key is visible because we published it, and goes nowhere but to the configured places.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    fetch::{FetchFailed, Origin, SizeLimit},
    jose::{Curve, KeyMaterial},
};

/// A public place that serves our documents.
#[derive(Debug)]
pub struct PublicPlace {
    url: String,
    origin: Origin,
}

/// A public place shows nothing that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotSeen {
    /// It does not answer as it should.
    #[error("`{url}` cannot be fetched")]
    Fetch {
        /// The document.
        url: String,
        /// Why.
        #[source]
        source: FetchFailed,
    },
    /// What it answers is no key set.
    #[error("`{url}` is no key set")]
    Unreadable {
        /// The document.
        url: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl PublicPlace {
    /// Takes the URL below which `/.well-known` is, without a slash at its end, and the client of its origin.
    pub fn new(url: String, origin: Origin) -> Self {
        Self { url, origin }
    }

    /// Returns the URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the ids of the keys that verifiers find there: JWT keys that key set and bundle both name, and roots.
    ///
    /// Ids are thumbprints of what stands there, so that a right name on a wrong key does not count.
    ///
    /// # Errors
    /// Fails where either document cannot be fetched or read.
    pub async fn keys(&self) -> Result<BTreeSet<String>, NotSeen> {
        let set = self.document("jwks.json", SizeLimit::Document).await?;
        let bundle = self.document("spiffe/bundle.json", SizeLimit::Bundle).await?;
        let bundled = ids(&bundle, "jwt-svid");
        let mut keys: BTreeSet<String> = ids(&set, "sig").intersection(&bundled).cloned().collect();
        keys.extend(ids(&bundle, "x509-svid"));
        Ok(keys)
    }

    async fn document(&self, name: &str, limit: SizeLimit) -> Result<Value, NotSeen> {
        let url = format!("{}/.well-known/{name}", self.url);
        let fetched = self.origin.get(&url, limit).await;
        let document = fetched.map_err(|source| NotSeen::Fetch {
            url: url.clone(),
            source,
        })?;
        serde_json::from_slice(&document.bytes).map_err(|source| NotSeen::Unreadable { url, source })
    }
}

/// Returns the thumbprints of the keys with this `use`.
pub fn ids(document: &Value, key_use: &str) -> BTreeSet<String> {
    let keys = document.get("keys").and_then(Value::as_array);
    let keys = keys.into_iter().flatten();
    let of_use = keys.filter(|key| key.get("use").and_then(Value::as_str) == Some(key_use));
    of_use
        .filter_map(material)
        .map(|material| material.thumbprint().to_string())
        .collect()
}

fn material(key: &Value) -> Option<KeyMaterial> {
    let text = |member: &str| key.get(member).and_then(Value::as_str);
    let owned = |member: &str| text(member).map(str::to_owned);
    match text("kty")? {
        "EC" => {
            let curve = [Curve::P256, Curve::P384]
                .into_iter()
                .find(|curve| Some(curve.as_str()) == text("crv"))?;
            Some(KeyMaterial::Ec {
                curve,
                x: owned("x")?,
                y: owned("y")?,
            })
        }
        "RSA" => Some(KeyMaterial::Rsa {
            n: owned("n")?,
            e: owned("e")?,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        jose::{SigningAlgorithm, SigningKey},
        trust::{Documents, PublishedKeys},
    };

    #[test]
    fn finds_our_keys_in_both_documents_by_their_numbers() {
        let keys: Vec<_> = [SigningAlgorithm::Es256, SigningAlgorithm::Rs256]
            .map(|algorithm| SigningKey::generate(algorithm).unwrap())
            .iter()
            .map(|key| key.public_jwk(&key.thumbprint().to_string()))
            .collect();
        let published = PublishedKeys {
            jwt: keys,
            x509: Vec::new(),
            sequence: 1,
        };
        let documents = Documents::new("https://id.acme.example", "https://x.example", &published).unwrap();
        let read = |document: &super::super::Document| serde_json::from_slice::<Value>(document.body()).unwrap();

        assert_eq!(&ids(&read(&documents.jwks), "sig"), documents.ids());
        assert_eq!(&ids(&read(&documents.bundle), "jwt-svid"), documents.ids());
        assert!(ids(&read(&documents.bundle), "x509-svid").is_empty());
    }

    #[test]
    fn a_right_name_on_a_wrong_key_does_not_count() {
        let key = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
        let other = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
        let jwk = other.public_jwk(&key.thumbprint().to_string());

        let found = ids(&json!({ "keys": [jwk] }), "sig");

        assert!(!found.contains(&key.thumbprint().to_string()));
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn what_is_no_key_is_passed_over() {
        for entry in [
            json!({}),
            json!({ "use": "sig" }),
            json!({ "use": "sig", "kty": "oct", "k": "AA" }),
            json!(7),
        ] {
            assert!(ids(&json!({ "keys": [entry] }), "sig").is_empty(), "{entry}");
        }
        assert!(ids(&json!({ "keys": 7 }), "sig").is_empty());
    }
}

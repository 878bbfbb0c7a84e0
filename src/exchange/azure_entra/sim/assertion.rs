//! How the simulated cloud reads an assertion and verifies its signature.
//!
//! Uses `jsonwebtoken` only, so that a fault of `jose` cannot hide here.

use std::time::SystemTime;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::Jwk};
use serde_json::Value;

use crate::{
    exchange::azure_entra::{
        rules::{
            refusal::Refusal,
            token::{Claims, Header},
        },
        sim::EntraSim,
    },
    sim::Documents,
};

/// An assertion whose signature nobody has looked at.
pub(super) struct UnverifiedAssertion<'a> {
    token: &'a str,
    algorithm: Algorithm,
    algorithm_name: String,
    key_id: Option<String>,
    pub(super) claims: Claims,
}

impl<'a> UnverifiedAssertion<'a> {
    /// Reads a compact JWS without verifying it; `alg` `none` and unknown algorithms are refused here.
    pub(super) fn read(token: &'a str) -> Result<Self, Refusal> {
        let header = decode_header(token).map_err(|why| malformed(&why))?;
        let claims: Value = jsonwebtoken::dangerous::insecure_decode(token)
            .map_err(|why| malformed(&why))?
            .claims;
        Ok(Self {
            token,
            algorithm: header.alg,
            algorithm_name: format!("{:?}", header.alg),
            key_id: header.kid,
            claims: Claims::from_json(&claims)?,
        })
    }

    pub(super) fn header(&self) -> Header<'_> {
        Header {
            algorithm: &self.algorithm_name,
            key_id: self.key_id.as_deref(),
        }
    }

    /// Verifies the signature with the key that the issuer publishes under the assertion's key id.
    pub(super) fn verify(&self, documents: &Documents) -> Result<(), Refusal> {
        let key = self.published_key(documents)?;
        let mut validation = Validation::new(self.algorithm);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        decode::<Value>(self.token, &key, &validation)
            .map(|_verified| ())
            .map_err(|_why| Refusal::SignatureInvalid)
    }

    fn published_key(&self, documents: &Documents) -> Result<DecodingKey, Refusal> {
        let key_id = self.key_id.clone().unwrap_or_default();
        let keys = documents.jwks.get("keys").and_then(Value::as_array);
        keys.into_iter()
            .flatten()
            .filter(|key| key.get("kty").and_then(Value::as_str) != Some("oct"))
            .find(|key| key.get("kid").and_then(Value::as_str) == Some(&key_id))
            .and_then(|key| serde_json::from_value::<Jwk>(key.clone()).ok())
            .and_then(|key| DecodingKey::from_jwk(&key).ok())
            .ok_or_else(|| Refusal::KeyNotFound {
                key_id,
                issuer: self.claims.issuer.clone(),
            })
    }
}

impl EntraSim {
    /// Fetches the issuer's documents, or takes those of a fetch within the cloud's memory.
    pub(super) async fn documents_of(&self, issuer: &str, now: SystemTime) -> Result<Documents, Refusal> {
        if let Some(documents) = self.remembered(issuer, now) {
            return Ok(documents);
        }
        match self.documents.fetch(issuer).await {
            Ok(documents) => {
                self.state().fetched.insert(issuer.to_owned(), (now, documents.clone()));
                Ok(documents)
            }
            Err(why) => {
                tracing::debug!(%why, "the simulated Entra could not fetch an issuer's documents");
                Err(Refusal::IssuerUnreachable)
            }
        }
    }

    fn remembered(&self, issuer: &str, now: SystemTime) -> Option<Documents> {
        let state = self.state();
        let (fetched, documents) = state.fetched.get(issuer)?;
        let until = fetched.checked_add(state.behaviour.key_memory)?;
        (now < until).then(|| documents.clone())
    }
}

fn malformed(why: &jsonwebtoken::errors::Error) -> Refusal {
    Refusal::AssertionInvalid {
        reason: format!("found no readable JWT ({why}), expected a signed compact JWS"),
    }
}

//! The key with which a simulated issuer signs its tokens, and the key set that says so.
//!
//! It signs whatever it is given, with another library than the gateway verifies with.

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};

/// What may go wrong while a key is made or used.
pub type SignerError = Box<dyn std::error::Error + Send + Sync>;

/// One private key and its public half as a JWK.
pub struct TokenSigner {
    algorithm: Algorithm,
    kid: String,
    x5t: Option<String>,
    key: EncodingKey,
    jwk: Value,
}

impl std::fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSigner")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl TokenSigner {
    /// Makes a fresh RSA key of 2048 bits, which signs with RS256.
    ///
    /// # Errors
    /// Fails where no key can be made.
    pub fn rs256(kid: &str) -> Result<Self, SignerError> {
        let pair = KeyPair::generate(KeySize::Rsa2048)?;
        let public = pair.public_key();
        let jwk = json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
            "n": encoded(public.modulus().big_endian_without_leading_zero()),
            "e": encoded(public.exponent().big_endian_without_leading_zero()),
        });
        let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der()?;
        Ok(Self {
            algorithm: Algorithm::RS256,
            kid: kid.to_owned(),
            x5t: None,
            key: EncodingKey::from_rsa_pem(pem(pkcs8.as_ref()).as_bytes())?,
            jwk,
        })
    }

    /// Makes a fresh key on the curve P-384, which signs with ES384.
    ///
    /// # Errors
    /// Fails where no key can be made.
    pub fn es384(kid: &str) -> Result<Self, SignerError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING)?;
        // SEC 1 section 2.3.3: 4, then both coordinates.
        let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at_checked(48).unwrap_or_default();
        let jwk = json!({
            "kty": "EC", "crv": "P-384", "use": "sig", "alg": "ES384", "kid": kid, "x": encoded(x), "y": encoded(y),
        });
        let pkcs8 = pair.to_pkcs8v1()?;
        Ok(Self {
            algorithm: Algorithm::ES384,
            kid: kid.to_owned(),
            x5t: None,
            key: EncodingKey::from_ec_pem(pem(pkcs8.as_ref()).as_bytes())?,
            jwk,
        })
    }

    /// Names the key's certificate as well, in `x5t` of headers and of the key, as Entra does.
    #[must_use]
    pub fn with_x5t(mut self, x5t: &str) -> Self {
        if let Some(jwk) = self.jwk.as_object_mut() {
            jwk.insert("x5t".to_owned(), json!(x5t));
        }
        Self {
            x5t: Some(x5t.to_owned()),
            ..self
        }
    }

    /// Returns the public key.
    pub fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// Returns a key set with this key alone.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk] })
    }

    /// Signs claims; the header has `alg`, `kid` and `typ` = `JWT`.
    ///
    /// # Errors
    /// Fails where the library fails.
    pub fn sign(&self, claims: &Map<String, Value>) -> Result<String, SignerError> {
        self.sign_typed(Some("JWT"), claims)
    }

    /// Signs claims under another `typ`, or none.
    ///
    /// # Errors
    /// Fails where the library fails.
    pub fn sign_typed(&self, typ: Option<&str>, claims: &Map<String, Value>) -> Result<String, SignerError> {
        let mut header = Header::new(self.algorithm);
        header.typ = typ.map(str::to_owned);
        header.kid = Some(self.kid.clone());
        header.x5t.clone_from(&self.x5t);
        Ok(jsonwebtoken::encode(&header, claims, &self.key)?)
    }
}

fn encoded(number: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(number)
}

fn pem(pkcs8: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(pkcs8);
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

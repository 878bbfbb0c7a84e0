//! What the tests stand on: keys, an issuer's documents, an AWS with one provider and one role.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom as SystemRandomness,
    rsa::{KeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
        EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _,
    },
};
use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{
    clock::FakeClock,
    exchange::aws_sts::sim::{AwsSim, OidcProvider, Role},
    secret::SystemRandom,
    sim::{Documents, IssuerDocuments, Unavailable},
};

pub(super) const NOW: &str = "2026-01-16T14:40:00Z";
pub(super) const NOW_SECONDS: i64 = 1_768_574_400;
pub(super) const ISSUER: &str = "https://id.acme.example";
pub(super) const AUDIENCE: &str = "https://id.acme.example/aws/123456789012";
pub(super) const SUBJECT: &str = "spiffe://prod.acme.example/ci/acme/shop/deploy";
pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/deploy";

pub(super) struct Signer {
    encoding: Encoding,
    pub(super) jwk: Value,
}

pub(super) static RSA: LazyLock<Signer> = LazyLock::new(|| rsa("rsa-1"));
pub(super) static OTHER_RSA: LazyLock<Signer> = LazyLock::new(|| rsa("rsa-1"));
pub(super) static ES256: LazyLock<Signer> =
    LazyLock::new(|| ec("ec-ES256", &ECDSA_P256_SHA256_FIXED_SIGNING, Algorithm::ES256));
pub(super) static ES384: LazyLock<Signer> =
    LazyLock::new(|| ec("ec-ES384", &ECDSA_P384_SHA384_FIXED_SIGNING, Algorithm::ES384));

pub(super) static ES512: LazyLock<Signer> = LazyLock::new(es512);

/// What signs: a key of the library, or of the one algorithm that it does not have.
enum Encoding {
    Es512(EcdsaKeyPair),
    Library(EncodingKey),
}

fn es512() -> Signer {
    let key = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
    let (x, y) = key.public_key().as_ref()[1..].split_at(66);
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    Signer {
        jwk: json!({"kty": "EC", "crv": "P-521", "x": part(x), "y": part(y), "kid": "ec-ES512", "use": "sig"}),
        encoding: Encoding::Es512(key),
    }
}

fn rsa(kid: &str) -> Signer {
    let der = KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
    let encoding = EncodingKey::from_rsa_pem(pem(der.as_ref()).as_bytes()).unwrap();
    signer(kid, encoding, Algorithm::RS256)
}

fn ec(kid: &str, curve: &'static EcdsaSigningAlgorithm, algorithm: Algorithm) -> Signer {
    let der = EcdsaKeyPair::generate(curve).unwrap().to_pkcs8v1().unwrap();
    signer(
        kid,
        EncodingKey::from_ec_pem(pem(der.as_ref()).as_bytes()).unwrap(),
        algorithm,
    )
}

fn pem(der: &[u8]) -> String {
    let lines: Vec<String> = STANDARD
        .encode(der)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    )
}

fn signer(kid: &str, encoding: EncodingKey, algorithm: Algorithm) -> Signer {
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&encoding, algorithm).unwrap()).unwrap();
    let members = jwk.as_object_mut().unwrap();
    // One RSA key signs with all three digests here.
    members.remove("alg");
    members.insert("kid".to_owned(), json!(kid));
    members.insert("use".to_owned(), json!("sig"));
    Signer {
        encoding: Encoding::Library(encoding),
        jwk,
    }
}

impl Signer {
    /// Signs; where the library knows no such algorithm or the key does not fit, the signature is junk.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(header), part(claims));
        let key = match &self.encoding {
            Encoding::Es512(key) => {
                let signature = key.sign(&SystemRandomness::new(), input.as_bytes()).unwrap();
                return format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
            }
            Encoding::Library(key) => key,
        };
        serde_json::from_value::<Header>(header.clone())
            .ok()
            .and_then(|header| jsonwebtoken::encode(&header, claims, key).ok())
            .unwrap_or_else(|| format!("{input}.{}", URL_SAFE_NO_PAD.encode("junk")))
    }
}

pub(super) fn header() -> Value {
    json!({"alg": "RS256", "kid": "rsa-1", "typ": "JWT"})
}

pub(super) fn claims(now: i64) -> Value {
    json!({
        "iss": ISSUER, "sub": SUBJECT, "aud": AUDIENCE, "jti": "01h", "iat": now, "nbf": now, "exp": now + 300,
    })
}

pub(super) fn discovery() -> Value {
    json!({
        "issuer": ISSUER,
        "jwks_uri": format!("{ISSUER}/.well-known/jwks.json"),
        "authorization_endpoint": "",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nbf", "jti"],
    })
}

pub(super) fn jwks() -> Value {
    json!({"keys": [RSA.jwk, ES256.jwk, ES384.jwk, ES512.jwk]})
}

pub(super) fn provider() -> OidcProvider {
    OidcProvider {
        account: "123456789012".to_owned(),
        url: ISSUER.to_owned(),
        client_ids: vec![AUDIENCE.to_owned()],
        thumbprints: Vec::new(),
    }
}

pub(super) fn trust_policy() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/id.acme.example"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {"id.acme.example:sub": SUBJECT, "id.acme.example:aud": AUDIENCE}},
        }],
    })
}

pub(super) fn role() -> Role {
    Role {
        arn: ROLE.to_owned(),
        trust_policy: trust_policy().to_string(),
        max_session_duration: Duration::from_hours(1),
    }
}

/// An issuer whose documents a test can change.
#[derive(Debug)]
pub(super) struct FakeDocuments(pub(super) Mutex<Result<Documents, Unavailable>>);

impl FakeDocuments {
    pub(super) fn new(discovery: Value, jwks: Value) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Ok(Documents { discovery, jwks }))))
    }

    pub(super) fn unreachable() -> Arc<Self> {
        let why = Unavailable {
            issuer: ISSUER.to_owned(),
            reason: "took more than 5 s".to_owned(),
        };
        Arc::new(Self(Mutex::new(Err(why))))
    }
}

impl IssuerDocuments for FakeDocuments {
    fn fetch<'a>(
        &'a self,
        _issuer: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Documents, Unavailable>> + Send + 'a>> {
        let answer = self.0.lock().unwrap().clone();
        Box::pin(async move { answer })
    }
}

pub(super) fn empty_aws(documents: Arc<FakeDocuments>, clock: Arc<FakeClock>) -> Arc<AwsSim> {
    Arc::new(AwsSim::new(documents, clock, Arc::new(SystemRandom)))
}

/// An AWS that trusts the issuer with one role, at the fixed moment.
pub(super) fn aws() -> Arc<AwsSim> {
    let aws = empty_aws(FakeDocuments::new(discovery(), jwks()), FakeClock::at(NOW));
    aws.create_oidc_provider(provider()).unwrap();
    aws.create_role(role()).unwrap();
    aws
}

pub(super) fn parameters(token: &str) -> Vec<(String, String)> {
    [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", ROLE),
        ("RoleSessionName", "shop-deploy@0123456789ab"),
        ("WebIdentityToken", token),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

pub(super) fn encoded(parameters: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish()
}

/// What came back over the wire.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: String,
}

impl Answer {
    /// Returns the text of the first element of that name.
    pub(super) fn text(&self, element: &str) -> Option<String> {
        let (_, rest) = self.body.split_once(&format!("<{element}>"))?;
        let (text, _) = rest.split_once(&format!("</{element}>"))?;
        let plain = text
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&apos;", "'");
        Some(plain.replace("&amp;", "&"))
    }
}

pub(super) async fn send(aws: &Arc<AwsSim>, request: Request<Body>) -> Answer {
    let response = Arc::clone(aws).sts_router().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 8 * 1024 * 1024).await.unwrap();
    Answer {
        status,
        body: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

pub(super) async fn post(aws: &Arc<AwsSim>, parameters: &[(String, String)]) -> Answer {
    let request = Request::post("/")
        .header(header::HOST, "sts.test")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(encoded(parameters)))
        .unwrap();
    send(aws, request).await
}

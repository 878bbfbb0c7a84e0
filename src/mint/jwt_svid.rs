//! JWT-SVIDs: what goes into them, and nothing else.
//!
//! Audience and subject come from the permission alone; a relying party's shape can only add claims.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value};

use crate::{
    authorize::Permission,
    clock::{from_unix_seconds, unix_seconds},
    jose::{
        Algorithm, SigningAlgorithm,
        sign::{self, Header},
    },
    mint::{JwtShape, KeyRing, MintRefusal, Svid, SvidShape, X509Shape, authority::Purpose, lint, x509_svid},
    secret::{Random, Secret, hex},
    spiffe::SpiffeId,
    store::Unrecorded,
};

/// A JWT-SVID with the permission it was made by.
#[derive(Debug)]
pub struct JwtSvid {
    token: Secret,
    id: String,
    key_id: String,
    expires: SystemTime,
    permission: Permission,
}

impl JwtSvid {
    /// Returns the compact token.
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// Returns the `jti`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the key that signed it.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Returns the `exp`.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// Returns the permission it was made by.
    pub fn permission(&self) -> &Permission {
        &self.permission
    }
}

/// Makes SVIDs as one issuer.
#[derive(Debug)]
pub struct Minter {
    issuer: String,
    keys: KeyRing,
    random: Arc<dyn Random>,
}

impl Minter {
    /// Takes the issuer URL and its keys.
    pub fn new(issuer: String, keys: KeyRing, random: Arc<dyn Random>) -> Self {
        Self { issuer, keys, random }
    }

    /// Returns the keys.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Makes the SVID that `permission` allows; it stays closed until an entry about it is durable.
    ///
    /// # Errors
    /// Refuses a shape with a claim of ours, a missing key, and a result that the independent check does not pass.
    pub async fn mint(
        &self,
        permission: Permission,
        shape: SvidShape,
        now: SystemTime,
    ) -> Result<Unrecorded<Svid>, MintRefusal> {
        match shape {
            SvidShape::Jwt(shape) => self.mint_jwt(permission, shape, now).await,
            SvidShape::X509(shape) => self.mint_x509(permission, shape, now).await,
        }
    }

    async fn mint_x509(
        &self,
        permission: Permission,
        shape: X509Shape,
        now: SystemTime,
    ) -> Result<Unrecorded<Svid>, MintRefusal> {
        if let Some(actor) = permission.workload().actors().first() {
            let actor = actor.to_string();
            return Err(MintRefusal::ActorInCertificate { actor });
        }
        let svid = x509_svid::mint(&self.keys, permission, shape, (&*self.random, now)).await?;
        let digest = svid.sha256();
        Ok(Unrecorded::new(Svid::X509(svid), digest))
    }

    async fn mint_jwt(
        &self,
        permission: Permission,
        shape: JwtShape,
        now: SystemTime,
    ) -> Result<Unrecorded<Svid>, MintRefusal> {
        let mut id = [0; 16];
        self.random.fill(&mut id)?;
        let id = hex(&id);
        let life = shape.life.min(MAX_LIFE);
        let claims = self.claims(&permission, &id, (now, life), shape.claims)?;
        let algorithm = shape.algorithm;
        let input = |authority: &super::authority::Authority| {
            let header = Header {
                algorithm: written(algorithm),
                key_id: authority.id().to_owned(),
            };
            sign::signing_input(&header, &claims).map_err(|failed| MintRefusal::Lint {
                reason: failed.to_string(),
            })
        };
        let signed = self.keys.sign(Purpose::Jwt, algorithm, input).await?;
        let token = sign::assemble(signed.input, &signed.signature);
        lint::check(&token, (&signed.verifier, signed.check), &claims)?;
        let expires = from_unix_seconds(unix_seconds(now + life)).unwrap_or(now);
        let token = Secret::new(token);
        let digest = token.sha256();
        let svid = JwtSvid {
            token,
            id,
            key_id: signed.key_id,
            expires,
            permission,
        };
        Ok(Unrecorded::new(Svid::Jwt(svid), digest))
    }

    fn claims(
        &self,
        permission: &Permission,
        id: &str,
        (now, life): (SystemTime, Duration),
        more: Map<String, Value>,
    ) -> Result<Map<String, Value>, MintRefusal> {
        let issued = unix_seconds(now);
        let mut claims = Map::with_capacity(USUAL_CLAIMS);
        for (claim, value) in [
            ("iss", Value::from(self.issuer.as_str())),
            ("sub", Value::from(permission.subject().as_str())),
            ("aud", Value::from(permission.terms().audience.as_str())),
            ("iat", Value::from(issued)),
            ("nbf", Value::from(issued)),
            ("exp", Value::from(issued + life.as_secs())),
            ("jti", Value::from(id)),
        ] {
            claims.insert(claim.to_owned(), value);
        }
        if let Some(act) = act(permission.workload().actors()) {
            claims.insert("act".to_owned(), act);
        }
        for (claim, value) in more {
            if claims.contains_key(&claim) || RESERVED.contains(&claim.as_str()) {
                return Err(MintRefusal::ClaimReserved { claim });
            }
            claims.insert(claim, value);
        }
        Ok(claims)
    }
}

/// The current actor outermost, each with those before it inside (RFC 8693 section 4.1).
fn act(actors: &[SpiffeId]) -> Option<Value> {
    let mut act = None;
    for actor in actors.iter().rev() {
        let mut members = Map::from_iter([("sub".to_owned(), Value::from(actor.as_str()))]);
        members.extend(act.map(|inner| ("act".to_owned(), inner)));
        act = Some(Value::Object(members));
    }
    act
}

/// Ours, and a few of a relying party's shape.
const USUAL_CLAIMS: usize = 12;

/// Claims that would change who the token is for or by whom: AWS matches `azp` instead of `aud` (clouds.md 1.2).
const RESERVED: [&str; 4] = ["act", "azp", "cnf", "may_act"];

/// LIMITS.md: at most 60 minutes, whatever a shape asks for.
const MAX_LIFE: Duration = Duration::from_hours(1);

fn written(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::Es256 => Algorithm::Es256,
        SigningAlgorithm::Rs256 => Algorithm::Rs256,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        authorize::sample::{ask, sample},
        jose::Unverified,
        mint::fixture::{minter, now},
    };

    fn shape(claims: &Value, life: Duration) -> SvidShape {
        let claims = claims.as_object().unwrap().clone();
        SvidShape::Jwt(JwtShape {
            algorithm: SigningAlgorithm::Rs256,
            claims,
            life,
        })
    }

    async fn minted(claims: &Value, life: Duration) -> Result<Value, MintRefusal> {
        let permission = sample().decide(ask()).unwrap();
        let svid = minter().await.mint(permission, shape(claims, life), now()).await?;
        let Svid::Jwt(svid) = svid.describe() else {
            panic!("no JWT-SVID")
        };
        let token = svid.token().expose();
        assert!(Unverified::parse_jwt_svid(token).is_ok());
        let payload = token.split('.').nth(1).unwrap();
        let payload = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, payload).unwrap();
        Ok(serde_json::from_slice(&payload).unwrap())
    }

    #[tokio::test]
    async fn jwt_svid_14_holds_what_the_permission_says_and_the_shape_adds() {
        let permission = sample().decide(ask()).unwrap();

        let claims = minted(&json!({ "tag": "x" }), Duration::from_mins(5)).await.unwrap();

        assert_eq!(claims["iss"], "https://id.acme.example");
        assert_eq!(claims["sub"], permission.subject().as_str());
        assert_eq!(claims["aud"], permission.terms().audience.as_str());
        assert_eq!(
            (&claims["iat"], &claims["nbf"]),
            (&json!(1_768_574_400), &json!(1_768_574_400))
        );
        assert_eq!(claims["exp"], 1_768_574_700);
        assert_eq!(claims["jti"].as_str().unwrap().len(), 32);
        assert_eq!(claims["tag"], "x");
    }

    #[tokio::test]
    async fn a_shape_cannot_set_a_claim_of_ours() {
        for claim in [
            "iss", "sub", "aud", "exp", "iat", "nbf", "jti", "azp", "act", "cnf", "may_act",
        ] {
            let refused = minted(&json!({ claim: "x" }), Duration::from_mins(5)).await;

            assert!(
                matches!(refused, Err(MintRefusal::ClaimReserved { .. })),
                "{claim}: {refused:?}"
            );
        }
    }

    #[tokio::test]
    async fn jwt_svid_13_lives_60_minutes_at_most_whatever_the_shape_asks_for() {
        let claims = minted(&json!({}), Duration::from_hours(12)).await.unwrap();

        assert_eq!(claims["exp"], 1_768_574_400 + 3600);
    }
}

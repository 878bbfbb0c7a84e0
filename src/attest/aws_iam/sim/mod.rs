//! A simulated account of AWS: the issuer of its tokens, an instance's metadata service, and the STS that signs.
//!
//! It signs with another library than the attestor verifies with, and gives a token only to who signed the question with
//! credentials that it gave out. Texts that are from memory are marked so; nothing depends on them.

mod metadata;
mod seed;
mod sts;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use axum::{Json, Router, extract::State, routing::get};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

pub(super) use seed::SEED;

use crate::{
    clock::{Clock, unix_seconds},
    secret::{NoRandomness, Random, Secret, hex},
    sim::{
        Listen,
        imds::Sessions,
        token_signer::{SignerError, TokenSigner},
    },
};

/// One account: its issuer, its STS, and one instance in it.
#[derive(Debug)]
pub struct AwsAccountSim {
    issuer: String,
    sts: String,
    metadata: String,
    rs256: TokenSigner,
    es384: TokenSigner,
    sessions: Sessions,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    state: Mutex<AccountState>,
}

/// The instance whose role the credentials are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ec2Instance {
    /// The account's number.
    pub account: String,
    /// The region.
    pub region: String,
    /// The instance's id.
    pub id: String,
    /// The role of its instance profile.
    pub role: String,
    /// The organization that the account is in.
    pub org_id: String,
    /// Where in the organization.
    pub ou_path: String,
    /// The role's tags.
    pub tags: BTreeMap<String, String>,
}

impl Ec2Instance {
    /// Returns an instance of the role `deploy` in the account 123456789012.
    pub fn example() -> Self {
        Self {
            account: "123456789012".to_owned(),
            region: "eu-central-1".to_owned(),
            id: "i-0123456789abcdef0".to_owned(),
            role: "deploy".to_owned(),
            org_id: "o-a1b2c3d4e5".to_owned(),
            ou_path: "o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/".to_owned(),
            tags: BTreeMap::from([("CostCenter".to_owned(), "shop".to_owned())]),
        }
    }

    fn role_arn(&self) -> String {
        format!("arn:aws:iam::{}:role/{}", self.account, self.role)
    }
}

#[derive(Debug)]
struct AccountState {
    instance: Ec2Instance,
    federation: Federation,
    /// Credentials that were given out, by their key's id.
    credentials: BTreeMap<String, Credentials>,
}

/// Whether the account lets its roles have tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Federation {
    /// Nobody gets one.
    Disabled,
    /// Whoever asks.
    Enabled,
}

#[derive(Clone, Debug)]
struct Credentials {
    key_id: String,
    secret_key: Secret,
    session_token: Secret,
    instance: Ec2Instance,
    issued: SystemTime,
    expires: SystemTime,
}

impl AwsAccountSim {
    /// Starts issuer and STS over TLS and the metadata service in plain HTTP, each on a free port of loopback.
    ///
    /// # Errors
    /// Fails where no key can be made or no port can be bound.
    pub fn start(
        listen: &dyn Listen,
        instance: Ec2Instance,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Arc<Self>, SignerError> {
        let (issuer, sts, metadata) = (listen.bind()?, listen.bind()?, listen.bind_plain()?);
        let simulated = Arc::new(Self {
            issuer: issuer.url,
            sts: sts.url,
            metadata: metadata.url,
            rs256: TokenSigner::rs256("RSA_1")?,
            es384: TokenSigner::es384("EC384_1")?,
            sessions: Sessions::new(Arc::clone(&clock), Arc::clone(&random)),
            clock,
            random,
            state: Mutex::new(AccountState {
                instance,
                federation: Federation::Enabled,
                credentials: BTreeMap::new(),
            }),
        });
        (issuer.serve)(Arc::clone(&simulated).issuer_router());
        (sts.serve)(sts::router(Arc::clone(&simulated)));
        (metadata.serve)(metadata::router(Arc::clone(&simulated)));
        Ok(simulated)
    }

    /// Returns the account's issuer URL.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the URL of STS, as in `AWS_ENDPOINT_URL_STS`.
    pub fn sts(&self) -> &str {
        &self.sts
    }

    /// Returns the metadata service's URL, as in `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub fn metadata(&self) -> &str {
        &self.metadata
    }

    /// Returns the instance.
    pub fn instance(&self) -> Ec2Instance {
        self.state().instance.clone()
    }

    /// Serves another instance from now on; credentials that were given out stay those of the former.
    pub fn serve(&self, instance: Ec2Instance) {
        self.state().instance = instance;
    }

    /// Enables or disables tokens for the account.
    pub fn set_federation(&self, federation: Federation) {
        self.state().federation = federation;
    }

    /// Returns the issuer's key set.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.rs256.jwk(), self.es384.jwk()] })
    }

    /// Returns the claims of a token of the instance's role for `audience` that lives five minutes.
    pub fn claims(&self, audience: &str) -> Map<String, Value> {
        self.claims_of(&self.instance(), &json!(audience), LIFE)
    }

    /// Returns what the issuer signs with.
    pub fn signer(&self) -> &TokenSigner {
        &self.rs256
    }

    /// Signs claims with RS256.
    ///
    /// # Errors
    /// Fails where the library fails.
    pub fn sign(&self, claims: &Map<String, Value>) -> Result<String, SignerError> {
        self.rs256.sign(claims)
    }

    /// Signs claims with ES384.
    ///
    /// # Errors
    /// Fails where the library fails.
    pub fn sign_es384(&self, claims: &Map<String, Value>) -> Result<String, SignerError> {
        self.es384.sign(claims)
    }

    fn claims_of(&self, instance: &Ec2Instance, audience: &Value, life: Duration) -> Map<String, Value> {
        let now = unix_seconds(self.clock.now());
        let Ec2Instance {
            account, region, id, ..
        } = instance;
        let claims = json!({
            "aud": audience,
            "exp": now + life.as_secs(),
            "iat": now,
            "iss": self.issuer,
            "jti": self.drawn(16).map(|bytes| hex(&bytes)).unwrap_or_default(),
            "sub": instance.role_arn(),
            OWN: {
                "aws_account": account,
                "ec2_instance_source_private_ipv4": "10.0.0.17",
                "ec2_instance_source_vpc": "vpc-0123456789abcdef0",
                "ec2_role_delivery": "2.0",
                "ec2_source_instance_arn": format!("arn:aws:ec2:{region}:{account}:instance/{id}"),
                "org_id": instance.org_id,
                "ou_path": [instance.ou_path],
                "principal_id": instance.role_arn(),
                "principal_tags": instance.tags,
                "source_region": region,
            },
        });
        claims.as_object().cloned().unwrap_or_default()
    }

    fn drawn(&self, count: usize) -> Result<Vec<u8>, NoRandomness> {
        let mut bytes = vec![0; count];
        self.random.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Returns the role's credentials: the same until they have a quarter of an hour left.
    fn credentials(&self) -> Result<Credentials, NoRandomness> {
        let now = self.clock.now();
        let instance = self.instance();
        let lasting = |held: &&Credentials| held.instance == instance && held.expires > now + RENEWED_BEFORE;
        if let Some(held) = self.state().credentials.values().find(lasting) {
            return Ok(held.clone());
        }
        let text = |count: usize| self.drawn(count).map(|bytes| BASE64_STANDARD.encode(bytes));
        let key_id = format!("ASIA{}", hex(&self.drawn(8)?).to_uppercase());
        let credentials = Credentials {
            key_id: key_id.clone(),
            secret_key: Secret::new(text(30)?),
            session_token: Secret::new(text(96)?),
            instance,
            issued: now,
            expires: now + CREDENTIALS_LAST,
        };
        self.state().credentials.insert(key_id, credentials.clone());
        Ok(credentials)
    }

    fn state(&self) -> MutexGuard<'_, AccountState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn issuer_router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/.well-known/jwks.json", get(jwks))
            .with_state(self)
    }
}

async fn discovery(State(account): State<Arc<AwsAccountSim>>) -> Json<Value> {
    Json(json!({
        "issuer": account.issuer,
        "jwks_uri": format!("{}/.well-known/jwks.json", account.issuer),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES384"],
    }))
}

async fn jwks(State(account): State<Arc<AwsAccountSim>>) -> Json<Value> {
    Json(account.jwks())
}

const OWN: &str = "https://sts.amazonaws.com/";

/// STS API Reference, GetWebIdentityToken: the default.
const LIFE: Duration = Duration::from_mins(5);

/// An instance's credentials last about six hours `[M]`.
const CREDENTIALS_LAST: Duration = Duration::from_hours(6);
const RENEWED_BEFORE: Duration = Duration::from_mins(15);

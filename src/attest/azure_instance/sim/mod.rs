//! A simulated tenant of Entra and the metadata service of one machine in it.
//!
//! It signs with another library than the attestor verifies with. Paths and headers of the metadata service are
//! documented; the texts of its errors and the form of tokens are from memory, and nothing but the claims depends on them.

pub mod attested;
mod seed;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Map, Value, json};

pub(super) use seed::SEED;

use crate::{
    clock::{Clock, unix_seconds},
    sim::{
        Listen,
        token_signer::{SignerError, TokenSigner},
    },
};

/// One tenant, and one machine in it.
#[derive(Debug)]
pub struct AzureSim {
    authority: String,
    metadata: String,
    signer: TokenSigner,
    /// The key for private accounts, which every tenant's set has as well.
    private_accounts: TokenSigner,
    clock: Arc<dyn Clock>,
    state: Mutex<TenantState>,
}

/// The machine that the metadata service serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureMachine {
    /// The tenant.
    pub tenant_id: String,
    /// The subscription.
    pub subscription_id: String,
    /// The resource group, as it was written when it was made.
    pub resource_group: String,
    /// The machine.
    pub name: String,
    /// Its own identity.
    pub system_assigned: Identity,
    /// The identities that it was given, by their names.
    pub user_assigned: BTreeMap<String, Identity>,
}

/// A managed identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its id as a principal.
    pub principal_id: String,
    /// Its id as a client.
    pub client_id: String,
}

/// Which tokens an application takes (`requestedAccessTokenVersion` of its registration).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenVersion {
    /// Those of `https://sts.windows.net/<tenant>/`, for the resource as it was asked for.
    One,
    /// Those of `<authority>/<tenant>/v2.0`, for the application's id.
    Two,
}

#[derive(Debug)]
struct TenantState {
    machine: AzureMachine,
    /// Applications by the resource under which they are asked for: their id and the version of their tokens.
    applications: BTreeMap<String, (String, TokenVersion)>,
}

/// Whose token is asked for, and in which form.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    identity: &'a Identity,
    resource_id: &'a str,
    audience: &'a str,
    version: TokenVersion,
}

impl AzureMachine {
    /// Returns the machine `deploy-1`, which was given the identity `deploy` as well.
    pub fn example() -> Self {
        let identity = |digit: char| Identity {
            principal_id: format!("{digit}a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"),
            client_id: format!("{digit}f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f"),
        };
        Self {
            tenant_id: "0f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f".to_owned(),
            subscription_id: "7d1c2b3a-4e5f-4a6b-8c7d-9e0f1a2b3c4d".to_owned(),
            resource_group: "Shop-RG".to_owned(),
            name: "deploy-1".to_owned(),
            system_assigned: identity('1'),
            user_assigned: BTreeMap::from([("deploy".to_owned(), identity('2'))]),
        }
    }

    /// Returns the machine's resource id.
    pub fn resource_id(&self) -> String {
        self.resource("Microsoft.Compute/virtualMachines", &self.name)
    }

    fn resource(&self, kind: &str, name: &str) -> String {
        let (subscription, group) = (&self.subscription_id, &self.resource_group);
        format!("/subscriptions/{subscription}/resourcegroups/{group}/providers/{kind}/{name}")
    }

    /// Returns the identity that a question names, and its resource id; its own where it names none.
    fn identity(&self, query: &BTreeMap<String, String>) -> Option<(Identity, String)> {
        let named = ["client_id", "object_id", "mi_res_id", "msi_res_id"];
        let asked: Vec<(&str, &String)> = named
            .iter()
            .filter_map(|name| query.get(*name).map(|value| (*name, value)))
            .collect();
        let of_machine = (self.system_assigned.clone(), self.resource_id());
        let given = self.user_assigned.iter().map(|(name, identity)| {
            let id = self.resource("Microsoft.ManagedIdentity/userAssignedIdentities", name);
            (identity.clone(), id)
        });
        let mut all = std::iter::once(of_machine).chain(given);
        match asked.as_slice() {
            [] => all.next(),
            [(by, value)] => all.find(|(identity, id)| match *by {
                "client_id" => identity.client_id == **value,
                "object_id" => identity.principal_id == **value,
                _resource => id.eq_ignore_ascii_case(value),
            }),
            _several => None,
        }
    }
}

impl AzureSim {
    /// Starts the authority over TLS and the metadata service in plain HTTP, each on a free port of loopback.
    ///
    /// # Errors
    /// Fails where no key can be made or no port can be bound.
    pub fn start(listen: &dyn Listen, machine: AzureMachine, clock: Arc<dyn Clock>) -> Result<Arc<Self>, SignerError> {
        let (authority, metadata) = (listen.bind()?, listen.bind_plain()?);
        let simulated = Arc::new(Self {
            authority: authority.url,
            metadata: metadata.url,
            signer: TokenSigner::rs256("entra-1")?.with_x5t("entra-1"),
            private_accounts: TokenSigner::rs256("entra-2")?.with_x5t("entra-2"),
            clock,
            state: Mutex::new(TenantState {
                machine,
                applications: BTreeMap::new(),
            }),
        });
        (authority.serve)(Arc::clone(&simulated).authority_router());
        (metadata.serve)(Arc::clone(&simulated).metadata_router());
        Ok(simulated)
    }

    /// Returns the authority's URL, in the place of `https://login.microsoftonline.com`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the metadata service's URL, in the place of `http://169.254.169.254`.
    pub fn metadata(&self) -> &str {
        &self.metadata
    }

    /// Returns the machine.
    pub fn machine(&self) -> AzureMachine {
        self.state().machine.clone()
    }

    /// Serves another machine from now on.
    pub fn serve(&self, machine: AzureMachine) {
        self.state().machine = machine;
    }

    /// Registers an application, whose tokens are asked for as `resource`.
    pub fn register(&self, resource: &str, application_id: &str, version: TokenVersion) {
        let application = (application_id.to_owned(), version);
        self.state().applications.insert(resource.to_owned(), application);
    }

    /// Returns the tenant's key set: Entra names no algorithm, and says whose tokens each key signs.
    pub fn jwks(&self) -> Value {
        let key = |signer: &TokenSigner, tenant: &str| {
            let mut jwk = signer.jwk().clone();
            if let Some(jwk) = jwk.as_object_mut() {
                jwk.remove("alg");
                jwk.insert("cloud_instance_name".to_owned(), json!("microsoftonline.com"));
                jwk.insert("issuer".to_owned(), json!(format!("{}/{tenant}/v2.0", self.authority)));
            }
            jwk
        };
        json!({ "keys": [key(&self.signer, "{tenantid}"), key(&self.private_accounts, PRIVATE_ACCOUNTS)] })
    }

    /// Returns the issuer of the tenant's tokens of a version.
    pub fn issuer(&self, version: TokenVersion) -> String {
        let tenant = self.machine().tenant_id;
        match version {
            TokenVersion::One => format!("https://sts.windows.net/{tenant}/"),
            TokenVersion::Two => format!("{}/{tenant}/v2.0", self.authority),
        }
    }

    /// Returns the claims of a token of the machine's own identity.
    pub fn claims(&self, audience: &str, version: TokenVersion) -> Map<String, Value> {
        let machine = self.machine();
        self.claims_of(Asked {
            identity: &machine.system_assigned,
            resource_id: &machine.resource_id(),
            audience,
            version,
        })
    }

    /// Returns what the issuer signs with.
    pub fn signer(&self) -> &TokenSigner {
        &self.signer
    }

    /// Signs claims as Entra does.
    ///
    /// # Errors
    /// Fails where the library fails.
    pub fn sign(&self, claims: &Map<String, Value>) -> Result<String, SignerError> {
        self.signer.sign(claims)
    }

    /// Signs claims with the key for private accounts.
    ///
    /// # Errors
    /// Fails where the library fails.
    pub fn sign_for_private_accounts(&self, claims: &Map<String, Value>) -> Result<String, SignerError> {
        self.private_accounts.sign(claims)
    }

    fn claims_of(&self, asked: Asked<'_>) -> Map<String, Value> {
        let dated = unix_seconds(self.clock.now()) - DATED_BACK.as_secs();
        let (client, ver) = match asked.version {
            TokenVersion::One => ("appid", "1.0"),
            TokenVersion::Two => ("azp", "2.0"),
        };
        let claims = json!({
            "aio": "k2RgYPg/",
            "aud": asked.audience,
            "exp": dated + DATED_BACK.as_secs() + LIFE.as_secs(),
            "iat": dated,
            "idtyp": "app",
            "iss": self.issuer(asked.version),
            "nbf": dated,
            "oid": asked.identity.principal_id,
            "sub": asked.identity.principal_id,
            "tid": self.machine().tenant_id,
            "uti": "0123456789abcdefABCDEF",
            "ver": ver,
            "xms_mirid": asked.resource_id,
            client: asked.identity.client_id,
        });
        claims.as_object().cloned().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, TenantState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn authority_router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/{tenant}/v2.0/.well-known/openid-configuration", get(discovery))
            .route("/{tenant}/discovery/v2.0/keys", get(keys))
            .with_state(self)
    }

    fn metadata_router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/metadata/identity/oauth2/token", get(token))
            .with_state(self)
    }
}

type Sim = State<Arc<AzureSim>>;

async fn discovery(State(sim): Sim, Path(tenant): Path<String>) -> Response {
    if tenant != sim.machine().tenant_id {
        return StatusCode::BAD_REQUEST.into_response();
    }
    Json(json!({
        "issuer": sim.issuer(TokenVersion::Two),
        "jwks_uri": format!("{}/{tenant}/discovery/v2.0/keys", sim.authority),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
    .into_response()
}

async fn keys(State(sim): Sim, Path(tenant): Path<String>) -> Response {
    if tenant != sim.machine().tenant_id {
        return StatusCode::BAD_REQUEST.into_response();
    }
    Json(sim.jwks()).into_response()
}

async fn token(State(sim): Sim, headers: HeaderMap, Query(query): Query<BTreeMap<String, String>>) -> Response {
    if headers.contains_key("x-forwarded-for") {
        return refusal("invalid_request", "Requests with X-Forwarded-For are not answered");
    }
    if headers.get("metadata").is_none_or(|value| value != "true") {
        return refusal("invalid_request", "Required metadata header not specified");
    }
    if query.get("api-version").is_none_or(|version| version != API_VERSION) {
        return refusal("invalid_request", "api-version is missing or not known");
    }
    let Some(resource) = query.get("resource") else {
        return refusal("invalid_request", "Required query variable 'resource' is missing");
    };
    let machine = sim.machine();
    let Some((identity, resource_id)) = machine.identity(&query) else {
        return refusal("invalid_request", "Identity not found");
    };
    let registered = sim.state().applications.get(resource).cloned();
    let Some((application, version)) = registered else {
        let text = format!("AADSTS500011: The resource principal named {resource} was not found in the tenant");
        return refusal("invalid_resource", &text);
    };
    let asked = Asked {
        identity: &identity,
        resource_id: &resource_id,
        audience: match version {
            TokenVersion::One => resource,
            TokenVersion::Two => &application,
        },
        version,
    };
    let now = unix_seconds(sim.clock.now());
    match sim.sign(&sim.claims_of(asked)) {
        Ok(token) => Json(json!({
            "access_token": token,
            "client_id": identity.client_id,
            "expires_in": LIFE.as_secs().to_string(),
            "expires_on": (now + LIFE.as_secs()).to_string(),
            "ext_expires_in": LIFE.as_secs().to_string(),
            "not_before": (now - DATED_BACK.as_secs()).to_string(),
            "resource": resource,
            "token_type": "Bearer",
        }))
        .into_response(),
        Err(failed) => (StatusCode::INTERNAL_SERVER_ERROR, failed.to_string()).into_response(),
    }
}

fn refusal(error: &str, description: &str) -> Response {
    let body = json!({ "error": error, "error_description": description });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// The tenant of Microsoft's private customers.
const PRIVATE_ACCOUNTS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

const API_VERSION: &str = "2018-02-01";

/// Tokens of managed identities live a day `[M]` ..
const LIFE: Duration = Duration::from_hours(24);
/// .. and are dated five minutes back `[M]`.
const DATED_BACK: Duration = Duration::from_mins(5);

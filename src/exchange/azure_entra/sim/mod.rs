//! A simulated Entra: tenants, applications with federated credentials, and the token endpoint on the wire.
//!
//! Never uses the plugin's `request` or `response`, and never `jose`: signatures are verified by `jsonwebtoken`. What it
//! does not support it refuses when it is set up. Rules from memory are labelled unverified in `rules`.

mod answer;
mod assertion;
mod directory;
mod discovery;
mod seed;
mod token;

#[cfg(test)]
pub(super) mod tests;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};

use crate::{
    clock::Clock,
    exchange::azure_entra::{
        rules::{
            limits::{AdminRefusal, NewCredential},
            token::Strictness,
        },
        sim::directory::{Directory, Issued},
    },
    secret::{Digest, NoRandomness, Random, hex},
    sim::{Documents, IssuerDocuments, Mutations},
};

pub use self::directory::ApplicationKind;
pub(super) use self::seed::SEED;

/// Most bytes of a request. Ours; the cloud's limit is not documented.
const REQUEST_BYTES: usize = 64 * 1024;

/// The simulated cloud.
#[derive(Debug)]
pub struct EntraSim {
    documents: Arc<dyn IssuerDocuments>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    mutations: Mutations,
    calls: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    behaviour: Behaviour,
    directory: Directory,
    issued: HashMap<Digest, Issued>,
    fetched: HashMap<String, (SystemTime, Documents)>,
}

/// What differs between replicas, versions and moods of the live cloud.
#[derive(Clone, Copy, Debug, Default)]
pub struct Behaviour {
    /// How long a new credential is answered with 70021. The live cloud takes minutes.
    pub propagation: Duration,
    /// How long fetched keys are used again. From memory the live cloud keeps them for up to 24 h; default: not at all.
    pub key_memory: Duration,
    /// Which algorithms are taken.
    pub strictness: Strictness,
    /// How the parts of an error's description are separated.
    pub separator: Separator,
}

/// How the parts of an error's description are separated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Separator {
    /// By blanks, as newer answers were observed.
    Blanks,
    /// By carriage return and line feed, as documented.
    #[default]
    Lines,
}

#[derive(Debug)]
struct Served {
    sim: Arc<EntraSim>,
    public_url: String,
}

impl EntraSim {
    /// Returns a cloud without tenants; it fetches issuers' keys through `documents`.
    pub fn new(documents: Arc<dyn IssuerDocuments>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            documents,
            clock,
            random,
            mutations: Mutations::default(),
            calls: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Adds a tenant; changes nothing if it exists.
    pub fn add_tenant(&self, tenant: &str) {
        self.state().directory.add_tenant(tenant);
    }

    /// Adds an application to a tenant, or replaces it; adds the tenant as well.
    pub fn add_application(&self, tenant: &str, client_id: &str, kind: ApplicationKind) {
        self.state().directory.add_application(tenant, client_id, kind);
    }

    /// Adds a federated credential to an application, as an administrator does.
    ///
    /// # Errors
    /// Refuses what the administration interface of the cloud refuses.
    pub fn add_credential(&self, tenant: &str, client_id: &str, new: NewCredential) -> Result<(), AdminRefusal> {
        let now = self.clock.now();
        self.state().directory.add_credential(tenant, client_id, new, now)
    }

    /// Removes a federated credential; tells whether it was there.
    pub fn remove_credential(&self, tenant: &str, client_id: &str, name: &str) -> bool {
        self.state().directory.remove_credential(tenant, client_id, name)
    }

    /// Changes how the cloud behaves from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state().behaviour = behaviour;
    }

    /// Returns the queue of what the next requests to the token endpoint meet.
    pub fn mutations(&self) -> &Mutations {
        &self.mutations
    }

    /// Returns how many requests the token endpoint got.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Returns what serves the cloud's HTTP interface; `public_url` is where clients reach it, without a trailing slash.
    ///
    /// - `POST /{tenant}/oauth2/v2.0/token`: the token endpoint.
    /// - `GET /{tenant}/v2.0/.well-known/openid-configuration`, `GET /{tenant}/discovery/v2.0/keys` and
    ///   `GET /common/discovery/instance`: what MSAL reads before it asks for a token. The key set is empty, since access
    ///   tokens are opaque here.
    /// - `GET /_accepted`: no part of the cloud; a protected resource that takes any live access token in
    ///   `Authorization: Bearer` and answers 200 with `appid`, `tid`, `resource` and `expires_on` (seconds since 1970),
    ///   and anything else with 401.
    pub fn router(self: Arc<Self>, public_url: String) -> Router {
        let served = Arc::new(Served { sim: self, public_url });
        Router::new()
            .route("/_accepted", get(token::accepted))
            .route("/common/discovery/instance", get(discovery::instance))
            .route("/{tenant}/discovery/v2.0/keys", get(discovery::keys))
            .route("/{tenant}/oauth2/v2.0/token", post(token::issue))
            .route(
                "/{tenant}/v2.0/.well-known/openid-configuration",
                get(discovery::configuration),
            )
            .layer(DefaultBodyLimit::max(REQUEST_BYTES))
            .with_state(served)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a random GUID of version 4.
    fn guid(&self) -> Result<String, NoRandomness> {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes)?;
        let digits = hex(&bytes);
        let part = |from: usize, length: usize| digits.chars().skip(from).take(length).collect::<String>();
        Ok(format!(
            "{}-{}-4{}-8{}-{}",
            part(0, 8),
            part(8, 4),
            part(13, 3),
            part(17, 3),
            part(20, 12)
        ))
    }
}

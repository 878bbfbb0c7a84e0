//! A simulated Google Cloud: pools, providers, service accounts, and the two services that give tokens.
//!
//! Verifies signatures with another library than the gateway, and never uses the plugin's `request` or `response`.
//! What it does not support it refuses when created or asked, never ignores.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::rules::{
    limits::{LifetimeExtension, SettingRefusal, judge_id},
    principal::{Identity, Member, NotAMember},
    provider::{Provider, ProviderName, ProviderSettings},
    trust::{Trust, Uncompilable},
};
use crate::{
    clock::Clock,
    secret::{Digest, NoRandomness, Random},
    sim::{IssuerDocuments, Mutations},
};

mod answer;
mod certificate;
mod iamcredentials;
mod seed;
mod signature;
mod sts;

#[cfg(test)]
mod tests;

pub(super) use seed::seed;

/// Tokens remembered at once; the oldest is forgotten first.
const REMEMBERED: usize = 10_000;

/// A simulated Google Cloud.
pub struct GcpSim {
    documents: Arc<dyn IssuerDocuments>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    state: Mutex<State>,
    mutations: Mutations,
    calls: AtomicU64,
}

/// Whether a pool or provider takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// A disabled provider exchanges nothing; of a disabled pool also the tokens already given stop working.
    Disabled,
    /// It takes part, as it does when created.
    Enabled,
}

#[derive(Default)]
struct State {
    pools: BTreeMap<(u64, String), Availability>,
    providers: BTreeMap<ProviderName, (Availability, Arc<Registered>)>,
    accounts: BTreeMap<String, Account>,
    tokens: BTreeMap<Digest, Issued>,
    order: VecDeque<Digest>,
}

struct Registered {
    provider: Provider,
    trust: Trust,
}

struct Account {
    unique_id: String,
    extension: LifetimeExtension,
    users: Vec<User>,
}

enum User {
    Account(String),
    Federated(Member),
}

/// A token the simulator gave out.
#[derive(Clone)]
struct Issued {
    holder: Holder,
    scopes: Vec<String>,
    expires: SystemTime,
}

/// Whom a token stands for.
#[derive(Clone)]
enum Holder {
    Account(String),
    Federated(Identity),
}

impl GcpSim {
    /// Builds an empty cloud that gets issuers' keys through `documents`.
    pub fn new(documents: Arc<dyn IssuerDocuments>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            documents,
            clock,
            random,
            state: Mutex::default(),
            mutations: Mutations::default(),
            calls: AtomicU64::new(0),
        }
    }

    /// Creates pool `pool` in the project with the number `project`.
    ///
    /// # Errors
    /// [`CreationRefused`] where the id is not one or is taken.
    pub fn create_pool(&self, project: u64, pool: &str) -> Result<(), CreationRefused> {
        let id = judge_id("workloadIdentityPoolId", pool)?.to_owned();
        let mut state = self.state();
        if state.pools.contains_key(&(project, id.clone())) {
            return Err(CreationRefused::Exists { name: id });
        }
        state.pools.insert((project, id), Availability::Enabled);
        Ok(())
    }

    /// Creates a provider in an existing pool.
    ///
    /// # Errors
    /// [`CreationRefused`] where Google refuses the settings, or where the simulator does not support one.
    pub fn create_provider(&self, name: ProviderName, settings: ProviderSettings) -> Result<(), CreationRefused> {
        let unsupported = [
            ("oidc.discoveryUri", settings.discovery_uri.is_some()),
            ("actorProviders", !settings.actor_providers.is_empty()),
        ];
        let provider = Provider::new(name.clone(), settings)?;
        if let Some((what, _)) = unsupported.iter().find(|(_, given)| *given) {
            return Err(CreationRefused::Unsupported { what });
        }
        let trust = Trust::compile(&provider)?;
        let mut state = self.state();
        if !state.pools.contains_key(&(name.project(), name.pool().to_owned())) {
            return Err(CreationRefused::Absent {
                name: name.pool().to_owned(),
            });
        }
        if state.providers.contains_key(&name) {
            return Err(CreationRefused::Exists { name: name.to_string() });
        }
        let registered = Arc::new(Registered { provider, trust });
        state.providers.insert(name, (Availability::Enabled, registered));
        Ok(())
    }

    /// Replaces the trust anchors of a provider for certificates.
    ///
    /// # Errors
    /// [`CreationRefused`] where there is no such provider, or Google refuses the store.
    pub fn replace_trust_anchors(&self, name: &ProviderName, anchors: Vec<String>) -> Result<(), CreationRefused> {
        let absent = || CreationRefused::Absent { name: name.to_string() };
        let mut state = self.state();
        let (_, registered) = state.providers.get_mut(name).ok_or_else(absent)?;
        let mut settings = registered.provider.settings().clone();
        settings.x509.as_mut().ok_or_else(absent)?.trust_anchors = anchors;
        let provider = Provider::new(name.clone(), settings)?;
        let trust = Trust::compile(&provider)?;
        *registered = Arc::new(Registered { provider, trust });
        Ok(())
    }

    /// Creates a service account that nobody may use yet.
    ///
    /// # Errors
    /// [`CreationRefused::Exists`].
    pub fn create_service_account(&self, email: &str, unique_id: &str) -> Result<(), CreationRefused> {
        let mut state = self.state();
        if state.accounts.contains_key(email) {
            return Err(CreationRefused::Exists { name: email.to_owned() });
        }
        let account = Account {
            unique_id: unique_id.to_owned(),
            extension: LifetimeExtension::Refused,
            users: Vec::new(),
        };
        state.accounts.insert(email.to_owned(), account);
        Ok(())
    }

    /// Lets `member` get tokens of account `email`.
    ///
    /// `principal://` and `principalSet://` get `roles/iam.workloadIdentityUser`, `serviceAccount:<email>` gets
    /// `roles/iam.serviceAccountTokenCreator` (a link of a delegation chain).
    ///
    /// # Errors
    /// [`CreationRefused`] where the account is absent or the member is none of these.
    pub fn bind(&self, email: &str, member: &str) -> Result<(), CreationRefused> {
        let user = match member.strip_prefix("serviceAccount:") {
            Some(account) => User::Account(account.to_owned()),
            None => User::Federated(Member::parse(member)?),
        };
        self.account(email, |account| account.users.push(user))
    }

    /// Sets whether the organisation policy lets the account's tokens live up to 12 h.
    ///
    /// # Errors
    /// [`CreationRefused::Absent`].
    pub fn set_lifetime_extension(&self, email: &str, extension: LifetimeExtension) -> Result<(), CreationRefused> {
        self.account(email, |account| account.extension = extension)
    }

    /// Enables or disables a pool.
    ///
    /// # Errors
    /// [`CreationRefused::Absent`].
    pub fn set_pool(&self, project: u64, pool: &str, availability: Availability) -> Result<(), CreationRefused> {
        let mut state = self.state();
        let absent = || CreationRefused::Absent { name: pool.to_owned() };
        *state.pools.get_mut(&(project, pool.to_owned())).ok_or_else(absent)? = availability;
        Ok(())
    }

    /// Enables or disables a provider.
    ///
    /// # Errors
    /// [`CreationRefused::Absent`].
    pub fn set_provider(&self, name: &ProviderName, availability: Availability) -> Result<(), CreationRefused> {
        let mut state = self.state();
        let absent = || CreationRefused::Absent { name: name.to_string() };
        state.providers.get_mut(name).ok_or_else(absent)?.0 = availability;
        Ok(())
    }

    /// Returns the behaviour that tests inject into the next requests.
    pub fn mutations(&self) -> &Mutations {
        &self.mutations
    }

    /// Returns how many requests the two services have met.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn account(&self, email: &str, change: impl FnOnce(&mut Account)) -> Result<(), CreationRefused> {
        let mut state = self.state();
        let absent = || CreationRefused::Absent { name: email.to_owned() };
        change(state.accounts.get_mut(email).ok_or_else(absent)?);
        Ok(())
    }

    /// Returns the provider if it and its pool take part.
    fn target(&self, name: &ProviderName) -> Option<Arc<Registered>> {
        let state = self.state();
        let pool = state.pools.get(&(name.project(), name.pool().to_owned()))?;
        let (availability, registered) = state.providers.get(name)?;
        let enabled = *pool == Availability::Enabled && *availability == Availability::Enabled;
        enabled.then(|| Arc::clone(registered))
    }

    /// Makes a token and remembers its digest.
    fn issue(&self, issued: Issued) -> Result<String, NoRandomness> {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes)?;
        let kind = match &issued.holder {
            Holder::Account(_) => 'c',
            Holder::Federated(_) => 'd',
        };
        let token = format!("ya29.{kind}.{}", URL_SAFE_NO_PAD.encode(bytes));
        let digest = Digest::of(token.as_bytes());
        let mut state = self.state();
        state.tokens.insert(digest, issued);
        state.order.push_back(digest);
        if state.order.len() > REMEMBERED
            && let Some(oldest) = state.order.pop_front()
        {
            state.tokens.remove(&oldest);
        }
        Ok(token)
    }

    /// Returns whom a token stands for, if it still works.
    fn bearer(&self, token: &str) -> Option<Issued> {
        let state = self.state();
        let issued = state.tokens.get(&Digest::of(token.as_bytes()))?;
        let works = match &issued.holder {
            Holder::Account(_) => true,
            Holder::Federated(identity) => {
                state.pools.get(&(identity.project, identity.pool.clone())) == Some(&Availability::Enabled)
            }
        };
        (works && issued.expires > self.clock.now()).then(|| issued.clone())
    }
}

impl State {
    /// Returns the account with this email or unique id.
    fn find(&self, name: &str) -> Option<(&String, &Account)> {
        self.accounts
            .iter()
            .find(|(email, account)| *email == name || account.unique_id == name)
    }
}

impl Account {
    fn admits(&self, holder: &Holder) -> bool {
        self.users.iter().any(|user| match (user, holder) {
            (User::Account(user), Holder::Account(holder)) => user == holder,
            (User::Federated(member), Holder::Federated(identity)) => member.admits(identity),
            (User::Account(_), Holder::Federated(_)) | (User::Federated(_), Holder::Account(_)) => false,
        })
    }
}

impl Holder {
    fn name(&self) -> String {
        match self {
            Self::Account(email) => format!("serviceAccount:{email}"),
            Self::Federated(identity) => identity.principal(),
        }
    }
}

impl fmt::Debug for GcpSim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpSim")
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

/// The simulator created nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreationRefused {
    /// What the creation belongs to is not there.
    #[error("`{name}` does not exist, expected it to be created before")]
    Absent {
        /// The name asked for.
        name: String,
    },
    /// There is one of that name.
    #[error("`{name}` exists, expected a new name")]
    Exists {
        /// The name.
        name: String,
    },
    /// An expression cannot be compiled.
    #[error("an expression of the provider cannot be compiled")]
    Expression(#[from] Uncompilable),
    /// The member of a binding is none.
    #[error("the member of the binding cannot be read")]
    Member(#[from] NotAMember),
    /// Google refuses a setting.
    #[error("a setting is refused")]
    Setting(#[from] SettingRefusal),
    /// Google has this, the simulator has not.
    #[error("this simulator does not support `{what}`, expected it to be absent")]
    Unsupported {
        /// The setting.
        what: &'static str,
    },
}

impl CreationRefused {
    /// Returns Google's status for the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Absent { .. } => "NOT_FOUND",
            Self::Exists { .. } => "ALREADY_EXISTS",
            Self::Expression(_) | Self::Member(_) | Self::Setting(_) => "INVALID_ARGUMENT",
            Self::Unsupported { .. } => "UNIMPLEMENTED",
        }
    }
}

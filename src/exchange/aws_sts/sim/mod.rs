//! AWS IAM and STS as far as web identities go, in memory and as strict as the cloud.
//!
//! Verifies with `jsonwebtoken` and judges by `rules`. Never uses `jose`, nor this plugin's `request` and `response`: a
//! wrong rule must not confirm itself.

mod assume;
mod es512;
mod jwks;
mod seed;
mod sts;

pub use seed::seed;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::rules::provider;
use crate::{
    clock::Clock,
    exchange::aws::{
        Code, Refusal, arn, role_session,
        sim::credentials::{self, Issued},
        trust::TrustPolicy,
    },
    secret::Random,
    sim::{IssuerDocuments, Mutations},
};

/// Sessions, credentials and refusals that are remembered; the oldest go first.
const REMEMBERED: usize = 10_000;
/// Providers in an account. Source: IAM quota `[M]`.
const PROVIDERS: usize = 100;
/// Roles in an account. Source: IAM quota `[M]`.
const ROLES: usize = 1000;

/// A simulated AWS: accounts with OIDC providers and roles, and the credentials it issued.
pub struct AwsSim {
    documents: Arc<dyn IssuerDocuments>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    state: Mutex<State>,
    mutations: Mutations,
    calls: AtomicU64,
}

/// An OIDC provider to be created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OidcProvider {
    /// The account's 12 digits.
    pub account: String,
    /// The issuer's URL.
    pub url: String,
    /// The audiences that its tokens may have.
    pub client_ids: Vec<String>,
    /// SHA-1 digests of certificates, which this simulator checks for shape only.
    pub thumbprints: Vec<String>,
}

/// A role to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// `arn:aws:iam::<account>:role/<name>`.
    pub arn: String,
    /// The trust policy's JSON.
    pub trust_policy: String,
    /// The longest session; 1 to 12 hours.
    pub max_session_duration: Duration,
}

/// A session that was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumedSession {
    /// The role.
    pub role_arn: String,
    /// `RoleSessionName`.
    pub session_name: String,
    /// `iss` of the token.
    pub issuer: String,
    /// `sub` of the token.
    pub subject: String,
    /// The audience that matched.
    pub audience: String,
    /// Session tags.
    pub tags: BTreeMap<String, String>,
    /// Keys of the transitive tags.
    pub transitive_keys: Vec<String>,
    /// The source identity.
    pub source_identity: Option<String>,
    /// How long the credentials last.
    pub duration: Duration,
    /// The inline session policy.
    pub policy: Option<String>,
    /// The managed session policies.
    pub policy_arns: Vec<String>,
    /// The access key that was issued for it.
    pub access_key_id: String,
    /// When the credentials end.
    pub expires_at: SystemTime,
}

#[derive(Default)]
struct State {
    providers: BTreeMap<(String, String), OidcProvider>,
    roles: BTreeMap<String, StandingRole>,
    credentials: HashMap<String, Issued>,
    sessions: VecDeque<AssumedSession>,
    refusals: VecDeque<Refusal>,
    refuse_next: VecDeque<Refusal>,
}

#[derive(Clone)]
struct StandingRole {
    id: String,
    trust: TrustPolicy,
    max_session_duration: Duration,
}

impl AwsSim {
    /// Returns an AWS without accounts; they come into being with their first provider or role.
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

    /// Creates an OIDC provider and returns its ARN.
    ///
    /// # Errors
    /// As `CreateOpenIDConnectProvider`: `InvalidInput`, `LimitExceeded`, `EntityAlreadyExists`.
    pub fn create_oidc_provider(&self, new: OidcProvider) -> Result<String, Refusal> {
        provider::url(&new.url)?;
        provider::client_ids(&new.client_ids)?;
        provider::thumbprints(&new.thumbprints)?;
        if !arn::is_account(&new.account) {
            let text = format!("account `{}` is not 12 digits", new.account);
            return Err(Refusal::unverified(Code::InvalidInput, text));
        }
        let key = (new.account.clone(), new.url.clone());
        let mut state = self.lock();
        if state.providers.contains_key(&key) {
            let text = format!("Provider with url {} already exists.", new.url);
            return Err(Refusal::unverified(Code::EntityAlreadyExists, text));
        }
        if state
            .providers
            .keys()
            .filter(|(account, _)| *account == new.account)
            .count()
            >= PROVIDERS
        {
            let text = format!("Cannot exceed quota for OpenIdConnectProvidersPerAccount: {PROVIDERS}");
            return Err(Refusal::unverified(Code::LimitExceeded, text));
        }
        let arn = provider::arn("aws", &new.account, &new.url);
        state.providers.insert(key, new);
        Ok(arn)
    }

    /// Removes the OIDC provider of an account.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub fn delete_oidc_provider(&self, account: &str, url: &str) -> Result<(), Refusal> {
        let key = (account.to_owned(), url.to_owned());
        match self.lock().providers.remove(&key) {
            Some(_provider) => Ok(()),
            None => Err(Refusal::unverified(
                Code::NoSuchEntity,
                format!("OpenIDConnect Provider not found for {url}"),
            )),
        }
    }

    /// Creates a role and returns its ARN.
    ///
    /// # Errors
    /// As `CreateRole`: `ValidationError`, `MalformedPolicyDocument`, `LimitExceeded`, `EntityAlreadyExists`.
    pub fn create_role(&self, role: Role) -> Result<String, Refusal> {
        let arn = arn::role_arn(&role.arn)?;
        let trust = TrustPolicy::parse(&role.trust_policy)?;
        let seconds = i64::try_from(role.max_session_duration.as_secs()).unwrap_or(i64::MAX);
        if !role_session::MAX_SESSION_DURATION.contains(&seconds) {
            let text = format!("MaxSessionDuration is {seconds} s, expected 3600 to 43200");
            return Err(Refusal::unverified(Code::ValidationError, text));
        }
        let id = format!(
            "AROA{}",
            credentials::id(&*self.random).map_err(credentials::no_randomness)?
        );
        let mut state = self.lock();
        if state.roles.contains_key(&role.arn) {
            let text = format!("Role with name {} already exists.", arn.name);
            return Err(Refusal::unverified(Code::EntityAlreadyExists, text));
        }
        let of_account = format!(":iam::{}:", arn.account);
        if state.roles.keys().filter(|arn| arn.contains(&of_account)).count() >= ROLES {
            return Err(Refusal::unverified(
                Code::LimitExceeded,
                format!("Cannot exceed quota for RolesPerAccount: {ROLES}"),
            ));
        }
        let standing = StandingRole {
            id,
            trust,
            max_session_duration: role.max_session_duration,
        };
        state.roles.insert(role.arn.clone(), standing);
        Ok(role.arn)
    }

    /// Replaces a role's trust policy.
    ///
    /// # Errors
    /// As `UpdateAssumeRolePolicy`: `MalformedPolicyDocument`, `LimitExceeded`, `NoSuchEntity`.
    pub fn update_trust_policy(&self, role_arn: &str, trust_policy: &str) -> Result<(), Refusal> {
        let trust = TrustPolicy::parse(trust_policy)?;
        let mut state = self.lock();
        let role = state
            .roles
            .get_mut(role_arn)
            .ok_or_else(|| Refusal::unverified(Code::NoSuchEntity, format!("The role {role_arn} cannot be found.")))?;
        role.trust = trust;
        Ok(())
    }

    /// Returns what tests may make the next requests meet.
    pub fn mutations(&self) -> &Mutations {
        &self.mutations
    }

    /// Makes one coming AssumeRoleWithWebIdentity fail with this answer, whatever it brings.
    ///
    /// For the answers that a simulator cannot cause by itself: a disabled region, an untrusted certificate.
    pub fn refuse_next(&self, refusal: Refusal) {
        let mut state = self.lock();
        push_bounded(&mut state.refuse_next, refusal);
    }

    /// Returns how many AssumeRoleWithWebIdentity requests came in.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Returns the sessions handed out, oldest first; at most the last 10,000.
    pub fn sessions(&self) -> Vec<AssumedSession> {
        self.lock().sessions.iter().cloned().collect()
    }

    /// Returns the refusals given, oldest first, with the details that the wire does not carry.
    pub fn refusals(&self) -> Vec<Refusal> {
        self.lock().refusals.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AwsSim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsSim")
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

impl State {
    fn issue(&mut self, issued: Issued, session: AssumedSession) {
        // A credential is remembered as long as its session, so that neither grows without bound.
        if self.sessions.len() >= REMEMBERED
            && let Some(oldest) = self.sessions.pop_front()
        {
            self.credentials.remove(&oldest.access_key_id);
        }
        self.credentials.insert(issued.access_key_id.clone(), issued);
        self.sessions.push_back(session);
    }
}

fn push_bounded(queue: &mut VecDeque<Refusal>, refusal: Refusal) {
    if queue.len() >= REMEMBERED {
        queue.pop_front();
    }
    queue.push_back(refusal);
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::secret::Secret;

    fn issue(state: &mut State, number: usize) {
        let access_key_id = number.to_string();
        let issued = Issued {
            access_key_id: access_key_id.clone(),
            secret_key: Secret::new(""),
            session_token: Secret::new(""),
            assumed_role_arn: String::new(),
            assumed_role_id: String::new(),
            account: String::new(),
            expires_at: UNIX_EPOCH,
        };
        let session = AssumedSession {
            role_arn: String::new(),
            session_name: String::new(),
            issuer: String::new(),
            subject: String::new(),
            audience: String::new(),
            tags: BTreeMap::new(),
            transitive_keys: Vec::new(),
            source_identity: None,
            duration: Duration::ZERO,
            policy: None,
            policy_arns: Vec::new(),
            access_key_id,
            expires_at: UNIX_EPOCH,
        };
        state.issue(issued, session);
    }

    #[test]
    fn the_10001st_session_displaces_the_first_and_its_credential() {
        let mut state = State::default();
        (0..REMEMBERED).for_each(|number| issue(&mut state, number));
        assert!(state.credentials.contains_key("0"));

        issue(&mut state, REMEMBERED);

        assert_eq!(
            (state.sessions.len(), state.credentials.len()),
            (REMEMBERED, REMEMBERED)
        );
        assert!(!state.credentials.contains_key("0"));
    }
}

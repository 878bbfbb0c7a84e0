//! AWS IAM Roles Anywhere in memory and as strict as the cloud, with the IAM roles and the STS that it needs.
//!
//! Verifies with `x509-parser` and aws-lc-rs and judges by `rules`. Never uses this plugin's `request` and `response`: a
//! wrong rule must not confirm itself.

mod anchor;
mod control;
mod detail;
mod iam;
mod path;
mod seed;
mod session;
mod signature;
mod wire;

pub use anchor::{Enabled, NewCrl, NewProfile, NewTrustAnchor};
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

use super::rules::{Code, Refusal, mapping::Mappings};
use crate::{
    clock::Clock,
    exchange::aws::{
        self, arn,
        arn::RoleArn,
        role_session,
        sim::credentials::{self, Issued, RoleSession},
        trust::TrustPolicy,
    },
    secret::{NoRandomness, Random, Secret},
    sim::Mutations,
};

/// Sessions, credentials and refusals that are remembered; the oldest go first.
const REMEMBERED: usize = 10_000;
/// Roles in the account. Source: IAM quota `[M]`.
const ROLES: usize = 1000;
/// How long the administrator's credentials last: longer than any test or demonstration.
const ADMINISTRATION: Duration = Duration::from_hours(7 * 24);

/// One account in one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The account's 12 digits.
    pub account: String,
    /// The region.
    pub region: String,
}

impl Place {
    fn arn(&self, kind: &str, id: &str) -> String {
        format!("arn:aws:rolesanywhere:{}:{}:{kind}/{id}", self.region, self.account)
    }
}

/// A simulated Roles Anywhere of one account and region.
pub struct RolesAnywhereSim {
    place: Place,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    administrator: Issued,
    state: Mutex<State>,
    mutations: Mutations,
    calls: AtomicU64,
}

/// Credentials that may call the control plane.
#[derive(Clone, Debug)]
pub struct Administrator {
    /// The access key.
    pub access_key_id: String,
    /// The secret key.
    pub secret_key: Secret,
    /// The session token.
    pub session_token: Secret,
}

/// A session that was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedSession {
    /// The role.
    pub role_arn: String,
    /// What the session is called.
    pub session_name: String,
    /// Its source identity.
    pub source_identity: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// How long the credentials last.
    pub duration: Duration,
    /// The access key that was issued for it.
    pub access_key_id: String,
}

#[derive(Default)]
struct State {
    anchors: BTreeMap<String, TrustAnchor>,
    profiles: BTreeMap<String, Profile>,
    crls: BTreeMap<String, Crl>,
    roles: BTreeMap<String, Role>,
    tags: BTreeMap<String, BTreeMap<String, String>>,
    subjects: BTreeMap<String, String>,
    credentials: HashMap<String, Issued>,
    sessions: VecDeque<CreatedSession>,
    refusals: VecDeque<Refusal>,
}

#[derive(Clone)]
struct TrustAnchor {
    id: String,
    arn: String,
    name: String,
    pem: String,
    certificates: Vec<Vec<u8>>,
    enabled: bool,
    created: SystemTime,
    updated: SystemTime,
}

#[derive(Clone)]
struct Profile {
    id: String,
    arn: String,
    name: String,
    role_arns: Vec<String>,
    duration_seconds: Option<i64>,
    accept_role_session_name: bool,
    require_instance_properties: bool,
    session_policy: Option<String>,
    managed_policy_arns: Vec<String>,
    mappings: Mappings,
    enabled: bool,
    created: SystemTime,
    updated: SystemTime,
}

#[derive(Clone)]
struct Crl {
    id: String,
    arn: String,
    name: String,
    anchor_arn: String,
    der: Vec<u8>,
    enabled: bool,
    created: SystemTime,
    updated: SystemTime,
}

#[derive(Clone)]
struct Role {
    id: String,
    policy: String,
    trust: TrustPolicy,
    max_session_duration: Duration,
    description: String,
    created: SystemTime,
}

impl RolesAnywhereSim {
    /// Returns an empty account with one administrator.
    ///
    /// # Errors
    /// Fails where the administrator's credentials cannot be drawn.
    pub fn new(place: Place, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Self, NoRandomness> {
        let role = RoleArn {
            partition: "aws".to_owned(),
            account: place.account.clone(),
            name: "administrator".to_owned(),
        };
        let role_id = format!("AROA{}", credentials::id(&*random)?);
        let session = RoleSession {
            role: &role,
            role_id: &role_id,
            name: "simulator",
            lasting: ADMINISTRATION,
        };
        let administrator = Issued::draw(&*random, session, clock.now())?;
        Ok(Self {
            place,
            clock,
            random,
            administrator,
            state: Mutex::default(),
            mutations: Mutations::default(),
            calls: AtomicU64::new(0),
        })
    }

    /// Returns the credentials that may call the control plane.
    pub fn administrator(&self) -> Administrator {
        Administrator {
            access_key_id: self.administrator.access_key_id.clone(),
            secret_key: self.administrator.secret_key.clone(),
            session_token: self.administrator.session_token.clone(),
        }
    }

    /// Creates a role of the account.
    ///
    /// # Errors
    /// As `CreateRole`: `ValidationError`, `MalformedPolicyDocument`, `LimitExceeded`, `EntityAlreadyExists`.
    pub fn create_role(
        &self,
        role_arn: &str,
        trust_policy: &str,
        max_session_duration: Duration,
    ) -> Result<(), aws::Refusal> {
        let parsed = arn::role_arn(role_arn)?;
        let role = Role {
            id: format!(
                "AROA{}",
                credentials::id(&*self.random).map_err(credentials::no_randomness)?
            ),
            policy: trust_policy.to_owned(),
            trust: TrustPolicy::parse(trust_policy)?,
            max_session_duration,
            description: String::new(),
            created: self.clock.now(),
        };
        let seconds = i64::try_from(max_session_duration.as_secs()).unwrap_or(i64::MAX);
        if !role_session::MAX_SESSION_DURATION.contains(&seconds) || parsed.account != self.place.account {
            let text = format!("MaxSessionDuration is {seconds} s of role {role_arn}, expected 3600 to 43200");
            return Err(aws::Refusal::unverified(aws::Code::ValidationError, text));
        }
        let mut state = self.lock();
        if state.roles.len() >= ROLES {
            let text = format!("Cannot exceed quota for RolesPerAccount: {ROLES}");
            return Err(aws::Refusal::unverified(aws::Code::LimitExceeded, text));
        }
        if state.roles.contains_key(role_arn) {
            let text = format!("Role with name {} already exists.", parsed.name);
            return Err(aws::Refusal::unverified(aws::Code::EntityAlreadyExists, text));
        }
        state.roles.insert(role_arn.to_owned(), role);
        Ok(())
    }

    /// Returns what tests may make the next requests meet.
    pub fn mutations(&self) -> &Mutations {
        &self.mutations
    }

    /// Returns how many CreateSession requests came in.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Returns the sessions handed out, oldest first; at most the last 10,000.
    pub fn sessions(&self) -> Vec<CreatedSession> {
        self.lock().sessions.iter().cloned().collect()
    }

    /// Returns the refusals given, oldest first, with the details that the wire does not carry.
    pub fn refusals(&self) -> Vec<Refusal> {
        self.lock().refusals.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn issued(&self, access_key_id: &str) -> Option<Issued> {
        if access_key_id == self.administrator.access_key_id {
            return Some(self.administrator.clone());
        }
        self.lock().credentials.get(access_key_id).cloned()
    }
}

impl fmt::Debug for RolesAnywhereSim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RolesAnywhereSim")
            .field("place", &self.place)
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

impl State {
    fn issue(&mut self, issued: Issued, session: CreatedSession) {
        // A credential is remembered as long as its session, so that neither grows without bound.
        if self.sessions.len() >= REMEMBERED
            && let Some(oldest) = self.sessions.pop_front()
        {
            self.credentials.remove(&oldest.access_key_id);
        }
        self.credentials.insert(issued.access_key_id.clone(), issued);
        self.sessions.push_back(session);
    }

    fn note(&mut self, refusal: Refusal) {
        if self.refusals.len() >= REMEMBERED {
            self.refusals.pop_front();
        }
        self.refusals.push_back(refusal);
    }
}

/// Source: clouds.md 2.5 [D botocore]; text `[M]`.
fn not_found(kind: &str, found: &str) -> Refusal {
    Refusal::unverified(Code::ResourceNotFound, format!("{kind} not found")).because(format!("looked for `{found}`"))
}

//! The policy decision, against one prebuilt Cedar `is_authorized`; and the mint alone.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use cambio::{
    attest::{self, AttestorName, Attributes, Evidence, ExchangeId, Findings, Freshness, Possession},
    authorize::{
        AuthorizeRequest, Basis, Decision, Grant, GrantName, LifetimeMode, LockSet, Permission, Policy, PolicySource,
        Release, RelyingPartyName, RelyingPartySource, Terms, Wants,
    },
    clock,
    identify::{AttestorFacts, Condition, Conditions, Entry, EntryName, EntrySource, Registry, Workload},
    jose::{PublicKey, Seal, SigningAlgorithm, SigningKey, Unverified, sign},
    mint::{
        JwtShape, Minter, SvidShape,
        keys::store::StoreKeys,
        rotation::{Replica, ReplicaParts},
    },
    secret::{Secret, SystemRandom},
    spiffe::TrustDomain,
    store::forgetful::ForgetfulStore,
};
use cedar_policy::{Authorizer, Context, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression};

use crate::{
    ground,
    parts::{Cost, measure},
};

/// What a job of these has; `ci.workflow` differs from grant to grant.
const ATTRIBUTES: [(&str, &str); 12] = [
    ("ci.actor_id", "583231"),
    ("ci.environment", "production"),
    ("ci.event", "push"),
    ("ci.job_id", "51234567890"),
    ("ci.owner_id", "1234567"),
    ("ci.owner_name", "acme"),
    ("ci.ref", "refs/heads/main"),
    ("ci.repo_id", "7654321"),
    ("ci.repo_name", "acme/shop"),
    ("ci.run_id", "9876543210"),
    ("ci.sha", "0123456789abcdef0123456789abcdef01234567"),
    ("ci.workflow", "acme/shop/.github/workflows/deploy.yml@refs/heads/main"),
];

/// So many pairs are asked in turn, so that a large policy is not measured from the caches alone.
const ASKED: usize = 64;

/// Asks one prebuilt policy of `conditions` conditions about one prebuilt entity of 12 attributes.
pub(crate) fn raw(conditions: usize) -> Cost {
    let clauses: Vec<String> = ATTRIBUTES
        .iter()
        .rev()
        .take(conditions)
        .map(|(name, value)| format!("when {{ principal has \"{name}\" && principal[\"{name}\"] == \"{value}\" }}"))
        .collect();
    let text = format!(
        "permit(principal, action == Action::\"exchange\", resource) {};",
        clauses.join(" ")
    );
    let policies: PolicySet = text.parse().expect("a policy");
    let uid = |text: &str| text.parse::<EntityUid>().expect("an entity");
    let attributes = ATTRIBUTES.iter().map(|(name, value)| {
        (
            (*name).to_owned(),
            RestrictedExpression::new_string((*value).to_owned()),
        )
    });
    let principal = Entity::new(uid("Workload::\"w\""), attributes.collect(), [].into()).expect("an entity");
    let entities = Entities::from_entities([principal], None).expect("entities");
    let request = Request::new(
        uid("Workload::\"w\""),
        uid("Action::\"exchange\""),
        uid("RelyingParty::\"r\""),
        Context::empty(),
        None,
    );
    let request = request.expect("a request");
    let authorizer = Authorizer::new();
    measure(|| {
        let response = authorizer.is_authorized(&request, &policies, &entities);
        assert_eq!(response.decision(), cedar_policy::Decision::Allow);
    })
}

/// Decides with a policy: grants, conditions a grant, candidates a pair.
pub(crate) fn ours(arguments: &[String]) -> Cost {
    let number = |nth: usize| arguments[nth].parse::<usize>().expect("a number");
    let (grants, conditions, candidates) = (number(0), number(1), number(2));
    let sample = Sample::new(grants, conditions, candidates);
    let now = clock::system().now();
    let locks = LockSet::new([], now);
    let id = ExchangeId::draw(&SystemRandom, SystemTime::UNIX_EPOCH).expect("randomness");
    let mut nth = 0;
    let mut ask = || {
        let (workload, relying_party) = &sample.asked[nth % sample.asked.len()];
        nth += 1;
        let decision = sample.policy.authorize(
            AuthorizeRequest {
                exchange_id: id.clone(),
                workload: workload.clone(),
                relying_party,
                wants: Wants::Svid,
                basis: Basis::Presented,
            },
            &locks,
            now,
        );
        match decision {
            Decision::Permitted(permission) => *permission,
            Decision::Denied(denial) => panic!("{denial}"),
        }
    };
    for _ in 0..ASKED {
        drop(ask());
    }
    measure(|| drop(ask()))
}

/// Makes SVIDs of one permission and nothing else.
pub(crate) async fn mint(algorithm: &str) -> Cost {
    let algorithm = match algorithm {
        "RS256" => SigningAlgorithm::Rs256,
        _ => SigningAlgorithm::Es256,
    };
    let now = clock::system().now();
    let (minter, _replica) = minter().await;
    let permission = permission(now);
    let runtime = tokio::runtime::Handle::current();
    let _entered = runtime.enter();
    measure(|| {
        let shape = SvidShape::Jwt(JwtShape {
            algorithm,
            claims: serde_json::Map::new(),
            life: Duration::from_mins(5),
        });
        let svid = futures_util::FutureExt::now_or_never(minter.mint(permission.clone(), shape, now));
        drop(svid.expect("a mint that waits for nothing").expect("an SVID"));
    })
}

/// Returns a minter with keys that a replica publishes, and the replica, which must outlive it.
pub(crate) async fn minter() -> (Minter, Arc<Replica>) {
    let random = Arc::new(SystemRandom);
    let source = StoreKeys::new(Seal::new(&[7; 32]).expect("a seal"), random.clone());
    let parts = ReplicaParts {
        store: ForgetfulStore::new(),
        source: Arc::new(source),
        clock: clock::system(),
        random: random.clone(),
        trust_domain: TrustDomain::parse("bench.acme.example").expect("a trust domain"),
        issuer: ground::ISSUER.to_owned(),
        exchange_url: ground::ISSUER.to_owned(),
    };
    let (keys, replica) = Replica::open(parts).await.expect("keys");
    (Minter::new(ground::ISSUER.to_owned(), keys, random), replica)
}

/// Returns a permission as the steps before the mint make it.
pub(crate) fn permission(now: SystemTime) -> Permission {
    let sample = Sample::new(10, 3, 1);
    let (workload, relying_party) = &sample.asked[0];
    let request = AuthorizeRequest {
        exchange_id: ExchangeId::draw(&SystemRandom, SystemTime::UNIX_EPOCH).expect("randomness"),
        workload: workload.clone(),
        relying_party,
        wants: Wants::Svid,
        basis: Basis::Presented,
    };
    match sample.policy.authorize(request, &LockSet::new([], now), now) {
        Decision::Permitted(permission) => *permission,
        Decision::Denied(denial) => panic!("{denial}"),
    }
}

/// Prints by how many MB a compiled policy makes the process grow, and how many seconds it takes to compile.
pub(crate) fn resident(grants: &str) -> Cost {
    let grants: usize = grants.parse().expect("a number");
    let before = ground::resident_megabytes(std::process::id());
    let began = std::time::Instant::now();
    let sample = Sample::new(grants, 3, 1);
    let took = began.elapsed().as_secs_f64();
    let grown = ground::resident_megabytes(std::process::id()) - before;
    assert!(!sample.asked.is_empty());
    Cost { cpu: grown, wall: took }
}

/// A policy and some of the workloads that it permits.
struct Sample {
    policy: Policy,
    asked: Vec<(Workload, String)>,
}

impl Sample {
    /// Spreads `grants` over a square of entries and relying parties, `candidates` on each pair.
    fn new(grants: usize, conditions: usize, candidates: usize) -> Self {
        let pairs = grants.div_ceil(candidates);
        let side = (1..=pairs).find(|side: &usize| side * side >= pairs).unwrap_or(1);
        let github = AttestorName::parse("github").expect("a name");
        let given: Vec<&str> = ATTRIBUTES.iter().map(|(name, _)| *name).collect();
        let facts = AttestorFacts {
            attributes: &given,
            immutable: &["ci.repo_id"],
        };
        let entries: Vec<Entry> = (0..side).map(|nth| entry(nth, &github, facts)).collect();
        let relying_parties: Vec<RelyingPartySource> = (0..side).map(relying_party).collect();
        let grants = (0..pairs * candidates)
            .map(|nth| grant(nth, (nth / candidates, side), conditions))
            .collect();
        let policy = Policy::compile(PolicySource {
            generation: 1,
            trust_domain: trust_domain(),
            entries: &entries,
            attestors: &[(github, given)],
            relying_parties: &relying_parties,
            grants,
            raw_policies: &[],
        });
        let registry = Registry::new(trust_domain(), entries).expect("entries");
        let step = pairs.div_ceil(ASKED).max(1);
        // Of a pair's candidates the last one is the one that permits.
        let asked = (0..pairs).step_by(step).map(|pair| {
            let workload = workload(&registry, pair / side, (pair + 1) * candidates - 1);
            (workload, format!("r{}", pair % side))
        });
        Self {
            policy: policy.expect("a policy"),
            asked: asked.collect(),
        }
    }
}

fn trust_domain() -> TrustDomain {
    TrustDomain::parse("bench.example").expect("a trust domain")
}

fn entry(nth: usize, attestor: &AttestorName, facts: AttestorFacts<'_>) -> Entry {
    let repository = Condition::one_of([format!("90{nth}")]).expect("a condition");
    let source = EntrySource {
        position: nth,
        name: EntryName::parse(&format!("e{nth}")).expect("a name"),
        attestor: attestor.clone(),
        conditions: [("ci.repo_id", repository)].into_iter().collect(),
        spiffe_id: format!("/ci/{nth}"),
    };
    Entry::new(source, facts).expect("an entry")
}

fn relying_party(nth: usize) -> RelyingPartySource {
    RelyingPartySource {
        name: RelyingPartyName::parse(&format!("r{nth}")).expect("a name"),
        terms: Terms {
            audience: format!("https://r{nth}.example"),
            subject: None,
            minimum: Duration::from_secs(1),
            maximum: Duration::from_hours(1),
            lifetime_mode: LifetimeMode::FollowsSvid,
            session_policy: false,
            svid_is_credential: true,
        },
        scope: format!("svid/r{nth}"),
        shared_audience: false,
        shared_subject: false,
    }
}

/// The last attributes are demanded; among them the workflow, which differs from grant to grant.
fn grant(nth: usize, (pair, side): (usize, usize), conditions: usize) -> Grant {
    let demanded: Conditions = ATTRIBUTES
        .iter()
        .rev()
        .take(conditions)
        .map(|(name, value)| {
            let value = value_of(name, value, (pair / side, nth));
            (*name, Condition::one_of([value]).expect("a condition"))
        })
        .collect();
    Grant {
        position: nth,
        name: GrantName::parse(&format!("g{nth}")).expect("a name"),
        entries: vec![EntryName::parse(&format!("e{}", pair / side)).expect("a name")],
        relying_parties: vec![RelyingPartyName::parse(&format!("r{}", pair % side)).expect("a name")],
        conditions: demanded,
        actors: Vec::new(),
        ttl: Duration::from_mins(20),
        release: Release::CredentialsAndSvid,
        accept_lifetime: false,
    }
}

fn value_of(name: &str, value: &str, (entry, grant): (usize, usize)) -> String {
    match name {
        "ci.repo_id" => format!("90{entry}"),
        "ci.workflow" => format!("{value}-{grant}"),
        _ => value.to_owned(),
    }
}

/// A workload as the steps before make it: signed, verified, attested, identified.
fn workload(registry: &Registry, entry: usize, grant: usize) -> Workload {
    let mut attributes = Attributes::default();
    for (name, value) in ATTRIBUTES {
        let value = value_of(name, value, (entry, grant));
        attributes.insert(name, value).expect("an attribute");
    }
    let now = clock::system().now();
    let key = SigningKey::generate(SigningAlgorithm::Es256).expect("a key");
    let header = sign::Header {
        algorithm: key.algorithm(),
        key_id: "bench".to_owned(),
    };
    let input = sign::signing_input(&header, &serde_json::json!({ "iss": "https://ci.example" })).expect("a token");
    let signature = key.sign(input.as_bytes()).expect("a signature");
    let token = sign::assemble(input, &signature);
    let public = PublicKey::from_public_jwk(&key.public_jwk("bench")).expect("a key");
    let read = Unverified::parse(&token).expect("a token");
    let verified = read.verify(&public).expect("a good signature");
    let evidence = Evidence::new(Secret::new(token.as_str()), None, Possession::Bearer);
    let findings = Findings {
        attestor: &AttestorName::parse("github").expect("a name"),
        issuer: "https://ci.example".to_owned(),
        subject: "repo:acme/shop".to_owned(),
        token_id: Some(grant.to_string()),
        signing_input_sha256: read.signing_input_sha256(),
        attributes,
        freshness: Freshness::Fresh,
        expires: now + Duration::from_mins(5),
        stands_until: now + Duration::from_hours(1),
        use_rule: None,
    };
    registry
        .identify(attest::conclude(&verified, &evidence, findings))
        .expect("a workload")
}

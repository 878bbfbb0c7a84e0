//! What it costs to attest one piece of evidence, for each kind of attestor and each way to prove something to it.
//!
//! In process: an attestor is configured by its table and judges evidence that was made before, by the two public calls that a
//! gateway makes. Over HTTP a figure would be the small difference of two large ones. The simulators stay in the load's process on
//! the load's core, so that nothing of theirs is counted; what a gateway's own client does to ask them is.

use std::{collections::BTreeMap, fs, hint::black_box, path::Path, sync::Arc, time::SystemTime};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
        ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
    },
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cambio::{
    attest::{
        Attestor, AttestorContext, AttestorName, BUILTINS, Challenges, ClientCertificate, Evidence, OwnDocuments,
        OwnStore, Possession, Verdict,
    },
    clock::{self, FakeClock},
    fetch::Fetch,
    secret::Secret,
    spiffe::TrustDomain,
    store::{Store, sqlite::SqliteStore},
};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    evidence,
    ground::Ground,
    parts::{Cost, INPUT, alone, measure},
    report::median,
};

/// When all of it happens: evidence must not age while it is measured.
pub(crate) const MOMENT: &str = "2026-01-16T14:40:00Z";

/// Whom evidence is for.
pub(crate) const AUDIENCE: &str = "https://id.bench.example";

/// The attestors' name.
pub(crate) const NAME: &str = "bench";

/// So many pieces are judged in turn: no attestor remembers what it judged, the ledger does, which is another step.
pub(crate) const PIECES: usize = 64;

/// One way to prove something to one kind of attestor.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    /// The signatures that a piece rests on, and how many of them: the raw limit.
    pub(crate) rests_on: Option<(Signature, u8)>,
    /// The attestor's table, without name and kind.
    pub(crate) table: String,
    pub(crate) pieces: Pieces,
    /// The URL of the store that the attestor looks into.
    pub(crate) store: Option<String>,
}

/// What a piece of evidence is.
pub(crate) enum Pieces {
    /// Certificates, leaf first.
    Chains(Vec<Vec<Vec<u8>>>),
    Tokens(Vec<String>),
}

/// How a signature is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Signature {
    Es256,
    Es384,
    Rs256,
}

impl Signature {
    fn alone(self) -> Cost {
        match self {
            Self::Es256 => alone("verifyec", &["ES256"]),
            Self::Es384 => alone("verifyec", &["ES384"]),
            Self::Rs256 => alone("verify", &[]),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
        }
    }
}

/// What has no figure, and why.
const NOT_MEASURED: [(&str, &str); 3] = [
    (
        "kubernetes with token_review",
        "the API server is asked about each token: the cost is that of pinned keys and one question, as aws_iam presigned has it",
    ),
    (
        "oidc with RS384, RS512, PS256, PS384, PS512",
        "they differ from RS256 in digest and padding, not in the arithmetic with the key",
    ),
    (
        "what the ledger does with evidence that serves once",
        "it is part of the commit, which gates 1 and 5 measure",
    ),
];

/// Reports what each kind costs; only that every piece of evidence is taken is judged.
pub(crate) async fn all(rounds: usize, ground: &Ground) {
    println!("\n-- attesting one piece of evidence, beside the raw verifications that it rests on");
    if cfg!(debug_assertions) {
        println!("this program is built without optimisation: what it measures of the attestors is not what they cost");
    }
    let cases = evidence::all(ground).await;
    for builtin in BUILTINS {
        let measured = cases.iter().any(|case| case.kind == builtin.kind);
        assert!(
            measured,
            "there is no evidence for attestors of kind `{}`",
            builtin.kind
        );
    }
    let files: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(nth, case)| case.write(ground, nth))
        .collect();
    let mut raws = BTreeMap::<Signature, Vec<f64>>::new();
    let mut ours = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for signature in [Signature::Es256, Signature::Es384, Signature::Rs256] {
            raws.entry(signature).or_default().push(signature.alone().cpu);
        }
        for (file, costs) in files.iter().zip(&mut ours) {
            let file = file.clone();
            // The simulators go on serving while this is waited for.
            let cost = tokio::task::spawn_blocking(move || alone("attest", &[&file])).await;
            costs.push(cost.expect("evidence that is attested").cpu);
        }
    }
    for (case, costs) in cases.iter().zip(ours) {
        let raw = case
            .rests_on
            .map(|(signature, count)| (signature, count, median(raws[&signature].clone())));
        report(case.name, median(costs), raw);
    }
    for (what, reason) in NOT_MEASURED {
        println!("NOT MEASURED {what}: {reason}");
    }
}

fn report(name: &str, ours: f64, raw: Option<(Signature, u8, f64)>) {
    let beside = match raw {
        None => "no signature is verified here".to_owned(),
        Some((signature, count, one)) => {
            let raw = one * f64::from(count);
            format!("raw {count} x {} {raw:.1} us ({:.2})", signature.name(), ours / raw)
        }
    };
    println!("REPORT attest {name}: {ours:.1} us CPU; {beside}");
}

impl Case {
    /// Writes the case where another process reads it, and returns where that is.
    fn write(&self, ground: &Ground, nth: usize) -> String {
        let file = ground.path(&format!("case-{nth}.json"));
        fs::write(&file, self.written().to_string()).expect("a file");
        file.display().to_string()
    }

    fn written(&self) -> Value {
        let (tokens, chains) = match &self.pieces {
            Pieces::Chains(chains) => {
                let encoded = chains
                    .iter()
                    .map(|chain| chain.iter().map(|der| BASE64_STANDARD.encode(der)).collect());
                (Vec::new(), encoded.collect::<Vec<Vec<String>>>())
            }
            Pieces::Tokens(tokens) => (tokens.clone(), Vec::new()),
        };
        json!({ "kind": self.kind, "table": self.table, "store": self.store, "tokens": tokens, "chains": chains })
    }
}

/// Judges the evidence of a case's file, in this process.
pub(crate) fn ours(runtime: &Runtime, file: &str) -> Cost {
    let case: Value = serde_json::from_slice(&fs::read(Path::new(file)).expect("a case")).expect("a case");
    let kind = text(&case["kind"]);
    let now = now();
    let attestor = runtime.block_on(async {
        let store = OwnStore::default();
        if let Some(url) = case["store"].as_str() {
            store.begin(opened(url).await);
        }
        configured(kind, text(&case["table"]), store)
    });
    let pieces: Vec<Evidence> = tokens(&case).chain(chains(&case, kind)).collect();
    assert!(!pieces.is_empty(), "the case has no evidence");
    let mut turns = pieces.iter().cycle();
    let mut judge = || {
        let piece = turns.next().expect("evidence");
        match runtime.block_on(attestor.judge(piece, now)) {
            Verdict::Attested(attestation) => drop(black_box(attestation)),
            verdict @ (Verdict::NotMine | Verdict::Refused(_)) => panic!("{kind} does not attest: {verdict:?}"),
        }
    };
    // Keys are fetched with the first one, and each piece is known to be good before any is measured.
    for _ in &pieces {
        judge();
    }
    measure(judge)
}

fn tokens(case: &Value) -> impl Iterator<Item = Evidence> {
    let tokens = case["tokens"].as_array().into_iter().flatten();
    tokens.map(|token| Evidence::new(Secret::new(text(token)), None, Possession::Bearer))
}

fn chains(case: &Value, kind: &str) -> impl Iterator<Item = Evidence> {
    let der = |text: &Value| CertificateDer::from(BASE64_STANDARD.decode(self::text(text)).expect("base64"));
    let chains = case["chains"].as_array().into_iter().flatten();
    chains.map(move |chain| {
        let chain: Vec<_> = chain.as_array().into_iter().flatten().map(der).collect();
        let certificate = ClientCertificate::new(&chain);
        Evidence::of_certificate(certificate, kind.to_owned(), Possession::Bearer)
    })
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Makes an attestor as a gateway does.
pub(crate) fn configured(kind: &str, table: &str, store: OwnStore) -> Arc<dyn Attestor> {
    let builtin = BUILTINS.iter().find(|builtin| builtin.kind == kind).expect("a kind");
    let context = AttestorContext {
        name: AttestorName::parse(NAME).expect("a name"),
        issuer: AUDIENCE.to_owned(),
        trust_domain: TrustDomain::parse("bench.example").expect("a trust domain"),
        own: OwnDocuments::default(),
        challenges: challenges(),
        store,
        fetch: Arc::new(Fetch::system()),
        clock: FakeClock::at(MOMENT),
    };
    let table = toml::from_str(table).expect("a table");
    (builtin.configure)(context, table).unwrap_or_else(|refused| panic!("{kind}: {refused:?}"))
}

/// Both sides derive them from one key, as replicas do.
pub(crate) fn challenges() -> Challenges {
    Challenges::derived(&[7; 32]).expect("challenges")
}

/// Opens a store on disk, as a gateway's is.
pub(crate) async fn opened(url: &str) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(url).await.expect("a store"))
}

pub(crate) fn now() -> SystemTime {
    clock::parse_rfc3339(MOMENT).expect("a moment")
}

/// Verifies one signature on a curve and nothing else.
pub(crate) fn raw(algorithm: &str) -> Cost {
    let (signing, verifying) = match algorithm {
        "ES256" => (&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_FIXED),
        _ => (&ECDSA_P384_SHA384_FIXED_SIGNING, &ECDSA_P384_SHA384_FIXED),
    };
    let key = EcdsaKeyPair::generate(signing).expect("a key");
    let signature = key.sign(&SystemRandom::new(), &INPUT).expect("a signature");
    let public = ParsedPublicKey::new(verifying, key.public_key().as_ref()).expect("a public key");
    measure(|| {
        public.verify_sig(&INPUT, signature.as_ref()).expect("a good signature");
    })
}

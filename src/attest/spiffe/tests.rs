//! SVIDs of our own and of pinned trust domains, each wrong in one point.

use std::{path::PathBuf, time::Duration};

use rcgen::SanType;
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    attest::{Challenges, OwnStore, Possession},
    clock::{FakeClock, parse_rfc3339, unix_seconds},
    fetch::Fetch,
    jose::SigningKey,
    secret::Secret,
    spiffe::fixture::{Domain, Leaf},
    trust::{Documents, Published, PublishedKeys, RevocationLists},
};

const AUDIENCE: &str = "https://id.acme.example";
const OWN: &str = "prod.acme.example";
const PARTNER: &str = "partner.example";

fn now() -> SystemTime {
    parse_rfc3339("2026-01-16T14:40:00Z").unwrap()
}

/// A pinned foreign trust domain, ours, and an attestor of both.
struct Stage {
    partner: Domain,
    own_key: SigningKey,
    directory: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let stage = Self {
            partner: Domain::new(PARTNER, now()),
            own_key: Domain::new(OWN, now()).token_key,
            directory: tempfile::tempdir().unwrap(),
        };
        stage.write(stage.partner.document().to_string().as_bytes());
        stage
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("bundle.json")
    }

    fn write(&self, bytes: &[u8]) {
        std::fs::write(self.file(), bytes).unwrap();
    }

    fn pinned(&self) -> String {
        format!(
            "{{ name = \"{PARTNER}\", bundle_file = \"{}\" }}",
            self.file().display()
        )
    }

    fn both(&self) -> String {
        format!("trust_domains = [{}, {{ name = \"{OWN}\" }}]", self.pinned())
    }

    fn configure(&self, table: &str) -> Result<SpiffeAttestor, Misconfigured> {
        let keys = PublishedKeys {
            jwt: vec![self.own_key.public_jwk("own")],
            ..PublishedKeys::default()
        };
        let own = OwnDocuments::default();
        let documents = Documents::new(AUDIENCE, AUDIENCE, &keys).unwrap();
        own.begin(Published::new(documents), RevocationLists::default());
        SpiffeAttestor::configure(context(own), table.parse().unwrap())
    }

    fn refused_table(&self, table: &str) -> Misconfigured {
        self.configure(table).unwrap_err()
    }

    /// Pins what `change` makes of the partner's bundle, and returns why that is refused.
    fn refused_bundle(&self, change: impl FnOnce(&mut Value)) -> Misconfigured {
        let mut document = self.partner.document();
        change(&mut document);
        self.write(document.to_string().as_bytes());
        self.refused_table(&self.both())
    }

    fn judge(&self, token: Secret) -> Verdict {
        let attestor = self.configure(&self.both()).unwrap();
        attestor.verdict(&Evidence::new(token, None, Possession::Bearer), now())
    }

    fn partners(&self, change: impl FnOnce(&mut Map<String, Value>)) -> Verdict {
        self.judge(token(&self.partner.token_key, "k1", PARTNER, change))
    }

    fn refused(&self, change: impl FnOnce(&mut Map<String, Value>)) -> AttestRefusal {
        refusal(self.partners(change))
    }

    fn judge_leaf(&self, leaf: &Leaf, at: SystemTime) -> Verdict {
        let attestor = self.configure(&self.both()).unwrap();
        attestor.verdict(&presented(leaf), at)
    }
}

fn context(own: OwnDocuments) -> AttestorContext {
    AttestorContext {
        name: AttestorName::parse("mesh").unwrap(),
        issuer: AUDIENCE.to_owned(),
        trust_domain: TrustDomain::parse(OWN).unwrap(),
        own,
        challenges: Challenges::default(),
        store: OwnStore::default(),
        fetch: Arc::new(Fetch::system()),
        clock: FakeClock::at("2026-01-16T14:40:00Z"),
    }
}

fn presented(leaf: &Leaf) -> Evidence {
    Evidence::of_certificate(ClientCertificate::new(&leaf.chain), KIND.to_owned(), Possession::Bearer)
}

fn token(key: &SigningKey, kid: &str, domain: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Secret {
    let claims = json!({
        "sub": format!("spiffe://{domain}/shop"), "aud": [AUDIENCE],
        "exp": unix_seconds(now()) + 300, "iat": unix_seconds(now()), "jti": "one",
    });
    let mut claims = claims.as_object().unwrap().clone();
    change(&mut claims);
    let header = json!({ "alg": key.algorithm().as_str(), "kid": kid, "typ": "JWT" });
    signed(key, &header, &claims)
}

fn signed(key: &SigningKey, header: &Value, claims: &Map<String, Value>) -> Secret {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    let part = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
    let input = format!(
        "{}.{}",
        part(header.to_string()),
        part(Value::Object(claims.clone()).to_string())
    );
    let signature = key.sign(input.as_bytes()).unwrap();
    Secret::new(format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

fn attested(verdict: Verdict) -> Attestation {
    match verdict {
        Verdict::Attested(attestation) => *attestation,
        Verdict::NotMine | Verdict::Refused(_) => panic!("{verdict:?}"),
    }
}

fn refusal(verdict: Verdict) -> AttestRefusal {
    match verdict {
        Verdict::Refused(refusal) => refusal,
        Verdict::NotMine | Verdict::Attested(_) => panic!("{verdict:?}"),
    }
}

#[test]
fn attests_a_jwt_svid_of_a_pinned_trust_domain_until_it_ends() {
    let found = attested(Stage::new().partners(|_| {}));

    assert_eq!(found.issuer(), "spiffe://partner.example");
    assert_eq!(found.attributes().get(ID), Some("spiffe://partner.example/shop"));
    assert_eq!(found.attributes().get(TRUST_DOMAIN), Some(PARTNER));
    assert_eq!(found.attributes().get(SVID_TYPE), Some("jwt_svid"));
    assert_eq!(found.stands_until(), now() + Duration::from_mins(5));
    assert!(
        found.ledger().is_none(),
        "the Workload API hands the same one out again"
    );
}

#[test]
fn attests_a_jwt_svid_of_our_own_with_the_keys_that_are_published() {
    let stage = Stage::new();

    let found = attested(stage.judge(token(&stage.own_key, "own", OWN, |_| {})));

    assert_eq!(found.subject(), "spiffe://prod.acme.example/shop");
}

#[test]
fn our_own_svids_are_unavailable_before_anything_is_published() {
    let stage = Stage::new();
    let table = format!("trust_domains = [{{ name = \"{OWN}\" }}]");
    let attestor = SpiffeAttestor::configure(context(OwnDocuments::default()), table.parse().unwrap()).unwrap();
    let evidence = Evidence::new(token(&stage.own_key, "own", OWN, |_| {}), None, Possession::Bearer);

    assert_eq!(refusal(attestor.verdict(&evidence, now())).code(), "issuer.unavailable");
}

#[test]
fn jwt_svid_9_the_keys_of_one_trust_domain_do_not_speak_for_another() {
    let stage = Stage::new();

    let crossed = token(&stage.partner.token_key, "own", OWN, |_| {});

    assert_eq!(refusal(stage.judge(crossed)).code(), "attest.evidence_unverifiable");
}

#[test]
fn spiffe_bundle_9_an_svid_of_a_trust_domain_that_is_not_pinned_is_not_mine() {
    let stage = Stage::new();

    let verdict = stage.judge(token(&stage.partner.token_key, "k1", "other.example", |_| {}));

    assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
}

#[test]
fn spiffe_id_19_a_path_is_given_only_where_it_can_mean_one_trust_domain() {
    let stage = Stage::new();
    let one = stage
        .configure(&format!("trust_domains = [{}]", stage.pinned()))
        .unwrap();
    let evidence = Evidence::new(
        token(&stage.partner.token_key, "k1", PARTNER, |_| {}),
        None,
        Possession::Bearer,
    );

    assert_eq!(
        attested(one.verdict(&evidence, now())).attributes().get(PATH),
        Some("/shop")
    );
    let two = stage.configure(&stage.both()).unwrap();
    assert!(!two.attributes().contains(&PATH));
    assert_eq!(attested(two.verdict(&evidence, now())).attributes().get(PATH), None);
}

#[test]
fn no_attribute_is_a_dotted_path_prefix_of_another() {
    for (name, other) in [ID, PATH, SVID_TYPE, TRUST_DOMAIN]
        .iter()
        .flat_map(|name| [ID, PATH].map(|other| (name, other)))
    {
        assert!(!other.starts_with(&format!("{name}.")), "{name} and {other}");
    }
}

#[test]
fn jwt_svid_6_takes_our_audience_as_the_sole_one() {
    let stage = Stage::new();
    for audience in [
        json!("https://other.example"),
        json!([AUDIENCE, "other"]),
        json!(format!("{AUDIENCE}/")),
    ] {
        let found = stage.refused(|claims| drop(claims.insert("aud".to_owned(), audience.clone())));
        assert_eq!(found.code(), "attest.audience_mismatch", "{audience}");
    }
    let none = stage.refused(|claims| drop(claims.remove("aud")));
    assert_eq!(none.code(), "attest.claim_invalid");
}

#[test]
fn t_08_jwt_svid_8_refuses_an_svid_without_a_usable_end() {
    let stage = Stage::new();
    for end in [Value::Null, json!("1800000000"), json!(-1)] {
        let found = stage.refused(|claims| drop(claims.insert("exp".to_owned(), end.clone())));
        assert_eq!(found.code(), "attest.claim_invalid", "{end}");
    }
    let none = stage.refused(|claims| drop(claims.remove("exp")));
    assert_eq!(none.code(), "attest.claim_invalid");
}

#[test]
fn jwt_svid_8_takes_29_s_after_the_end_and_refuses_30() {
    let stage = Stage::new();
    let ended =
        |ago: u64| stage.partners(|claims| drop(claims.insert("exp".to_owned(), json!(unix_seconds(now()) - ago))));

    attested(ended(29));

    assert_eq!(refusal(ended(30)).code(), "attest.evidence_expired");
}

#[test]
fn takes_30_s_ahead_and_refuses_31() {
    let stage = Stage::new();
    for claim in ["iat", "nbf"] {
        let ahead =
            |by: u64| stage.partners(|claims| drop(claims.insert(claim.to_owned(), json!(unix_seconds(now()) + by))));
        attested(ahead(30));
        assert_eq!(refusal(ahead(31)).code(), "attest.evidence_not_yet_valid", "{claim}");
    }
}

#[test]
fn takes_a_life_of_24_h_and_refuses_a_second_more() {
    let stage = Stage::new();
    let ends =
        |after: u64| stage.partners(|claims| drop(claims.insert("exp".to_owned(), json!(unix_seconds(now()) + after))));

    let longest = attested(ends(86_400));

    assert_eq!(longest.stands_until(), now() + Duration::from_hours(1));
    assert_eq!(refusal(ends(86_401)).code(), "attest.claim_invalid");
}

#[test]
fn refuses_a_subject_without_a_path_and_a_long_token_id() {
    let stage = Stage::new();

    let root = stage.refused(|claims| drop(claims.insert("sub".to_owned(), json!("spiffe://partner.example"))));
    let id = stage.refused(|claims| drop(claims.insert("jti".to_owned(), json!("x".repeat(256)))));

    assert_eq!(root.code(), "attest.claim_invalid");
    assert_eq!(id.code(), "attest.claim_invalid");
}

#[test]
fn t_07_takes_an_id_of_255_bytes_and_refuses_256() {
    let stage = Stage::new();
    let of = |bytes: usize| {
        let id = format!("spiffe://{PARTNER}/");
        let id = format!("{id}{}", "a".repeat(bytes - id.len()));
        stage.partners(|claims| drop(claims.insert("sub".to_owned(), json!(id))))
    };

    attested(of(255));

    assert_eq!(refusal(of(256)).code(), "attest.attribute_invalid");
}

#[test]
fn jwt_svid_2_jwt_svid_4_other_headers_are_no_jwt_svid() {
    let stage = Stage::new();
    let claims = json!({ "sub": "spiffe://partner.example/shop", "aud": AUDIENCE, "exp": unix_seconds(now()) + 60 });
    let claims = claims.as_object().unwrap();
    for header in [
        json!({ "alg": "ES256", "kid": "k1", "typ": "at+jwt" }),
        json!({ "alg": "ES256", "kid": "k1", "cty": "x" }),
        json!({ "alg": "ES256" }),
        json!({ "alg": "none", "kid": "k1" }),
        json!({ "alg": "HS256", "kid": "k1" }),
        json!({ "alg": "EdDSA", "kid": "k1" }),
    ] {
        let verdict = stage.judge(signed(&stage.partner.token_key, &header, claims));
        assert!(matches!(verdict, Verdict::NotMine), "{header}: {verdict:?}");
    }
    let jose = json!({ "alg": "ES256", "kid": "k1", "typ": "JOSE" });
    attested(stage.judge(signed(&stage.partner.token_key, &jose, claims)));
}

#[test]
fn refuses_an_unknown_key_and_another_keys_signature() {
    let stage = Stage::new();
    let other = Domain::new(PARTNER, now()).token_key;
    for (key, kid) in [(&stage.partner.token_key, "k2"), (&other, "k1")] {
        let found = refusal(stage.judge(token(key, kid, PARTNER, |_| {})));
        assert_eq!(found.code(), "attest.evidence_unverifiable", "{kid}");
    }
}

#[test]
fn t_45_takes_no_token_above_16_kib() {
    let found = refusal(Stage::new().judge(Secret::new("a".repeat(MAX_TOKEN_BYTES + 1))));

    assert_eq!(found.code(), "attest.evidence_oversized");
}

#[test]
fn evidence_of_another_kind_is_not_mine() {
    let stage = Stage::new();
    let attestor = stage.configure(&stage.both()).unwrap();
    let token = token(&stage.partner.token_key, "k1", PARTNER, |_| {});

    let verdict = attestor.verdict(
        &Evidence::new(token, Some("oidc".to_owned()), Possession::Bearer),
        now(),
    );

    assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
}

#[test]
fn attests_a_client_certificate_until_it_ends() {
    let stage = Stage::new();

    let found = attested(stage.judge_leaf(&stage.partner.svid(), now()));

    assert_eq!(found.subject(), "spiffe://partner.example/shop");
    assert_eq!(found.attributes().get(SVID_TYPE), Some("x509_svid"));
    assert_eq!(found.stands_until(), now() + Duration::from_hours(1));
}

#[test]
fn t_04_a_client_certificate_is_verified_again_for_each_request() {
    let stage = Stage::new();
    let leaf = stage.partner.svid();
    attested(stage.judge_leaf(&leaf, now()));

    let expired = refusal(stage.judge_leaf(&leaf, now() + Duration::from_secs(3601)));
    let mut document = stage.partner.document();
    document["keys"].as_array_mut().unwrap().pop();
    stage.write(document.to_string().as_bytes());
    let rootless = refusal(stage.judge_leaf(&leaf, now()));

    assert_eq!(expired.code(), "attest.evidence_unverifiable");
    assert_eq!(rootless.code(), "attest.evidence_unverifiable");
}

#[test]
fn a_client_certificate_under_another_domains_root_is_refused_and_of_no_pinned_domain_not_mine() {
    let stage = Stage::new();
    let stranger = Domain::new("stranger.example", now());
    let crossed = stranger.leaf(|leaf| {
        leaf.subject_alt_names = vec![SanType::URI("spiffe://partner.example/shop".try_into().unwrap())];
    });

    assert_eq!(
        refusal(stage.judge_leaf(&crossed, now())).code(),
        "attest.evidence_unverifiable"
    );
    let verdict = stage.judge_leaf(&stranger.svid(), now());
    assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
}

#[test]
fn a_bundle_with_two_certificates_in_one_entry_is_refused() {
    let found = Stage::new().refused_bundle(|document| {
        let first = document["keys"][1]["x5c"][0].clone();
        document["keys"][1]["x5c"] = json!([first, first]);
    });

    assert_eq!(
        (found.code, found.key.as_str()),
        ("config.bundle_malformed", "trust_domains[0].bundle_file")
    );
    assert!(
        found.problem.contains("key 1 has more than one certificate"),
        "{}",
        found.problem
    );
}

#[test]
fn a_bundle_of_another_trust_domain_is_refused() {
    let stage = Stage::new();
    let other = Domain::new("other.example", now());
    stage.write(other.document().to_string().as_bytes());

    let found = stage.refused_table(&stage.both());

    assert_eq!(found.code, "config.bundle_root_invalid");
    assert!(
        found
            .problem
            .contains("`spiffe://other.example`, expected `spiffe://partner.example`"),
        "{}",
        found.problem
    );
}

#[test]
fn a_bundle_with_a_key_twice_in_one_object_is_refused() {
    let stage = Stage::new();
    let twice = stage.partner.document().to_string().replacen('{', "{\"keys\":[],", 1);
    stage.write(twice.as_bytes());

    let found = stage.refused_table(&stage.both());

    assert_eq!(found.code, "config.bundle_malformed");
    assert!(found.problem.contains("`keys` twice"), "{}", found.problem);
}

#[test]
fn a_bundle_of_1_mib_is_taken_and_one_byte_more_refused() {
    let stage = Stage::new();
    let mut bytes = stage.partner.document().to_string().into_bytes();
    bytes.resize(usize::try_from(bundle_file::MAX_BYTES).unwrap(), b' ');
    stage.write(&bytes);
    assert!(stage.configure(&stage.both()).is_ok());

    bytes.push(b' ');
    stage.write(&bytes);

    assert_eq!(stage.refused_table(&stage.both()).code, "config.bundle_oversized");
}

#[test]
fn a_bundle_without_keys_a_broken_key_and_no_file_are_refused() {
    let stage = Stage::new();
    let none = stage.refused_bundle(|document| document["keys"] = json!([]));
    let broken = stage.refused_bundle(|document| document["keys"][0]["crv"] = json!("P-9"));
    let leaf = stage.partner.svid();
    let no_root = stage.refused_bundle(|document| {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        document["keys"][1] =
            json!({ "use": "x509-svid", "kty": "EC", "x5c": [BASE64_STANDARD.encode(&leaf.chain[0])] });
    });
    std::fs::remove_file(stage.file()).unwrap();
    let missing = stage.refused_table(&stage.both());

    assert_eq!(none.code, "config.bundle_empty");
    assert_eq!(broken.code, "config.bundle_malformed");
    assert!(no_root.code.starts_with("config.bundle_"), "{no_root:?}");
    assert_eq!(missing.code, "config.bundle_unreadable");
}

#[test]
fn spiffe_bundle_7_a_key_of_a_later_use_is_left_out() {
    let stage = Stage::new();
    let mut document = stage.partner.document();
    let mut later = document["keys"][0].clone();
    later["use"] = json!("wit-svid");
    document["keys"].as_array_mut().unwrap().push(later);
    stage.write(document.to_string().as_bytes());

    assert!(stage.configure(&stage.both()).is_ok());
}

#[test]
fn spiffe_bundle_11_two_trust_domains_never_share_a_key() {
    let stage = Stage::new();
    let mut other = Domain::new("other.example", now()).document();
    other["keys"][0] = stage.partner.document()["keys"][0].clone();
    let path = stage.directory.path().join("other.json");
    std::fs::write(&path, other.to_string()).unwrap();

    let other = format!("{{ name = \"other.example\", bundle_file = \"{}\" }}", path.display());
    let found = stage.refused_table(&format!("trust_domains = [{}, {other}]", stage.pinned()));

    assert_eq!(found.code, "config.bundle_key_shared");
}

#[test]
fn a_table_that_pins_nothing_or_the_wrong_thing_is_refused() {
    let stage = Stage::new();
    let pinned = stage.pinned();
    for (table, code) in [
        ("trust_domains = []".to_owned(), "config.trust_domain_required"),
        ("audience = \"a\"".to_owned(), "config.attestor_table"),
        (format!("colour = 1\n{}", stage.both()), "config.attestor_table"),
        (
            "trust_domains = [{ name = \"A\" }]".to_owned(),
            "config.trust_domain_invalid",
        ),
        (
            "trust_domains = [{ name = \"other.example\" }]".to_owned(),
            "config.bundle_required",
        ),
        (
            format!("trust_domains = [{pinned}, {pinned}]"),
            "config.trust_domain_twice",
        ),
        (
            format!("trust_domains = [{}]", pinned.replace(PARTNER, OWN)),
            "config.bundle_of_our_own",
        ),
    ] {
        assert_eq!(stage.refused_table(&table).code, code, "{table}");
    }
}

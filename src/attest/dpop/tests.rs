//! Proofs that hold, and proofs that are wrong in one point.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;
use crate::{clock::parse_rfc3339, jose::SigningAlgorithm, secret::SystemRandom, store::Binding};

const HTU: &str = "https://exchange.acme.example:9443/v1/token";

fn now() -> SystemTime {
    parse_rfc3339("2026-01-16T14:40:00Z").unwrap()
}

fn evidence() -> Secret {
    Secret::new("header.claims.signature")
}

fn key() -> SigningKey {
    SigningKey::generate(SigningAlgorithm::Es256).unwrap()
}

/// All of a proof, to be changed in one point.
struct Draft {
    key: SigningKey,
    header: Value,
    claims: Value,
}

impl Draft {
    fn new() -> Self {
        let key = key();
        let jwk = serde_json::to_value(key.public_jwk("proof")).unwrap();
        Self {
            header: json!({
                "typ": "dpop+jwt", "alg": "ES256",
                "jwk": { "kty": "EC", "crv": "P-256", "x": jwk["x"], "y": jwk["y"] },
            }),
            claims: json!({
                "jti": "0123456789abcdef", "htm": "POST", "htu": HTU, "iat": unix_seconds(now()),
                "ath": BASE64_URL_SAFE_NO_PAD.encode(evidence().sha256().as_bytes()),
            }),
            key,
        }
    }

    fn header(mut self, member: &str, value: Value) -> Self {
        self.header[member] = value;
        self
    }

    fn claim(mut self, name: &str, value: Value) -> Self {
        self.claims[name] = value;
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.claims.as_object_mut().unwrap().remove(name);
        self.header.as_object_mut().unwrap().remove(name);
        self
    }

    fn signed(&self) -> String {
        let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let input = format!("{}.{}", encode(&self.header), encode(&self.claims));
        let signature = self.key.sign(input.as_bytes()).unwrap();
        sign::assemble(input, &signature)
    }

    fn verified(&self) -> Result<Possession, AttestRefusal> {
        verify(&self.signed(), "POST", HTU, &evidence(), now())
    }
}

fn assert_refused(row: &str, verified: &Result<Possession, AttestRefusal>) {
    assert!(
        matches!(verified, Err(AttestRefusal::Dpop { .. })),
        "{row}: {verified:?}"
    );
}

#[test]
fn dpop_1_a_proof_that_was_made_is_verified() {
    let key = key();
    let proof = prove(&key, HTU, &evidence(), &SystemRandom, now()).unwrap();

    let possession = verify(proof.expose(), "POST", HTU, &evidence(), now()).unwrap();

    assert_eq!(possession.binding(), Binding::Dpop(key.thumbprint().digest()));
    let (_, remember_until) = possession.proof().unwrap();
    assert_eq!(remember_until, now() + Duration::from_secs(65));
}

#[test]
fn dpop_1_requires_typ_alg_jwk_and_every_claim() {
    assert!(Draft::new().verified().is_ok());
    for name in ["typ", "alg", "jwk", "jti", "htm", "htu", "iat", "ath"] {
        assert_refused(name, &Draft::new().without(name).verified());
    }
}

#[test]
fn dpop_2_refuses_another_header() {
    let foreign = serde_json::to_value(key().public_jwk("other")).unwrap();
    let rsa = SigningKey::generate(SigningAlgorithm::Rs256).unwrap();
    let rsa = serde_json::to_value(rsa.public_jwk("rsa")).unwrap();
    let own = Draft::new().header["jwk"].clone();
    let with = |member: &str, value: &str| {
        let mut jwk = own.clone();
        jwk[member] = json!(value);
        jwk
    };
    for (member, value) in [
        ("typ", json!("JWT")),
        ("typ", json!("DPOP+JWT")),
        ("typ", json!("application/dpop+jwt")),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("ES384")),
        ("alg", json!("RS256")),
        ("alg", json!("EdDSA")),
        ("kid", json!("key")),
        ("jku", json!("https://evil.example")),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("jwk", json!("text")),
        ("jwk", json!({ "kty": "oct", "k": "c2VjcmV0" })),
        ("jwk", foreign),
        ("jwk", rsa),
        ("jwk", with("d", "AAAA")),
        ("jwk", with("k", "AAAA")),
        ("jwk", with("crv", "P-384")),
        ("jwk", with("x", "AAAA")),
    ] {
        assert_refused(
            &format!("{member} = {value}"),
            &Draft::new().header(member, value.clone()).verified(),
        );
    }
}

#[test]
fn dpop_2_refuses_a_private_key_although_the_signature_is_its_own() {
    let mut draft = Draft::new();
    draft.header["jwk"]["d"] = json!("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE");

    let refusal = draft.verified().unwrap_err();

    assert!(refusal.to_string().contains("private member `d`"), "{refusal}");
}

#[test]
fn dpop_2_refuses_another_method_url_or_token() {
    let other = Secret::new("header.claims.other");
    let other = BASE64_URL_SAFE_NO_PAD.encode(other.sha256().as_bytes());
    for (claim, value) in [
        ("htm", json!("GET")),
        ("htm", json!("post")),
        ("htu", json!(format!("{HTU}/"))),
        ("htu", json!(format!("{HTU}?a=b"))),
        ("htu", json!(format!("{HTU}#a"))),
        ("htu", json!("https://exchange.acme.example/v1/token")),
        ("htu", json!("https://EXCHANGE.acme.example:9443/v1/token")),
        ("htu", json!("http://exchange.acme.example:9443/v1/token")),
        ("htu", json!("https://exchange.acme.example:9443/v1/exchange")),
        ("htu", json!("https://evil.example/v1/token")),
        ("htu", json!([HTU])),
        ("ath", json!(other)),
        ("ath", json!("")),
        ("ath", json!(null)),
        ("jti", json!(7)),
    ] {
        assert_refused(
            &format!("{claim} = {value}"),
            &Draft::new().claim(claim, value.clone()).verified(),
        );
    }
}

#[test]
fn dpop_2_refuses_a_proof_over_another_evidence() {
    let key = key();
    let proof = prove(&key, HTU, &evidence(), &SystemRandom, now()).unwrap();

    let verified = verify(proof.expose(), "POST", HTU, &Secret::new("stolen"), now());

    assert_refused("ath", &verified);
}

#[test]
fn dpop_2_refuses_a_changed_signature_and_what_is_no_proof() {
    let good = Draft::new().signed();
    let (input, signature) = good.rsplit_once('.').unwrap();
    let stranger = Draft::new().signed();
    let foreign = stranger.rsplit_once('.').unwrap().1;
    for proof in [
        format!("{input}.{foreign}"),
        format!("{input}."),
        format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode([0; 64])),
        format!("{good}, {good}"),
        format!("{good}."),
        signature.to_owned(),
        String::new(),
        ".".repeat(4_000),
    ] {
        assert_refused(&proof, &verify(&proof, "POST", HTU, &evidence(), now()));
    }
}

#[test]
fn dpop_2_takes_60_s_back_and_5_s_ahead_and_not_one_more() {
    let made = |moment: SystemTime| Draft::new().claim("iat", json!(unix_seconds(moment))).verified();

    assert!(made(now() - Duration::from_mins(1)).is_ok());
    assert_refused("61 s ago", &made(now() - Duration::from_secs(61)));
    assert!(made(now() + Duration::from_secs(5)).is_ok());
    assert_refused("in 6 s", &made(now() + Duration::from_secs(6)));
    for value in [json!("1768574400"), json!(null), json!(-1), json!(1e300)] {
        assert_refused(
            &format!("iat = {value}"),
            &Draft::new().claim("iat", value.clone()).verified(),
        );
    }
}

#[test]
fn dpop_2_takes_4_kib_and_refuses_more() {
    let padded = |bytes: usize| Draft::new().claim("padding", json!("p".repeat(bytes))).signed();
    let length = |bytes: usize| padded(bytes).len();
    let room = (MAX_PROOF_BYTES - length(0)) * 3 / 4;
    let fitting = (0..8)
        .map(|less| padded(room - less))
        .find(|proof| proof.len() <= MAX_PROOF_BYTES)
        .unwrap();

    assert!(fitting.len() > MAX_PROOF_BYTES - 8);
    assert!(verify(&fitting, "POST", HTU, &evidence(), now()).is_ok());
    let refusal = verify(&"a".repeat(MAX_PROOF_BYTES + 1), "POST", HTU, &evidence(), now()).unwrap_err();
    assert!(
        refusal.to_string().contains("found 4097 bytes, expected at most 4096"),
        "{refusal}"
    );
}

#[test]
fn dpop_3_the_digest_to_remember_differs_by_key_and_by_id() {
    let digest = |draft: &Draft| draft.verified().unwrap().proof().unwrap().0;
    let draft = Draft::new();
    let first = digest(&draft);
    let later = draft.claim("iat", json!(unix_seconds(now() - Duration::from_secs(30))));
    let again = digest(&later);
    let other_id = digest(&later.claim("jti", json!("fedcba9876543210")));
    let other_key = digest(&Draft::new());

    assert_eq!(
        first, again,
        "the same id by the same key is the same proof, however it is written"
    );
    assert_ne!(first, other_id);
    assert_ne!(first, other_key);
}

#[test]
fn dpop_3_remembers_a_proof_as_long_as_it_would_be_accepted() {
    let ahead = Draft::new().claim("iat", json!(unix_seconds(now() + Duration::from_secs(5))));

    let (_, remember_until) = ahead.verified().unwrap().proof().unwrap();

    assert_eq!(remember_until, now() + Duration::from_secs(70));
}

#[test]
fn dpop_3_takes_ids_of_16_to_256_bytes() {
    let with = |bytes: usize| Draft::new().claim("jti", json!("j".repeat(bytes))).verified();

    assert!(with(16).is_ok());
    assert!(with(256).is_ok());
    assert_refused("15", &with(15));
    assert_refused("257", &with(257));
}

#[test]
fn dpop_5_a_refusal_has_the_code_of_a_proof() {
    let refusal = Draft::new().without("ath").verified().unwrap_err();

    assert_eq!(refusal.code(), "attest.dpop_invalid");
    assert!(refusal.to_string().contains("`ath` is missing"), "{refusal}");
}

#[test]
fn two_proofs_of_one_key_have_different_ids() {
    let key = key();
    let made = || prove(&key, HTU, &evidence(), &SystemRandom, now()).unwrap();
    let digest = |proof: &Secret| verify(proof.expose(), "POST", HTU, &evidence(), now()).unwrap().proof();

    assert_ne!(digest(&made()), digest(&made()));
}

#[test]
fn makes_no_proof_with_an_rsa_key() {
    let rsa = SigningKey::generate(SigningAlgorithm::Rs256).unwrap();

    let made = prove(&rsa, HTU, &evidence(), &SystemRandom, now());

    assert!(matches!(made, Err(ProofNotMade::Key { found: "RS256" })), "{made:?}");
}

#[test]
fn an_idempotency_key_of_128_bits_is_taken_and_only_its_digest_kept() {
    for key in [
        "0123456789abcdef0123456789abcdef",
        "9C0E3E6B7A5D4F1287AABBCCDDEEFF01",
        "5f0c9a52-9d4e-4c4b-8a55-7b0f6f8b1f11",
        "hVq3Jk9ZpLw2Xs8RtYb5Nd",
        "aB3$xY7!qW9@zK5#mN1%",
        "012345678901234567890123456789012345678",
    ] {
        let possession = idempotency_key(key).unwrap();

        assert_eq!(
            possession,
            Possession::IdempotencyKey(Digest::of(key.as_bytes())),
            "{key}"
        );
        assert!(!format!("{possession:?}").contains(key));
    }
}

#[test]
fn an_idempotency_key_that_cannot_hold_128_bits_is_refused() {
    for key in [
        "",
        "deploy",
        "0123456789abcde",
        "0123456789abcdef",
        "0123456789abcdef0123456789abcde",
        "01234567890123456789012345678901234567",
        "hVq3Jk9ZpLw2Xs8RtYb5N",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "abcdefgabcdefgabcdefgabcdefgabcdefg",
        "5f0c9a52 9d4e 4c4b 8a55 7b0f6f8b1f11",
        "5f0c9a52-9d4e-4c4b-8a55-7b0f6f8b1f1é",
    ] {
        let refused = idempotency_key(key);

        assert!(
            matches!(refused, Err(AttestRefusal::IdempotencyKeyWeak { .. })),
            "{key:?}: {refused:?}"
        );
    }
}

#[test]
fn an_idempotency_key_of_255_characters_is_taken_and_one_of_256_refused() {
    let long = |length: usize| "0123456789abcdef".chars().cycle().take(length).collect::<String>();

    assert!(idempotency_key(&long(255)).is_ok());
    assert!(idempotency_key(&long(256)).is_err());
}

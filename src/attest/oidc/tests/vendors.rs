//! Every preset against the token of its vendor's documentation, and against what is wrong with it in one point.
//!
//! A vendor brings `vendors/<preset>.toml`: the settings of its attestor, what its sample attests, the job of its how-to page,
//! and tokens of its own.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::{
    attest::oidc::preset::{PRESETS, TokenId},
    store::UseRule,
};

/// What a vendor brings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vendor {
    /// Lines of the attestor's table.
    #[serde(default)]
    settings: String,
    /// All attributes of the sample.
    attributes: BTreeMap<String, String>,
    /// The job of its how-to page, which runs from outside (`tests/it/jobs.rs`).
    #[serde(rename = "guide")]
    _guide: serde::de::IgnoredAny,
    /// Tokens that differ from the sample.
    #[serde(default)]
    token: Vec<Token>,
}

/// A token that differs from the sample, and what becomes of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    name: String,
    /// Further lines of the attestor's table.
    #[serde(default)]
    settings: String,
    #[serde(default)]
    claims: toml::Table,
    #[serde(default)]
    without: Vec<String>,
    /// The code with which it is refused, or nothing.
    refused: Option<String>,
    /// Some of what it attests.
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// What it does not attest.
    #[serde(default)]
    absent: Vec<String>,
}

fn vendor(preset: &str) -> Vendor {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/attest/oidc/tests/vendors");
    let file = folder.join(format!("{preset}.toml"));
    let text = fs::read_to_string(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    toml::from_str(&text).unwrap_or_else(|why| panic!("{preset}: {why}"))
}

/// Returns every preset with its token and an attestor for it.
async fn stages() -> Vec<(&'static str, Stage, Vendor)> {
    let mut all = Vec::new();
    for (preset, _) in PRESETS {
        let vendor = vendor(preset);
        all.push((*preset, Stage::vendor(preset, &vendor.settings).await, vendor));
    }
    assert!(all.len() >= 4);
    all
}

fn job(preset: &str) -> Job {
    Job::of_preset(preset).issued_at(now())
}

/// Says what became of a token: the refusal's code, or `attested`, or `not mine`.
async fn outcome(stage: &Stage, job: Job) -> String {
    match stage.judge(job).await {
        Verdict::Attested(_) => "attested".to_owned(),
        Verdict::NotMine => "not mine".to_owned(),
        Verdict::Refused(refusal) => refusal.code().to_owned(),
    }
}

#[tokio::test]
async fn every_vendors_token_attests_what_its_fixture_says() {
    for (preset, stage, vendor) in stages().await {
        let attestation = stage.attested(job(preset)).await;

        let found: BTreeMap<String, String> = attestation
            .attributes()
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(found, vendor.attributes, "{preset}");
        assert_eq!(attestation.issuer(), stage.ci.issuer(), "{preset}");
        assert_eq!(attestation.ledger().unwrap().rule, UseRule::Keyed, "{preset}");
        for name in found.keys() {
            assert!(stage.attestor.attributes().contains(&name.as_str()), "{preset}: {name}");
        }
    }
}

#[tokio::test]
async fn every_vendors_own_tokens_become_what_its_fixture_says() {
    for (preset, _) in PRESETS {
        let vendor = vendor(preset);
        let plain = Stage::vendor(preset, &vendor.settings).await;
        for token in vendor.token {
            let settings = format!("{}\n{}", vendor.settings, token.settings);
            let own = match token.settings.as_str() {
                "" => None,
                _ => Some(Stage::vendor(preset, &settings).await),
            };
            let stage = own.as_ref().unwrap_or(&plain);
            let mut job = job(preset);
            for (claim, value) in &token.claims {
                job = job.with(claim, serde_json::to_value(value).unwrap());
            }
            for claim in &token.without {
                job = job.without(claim);
            }
            let what = format!("{preset}: {}", token.name);

            match (stage.judge(job).await, &token.refused) {
                (Verdict::Refused(refusal), Some(code)) => assert_eq!(refusal.code(), code, "{what}: {refusal}"),
                (Verdict::Attested(attestation), None) => {
                    for (name, value) in &token.attributes {
                        assert_eq!(
                            attestation.attributes().get(name),
                            Some(value.as_str()),
                            "{what}: {name}"
                        );
                    }
                    for name in &token.absent {
                        assert_eq!(attestation.attributes().get(name), None, "{what}: {name}");
                    }
                }
                (other, expected) => panic!("{what}: expected {expected:?}, found {other:?}"),
            }
        }
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn t_26_every_vendors_token_is_refused_for_the_one_point_that_is_wrong() {
    let after = |ahead| json!(crate::clock::unix_seconds(now() + seconds(ahead)));
    let before = |ago| json!(crate::clock::unix_seconds(now() - seconds(ago)));
    for (preset, stage, _) in stages().await {
        let old = || job(preset).with("iat", before(400)).with("nbf", before(400));
        let audience = job(preset).claims()["aud"].clone();
        for (point, changed, expected) in [
            ("exp", old().with("exp", before(31)), "attest.evidence_expired"),
            (
                "nbf",
                job(preset).with("nbf", after(60)),
                "attest.evidence_not_yet_valid",
            ),
            (
                "iat",
                job(preset).with("iat", after(60)),
                "attest.evidence_not_yet_valid",
            ),
            (
                "aud",
                job(preset).for_audience("https://other"),
                "attest.audience_mismatch",
            ),
            (
                "aud",
                job(preset).with("aud", json!([audience, "x"])),
                "attest.audience_mismatch",
            ),
            ("aud", job(preset).without("aud"), "attest.claim_invalid"),
            ("sub", job(preset).without("sub"), "attest.claim_invalid"),
            ("typ", job(preset).with_header("typ", "at+jwt"), "attest.claim_invalid"),
            (
                "kid",
                job(preset).with_header("kid", "other"),
                "attest.evidence_unverifiable",
            ),
            ("alg", job(preset).with_header("alg", "none"), "not mine"),
            ("alg", job(preset).with_header("alg", "HS256"), "not mine"),
            (
                "jku",
                job(preset).with_header("jku", "https://evil.example"),
                "not mine",
            ),
            (
                "size",
                job(preset).with("pad", "p".repeat(16_384)),
                "attest.evidence_oversized",
            ),
        ] {
            assert_eq!(outcome(&stage, changed).await, expected, "{preset}: {point}");
        }
        let kid = stage.ci.jwks()["keys"][0]["kid"].as_str().unwrap().to_owned();
        let stranger = Ci::new(stage.ci.issuer()).unwrap().with_kid(kid); // another key of the same name
        let forged = job(preset).signed_by(&stranger).unwrap();
        let refusal = refused(stage.judge_token(forged, Possession::Bearer, now()).await);
        assert_eq!(refusal.code(), "attest.evidence_unverifiable", "{preset}: signature");
        let required = stage.attestor.rules.token_id == TokenId::Required;
        let expected = if required { "attest.claim_invalid" } else { "attested" };
        assert_eq!(
            outcome(&stage, job(preset).without("jti")).await,
            expected,
            "{preset}: jti"
        );
    }
}

#[tokio::test]
async fn t_49_no_vendors_claim_is_taken_for_absent_because_its_type_is_another() {
    for (preset, stage, _) in stages().await {
        for mapping in &stage.attestor.rules.mappings {
            let claim = mapping.claim.as_str();
            if claim.starts_with("sub:") || claim.starts_with("iss:") {
                continue;
            }
            for value in [json!({ "x": 1 }), json!([1]), json!(1.5), json!([["x"]])] {
                let found = outcome(&stage, job(preset).with(claim, value.clone())).await;
                assert_eq!(found, "attest.claim_invalid", "{preset}: {claim} = {value}");
            }
            if mapping.required {
                for absent in [
                    job(preset).without(claim),
                    job(preset).with(claim, Value::Null),
                    job(preset).with(claim, ""),
                ] {
                    let found = outcome(&stage, absent).await;
                    let refused = ["attest.claim_invalid", "attest.owner_not_allowed"].contains(&found.as_str());
                    assert!(refused, "{preset}: no {claim}: {found}");
                }
            }
        }
    }
}

#[tokio::test]
async fn t_48_t_63_no_vendors_attestor_takes_another_tenants_issuer() {
    for (preset, stage, _) in stages().await {
        let own = stage.ci.issuer().to_owned();
        let (asked, connected) = (stage.resolver.asked(), stage.site.connections());
        let (head, _) = own.rsplit_once('/').unwrap();
        for issuer in [
            format!("{own}/"),
            format!("{own}x"),
            format!("{own}/evil"),
            format!("{own}?"),
            format!("{own}#"),
            format!("{own}%2f"),
            format!("{own}/../common"),
            format!("{head}/common"),
            format!("{head}/organizations"),
            format!("{head}/00000000-0000-0000-0000-000000000000"),
            format!("{head}/{{tenantid}}"),
            own.to_uppercase(),
            own.replace("https://", "http://"),
            own.replace("https://", "https://evil.example/?"),
            own.replace("https://", "https://evil.example@"),
            format!("{own}.evil.example"),
        ] {
            let found = outcome(&stage, job(preset).with("iss", issuer.as_str())).await;
            assert_eq!(found, "not mine", "{preset}: {issuer}");
        }
        assert_eq!(
            (stage.resolver.asked(), stage.site.connections()),
            (asked, connected),
            "{preset}"
        );
    }
}

#[tokio::test]
async fn t_64_every_vendors_owner_is_compared_by_id() {
    for (preset, stage, _) in stages().await {
        let Some(owner) = &stage.attestor.rules.owner else {
            continue;
        };
        let claims = job(preset).claims().clone();
        let Some(id) = claims.get(&owner.id).and_then(Value::as_str) else {
            continue; // A part of the subject: the vendor's own tokens hold the other owner's.
        };
        let other: String = id.chars().map(|c| if c.is_ascii_digit() { '1' } else { c }).collect();
        assert_ne!(id, other, "{preset}");
        let found = outcome(&stage, job(preset).with(&owner.id, other)).await;
        let refused = ["attest.owner_not_allowed", "attest.claim_invalid"].contains(&found.as_str());
        assert!(refused, "{preset}: {found}");
    }
}

#[tokio::test]
async fn t_65_no_subject_of_another_form_passes_where_the_vendor_has_one() {
    for (preset, stage, _) in stages().await {
        let Some(rule) = &stage.attestor.rules.subject else {
            continue;
        };
        let subject = job(preset).claims()["sub"].as_str().unwrap().to_owned();
        let prefix = rule.prefix.as_str();
        let mut attacks = vec![
            format!("{prefix}evil"),
            format!("{prefix}:{subject}"),
            format!("{prefix}*"),
            format!("{prefix}../{subject}"),
        ];
        if prefix.is_empty() {
            attacks.extend([format!(" {subject}"), format!("x{subject}"), subject.to_uppercase()]);
        }
        for attack in attacks {
            let found = outcome(&stage, job(preset).with("sub", attack.as_str())).await;
            assert_eq!(found, "attest.claim_invalid", "{preset}: {attack}");
        }
    }
}

#[tokio::test]
async fn t_66_no_vendors_event_that_nobody_named_is_taken() {
    for (preset, stage, _) in stages().await {
        let rule = &stage.attestor.rules.event;
        let Some(claim) = &rule.claim else {
            continue;
        };
        for event in ["invented_tomorrow", "pull_request", "PUSH", " push"] {
            let job = job(preset).with(claim, event);
            let found = outcome(&stage, job).await;
            let refused = ["attest.event_forbidden", "attest.claim_invalid"].contains(&found.as_str());
            assert!(refused, "{preset}: {event}: {found}");
        }
    }
}

#[tokio::test]
async fn every_vendors_evidence_waits_for_an_issuer_that_is_down() {
    for (preset, stage, _) in stages().await {
        stage.site.answer(JWKS, Answer::head("500 Oops", "", ""));

        assert_eq!(outcome(&stage, job(preset)).await, "issuer.unavailable", "{preset}");
    }
}

#[test]
fn every_fixture_belongs_to_a_preset() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/attest/oidc/tests/vendors");
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(PRESETS.iter().any(|(preset, _)| *preset == name), "{name}");
    }
}

//! Documents of a simulated Azure, each wrong in one point.

use std::{collections::BTreeSet, sync::LazyLock, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    attest::{
        AttestorName, Evidence, Possession, Verdict,
        azure_instance::sim::attested::{AttestedSigners, signed},
    },
    clock::parse_rfc3339,
    secret::SystemRandom,
    sim::signed_data::Signer,
    store::UseRule,
};

const VM: &str = "13f56399-bd52-4150-9748-7190aae1ff21";
const SUBSCRIPTION: &str = "8d10da13-8125-4ba9-a717-bf7490507b3d";

static AZURE: LazyLock<AttestedSigners> = LazyLock::new(|| AttestedSigners::new().unwrap());

fn root() -> Certificate {
    Certificate::read(AZURE.root().certificate()).unwrap()
}

fn intermediate() -> Certificate {
    Certificate::read(AZURE.intermediate().certificate()).unwrap()
}

fn now() -> SystemTime {
    parse_rfc3339("2026-01-16T14:40:00Z").unwrap()
}

fn challenges() -> Challenges {
    Challenges::derived(&[7; 32]).unwrap()
}

fn document(nonce: &str) -> Value {
    json!({
        "nonce": nonce,
        "plan": { "name": "", "product": "", "publisher": "" },
        "sku": "22_04-lts-gen2",
        "subscriptionId": SUBSCRIPTION,
        "timeStamp": { "createdOn": "01/16/26 14:40:00 -0000", "expiresOn": "01/16/26 20:40:00 -0000" },
        "vmId": VM,
    })
}

fn evidence(challenge: &Challenge, signed: &[u8]) -> Secret {
    Secret::new(format!(
        "cambio-azure-v1.{}.{}",
        challenge.as_str(),
        BASE64_STANDARD.encode(signed)
    ))
}

fn verifier() -> AttestedDocuments {
    AttestedDocuments::new(Cloud::Public, vec![root()], vec![intermediate()])
}

/// Judges a document after a change of it, by this signer.
fn judged_by(signer: &Signer, change: impl FnOnce(&mut Value)) -> Result<Attested, AttestRefusal> {
    let challenge = challenges().issue(&SystemRandom, now()).unwrap();
    let mut content = document(&challenge.nonce());
    change(&mut content);
    let bytes = signed(signer, content.to_string().as_bytes());
    verifier().confirm(&evidence(&challenge, &bytes), &challenges(), now())
}

fn judged(change: impl FnOnce(&mut Value)) -> Result<Attested, AttestRefusal> {
    judged_by(AZURE.signer(), change)
}

#[test]
fn a_machine_is_attested_over_our_challenge() {
    let attested = judged(|_| {}).unwrap_or_else(|why| panic!("{why:?}"));

    assert_eq!(attested.vm_id(), VM);
    assert_eq!(attested.subscription_id(), SUBSCRIPTION);
    assert_eq!(attested.challenge().as_str().len(), 75);
    assert_eq!(attested.proof().signer().der(), AZURE.signer().certificate());
    let upper = judged(|document| document["vmId"] = json!(VM.to_ascii_uppercase())).unwrap();
    assert_eq!(upper.vm_id(), VM);
}

#[test]
fn t_44_a_document_over_another_challenge_is_refused() {
    let other = challenges().issue(&SystemRandom, now()).unwrap();
    for nonce in [other.nonce(), String::new(), "1234567890".to_owned()] {
        let refused = judged(|document| document["nonce"] = json!(nonce)).unwrap_err();
        assert_eq!(refused.code(), "attest.claim_invalid", "{nonce}: {refused}");
    }
    let challenge = challenges().issue(&SystemRandom, now()).unwrap();
    let signed = signed(AZURE.signer(), document(&challenge.nonce()).to_string().as_bytes());
    let evidence = evidence(&challenge, &signed);
    let at = |seconds| verifier().confirm(&evidence, &challenges(), now() + Duration::from_secs(seconds));
    assert!(at(59).is_ok());
    assert_eq!(at(60).unwrap_err().code(), "attest.evidence_unverifiable");
    let of_another_gateway = verifier().confirm(&evidence, &Challenges::derived(&[8; 32]).unwrap(), now());
    assert_eq!(of_another_gateway.unwrap_err().code(), "attest.evidence_unverifiable");
}

#[test]
fn t_02_a_rogue_signer_is_unverifiable_even_beside_the_genuine_certificate() {
    let rogue = Signer::new("metadata.azure.com", 9).unwrap();
    assert_eq!(
        judged_by(&rogue, |_| {}).unwrap_err().code(),
        "attest.evidence_unverifiable"
    );

    let challenge = challenges().issue(&SystemRandom, now()).unwrap();
    let content = document(&challenge.nonce()).to_string().into_bytes();
    let mut forged = rogue.document(&content);
    forged.open = false;
    forged.certificates = vec![AZURE.signer().certificate().to_vec(), rogue.certificate().to_vec()];
    forged.signers = vec![rogue.parts(&content).written()];
    let refused = verifier().confirm(&evidence(&challenge, &forged.written()), &challenges(), now());
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), "attest.evidence_unverifiable");
    assert!(!refused.is_proven());
}

#[test]
fn only_the_metadata_services_names_count() {
    for name in [
        "metadata.azure.com",
        "eastus.metadata.azure.com",
        "a.b.metadata.azure.com",
    ] {
        let judged = judged_by(&AZURE.signer_of(name).unwrap(), |_| {});
        assert!(judged.is_ok(), "{name}: {judged:?}");
    }
    for name in [
        "azure.com",
        "xmetadata.azure.com",
        "metadata.azure.com.evil.example",
        "metadata.azure.us",
        "METADATA.azure.com",
        "*.metadata.azure.com",
        "shop.acme.example",
    ] {
        let refused = judged_by(&AZURE.signer_of(name).unwrap(), |_| {}).unwrap_err();
        assert_eq!(refused.code(), "attest.evidence_unverifiable", "{name}: {refused}");
    }
}

#[test]
fn without_the_intermediate_or_the_root_nobody_is_believed() {
    let challenge = challenges().issue(&SystemRandom, now()).unwrap();
    let signed = signed(AZURE.signer(), document(&challenge.nonce()).to_string().as_bytes());
    let evidence = evidence(&challenge, &signed);
    let judged = |roots: Vec<Certificate>, intermediates: Vec<Certificate>| {
        AttestedDocuments::new(Cloud::Public, roots, intermediates).confirm(&evidence, &challenges(), now())
    };

    assert!(judged(vec![root()], vec![]).is_err());
    assert!(judged(vec![], vec![intermediate()]).is_err());
    assert!(judged(vec![root()], vec![intermediate()]).is_ok());
}

#[test]
fn t_26_each_member_that_counts_is_there_and_in_its_form() {
    for (member, value) in [
        ("vmId", json!(null)),
        ("vmId", json!("")),
        ("vmId", json!(7)),
        ("vmId", json!("13f56399bd52415097487190aae1ff21")),
        ("vmId", json!("../56399-bd52-4150-9748-7190aae1ff21")),
        ("subscriptionId", json!("")),
        ("subscriptionId", json!(["a"])),
        ("timeStamp", json!(null)),
        ("timeStamp", json!("01/16/26 14:40:00 -0000")),
        ("timeStamp", json!({ "createdOn": "01/16/26 14:40:00 -0000" })),
        (
            "timeStamp",
            json!({ "createdOn": "yesterday", "expiresOn": "01/16/26 20:40:00 -0000" }),
        ),
        (
            "timeStamp",
            json!({ "createdOn": "16/01/26 14:40:00 -0000", "expiresOn": "01/16/26 20:40:00 -0000" }),
        ),
        (
            "timeStamp",
            json!({ "createdOn": "01/16/26 14:40:00 +0100", "expiresOn": "01/16/26 20:40:00 -0000" }),
        ),
    ] {
        let refused = judged(|document| document[member] = value.clone()).unwrap_err();
        assert_eq!(refused.code(), "attest.claim_invalid", "{member} = {value}: {refused}");
    }
    for (created, expires, code) in [
        (
            "01/16/26 14:40:31 -0000",
            "01/16/26 20:40:00 -0000",
            "attest.evidence_not_yet_valid",
        ),
        (
            "01/16/26 08:00:00 -0000",
            "01/16/26 14:39:30 -0000",
            "attest.evidence_expired",
        ),
    ] {
        let stamp = json!({ "createdOn": created, "expiresOn": expires });
        let refused = judged(|document| document["timeStamp"] = stamp).unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
}

#[test]
fn what_has_not_the_outer_form_is_malformed_and_not_repeated() {
    for text in [
        "",
        "canary",
        "cambio-azure-v1.",
        "cambio-azure-v1.canary",
        "cambio-azure-v1.canary.canary!",
        "cambio-azure-v2.canary.AAAA",
    ] {
        let refused = form(&Secret::new(text)).unwrap_err();
        assert_eq!(refused.code(), "attest.evidence_malformed", "{text}");
        assert!(!refused.to_string().contains("canary"), "{text}: {refused}");
    }
    assert!(form(&Secret::new("cambio-azure-v1.x.AAAA")).is_ok());
    let over = form(&Secret::new("a".repeat(16_385))).unwrap_err();
    assert_eq!(over.code(), "attest.evidence_oversized");
    assert!(is_announced(&Secret::new("cambio-azure-v1.x")));
    assert!(!is_announced(&Secret::new("cambio-aws-v1.x")));
}

fn verdict(subscription: &str, kind: Option<&str>) -> Verdict {
    let challenge = challenges().issue(&SystemRandom, now()).unwrap();
    let bytes = signed(AZURE.signer(), document(&challenge.nonce()).to_string().as_bytes());
    let presented = Evidence::new(
        evidence(&challenge, &bytes),
        kind.map(str::to_owned),
        Possession::Bearer,
    );
    let machines = AttestedMachines {
        documents: verifier(),
        challenges: challenges(),
        subscriptions: BTreeSet::from([subscription.to_owned()]),
        session_max: Duration::from_hours(1),
    };
    machines.verdict(&AttestorName::parse("machines").unwrap(), &presented, now())
}

#[test]
fn t_44_an_attestation_of_a_machine_uses_up_its_challenge() {
    let verdict = verdict(SUBSCRIPTION, None);
    let Verdict::Attested(attestation) = verdict else {
        panic!("{verdict:?}");
    };

    let attributes: Vec<_> = attestation.attributes().iter().collect();
    assert_eq!(
        attributes,
        [("azure.subscription_id", SUBSCRIPTION), ("azure.vm_id", VM)]
    );
    assert!(
        attributes
            .iter()
            .all(|(name, _)| ["azure.subscription_id", "azure.vm_id"].contains(name))
    );
    let ledger = attestation.ledger().unwrap();
    assert_eq!(ledger.rule, UseRule::Once);
    assert_eq!(ledger.remember_until, now() + Duration::from_secs(60 + 35));
    assert_eq!(attestation.stands_until(), now() + Duration::from_hours(1));
}

#[test]
fn a_machine_of_another_subscription_is_refused_and_another_kind_is_somebody_elses() {
    let refused = verdict("00000000-0000-4000-8000-000000000001", Some("azure_instance"));
    let Verdict::Refused(refusal) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(refusal.code(), "attest.claim_invalid", "{refusal}");
    assert!(matches!(verdict(SUBSCRIPTION, Some("oidc")), Verdict::NotMine));
}

//! The battery that every kind of attestor passes: each way in which evidence can be forged or broken.

use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::{
    clock::FakeClock,
    secret::SystemRandom,
    sim::{imds::Sessions, signed_data::Document},
};

fn in_base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

fn genuine() -> Vec<u8> {
    let document = instance().document().to_string();
    FRANKFURT.signer().document(document.as_bytes()).written()
}

#[test]
fn t_01_a_genuine_signature_over_one_document_says_nothing_of_another() {
    let other = InstanceSim::start(Arc::clone(&FRANKFURT), ACCOUNT, "i-0fedcba9876543210", STARTED);
    let mut forged = FRANKFURT
        .signer()
        .document(instance().document().to_string().as_bytes());
    forged.content = other.document().to_string().into_bytes();

    let refusal = refused(&in_base64(&forged.written()));

    assert_eq!(refusal.code(), "attest.evidence_unverifiable", "{refusal}");
}

#[test]
fn t_01_nothing_beside_the_signed_bytes_is_read() {
    // The document and the signed one in one piece of evidence, as `document` and `pkcs7` were sent elsewhere.
    let other = InstanceSim::start(Arc::clone(&FRANKFURT), ACCOUNT, "i-0fedcba9876543210", STARTED);
    let beside = format!("{}\n{}", other.document(), instance().rsa2048());

    let verdict = judged_at(&beside, now());

    assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
}

#[test]
fn t_02_a_rogue_with_the_names_of_the_genuine_signer_is_unverifiable() {
    let rogue = RegionSim::new("eu-central-1", 7).unwrap(); // same name, same serial number, another key
    let document = instance().document().to_string();
    let mut with_its_certificate = rogue.signer().document(document.as_bytes());
    with_its_certificate.certificates = vec![rogue.signer().certificate().to_vec()];
    let mut with_the_genuine_first = with_its_certificate.clone();
    with_the_genuine_first
        .certificates
        .insert(0, FRANKFURT.signer().certificate().to_vec());
    for forged in [
        rogue.rsa2048(document.as_bytes()),
        in_base64(&with_its_certificate.written()),
        in_base64(&with_the_genuine_first.written()),
    ] {
        let refusal = refused(&forged);

        assert_eq!(refusal.code(), "attest.evidence_unverifiable", "{refusal}");
        assert!(!refusal.is_proven());
    }
}

#[test]
fn t_26_reads_no_member_before_the_signature() {
    let rogue = RegionSim::new("eu-central-1", 7).unwrap();
    let document = br#"{"accountId":"210987654321","pendingTime":"1970-01-01T00:00:00Z"}"#;

    assert_eq!(refused(&rogue.rsa2048(document)).code(), "attest.evidence_unverifiable");
}

#[test]
fn documents_of_other_regions_and_other_forms_are_nobodys() {
    let of_dublin = InstanceSim::start(Arc::clone(&DUBLIN), ACCOUNT, INSTANCE, STARTED);
    let good = instance().rsa2048();
    for text in [
        of_dublin.rsa2048(),
        instance().pkcs7(), // DSA over SHA-1
        String::new(),
        "\n".to_owned(),
        "garbage".to_owned(),
        "eyJhbGciOiJSUzI1NiJ9.e30.".to_owned(),
        instance().document().to_string(),
        format!("{good}AAAA"),
        format!("-----BEGIN PKCS7-----\n{good}-----END PKCS7-----\n"),
        good.replace('\n', " "),
        in_base64(&genuine()[1..]),
        in_base64(b"\x30\x00"),
    ] {
        let verdict = judged_at(&text, now());

        assert!(matches!(verdict, Verdict::NotMine), "{text:.60}: {verdict:?}");
    }
    let other_kind = Evidence::new(Secret::new(good), Some("oidc".to_owned()), Possession::Bearer);
    let verdict = attestor().verdict(&other_kind, now());
    assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
}

#[test]
fn its_own_kind_may_be_named_and_lines_may_be_of_any_length() {
    let good = instance().rsa2048();
    let named = Evidence::new(
        Secret::new(good.clone()),
        Some("aws_instance".to_owned()),
        Possession::Bearer,
    );

    assert!(matches!(attestor().verdict(&named, now()), Verdict::Attested(_)));
    for text in [good.replace('\n', ""), good.replace('\n', "\r\n")] {
        assert!(matches!(judged_at(&text, now()), Verdict::Attested(_)), "{text}");
    }
}

#[test]
fn t_14_takes_16_kib_and_refuses_one_byte_more() {
    let fits = judged_at(&"a".repeat(16_384), now());
    let over = refused(&"a".repeat(16_385));

    assert!(matches!(fits, Verdict::NotMine), "{fits:?}");
    assert_eq!(over.code(), "attest.evidence_oversized");
}

#[test]
fn a_document_in_another_envelope_is_the_same_use() {
    let document = instance().document().to_string();
    let open = FRANKFURT.signer().document(document.as_bytes());
    let closed = Document {
        open: false,
        ..open.clone()
    };

    let [open, closed] = [open, closed].map(|document| attested(&in_base64(&document.written())));

    assert_eq!(open.ledger().unwrap().key, closed.ledger().unwrap().key);
    assert_eq!(open.session(), closed.session());
}

#[test]
fn t_52_what_has_not_the_form_is_malformed_and_not_repeated() {
    for text in ["", "canary", "canary!", "Y2FuYXJ5", "{\"canary\":1}"] {
        let refused = form(&Secret::new(text)).unwrap_err();

        assert_eq!(refused.code(), "attest.evidence_malformed", "{text}");
        assert!(!refused.to_string().contains("canary"), "{text}: {refused}");
    }
    assert!(form(&Secret::new(instance().rsa2048())).is_ok());
    let oversized = form(&Secret::new("a".repeat(16_385))).unwrap_err();
    assert_eq!(oversized.code(), "attest.evidence_oversized");
}

#[tokio::test]
async fn what_the_metadata_service_serves_with_a_token_is_evidence_and_without_one_nothing() {
    let service = Arc::new(instance());
    let sessions = Arc::new(Sessions::new(
        FakeClock::at("2026-01-16T14:40:00Z"),
        Arc::new(SystemRandom),
    ));
    let ask = async |method: &str, path: &str, header: (&str, &str)| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header.0, header.1)
            .body(axum::body::Body::empty())
            .unwrap();
        let response = Arc::clone(&service)
            .router(Arc::clone(&sessions))
            .oneshot(request)
            .await
            .unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    let path = |part: &str| format!("/latest/dynamic/instance-identity/{part}");

    let ttl = ("x-aws-ec2-metadata-token-ttl-seconds", "60");
    let (_, token) = ask("PUT", "/latest/api/token", ttl).await;
    let with = ("x-aws-ec2-metadata-token", token.as_str());
    let (status, rsa2048) = ask("GET", &path("rsa2048"), with).await;

    assert_eq!(status, StatusCode::OK);
    assert_eq!(attested(&rsa2048).subject(), INSTANCE);
    for part in ["document", "signature", "pkcs7"] {
        let (status, text) = ask("GET", &path(part), with).await;
        assert_eq!(status, StatusCode::OK, "{part}");
        let verdict = judged_at(&text, now());
        assert!(matches!(verdict, Verdict::NotMine), "{part}: {verdict:?}");
    }
    let (status, _) = ask("GET", &path("rsa2048"), ("accept", "*/*")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _) = ask("GET", &path("nothing"), with).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = ask("PUT", "/latest/api/token", ("accept", "*/*")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

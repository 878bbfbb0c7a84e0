use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE, prelude::BASE64_URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    jose::{Algorithm, KeyMaterial, KeyRefused, KeySetRefused, SigningAlgorithm, SigningKey},
    mutated::mutated,
};

fn trust_domain() -> TrustDomain {
    TrustDomain::parse("acme.example").unwrap()
}

fn key() -> &'static SigningKey {
    static KEY: std::sync::LazyLock<SigningKey> =
        std::sync::LazyLock::new(|| SigningKey::generate(SigningAlgorithm::Es256).unwrap());
    &KEY
}

/// A DER sequence of `length` bytes that holds our key, as far as anyone looks here.
fn sequence(length: usize) -> Vec<u8> {
    let KeyMaterial::Ec { x, y, .. } = key().public_jwk("x").material().clone() else {
        panic!("the key is a P-256 one");
    };
    let decode = |text: String| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    let mut content = [vec![4], decode(x), decode(y)].concat();
    content.resize(length, 0xfb);
    let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
    let head = match length {
        0..0x80 => vec![0x30, low],
        0x80..0x100 => vec![0x30, 0x81, low],
        _ => vec![0x30, 0x82, high, low],
    };
    [head, content].concat()
}

fn certificate() -> Vec<u8> {
    sequence(256)
}

fn jwt_entry(kid: &str) -> Value {
    let document = BundleDocument::new(1, Duration::from_mins(5)).with_jwt_authority(key().public_jwk(kid));
    serde_json::to_value(document).unwrap()["keys"][0].clone()
}

fn x509_entry() -> Value {
    let material = key().public_jwk("x").material().clone();
    let document = BundleDocument::new(1, Duration::from_mins(5)).with_x509_authority(certificate(), material);
    serde_json::to_value(document).unwrap()["keys"][0].clone()
}

fn with(mut value: Value, name: &str, member: impl Into<Value>) -> Value {
    value[name] = member.into();
    value
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().remove(name);
    value
}

fn document(keys: impl Into<Value>) -> Value {
    json!({"keys": keys.into(), "spiffe_sequence": 7, "spiffe_refresh_hint": 300})
}

fn read(document: &Value) -> Result<Bundle, BundleRefused> {
    Bundle::parse(trust_domain(), document.to_string().as_bytes())
}

/// Reads a bundle of this one entry, which must be left out, and returns why.
fn left_out(entry: Value) -> IgnoredReason {
    let bundle = read(&document(vec![entry])).unwrap();
    assert!(bundle.jwt_authorities().keys().is_empty() && bundle.x509_authorities().is_empty());
    bundle.ignored()[0].reason().clone()
}

#[test]
fn reads_what_it_writes() {
    let written = BundleDocument::new(u64::MAX, Duration::from_mins(5))
        .with_jwt_authority(key().public_jwk("a"))
        .with_x509_authority(certificate(), key().public_jwk("x").material().clone());
    let bundle = Bundle::parse(trust_domain(), &serde_json::to_vec(&written).unwrap()).unwrap();

    assert_eq!(bundle.trust_domain(), &trust_domain());
    assert_eq!(bundle.x509_authorities(), [certificate()]);
    let found = bundle.jwt_authorities().find(Some("a"), Algorithm::Es256).unwrap();
    assert_eq!(found.thumbprint(), key().thumbprint());
    assert_eq!(bundle.sequence(), Some(u64::MAX));
    assert_eq!(bundle.refresh_hint(), Duration::from_mins(5));
    assert!(bundle.ignored().is_empty());
}

#[test]
fn spiffe_bundle_1_refuses_a_document_without_a_list_of_keys() {
    for document in [
        json!({}),
        json!([]),
        json!(7),
        json!({"keys": {}}),
        json!({"keys": null}),
    ] {
        let refused = read(&document).unwrap_err();
        assert!(
            matches!(refused, BundleRefused::Keys(KeySetRefused::NotAKeySet { .. })),
            "{document}: {refused}"
        );
    }
}

#[test]
fn spiffe_bundle_2_an_empty_bundle_is_read_and_holds_nothing() {
    let bundle = read(&document(json!([]))).unwrap();

    assert!(bundle.jwt_authorities().keys().is_empty());
    assert!(bundle.x509_authorities().is_empty());
    assert!(bundle.jwt_authorities().find(Some("a"), Algorithm::Es256).is_err());
    assert!(bundle.jwt_authorities().find(None, Algorithm::Es256).is_err());
}

#[test]
fn spiffe_bundle_2_a_bundle_of_useless_keys_is_read_and_holds_nothing() {
    let bundle = read(&document(vec![without(jwt_entry("a"), "use")])).unwrap();

    assert!(bundle.jwt_authorities().keys().is_empty());
    assert_eq!(bundle.ignored()[0].position(), 0);
}

#[test]
fn spiffe_bundle_3_the_sequence_is_a_64_bit_whole_number_or_absent() {
    let bundle = read(&with(document(json!([])), "spiffe_sequence", u64::MAX)).unwrap();
    assert_eq!(bundle.sequence(), Some(u64::MAX));
    let bundle = read(&without(document(json!([])), "spiffe_sequence")).unwrap();
    assert_eq!(bundle.sequence(), None);

    for value in [json!("7"), json!(1.5), json!(-1), json!(null), json!([7])] {
        let refused = read(&with(document(json!([])), "spiffe_sequence", value.clone())).unwrap_err();
        assert!(
            matches!(
                refused,
                BundleRefused::NotWhole {
                    name: "spiffe_sequence",
                    ..
                }
            ),
            "{value}: {refused}"
        );
    }
}

#[test]
fn spiffe_bundle_4_the_refresh_hint_is_a_whole_number_of_seconds_or_absent() {
    for value in [json!("300"), json!(1.5), json!(-1), json!(null)] {
        let refused = read(&with(document(json!([])), "spiffe_refresh_hint", value.clone())).unwrap_err();
        assert!(
            matches!(
                refused,
                BundleRefused::NotWhole {
                    name: "spiffe_refresh_hint",
                    ..
                }
            ),
            "{value}: {refused}"
        );
    }
}

#[test]
fn spiffe_bundle_10_the_refresh_hint_is_bounded_and_300_seconds_by_default() {
    let hint = |value: u64| {
        let document = with(document(json!([])), "spiffe_refresh_hint", value);
        read(&document).unwrap().refresh_hint().as_secs()
    };

    assert_eq!((hint(0), hint(59), hint(60), hint(61)), (60, 60, 60, 61));
    assert_eq!((hint(86_400), hint(86_401), hint(u64::MAX)), (86_400, 86_400, 86_400));
    let bundle = read(&without(document(json!([])), "spiffe_refresh_hint")).unwrap();
    assert_eq!(bundle.refresh_hint(), Duration::from_mins(5));
}

#[test]
fn spiffe_bundle_5_ignores_unknown_parameters() {
    let document = with(document(vec![jwt_entry("a")]), "acme_extra", json!({"a": [1]}));

    assert_eq!(read(&document).unwrap().jwt_authorities().keys().len(), 1);
}

#[test]
fn spiffe_bundle_6_leaves_out_an_unknown_or_missing_key_type() {
    for entry in [jwt_entry("a"), x509_entry()] {
        let reason = left_out(with(entry.clone(), "kty", "OKP"));
        assert!(
            matches!(reason, IgnoredReason::Key(KeyRefused::Unknown { name: "kty", .. })),
            "{reason}"
        );
        let reason = left_out(without(entry, "kty"));
        assert!(
            matches!(reason, IgnoredReason::Key(KeyRefused::Missing { name: "kty" })),
            "{reason}"
        );
    }
}

#[test]
fn spiffe_bundle_7_leaves_out_a_missing_or_unknown_use() {
    for key_use in ["sig", "JWT-SVID", "jwt_svid", "X509-SVID", "wit-svid", "enc", ""] {
        let reason = left_out(with(jwt_entry("a"), "use", key_use));
        assert!(
            matches!(reason, IgnoredReason::Use { ref found } if found == key_use),
            "dec_6 {key_use}: {reason}"
        );
    }
    for entry in [without(jwt_entry("a"), "use"), with(jwt_entry("a"), "use", 7)] {
        assert!(matches!(left_out(entry), IgnoredReason::Use { found } if found == "none"));
    }
}

#[test]
fn spiffe_bundle_8_our_entries_hold_the_defined_parameters_only() {
    let names = |entry: &Value| {
        let mut names: Vec<_> = entry.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names.join(" ")
    };

    assert_eq!(names(&jwt_entry("a")), "crv kid kty use x y");
    assert_eq!(names(&x509_entry()), "crv kty use x x5c y");
}

#[test]
fn spiffe_bundle_9_a_bundle_carries_its_trust_domain() {
    assert_eq!(read(&document(json!([]))).unwrap().trust_domain(), &trust_domain());
}

#[test]
fn jwt_svid_11_a_jwt_authority_has_a_use_and_a_key_id() {
    let entry = jwt_entry("kid-1");

    assert_eq!(entry["use"], "jwt-svid");
    assert_eq!(entry["kid"], "kid-1");
    let reason = left_out(without(entry, "kid"));
    assert!(matches!(reason, IgnoredReason::NoKeyId), "{reason}");
}

#[test]
fn jwt_svid_12_only_jwt_authorities_verify_jwt_svids() {
    let bundle = read(&document(vec![x509_entry()])).unwrap();

    assert!(bundle.jwt_authorities().keys().is_empty());
    assert_eq!(bundle.x509_authorities().len(), 1);
}

#[test]
fn x509_svid_14_an_x509_authority_has_no_key_id_and_one_certificate_in_standard_base64() {
    let entry = x509_entry();

    assert_eq!(entry["use"], "x509-svid");
    assert!(entry.get("kid").is_none());
    assert_eq!(entry["x5c"], json!([BASE64_STANDARD.encode(certificate())]));
    assert!(entry["x5c"][0].as_str().unwrap().contains('/') || entry["x5c"][0].as_str().unwrap().contains('+'));
}

#[test]
fn x509_svid_14_leaves_out_a_certificate_in_base64url() {
    let reason = left_out(with(
        x509_entry(),
        "x5c",
        json!([BASE64_URL_SAFE.encode(certificate())]),
    ));

    assert!(matches!(reason, IgnoredReason::Encoding(_)), "{reason}");
}

#[test]
fn x509_svid_15_leaves_out_an_entry_without_a_certificate() {
    for entry in [
        without(x509_entry(), "x5c"),
        with(x509_entry(), "x5c", json!([])),
        with(x509_entry(), "x5c", json!("MIIB")),
        with(x509_entry(), "x5c", json!([7])),
    ] {
        let reason = left_out(entry);
        assert!(matches!(reason, IgnoredReason::NoCertificate { .. }), "{reason}");
    }
}

#[test]
fn x509_svid_15_uses_only_the_first_of_several_certificates() {
    let chain = json!([BASE64_STANDARD.encode(certificate()), "not base64 at all"]);
    let bundle = read(&document(vec![with(x509_entry(), "x5c", chain)])).unwrap();

    assert_eq!(bundle.x509_authorities(), [certificate()]);
}

#[test]
fn leaves_out_a_certificate_that_is_not_one_der_sequence() {
    let cut = certificate()[..259].to_vec();
    let longer = [certificate(), vec![0]].concat();
    for bytes in [
        vec![],
        vec![0x30],
        vec![0x30, 0x00],
        vec![0x30, 0x80, 0x00, 0x00],
        vec![0x31, 0x01, 0x00],
        vec![0x30, 0x81, 0x01, 0x00],
        vec![0x30, 0x82, 0x00, 0x01, 0x00],
        cut,
        longer,
    ] {
        let reason = left_out(with(x509_entry(), "x5c", json!([BASE64_STANDARD.encode(&bytes)])));
        assert!(matches!(reason, IgnoredReason::NotDer { .. }), "{bytes:?}: {reason}");
    }
    for length in [0x7f, 0x80, 0xff, 0x100, 0xffff] {
        let bytes = sequence(length);
        let entry = with(x509_entry(), "x5c", json!([BASE64_STANDARD.encode(&bytes)]));
        assert_eq!(read(&document(vec![entry])).unwrap().x509_authorities(), [bytes]);
    }
}

#[test]
fn x509_svid_16_leaves_out_a_certificate_of_another_key() {
    let other = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
    let document = BundleDocument::new(1, Duration::from_mins(5))
        .with_x509_authority(certificate(), other.public_jwk("x").material().clone());
    let entry = serde_json::to_value(document).unwrap()["keys"][0].clone();

    let reason = left_out(entry);
    assert!(
        matches!(reason, IgnoredReason::Key(KeyRefused::Certificate { name: "x5c" })),
        "{reason}"
    );
}

#[cfg(feature = "dev")]
#[test]
fn x509_svid_16_takes_real_certificates_of_every_type_of_key() {
    use crate::jose::Curve;

    for (algorithm, curve) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, Some(Curve::P256)),
        (&rcgen::PKCS_ECDSA_P384_SHA384, Some(Curve::P384)),
        (&rcgen::PKCS_RSA_SHA256, None),
    ] {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&pair).unwrap();
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let material = if let Some(curve) = curve {
            let point = &rcgen::PublicKeyData::der_bytes(&pair)[1..];
            let (x, y) = point.split_at(point.len() / 2);
            KeyMaterial::Ec {
                curve,
                x: encode(x),
                y: encode(y),
            }
        } else {
            let key = aws_lc_rs::rsa::KeyPair::from_pkcs8(&pair.serialize_der()).unwrap();
            let public = aws_lc_rs::signature::KeyPair::public_key(&key);
            KeyMaterial::Rsa {
                n: encode(public.modulus().big_endian_without_leading_zero()),
                e: encode(public.exponent().big_endian_without_leading_zero()),
            }
        };
        let document =
            BundleDocument::new(1, Duration::from_mins(5)).with_x509_authority(certificate.der().to_vec(), material);
        let bundle = Bundle::parse(trust_domain(), &serde_json::to_vec(&document).unwrap()).unwrap();
        assert_eq!(
            bundle.x509_authorities(),
            [certificate.der().to_vec()],
            "{:?}",
            bundle.ignored()
        );
    }
}

#[test]
fn one_useless_key_does_not_hide_the_others() {
    let bundle = read(&document(vec![
        json!(7),
        with(jwt_entry("a"), "crv", "P-521"),
        jwt_entry("b"),
        x509_entry(),
    ]))
    .unwrap();

    let positions: Vec<_> = bundle.ignored().iter().map(IgnoredEntry::position).collect();
    assert_eq!(positions, [0, 1]);
    assert!(bundle.jwt_authorities().find(Some("b"), Algorithm::Es256).is_ok());
    assert_eq!(bundle.x509_authorities().len(), 1);
}

#[test]
fn jwk_7_a_secret_in_any_entry_refuses_the_bundle() {
    for entry in [
        with(jwt_entry("a"), "d", "AAAA"),
        with(x509_entry(), "d", "AAAA"),
        json!({"kty": "oct", "k": "AAAA", "use": "unknown"}),
    ] {
        let refused = read(&document(vec![jwt_entry("b"), entry])).unwrap_err();
        assert!(
            matches!(refused, BundleRefused::Keys(KeySetRefused::Secret { position: 1, .. })),
            "{refused}"
        );
    }
}

#[test]
fn jwk_7_two_jwt_authorities_of_one_key_id_refuse_the_bundle() {
    let refused = read(&document(vec![jwt_entry("a"), jwt_entry("a")])).unwrap_err();

    assert!(matches!(
        refused,
        BundleRefused::Keys(KeySetRefused::DuplicateKeyId { .. })
    ));
}

#[test]
fn spiffe_bmap_2_refuses_a_member_that_stands_twice() {
    let refused = Bundle::parse(trust_domain(), br#"{"keys":[],"keys":[]}"#).unwrap_err();

    assert!(matches!(refused, BundleRefused::Json(_)));
}

proptest! {
    #[test]
    fn never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _either = Bundle::parse(trust_domain(), &bytes);
    }

    #[test]
    fn never_panics_on_any_certificate(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let entry = with(x509_entry(), "x5c", json!([BASE64_STANDARD.encode(&bytes)]));
        let _either = read(&document(vec![entry]));
    }

    #[test]
    fn a_changed_bundle_accounts_for_each_of_its_entries(
        changed in mutated(document(vec![x509_entry(), jwt_entry("a")]).to_string().into_bytes()),
    ) {
        if let Ok(bundle) = Bundle::parse(trust_domain(), &changed) {
            let read: Value = serde_json::from_slice(&changed).unwrap();
            let taken = bundle.jwt_authorities().keys().len() + bundle.x509_authorities().len();
            prop_assert_eq!(taken + bundle.ignored().len(), read["keys"].as_array().unwrap().len());
            prop_assert!((60..=86_400).contains(&bundle.refresh_hint().as_secs()));
        }
    }
}

use std::error::Error as _;

use proptest::prelude::*;

use super::*;
use crate::mutated::mutated_text;

fn refusal(text: &str) -> SpiffeIdRefused {
    SpiffeId::parse(text).unwrap_err()
}

#[test]
fn reads_an_id_into_its_parts() {
    let id = SpiffeId::parse("spiffe://prod.acme.example/ci/acme/shop").unwrap();

    assert_eq!(id.trust_domain().as_str(), "prod.acme.example");
    assert_eq!(id.path(), "/ci/acme/shop");
    assert_eq!(id.as_str(), "spiffe://prod.acme.example/ci/acme/shop");
    assert_eq!(id.to_string(), id.as_str());
}

#[test]
fn spiffe_id_1_refuses_every_other_scheme() {
    for text in [
        "",
        "http://td/a",
        "spiffe:/td/a",
        "spiffe:td",
        "spiffe//td",
        "Spiffe://td/a",
        "SPIFFE://td/a",
        "xspiffe://td/a",
        " spiffe://td/a",
        "//td/a",
        "td/a",
    ] {
        assert!(matches!(refusal(text), SpiffeIdRefused::Scheme { .. }), "{text}");
    }
}

#[test]
fn spiffe_id_2_refuses_an_empty_trust_domain() {
    for text in ["spiffe://", "spiffe:///", "spiffe:///a"] {
        assert_eq!(
            refusal(text),
            SpiffeIdRefused::TrustDomain(TrustDomainRefused::Empty),
            "{text}"
        );
    }
}

#[test]
fn spiffe_id_3_refuses_a_query() {
    for text in [
        "spiffe://td/a?x",
        "spiffe://td/a?",
        "spiffe://td?x=1",
        "spiffe://td?",
        "spiffe://td/?",
    ] {
        assert!(SpiffeId::parse(text).is_err(), "{text}");
    }
}

#[test]
fn spiffe_id_3_refuses_a_fragment() {
    for text in [
        "spiffe://td/a#x",
        "spiffe://td/a#",
        "spiffe://td#x",
        "spiffe://td#",
        "spiffe://td/#",
    ] {
        assert!(SpiffeId::parse(text).is_err(), "{text}");
    }
}

#[test]
fn spiffe_id_4_refuses_userinfo_and_a_port() {
    for text in [
        "spiffe://user@td/a",
        "spiffe://user:pass@td",
        "spiffe://@td",
        "spiffe://td:80/a",
        "spiffe://td:",
        "spiffe://td:/a",
    ] {
        let refused = refusal(text);
        assert!(
            matches!(
                refused,
                SpiffeIdRefused::TrustDomain(TrustDomainRefused::Character { .. })
            ),
            "{text}: {refused}"
        );
    }
}

#[test]
fn spiffe_id_5_refuses_upper_case_in_the_trust_domain() {
    let refused = refusal("spiffe://Td/a");

    assert_eq!(
        refused.source().unwrap().to_string(),
        "found `T` in trust domain `Td`, expected only lower-case letters, digits, `.`, `-` and `_`"
    );
}

#[test]
fn spiffe_id_6_takes_exactly_the_name_characters_of_all_256_code_points() {
    for code in 0..=255_u8 {
        let character = char::from(code);
        // A slash ends the name, and `a` is a path then.
        let expected = character.is_ascii_lowercase() || character.is_ascii_digit() || "._-/".contains(character);
        let text = format!("spiffe://td{character}a");
        assert_eq!(SpiffeId::parse(&text).is_ok(), expected, "{code}");
    }
}

#[test]
fn spiffe_id_7_refuses_percent_encoding_in_the_trust_domain() {
    for text in ["spiffe://%41/a", "spiffe://t%64/a", "spiffe://td%2Fa"] {
        assert!(matches!(refusal(text), SpiffeIdRefused::TrustDomain(_)), "{text}");
    }
}

#[test]
fn spiffe_id_8_takes_what_looks_like_an_address_and_refuses_ipv6() {
    for text in [
        "spiffe://1.2.3.4/a",
        "spiffe://-a",
        "spiffe://a..b/c",
        "spiffe://.",
        "spiffe://../a",
    ] {
        assert!(SpiffeId::parse(text).is_ok(), "{text}");
    }
    for text in ["spiffe://[::1]/a", "spiffe://::1/a", "spiffe://[fe80::1%25eth0]"] {
        assert!(SpiffeId::parse(text).is_err(), "{text}");
    }
}

#[test]
fn spiffe_id_9_refuses_percent_encoding_in_the_path() {
    for text in [
        "spiffe://td/%41",
        "spiffe://td/a%2fb",
        "spiffe://td/%2e%2e",
        "spiffe://td/%",
    ] {
        assert!(matches!(refusal(text), SpiffeIdRefused::Segment(_)), "{text}");
    }
}

#[test]
fn spiffe_id_10_refuses_empty_and_relative_segments() {
    for text in ["spiffe://td//", "spiffe://td//a", "spiffe://td/a//b"] {
        assert_eq!(refusal(text), SpiffeIdRefused::Segment(SegmentRefused::Empty), "{text}");
    }
    for text in [
        "spiffe://td/.",
        "spiffe://td/..",
        "spiffe://td/a/../b",
        "spiffe://td/./a",
        "spiffe://td/a/.",
    ] {
        assert!(
            matches!(refusal(text), SpiffeIdRefused::Segment(SegmentRefused::Relative { .. })),
            "{text}"
        );
    }
    for text in [
        "spiffe://td/.path",
        "spiffe://td/..path",
        "spiffe://td/...",
        "spiffe://td/a.",
    ] {
        assert!(SpiffeId::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn spiffe_id_11_refuses_a_trailing_slash() {
    for text in ["spiffe://td/", "spiffe://td/a/"] {
        assert_eq!(refusal(text), SpiffeIdRefused::Segment(SegmentRefused::Empty), "{text}");
    }
}

#[test]
fn spiffe_id_12_takes_exactly_the_path_characters_of_all_256_code_points() {
    for code in 0..=255_u8 {
        let character = char::from(code);
        let expected = character.is_ascii_alphanumeric() || "._-/".contains(character);
        let text = format!("spiffe://td/a{character}b");
        assert_eq!(SpiffeId::parse(&text).is_ok(), expected, "{code}");
    }
}

#[test]
fn spiffe_id_12_refuses_letters_beyond_ascii() {
    for text in [
        "spiffe://td/\u{e9}",
        "spiffe://td/a\u{2215}b",
        "spiffe://td/\u{ff41}",
        "spiffe://t\u{434}/a",
    ] {
        assert!(SpiffeId::parse(text).is_err(), "{text}");
    }
}

#[test]
fn spiffe_id_13_reads_2048_bytes_and_refuses_2049() {
    let of = |length: usize| format!("spiffe://td/{}", "a".repeat(length - "spiffe://td/".len()));

    assert_eq!(SpiffeId::parse(&of(2048)).unwrap().as_str().len(), 2048);
    assert_eq!(
        refusal(&of(2049)),
        SpiffeIdRefused::TooLong {
            found: 2049,
            limit: 2048
        }
    );
}

#[test]
fn spiffe_id_14_makes_512_bytes_and_refuses_513() {
    let trust_domain = TrustDomain::parse("td").unwrap();
    let of = |length: usize| {
        SpiffeId::generate(
            &trust_domain,
            &format!("/{}", "a".repeat(length - "spiffe://td/".len())),
        )
    };

    assert_eq!(of(512).unwrap().as_str().len(), 512);
    assert_eq!(
        of(513).unwrap_err(),
        SpiffeIdRefused::TooLong { found: 513, limit: 512 }
    );
}

#[test]
fn spiffe_id_15_takes_a_trust_domain_of_255_bytes_and_refuses_256() {
    assert!(SpiffeId::parse(&format!("spiffe://{}/a", "a".repeat(255))).is_ok());
    assert_eq!(
        refusal(&format!("spiffe://{}/a", "a".repeat(256))),
        SpiffeIdRefused::TrustDomain(TrustDomainRefused::TooLong { found: 256 })
    );
}

#[test]
fn spiffe_id_16_compares_byte_for_byte() {
    let id = |path: &str| SpiffeId::parse(&format!("spiffe://td{path}")).unwrap();

    assert_ne!(id("/A"), id("/a"));
    assert_ne!(id("/a"), id("/a/a"));
    assert_eq!(id("/A"), id("/A"));
}

#[test]
fn dec_4_nothing_is_normalised() {
    for text in ["spiffe://td/a/./b", "spiffe://TD/a", "spiffe://td/a/", "SPIFFE://td"] {
        assert!(SpiffeId::parse(text).is_err(), "{text}");
    }
}

#[test]
fn makes_an_id_only_from_a_path_that_reads_back() {
    let trust_domain = TrustDomain::parse("td").unwrap();

    assert_eq!(
        SpiffeId::generate(&trust_domain, "/ci/a").unwrap(),
        SpiffeId::parse("spiffe://td/ci/a").unwrap()
    );
    for path in ["ci", "", "spiffe://td/a"] {
        assert!(
            matches!(
                SpiffeId::generate(&trust_domain, path),
                Err(SpiffeIdRefused::NoLeadingSlash { .. })
            ),
            "{path:?}"
        );
    }
    for path in ["/", "//", "/a/", "/..", "/a b", "/{x}", "/%41"] {
        assert!(
            matches!(
                SpiffeId::generate(&trust_domain, path),
                Err(SpiffeIdRefused::Segment(_))
            ),
            "{path:?}"
        );
    }
}

#[test]
fn reads_and_writes_itself_as_a_string() {
    let id: SpiffeId = serde_json::from_str("\"spiffe://td/a\"").unwrap();

    assert_eq!(serde_json::to_string(&id).unwrap(), "\"spiffe://td/a\"");
    assert!(serde_json::from_str::<SpiffeId>("\"spiffe://td/a/\"").is_err());
    assert!(serde_json::from_str::<SpiffeId>("7").is_err());
}

proptest! {
    #[test]
    fn never_panics_and_keeps_every_byte(text in "(spiffe://)?.{0,80}") {
        if let Ok(id) = SpiffeId::parse(&text) {
            prop_assert_eq!(id.as_str(), text.as_str());
            prop_assert_eq!(format!("spiffe://{}{}", id.trust_domain(), id.path()), text);
        }
    }

    #[test]
    fn whatever_is_made_reads_back_as_the_same(path in "(/[A-Za-z0-9._-]{1,12}){1,5}") {
        let trust_domain = TrustDomain::parse("td").unwrap();
        if let Ok(id) = SpiffeId::generate(&trust_domain, &path) {
            prop_assert_eq!(&SpiffeId::parse(id.as_str()).unwrap(), &id);
            prop_assert_eq!(id.path(), path);
        }
    }

    #[test]
    fn a_changed_id_is_another_one_or_none(changed in mutated_text("spiffe://prod.acme.example/ci/acme/shop")) {
        if let Ok(id) = SpiffeId::parse(&changed) {
            prop_assert_eq!(id.as_str(), changed.as_str());
            prop_assert_ne!(&id, &SpiffeId::parse("spiffe://prod.acme.example/ci/acme/shop").unwrap());
            prop_assert!(id.path().split('/').skip(1).all(|segment| !matches!(segment, "" | "." | "..")));
        }
    }
}

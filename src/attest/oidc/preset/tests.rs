//! All presets against what each must be.

use super::*;
use crate::attest::oidc::{
    view::{ISSUER, SUBJECT},
    vocabulary::canonical,
};

fn all() -> impl Iterator<Item = (&'static str, Preset)> {
    PRESETS.iter().map(|(name, text)| {
        let preset = table(text).and_then(toml::Table::try_into);
        (*name, preset.unwrap_or_else(|error| panic!("{name}: {error}")))
    })
}

#[test]
fn the_build_lists_every_preset_once_and_in_order() {
    assert!(PRESETS.is_sorted_by(|one, two| one.0 < two.0));
    assert!(PRESETS.len() >= 4, "{PRESETS:?}");
}

#[test]
fn every_preset_parses_and_uses_canonical_attributes_once() {
    for (name, preset) in all() {
        let mut seen = Vec::new();
        for claim in preset.claims.values() {
            assert!(canonical(&claim.attribute).is_some(), "{name}: {}", claim.attribute);
            assert!(!seen.contains(&&claim.attribute), "{name}: {} twice", claim.attribute);
            seen.push(&claim.attribute);
        }
        assert_eq!(preset.algorithms().len(), preset.algorithms.len(), "{name}");
        assert!(!preset.algorithms.is_empty(), "{name}");
    }
}

#[test]
fn t_64_every_vendor_whose_issuer_serves_several_pins_the_owner_by_an_immutable_id() {
    for (name, preset) in all() {
        let Some(owner) = preset.owner else {
            assert!(
                preset.issuer.shared.is_none() && preset.issuer.forms.is_empty(),
                "{name} has no owner"
            );
            continue;
        };
        let id = &preset.claims[&owner.id];
        assert!(id.required && id.immutable, "{name}: {}", owner.id);
    }
}

#[test]
fn t_63_every_vendor_says_what_an_entry_must_pin_and_requires_it_of_every_token() {
    for (name, preset) in all().filter(|(name, _)| *name != GENERIC) {
        assert!(!preset.pins.ids.is_empty(), "{name}");
        for attribute in preset.pins.ids.iter().flatten() {
            let claim = preset.claims.values().find(|claim| claim.attribute == *attribute);
            assert!(claim.is_some_and(|claim| claim.required), "{name}: {attribute}");
        }
        let given = |attribute: &String| preset.claims.values().any(|claim| claim.attribute == *attribute);
        for attribute in preset
            .pins
            .names
            .iter()
            .chain(preset.pins.guards.iter().map(|guard| &guard.attribute))
        {
            assert!(given(attribute), "{name}: {attribute}");
        }
    }
}

#[test]
fn what_a_preset_reads_from_subject_and_issuer_is_in_its_patterns() {
    for (name, preset) in all() {
        let patterns = preset.subject.iter().flat_map(|subject| &subject.patterns);
        let subject: Vec<&str> = patterns.flat_map(Pattern::names).collect();
        let issuer: Vec<&str> = preset.issuer.forms.iter().flat_map(Pattern::names).collect();
        for claim in preset.claims.keys() {
            if let Some(part) = claim.strip_prefix(SUBJECT) {
                assert!(subject.contains(&part), "{name}: {claim}");
            }
            if let Some(part) = claim.strip_prefix(ISSUER) {
                assert!(issuer.contains(&part), "{name}: {claim}");
            }
        }
    }
}

#[test]
fn every_sample_holds_the_required_claims() {
    for (name, preset) in all() {
        for (claim, rule) in &preset.claims {
            let part = claim.starts_with(SUBJECT) || claim.starts_with(ISSUER);
            assert!(
                !rule.required || part || preset.sample.contains_key(claim),
                "{name}: {claim}"
            );
        }
        for claim in ["iss", "sub", "aud", "exp", "iat"] {
            assert!(preset.sample.contains_key(claim), "{name}: {claim}");
        }
        assert!(
            preset.token_id == TokenId::Optional || preset.sample.contains_key("jti"),
            "{name}"
        );
    }
}

#[test]
fn a_preset_that_extends_another_has_what_it_does_not_say_itself() {
    let base = Preset::load("github_actions").unwrap().unwrap();
    let extending = Preset::load("github_enterprise_server").unwrap().unwrap();

    assert_eq!(extending.claims, base.claims);
    assert!(extending.issuer.shared.is_none() && base.issuer.shared.is_some());
    for (name, text) in PRESETS {
        let file: toml::Table = toml::from_str(text).unwrap();
        if let Some(base) = file.get("extends") {
            let known = PRESETS.iter().find(|(known, _)| Some(*known) == base.as_str());
            let base: toml::Table = toml::from_str(known.unwrap_or_else(|| panic!("{name}: {base}")).1).unwrap();
            assert!(!base.contains_key("extends"), "{name} extends what extends");
        }
    }
}

#[test]
fn a_configured_id_that_no_token_could_have_is_told() {
    const UUID: &str = "a1b2c3d4-0000-4000-8000-00000000abcd";

    for (kind, good, bad) in [
        (Kind::Digits, "65", "acme"),
        (Kind::Digits, "12345678901234567890", "123456789012345678901"),
        (Kind::Uuid, UUID, "A1B2C3D4-0000-4000-8000-00000000ABCD"),
        (Kind::BracedUuid, UUID, "{a1b2c3d4-0000-4000-8000-00000000abcd}"),
    ] {
        assert_eq!(kind.refuse_configured(good), None, "{kind:?} {good}");
        assert!(kind.refuse_configured(bad).is_some(), "{kind:?} {bad}");
    }
}

//! Which places, leads and algorithms are taken.

use super::*;
use crate::config::tests::{Case, at};

fn with(table: &str) -> Case {
    Case::sample().and(&format!("\n[rotation]\n{table}\n"))
}

#[test]
fn without_the_table_the_issuer_is_the_place_and_the_lead_a_day() {
    let rotation = Case::sample().settings().rotation;

    assert!(rotation.places.is_empty());
    assert_eq!(rotation.lead, Lead::Careful(Duration::from_hours(24)));
    assert_eq!(rotation.jwt_algorithms, [Algorithm::Es256, Algorithm::Rs256].into());
}

#[test]
fn a_lead_is_a_day_to_a_week() {
    for (lead, hours) in [("24h", 24), ("7d", 168)] {
        let rotation = with(&format!("publish_lead = \"{lead}\"")).settings().rotation;
        assert_eq!(rotation.lead, Lead::Careful(Duration::from_hours(hours)), "{lead}");
    }
    for lead in ["23h59m59s", "7d1s", "soon"] {
        let fault = with(&format!("publish_lead = \"{lead}\"")).fault();
        assert!(fault.1.ends_with("publish_lead"), "{lead}: {fault:?}");
    }
}

#[test]
fn a_shorter_lead_bears_its_danger_in_its_name_and_in_a_warning() {
    let settings = with("dangerous_publish_lead = \"10s\"").settings();

    assert_eq!(settings.rotation.lead, Lead::Dangerous(Duration::from_secs(10)));
    let warned = settings
        .warnings
        .iter()
        .any(|warning| warning.code == "config.dangerous");
    assert!(warned, "{:?}", settings.warnings);
    assert_eq!(
        with("dangerous_publish_lead = \"0s\"").fault(),
        at("config.out_of_range", "rotation.dangerous_publish_lead")
    );
}

#[test]
fn eight_places_are_taken_and_the_ninth_is_refused() {
    let places = |count: usize| {
        let all: Vec<String> = (0..count).map(|nth| format!("\"https://p{nth}.example\"")).collect();
        with(&format!("places = [{}]", all.join(", ")))
    };

    assert_eq!(places(8).settings().rotation.places.len(), 8);
    assert_eq!(places(9).fault(), at("config.out_of_range", "rotation.places"));
}

#[test]
fn a_place_is_a_plain_https_url() {
    for place in [
        "http://a.example",
        "https://a.example/",
        "https://a.example?x",
        "https://a.example#x",
        "a",
    ] {
        let fault = with(&format!("places = [\"{place}\"]")).fault();
        assert_eq!(fault, at("config.value_invalid", "rotation.places[0]"), "{place}");
    }
    assert!(with("places = [\"https://a.example/x\"]").load().is_ok());
}

#[test]
fn refuses_an_address_that_is_none_and_an_unreadable_file() {
    let fault = with("allow_addresses = [\"10.0.0.0/33\"]").fault();
    assert_eq!(fault, at("config.value_invalid", "rotation.allow_addresses[0]"));
    let fault = with("ca_file = \"nowhere.pem\"").fault();
    assert_eq!(fault, at("config.file_unreadable", "rotation.ca_file"));
}

#[test]
fn one_algorithm_is_enough_and_none_is_refused() {
    let rotation = with("jwt_algorithms = [\"ES256\"]").settings().rotation;
    assert_eq!(rotation.jwt_algorithms, [Algorithm::Es256].into());
    assert!(with("jwt_algorithms = []").load().is_err());
    assert!(with("jwt_algorithms = [\"HS256\"]").load().is_err());
}

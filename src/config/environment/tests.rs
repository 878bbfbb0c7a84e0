//! Which variables are overrides, and what they become.

use super::*;
use crate::config::tests::{Case, at};

#[test]
fn replaces_what_the_file_says_and_adds_what_it_does_not() {
    let settings = Case::sample()
        .variable("CAMBIO_ISSUER", "https://id.other.example")
        .variable("CAMBIO_LISTEN__METADATA", "0.0.0.0:7443")
        .variable("CAMBIO_LISTEN__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]")
        .variable("CAMBIO_LIMITS__IN_FLIGHT", "12")
        .settings();

    assert_eq!(settings.issuer, "https://id.other.example");
    assert_eq!(settings.listen.metadata.port(), 7443);
    assert_eq!(settings.listen.trusted_proxies.len(), 1);
    assert_eq!(settings.limits.in_flight.get(), 12);
}

#[test]
fn supplies_a_key_that_the_file_lacks() {
    let case = Case::sample().with("[keys]\nkek_file = \"etc/kek\"", "");
    assert_eq!(case.fault(), at("config.key_missing", ""));

    let settings = case.variable("CAMBIO_KEYS__KEK_FILE", "etc/kek").settings();
    assert_eq!(settings.keys.kek.expose(), &[7; 32]);
}

#[test]
fn refuses_a_variable_that_names_no_key() {
    for name in [
        "CAMBIO_LISTEN__METADATTA",
        "CAMBIO_LISTEN",
        "CAMBIO_LISTEN__",
        "CAMBIO_ISUER",
        "CAMBIO_ATTESTOR__0__NAME",
        "CAMBIO_ATTESTOR",
        "CAMBIO___LISTEN",
        "CAMBIO_",
    ] {
        assert_eq!(
            Case::sample().variable(name, "x").fault(),
            at("config.environment_unknown", ""),
            "{name}"
        );
    }
}

#[test]
fn refuses_a_value_of_another_type() {
    let case = Case::sample().variable("CAMBIO_LIMITS__IN_FLIGHT", "many");
    assert_eq!(case.fault(), at("config.value_invalid", ""));

    let case = Case::sample().variable("CAMBIO_LIMITS__IN_FLIGHT", "\"12\"");
    assert_eq!(case.fault(), at("config.value_invalid", "limits.in_flight"));
    assert!(
        case.report().contains("environment: CAMBIO_LIMITS__IN_FLIGHT"),
        "{}",
        case.report()
    );
}

#[test]
fn leaves_variables_alone_that_are_not_meant_for_it() {
    let mut case = Case::sample();
    for name in [
        "PATH",
        "CAMBIOS__ISSUER",
        "CAMBIO_STATE_DIR",
        "CAMBIO_CONFIG",
        "CAMBIO_SERVICE_HOST",
        "CAMBIO_SERVICE_PORT_EXCHANGE",
        "CAMBIO_PORT",
        "CAMBIO_PORT_9443_TCP_ADDR",
        "CAMBIO_METADATA_SERVICE_HOST",
        "CAMBIO_METADATA_PORT",
        "CAMBIO_METADATA_PORT_8443_TCP",
    ] {
        case = case.variable(name, "anything");
    }

    assert!(case.load().is_ok(), "{}", case.report());
}

#[test]
fn never_shows_a_value_that_bears_a_secret() {
    let case = Case::sample().variable("CAMBIO_STORE__URL", "postgres://u:hunter2@db.acme.example/cambio");

    assert_eq!(case.fault(), at("config.store_unencrypted", "store.url"));
    assert!(!case.report().contains("hunter2"), "{}", case.report());
}

#[test]
fn every_key_of_a_single_table_has_its_variable() {
    insta::assert_snapshot!(variables(&crate::config::schema::schema()).join("\n"));
}

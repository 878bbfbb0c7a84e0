//! Which certificate files are taken.

use crate::config::tests::{Case, at, pem};

#[test]
fn refuses_a_key_that_others_can_read() {
    for mode in [0o644, 0o604, 0o660, 0o700, 0o4600] {
        let case = Case::sample();
        case.write("etc/tls.key", mode, pem("PRIVATE KEY"));
        assert_eq!(case.fault(), at("config.file_mode", "tls.key_file"), "{mode:o}");
    }
}

#[test]
fn takes_a_key_that_its_owner_and_group_can_read() {
    for mode in [0o600, 0o400, 0o640, 0o440] {
        let case = Case::sample();
        case.write("etc/tls.key", mode, pem("PRIVATE KEY"));
        assert!(case.load().is_ok(), "{mode:o}");
    }
}

#[test]
fn refuses_files_that_hold_something_else() {
    let case = Case::sample();
    case.write("etc/tls.crt", 0o644, pem("PUBLIC KEY"));
    assert_eq!(case.fault(), at("config.pem_invalid", "tls.certificate_file"));

    let case = Case::sample();
    case.write("etc/tls.key", 0o600, pem("CERTIFICATE"));
    assert_eq!(case.fault(), at("config.pem_invalid", "tls.key_file"));

    let case = Case::sample();
    case.write(
        "etc/tls.crt",
        0o644,
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    );
    assert_eq!(case.fault(), at("config.pem_invalid", "tls.certificate_file"));
}

#[test]
fn a_key_whose_lines_were_joined_is_refused_without_a_byte_of_it() {
    let case = Case::sample();
    case.write("etc/tls.key", 0o600, "-----BEGIN PRIVATE KEY-----MIGHAgEAcanary");

    assert_eq!(case.fault(), at("config.pem_invalid", "tls.key_file"));
    let report = case.report();
    assert!(!report.contains("canary") && !report.contains("99, 97"), "{report}");
}

#[test]
fn refuses_a_table_without_its_keys() {
    let case = Case::sample().with("key_file = \"etc/tls.key\"", "");

    assert_eq!(case.fault(), at("config.key_missing", "tls"));
}

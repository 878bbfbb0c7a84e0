//! Which key-encryption keys are taken.

use super::*;
use crate::config::tests::{Case, at};

#[test]
fn refuses_a_key_that_anybody_but_its_owner_can_read() {
    for mode in [0o640, 0o604, 0o644, 0o700] {
        let case = Case::sample();
        case.write("etc/kek", mode, [7; 32]);
        assert_eq!(case.fault(), at("config.file_mode", "keys.kek_file"), "{mode:o}");
    }
    let case = Case::sample();
    case.write("etc/kek", 0o400, [7; 32]);
    assert!(case.load().is_ok());
}

#[test]
fn takes_32_bytes_or_their_base64() {
    let case = Case::sample();
    case.write("etc/kek", 0o600, [7; 32]);
    assert_eq!(case.settings().keys.kek.expose(), &[7; 32]);

    case.write("etc/kek", 0o600, format!("{}\n", STANDARD.encode([8; 32])));
    assert_eq!(case.settings().keys.kek.expose(), &[8; 32]);
}

#[test]
fn refuses_a_key_of_another_length() {
    for content in [vec![], vec![7; 31], vec![7; 33], STANDARD.encode([7; 31]).into_bytes()] {
        let case = Case::sample();
        case.write("etc/kek", 0o600, &content);
        assert_eq!(
            case.fault(),
            at("config.kek_invalid", "keys.kek_file"),
            "{} bytes",
            content.len()
        );
    }
}

#[test]
fn refuses_a_key_beside_the_store_also_through_a_link() {
    let case = Case::sample().with("etc/kek", "var/kek");
    case.write("var/kek", 0o600, [7; 32]);
    assert_eq!(case.fault(), at("config.kek_in_store_directory", "keys.kek_file"));

    let case = Case::sample();
    case.write("var/kek", 0o600, [7; 32]);
    std::fs::remove_file(case.path("etc/kek")).unwrap();
    std::os::unix::fs::symlink(case.path("var/kek"), case.path("etc/kek")).unwrap();
    assert_eq!(case.fault(), at("config.kek_in_store_directory", "keys.kek_file"));
}

#[test]
fn never_shows_the_key() {
    let keys = Case::sample().settings().keys;

    assert!(format!("{keys:?}").contains("kek: [redacted]"), "{keys:?}");
}

//! Tokens and names at their limits, and what becomes of broken ones.

use super::*;
use crate::secret::{Secret, SystemRandom};

fn token() -> JoinToken {
    JoinToken::draw(&SystemRandom).unwrap()
}

fn parsed(text: &str) -> Result<JoinToken, JoinTokenMalformed> {
    JoinToken::parse(&Secret::new(text))
}

#[test]
fn a_token_reads_back_as_itself_and_no_two_are_alike() {
    let (one, other) = (token(), token());

    assert_eq!(parsed(one.secret().expose()), Ok(one.clone()));
    assert_ne!(one.sha256(), other.sha256());
}

#[test]
fn t_27_every_proper_prefix_and_suffix_of_a_token_is_malformed() {
    let token = token();
    let text = token.secret().expose();

    for end in 0..text.len() {
        let (prefix, suffix) = (parsed(text.split_at(end).0), parsed(text.split_at(end + 1).1));
        assert!(prefix.is_err(), "the first {end} characters: {prefix:?}");
        assert!(suffix.is_err(), "from character {}: {suffix:?}", end + 1);
    }
    assert_eq!(
        parsed(text.split_at(59).0),
        Err(JoinTokenMalformed::Length { found_bytes: 59 })
    );
    assert_eq!(
        parsed(&format!("{text}A")),
        Err(JoinTokenMalformed::Length { found_bytes: 61 })
    );
}

#[test]
fn t_27_every_flip_of_a_bit_of_a_token_is_malformed() {
    let token = token();
    let text = token.secret().expose().as_bytes();

    for place in 0..text.len() {
        for bit in 0..7 {
            let mut changed = text.to_vec();
            changed[place] ^= 1 << bit;
            let changed = String::from_utf8(changed).unwrap();
            assert!(parsed(&changed).is_err(), "character {place}, bit {bit}");
        }
    }
}

#[test]
fn t_39_a_token_with_white_space_or_other_case_is_malformed() {
    let token = token();
    let text = token.secret().expose();

    for changed in [
        format!(" {text}"),
        format!("{text} "),
        format!("{text}\n"),
        text.to_uppercase(),
        text.replace("cambio-join", "Cambio-Join"),
        text.replacen('.', "\u{200b}.", 1),
    ] {
        assert!(parsed(&changed).is_err(), "{changed:?}");
    }
}

#[test]
fn t_52_neither_debug_nor_a_refusal_shows_the_token() {
    let token = token();
    let text = token.secret().expose();
    let random = text.split_at(12).1;

    assert!(!format!("{token:?}").contains(random));
    let refused = parsed(text.split_at(55).0).unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains(random.split_at(8).0));
}

#[test]
fn t_39_a_name_is_taken_as_it_is_or_not_at_all() {
    for name in ["a", "Press-7", "press-7", "10.0.0.7", "a_b", "...", &"a".repeat(255)] {
        assert_eq!(
            MachineName::parse(name).map(|name| name.as_str().to_owned()),
            Ok(name.to_owned())
        );
    }
    for name in [
        "",
        ".",
        "..",
        " a",
        "a ",
        "a b",
        "a\u{a0}b",
        "a/b",
        "a\u{200b}",
        "caf\u{e9}",
        "cafe\u{301}",
        "a\nb",
        "a%2fb",
        &"a".repeat(256),
    ] {
        assert_eq!(MachineName::parse(name), Err(MachineRefused::Name), "{name:?}");
    }
}

fn labels(count: usize) -> Result<Labels, MachineRefused> {
    Labels::new((0..count).map(|number| (format!("l{number}"), "v".to_owned())))
}

fn label(name: &str, value: &str) -> Result<Labels, MachineRefused> {
    Labels::new([(name.to_owned(), value.to_owned())])
}

#[test]
fn takes_16_labels_and_refuses_17() {
    assert!(labels(16).is_ok());
    assert_eq!(labels(17), Err(MachineRefused::TooManyLabels { found: 17 }));
}

#[test]
fn a_label_has_a_name_of_32_characters_and_a_value_of_255_at_most() {
    assert!(label(&"a".repeat(32), &"v".repeat(255)).is_ok());
    for name in ["", "A", "1a", "_a", "a-b", "a.b", "a b", &"a".repeat(33)] {
        assert_eq!(label(name, "v"), Err(MachineRefused::LabelName), "{name:?}");
    }
    for value in ["", " ", "a b", "..", "\u{e9}", &"v".repeat(256)] {
        let name = "role".to_owned();
        assert_eq!(
            label("role", value),
            Err(MachineRefused::LabelValue { name }),
            "{value:?}"
        );
    }
}

#[test]
fn labels_read_back_as_they_were_written_and_nothing_else_is_read() {
    let written = label("role", "press").unwrap();

    assert_eq!(Labels::from_json(&written.to_json()), Some(written));
    for text in ["", "[]", "{\"Role\":\"a\"}", "{\"role\":1}", "{\"role\":\"a b\"}"] {
        assert_eq!(Labels::from_json(text), None, "{text}");
    }
}

#[test]
fn a_life_is_10_minutes_unless_told_and_an_hour_at_most() {
    assert_eq!(life(None), Ok(Duration::from_mins(10)));
    assert_eq!(life(Some("1s")), Ok(Duration::from_secs(1)));
    assert_eq!(life(Some("1h")), Ok(Duration::from_hours(1)));
    for text in ["0s", "3601s", "61m", "2h", "1d", "", "10", "-1m"] {
        assert!(life(Some(text)).is_err(), "{text}");
    }
}

fn attributes(labels: &[&str]) -> Result<MachineAttributes, String> {
    let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
    MachineAttributes::new("test.machine", "test.label.", &labels).map_err(|refused| {
        assert_eq!((refused.code, refused.key.as_str()), ("config.label_invalid", "labels"));
        refused.problem
    })
}

#[test]
fn a_table_names_16_labels_at_most_and_none_twice() {
    let all: Vec<String> = (0..17).map(|number| format!("l{number}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();

    assert_eq!(attributes(&all[..16]).unwrap().all().len(), 17);
    for wrong in [&all[..], &["a", "a"], &["A"], &[""], &["a.b"]] {
        assert!(attributes(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_label_that_the_table_names_no_more_refuses_the_machine() {
    let machine = Described {
        name: MachineName::parse("press-7").unwrap(),
        labels: label("role", "press").unwrap(),
    };

    let facts = attributes(&["role", "site"]).unwrap().facts(&machine).unwrap();
    let refused = attributes(&["site"]).unwrap().facts(&machine).unwrap_err();

    assert_eq!(facts.get("test.machine"), Some("press-7"));
    assert_eq!(facts.get("test.label.role"), Some("press"));
    assert_eq!(facts.get("test.label.site"), None);
    assert_eq!(refused.code(), "attest.claim_invalid");
}

//! Holds the rules against the vectors, and each rule against its limit.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::*;
use crate::{
    clock,
    exchange::azure_entra::{
        rules::{
            limits::{AdminRefusal, TooLong, admit},
            trust::{Credential, Field, Kind, evaluate},
        },
        tests::vectors,
    },
};

fn now() -> SystemTime {
    clock::parse_rfc3339(vectors::load()["good"]["now"].as_str().unwrap()).unwrap()
}

fn admitted(new: impl IntoIterator<Item = limits::NewCredential>) -> Vec<Credential> {
    let mut credentials = Vec::new();
    for new in new {
        let credential = admit(new, &credentials).unwrap();
        credentials.push(credential);
    }
    credentials
}

fn claims(change: &Value) -> Claims {
    Claims::from_json(&vectors::changed("claims", change)).unwrap()
}

fn verdict(given: &Value) -> Result<(), Refusal> {
    let header = vectors::changed("header", &given["header"]);
    let header = Header {
        algorithm: header["alg"].as_str().unwrap(),
        key_id: header["kid"].as_str(),
    };
    let claims = Claims::from_json(&vectors::changed("claims", &given["claims"]))?;
    let credentials = admitted(vectors::credentials(given));
    let application = Application {
        id: "app",
        credentials: &credentials,
    };
    judge(&header, &claims, &application, Strictness::Documented, now())
}

#[test]
fn the_rules_answer_each_exchange_vector_as_the_cloud_does() {
    let mut judged = 0;
    for row in vectors::rows("exchange") {
        if !row["on"].as_array().unwrap().contains(&json!("rules")) {
            continue;
        }
        judged += 1;
        let found = verdict(&row["given"]);
        let expected = &row["expect"];
        match found {
            Ok(()) => assert!(expected.is_null(), "accepted, but: {row}"),
            Err(refusal) => {
                assert_eq!(json!(refusal.number()), expected["code"], "{refusal}, but: {row}");
                assert_eq!(json!(refusal.error()), expected["error"], "{row}");
                assert!(
                    vectors::is_text(&expected["text"], &refusal.to_string()),
                    "{refusal}, but: {row}"
                );
            }
        }
    }
    assert!(judged >= 20, "only {judged} rows are judged by the rules");
}

#[test]
fn each_admin_vector_of_a_credential_is_answered_as_the_cloud_does() {
    for row in vectors::rows("admin") {
        let given = &row["given"];
        if !given["parent"].is_null() {
            continue;
        }
        let full = (0..given["existing"].as_u64().unwrap_or(0)).map(|number| limits::NewCredential {
            name: format!("existing-{number}"),
            subject: format!("existing-{number}"),
            ..vectors::credential(&Value::Null)
        });
        let mut existing = admitted(full);
        if !given["beside"].is_null() {
            existing.extend(admitted([vectors::credential(&Value::Null)]));
        }
        let change = [&given["beside"], &given["credential"]]
            .into_iter()
            .find(|change| !change.is_null());
        let found = admit(vectors::credential(change.unwrap_or(&Value::Null)), &existing);
        let expected = &row["expect"];
        match found {
            Ok(_credential) => assert!(expected.is_null(), "admitted, but: {row}"),
            Err(refusal) => {
                assert_eq!(json!(refusal.status()), expected["status"], "{refusal}, but: {row}");
                assert!(
                    vectors::is_text(&expected["text"], &refusal.to_string()),
                    "{refusal}, but: {row}"
                );
            }
        }
    }
}

#[test]
fn each_code_is_known_with_its_error_and_its_mark() {
    for row in vectors::rows("codes") {
        let number = u32::try_from(row["code"].as_u64().unwrap()).unwrap();
        let code = code::find(number).unwrap_or_else(|| panic!("not known: {row}"));

        assert_eq!(json!(code.error), row["error"], "{row}");
        assert_eq!(json!(code.mark.letter()), row["mark"], "{row}");
    }
}

#[test]
fn codes_are_sorted_and_each_stands_once() {
    let numbers: Vec<u32> = code::CODES.iter().map(|code| code.number).collect();
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    sorted.dedup();

    assert_eq!(numbers, sorted);
}

#[test]
fn what_comes_from_memory_is_unverified() {
    assert!(Mark::FromMemory.is_unverified());
    assert!(!Mark::Documented.is_unverified());
    assert!(!Mark::Observed.is_unverified());
}

#[test]
fn dec_11_a_subject_of_600_characters_fits_and_601_does_not() {
    assert_eq!(limits::identity("i", &"s".repeat(600), "a"), Ok(()));
    let refused = limits::identity("i", &"s".repeat(601), "a").unwrap_err();
    assert_eq!(
        refused,
        TooLong {
            property: "subject",
            found: 601,
            allowed: 600
        }
    );
    assert_eq!(
        refused.to_string(),
        "found 601 characters of subject, expected at most 600"
    );
}

#[test]
fn a_name_can_be_taken_once() {
    let existing = admitted([vectors::credential(&Value::Null)]);
    let again = vectors::credential(&json!({"subject": "another"}));

    let refused = admit(again, &existing).unwrap_err();

    assert_eq!(refused, AdminRefusal::NameTaken { name: "shop".into() });
}

#[test]
fn writes_under_one_identity_keep_their_distance() {
    let first = now();
    let after = |millis: u64| limits::write_rate(Some(first), first + Duration::from_millis(millis));

    assert_eq!(after(3_999), Err(AdminRefusal::Throttled));
    assert_eq!(after(4_000), Ok(()));
    assert_eq!(limits::write_rate(None, first), Ok(()));
}

fn why(credentials: &[Value], change: &Value) -> trust::Difference {
    let credentials = admitted(credentials.iter().map(vectors::credential));
    let application = Application {
        id: "app",
        credentials: &credentials,
    };
    evaluate(&application, &claims(change)).unwrap_err().why.unwrap()
}

#[test]
fn explains_the_nearest_credential_and_the_field_that_differs() {
    let far = json!({"name": "far", "issuer": "https://elsewhere.example"});
    let near = json!({"name": "near"});

    let why = why(
        &[far, near],
        &json!({"sub": "spiffe://prod.acme.example/rp/azure/shop2"}),
    );

    assert_eq!(why.credential, "near");
    assert_eq!(why.field, Field::Subject);
    assert_eq!(why.found, "spiffe://prod.acme.example/rp/azure/shop2");
    assert_eq!(why.expected, "spiffe://prod.acme.example/rp/azure/shop");
    assert_eq!(why.kind, Kind::Characters);
    assert_eq!(why.same_characters, why.expected.len());
}

#[test]
fn explains_a_trailing_slash_a_case_and_white_space() {
    let kind = |change: Value| why(&[json!({})], &change).kind;

    assert_eq!(kind(json!({"iss": "https://id.acme.example/"})), Kind::TrailingSlash);
    assert_eq!(kind(json!({"iss": "https://ID.acme.example"})), Kind::CaseOnly);
    assert_eq!(kind(json!({"iss": "https://id.acme.example "})), Kind::WhiteSpace);
}

#[test]
fn an_application_without_credentials_has_no_nearest_one() {
    let application = Application {
        id: "app",
        credentials: &[],
    };

    let mismatch = evaluate(&application, &claims(&Value::Null)).unwrap_err();

    assert_eq!(mismatch.why, None);
    assert_eq!(mismatch.refusal.number(), 70_025);
}

#[test]
fn the_second_of_two_credentials_is_found() {
    let credentials = admitted([
        vectors::credential(&json!({"name": "first", "subject": "another"})),
        vectors::credential(&json!({"name": "second"})),
    ]);
    let application = Application {
        id: "app",
        credentials: &credentials,
    };

    let found = evaluate(&application, &claims(&Value::Null)).unwrap();

    assert_eq!(found.name(), "second");
}

#[test]
fn untested_algorithms_are_taken_only_when_asked() {
    let header = Header {
        algorithm: "ES256",
        key_id: Some("k"),
    };

    assert!(token::algorithm(&header, Strictness::Untested).is_ok());
    let refused = token::algorithm(&header, Strictness::Documented).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Assertion is invalid: found algorithm `ES256`, expected one of RS256."
    );
}

#[test]
fn a_claim_of_another_type_is_refused_with_what_was_found() {
    let refused = |change: Value| {
        Claims::from_json(&vectors::changed("claims", &change))
            .unwrap_err()
            .to_string()
    };

    assert!(refused(json!({"exp": "1768574700"})).contains("found `exp` = \"1768574700\""));
    assert!(refused(json!({"iat": 1.5})).contains("expected whole seconds"));
    assert!(refused(json!({"exp": null})).contains("found no `exp`"));
    assert!(refused(json!({"iss": 1})).contains("found `iss` = 1, expected a string"));
    assert!(refused(json!({"aud": [1]})).contains("not a string"));
}

#[test]
fn prints_a_time_range_as_the_cloud_does() {
    let refused = token::time_range(&claims(&json!({"nbf": 1_768_574_401})), now()).unwrap_err();

    assert!(
        refused.to_string().starts_with(
            "Client assertion is not within its valid time range. Current time: 2026-01-16T14:40:00.0000000Z, assertion \
             valid from 2026-01-16T14:40:01.0000000Z, expiry time of assertion 2026-01-16T14:45:00.0000000Z."
        ),
        "{refused}"
    );
}

/// The texts of what is unverified stand in no vector.
#[test]
fn unverified_texts_stay_as_they_are_until_the_live_cloud_confirms_them() {
    let audience = Refusal::AudienceMismatch { audience: "a".into() };
    let none = Refusal::NoCredentials {
        application: "app".into(),
    };
    let case = Refusal::SubjectCaseDiffers { subject: "S".into() };

    assert!(
        audience.to_string().starts_with(
            "No matching federated identity record found for presented assertion audience 'a'. Please check your federated \
             identity credential Subject, Audience and Issuer against the presented assertion. https://"
        ),
        "{audience}"
    );
    assert_eq!(
        none.to_string(),
        "The client 'app' has no configured federated identity credentials."
    );
    assert!(
        case.to_string().contains("matches with case-insensitive comparison"),
        "{case}"
    );
    for refusal in [audience, none, case] {
        assert!(code::find(refusal.number()).unwrap().text.is_unverified(), "{refusal}");
    }
}

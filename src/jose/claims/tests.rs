use proptest::prelude::*;

use super::*;
use crate::mutated::mutated_text;

fn claims(text: &str) -> Claims {
    Claims::parse(text.as_bytes()).unwrap()
}

/// Every JSON type, each with its name in an error.
const TYPES: [(&str, &str); 6] = [
    ("null", "null"),
    ("true", "a boolean"),
    ("7", "a number"),
    ("\"7\"", "a string"),
    ("[7]", "an array"),
    ("{\"a\":7}", "an object"),
];

#[test]
fn jwt_1_refuses_everything_but_an_object() {
    for text in ["null", "true", "7", "\"a\"", "[]"] {
        let refused = Claims::parse(text.as_bytes());
        assert!(matches!(refused, Err(ClaimsRefused::NotAnObject { .. })), "{text}");
    }
    assert!(matches!(Claims::parse(b"{"), Err(ClaimsRefused::Json(_))));
}

#[test]
fn an_absent_claim_is_none_whatever_its_type() {
    let claims = claims("{}");

    assert_eq!(claims.text("x"), Ok(None));
    assert_eq!(claims.boolean("x"), Ok(None));
    assert_eq!(claims.whole_number("x"), Ok(None));
    assert_eq!(claims.numeric_date("x"), Ok(None));
    assert_eq!(claims.object("x"), Ok(None));
}

#[test]
fn t_49_a_claim_of_the_wrong_type_is_an_error_and_never_an_absent_one() {
    for (text, found) in TYPES {
        let claims = claims(&format!("{{\"x\":{text}}}"));

        assert_eq!(claims.text("x").is_ok(), found == "a string", "{text}");
        assert_eq!(claims.required_text("x").is_ok(), found == "a string", "{text}");
        assert_eq!(claims.boolean("x").is_ok(), found == "a boolean", "{text}");
        assert_eq!(claims.whole_number("x").is_ok(), found == "a number", "{text}");
        assert_eq!(claims.numeric_date("x").is_ok(), found == "a number", "{text}");
        assert_eq!(claims.object("x").is_ok(), found == "an object", "{text}");
    }
}

#[test]
fn t_49_an_error_says_what_was_found_and_what_was_expected() {
    let refused = claims("{\"nbf\":\"99999999999\",\"sub\":7}").text("sub").unwrap_err();

    assert_eq!(refused.to_string(), "claim `sub` is a number, expected a string");
}

#[test]
fn t_08_an_expiry_that_is_missing_or_no_date_is_refused() {
    assert_eq!(
        claims("{}").required_numeric_date("exp"),
        Err(ClaimRefused::Missing { name: "exp" })
    );
    for text in ["null", "\"1300819380\"", "-1", "1e300", "true", "[1300819380]", "{}"] {
        let refused = claims(&format!("{{\"exp\":{text}}}")).required_numeric_date("exp");
        assert!(matches!(refused, Err(ClaimRefused::Date { name: "exp", .. })), "{text}");
    }
    // 1e400 is no JSON number that fits any type: the whole object is refused.
    assert!(matches!(Claims::parse(b"{\"exp\":1e400}"), Err(ClaimsRefused::Json(_))));
}

#[test]
fn a_whole_number_is_neither_negative_nor_a_fraction() {
    for text in ["-1", "1.5", "1e300"] {
        assert!(
            claims(&format!("{{\"x\":{text}}}")).whole_number("x").is_err(),
            "{text}"
        );
    }
    assert_eq!(
        claims("{\"x\":18446744073709551615}").whole_number("x"),
        Ok(Some(u64::MAX))
    );
}

#[test]
fn a_required_text_holds_something() {
    assert_eq!(
        claims("{\"sub\":\"\"}").required_text("sub"),
        Err(ClaimRefused::Empty { name: "sub" })
    );
    assert_eq!(
        claims("{}").required_text("sub"),
        Err(ClaimRefused::Missing { name: "sub" })
    );
    assert_eq!(claims("{\"sub\":\"a\"}").required_text("sub"), Ok("a"));
}

#[test]
fn t_37_reads_an_audience_of_one_or_several() {
    let one = claims("{\"aud\":\"https://id.example\"}");
    let list = claims("{\"aud\":[\"https://id.example\"]}");
    let several = claims("{\"aud\":[\"https://id.example\",\"other\"]}");

    assert_eq!(one.audience().unwrap().sole(), Some("https://id.example"));
    assert_eq!(list.audience().unwrap().sole(), Some("https://id.example"));
    assert_eq!(several.audience().unwrap().sole(), None);
    assert!(several.audience().unwrap().contains("other"));
    assert_eq!(several.audience().unwrap().iter().count(), 2);
}

#[test]
fn t_37_an_audience_is_compared_byte_for_byte() {
    let claims = claims("{\"aud\":[\"https://id.example\"]}");
    let audience = claims.audience().unwrap();

    for other in [
        "https://id.example/",
        "https://id.exampl",
        "https://ID.example",
        "https://id.example ",
        "",
    ] {
        assert!(!audience.contains(other), "{other:?}");
    }
}

#[test]
fn t_50_refuses_every_other_form_of_an_audience() {
    for text in ["[]", "\"\"", "[\"\"]", "[\"a\",\"\"]"] {
        let claims = claims(&format!("{{\"aud\":{text}}}"));
        assert_eq!(claims.audience(), Err(ClaimRefused::Empty { name: "aud" }), "{text}");
    }
    for text in [
        "null",
        "7",
        "true",
        "{\"a\":\"b\"}",
        "[[\"a\"]]",
        "[\"a\",7]",
        "[null]",
        "[{}]",
    ] {
        let claims = claims(&format!("{{\"aud\":{text}}}"));
        assert!(
            matches!(claims.audience(), Err(ClaimRefused::WrongType { name: "aud", .. })),
            "{text}"
        );
    }
    assert_eq!(claims("{}").audience(), Err(ClaimRefused::Missing { name: "aud" }));
}

#[test]
fn reads_objects_within_objects() {
    let claims = claims(r#"{"kubernetes.io":{"namespace":"shop","pod":{"name":"a","uid":"b"},"warnafter":7}}"#);
    let own = claims.object("kubernetes.io").unwrap().unwrap();

    assert_eq!(own.required_text("namespace"), Ok("shop"));
    assert_eq!(own.object("pod").unwrap().unwrap().text("uid"), Ok(Some("b")));
    assert_eq!(own.numeric_date("warnafter").unwrap().unwrap().seconds(), 7);
    assert!(own.object("namespace").is_err());
    assert_eq!(own.iter().count(), 3);
}

#[test]
fn hands_out_every_claim_as_it_stands() {
    let claims = claims(r#"{"a":1,"b":["x"]}"#);

    assert_eq!(claims.get("b"), Some(&serde_json::json!(["x"])));
    assert_eq!(claims.iter().count(), 2);
}

#[test]
fn t_10_debug_shows_names_and_no_values() {
    let shown = format!("{:?}", claims(r#"{"email":"a@b.example","x\n":1}"#));

    assert!(shown.contains("email"), "{shown}");
    assert!(!shown.contains("a@b.example"), "{shown}");
    assert!(!shown.contains('\n'), "{shown}");
}

proptest! {
    #[test]
    fn changed_claims_are_those_that_everybody_reads_or_none(
        changed in mutated_text(r#"{"iss":"https://token.example","aud":["a"],"exp":1768574700,"sub":"x"}"#),
    ) {
        if let Ok(claims) = Claims::parse(changed.as_bytes()) {
            let everybodys: Value = serde_json::from_str(&changed).unwrap();
            let members: Map<_, _> = claims.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
            prop_assert_eq!(Value::Object(members), everybodys);
            let audience = claims.audience();
            prop_assert!(audience.is_err() || claims.get("aud").is_some());
        }
    }

    #[test]
    fn t_49_no_value_of_another_type_passes_for_a_date(text in "[0-9eE.+-]{1,24}") {
        let document = format!("{{\"exp\":{text}}}");
        if let Ok(claims) = Claims::parse(document.as_bytes())
            && let Ok(date) = claims.required_numeric_date("exp")
        {
            let number = claims.get("exp").and_then(Value::as_f64).unwrap();
            let seconds = date.seconds();
            prop_assert!(seconds <= 253_402_300_799);
            // Rounded down: what is judged never ends later than what was said.
            prop_assert!(NumericDate::from_value(&Value::from(seconds)) == Ok(date));
            prop_assert!(Value::from(seconds).as_f64().unwrap() <= number, "{}", text);
        }
    }
}

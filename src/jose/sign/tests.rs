use serde_json::json;

use super::*;

fn header() -> Header {
    Header {
        algorithm: Algorithm::Rs256,
        key_id: "kid-1".to_owned(),
    }
}

#[test]
fn jwt_svid_2_the_header_is_exactly_alg_kid_and_typ() {
    let input = signing_input(&header(), &json!({})).unwrap();
    let (written, _) = input.split_once('.').unwrap();
    let written = BASE64_URL_SAFE_NO_PAD.decode(written).unwrap();

    assert_eq!(written, br#"{"alg":"RS256","kid":"kid-1","typ":"JWT"}"#);
}

#[test]
fn jwt_1_a_token_is_three_parts_of_base64url_without_padding() {
    let input = signing_input(&header(), &json!({"a": "?>~"})).unwrap();
    let token = assemble(input.clone(), &[0xff, 0xfe, 0xfd, 0xfc]);

    assert_eq!(token, format!("{input}.__79_A"));
    assert_eq!(token.split('.').count(), 3);
    assert!(
        token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    );
}

#[test]
fn claims_that_json_cannot_hold_are_refused() {
    let unwritable = std::collections::HashMap::from([((1, 2), 3)]);

    assert!(signing_input(&header(), &unwritable).is_err());
}

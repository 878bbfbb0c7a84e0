//! ES512 at the simulated STS, beside the vector that says it is accepted.

use serde_json::{Value, json};

use super::ground::{self, AUDIENCE, ES256, ES512, FakeDocuments, NOW, NOW_SECONDS, empty_aws, post};
use crate::clock::FakeClock;

/// Presents `token` to an STS whose issuer publishes `keys`; returns the status.
async fn presented(token: &str, keys: &[&Value]) -> u16 {
    let documents = FakeDocuments::new(ground::discovery(), json!({ "keys": keys }));
    let aws = empty_aws(documents, FakeClock::at(NOW));
    aws.create_oidc_provider(ground::provider()).unwrap();
    aws.create_role(ground::role()).unwrap();
    post(&aws, &ground::parameters(token)).await.status.as_u16()
}

fn signed() -> String {
    let header = json!({"alg": "ES512", "kid": "ec-ES512", "typ": "JWT"});
    ES512.sign(&header, &ground::claims(NOW_SECONDS))
}

#[tokio::test]
async fn an_es512_token_is_taken_and_one_changed_claim_is_not() {
    let token = signed();
    let changed = {
        let parts: Vec<&str> = token.split('.').collect();
        let other = ES512.sign(&json!({"alg": "ES512", "kid": "ec-ES512"}), &json!({"iss": AUDIENCE}));
        format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap(), parts[2])
    };

    assert_eq!(presented(&token, &[&ES512.jwk]).await, 200);
    assert_eq!(presented(&changed, &[&ES512.jwk]).await, 400);
}

#[tokio::test]
async fn an_es512_token_needs_a_p521_key() {
    let mut p256 = ES256.jwk.clone();
    p256["kid"] = json!("ec-ES512");
    let mut short = ES512.jwk.clone();
    short["x"] = json!("AA");

    for key in [&p256, &short] {
        assert_eq!(presented(&signed(), &[key]).await, 400, "{key}");
    }
}

//! The battery that every attestor of signed tokens passes, and what reviews add to it.

use super::*;
use crate::attest::suite::battery::{Forgeable, battery};

battery!(Stage);

impl Forgeable for Stage {
    const KID: &'static str = "kid-1";

    fn issuer(&self) -> String {
        self.url.clone()
    }

    fn other_issuers(&self) -> Vec<String> {
        vec!["https://other.example".to_owned()]
    }

    fn jwks(&self) -> Value {
        self.cluster.jwks()
    }

    fn sign_as_another(&self, claims: &Map<String, Value>) -> String {
        started(&self.place, Self::KID).0.sign(claims).unwrap()
    }

    fn other_headers() -> Vec<Value> {
        vec![
            json!({ "alg": "RS256", "kid": "kid-9" }),
            json!({ "alg": "RS384", "kid": "kid-1" }),
            json!({ "alg": "PS256", "kid": "kid-1" }),
            json!({ "alg": "RS256", "kid": "kid-1", "typ": "JWT" }), // the signature is over another header
        ]
    }

    fn moved_to(&self, url: &str) -> (String, String) {
        (self.table().replace(&self.url, url), url.to_owned())
    }
}

#[tokio::test]
async fn a_private_address_that_is_not_listed_is_never_asked_for_a_review() {
    let stage = Stage::start();
    let review = stage.reviewing().replace("127.0.0.0/8", "10.0.0.0/8");
    let table = format!("{}{review}", stage.table());

    let refusal = refused(stage.judge(&attestor(&table), &stage.token(|_| {})).await);

    assert_eq!(refusal.code(), "attest.review_unavailable");
    assert_eq!(stage.cluster.questions(), Vec::<Value>::new());
}

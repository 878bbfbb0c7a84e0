//! The battery that every attestor of signed tokens passes.

use super::*;
use crate::attest::suite::battery::{Forgeable, battery};

battery!(Stage);

impl Forgeable for Stage {
    const KID: &'static str = "RSA_1";

    fn issuer(&self) -> String {
        self.aws.issuer().to_owned()
    }

    fn other_issuers(&self) -> Vec<String> {
        vec!["https://sts.amazonaws.com".to_owned()]
    }

    fn jwks(&self) -> Value {
        self.aws.jwks()
    }

    fn sign_as_another(&self, claims: &Map<String, Value>) -> String {
        started(&self.place, Ec2Instance::example()).sign(claims).unwrap()
    }

    fn other_headers() -> Vec<Value> {
        vec![
            json!({ "alg": "RS256", "kid": "RSA_9", "typ": "JWT" }),
            json!({ "alg": "RS384", "kid": "RSA_1", "typ": "JWT" }),
            json!({ "alg": "PS256", "kid": "RSA_1", "typ": "JWT" }),
            json!({ "alg": "ES384", "kid": "RSA_1", "typ": "JWT" }),
            json!({ "alg": "RS256", "kid": "EC384_1", "typ": "JWT" }),
            json!({ "alg": "RS256", "kid": "RSA_1" }), // the signature is over another header
        ]
    }

    fn moved_to(&self, url: &str) -> (String, String) {
        (self.table().replace(self.aws.issuer(), url), url.to_owned())
    }
}

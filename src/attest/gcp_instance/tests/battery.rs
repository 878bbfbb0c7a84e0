//! The battery that every attestor of signed tokens passes.

use super::*;
use crate::attest::suite::battery::{Forgeable, battery};

battery!(Stage);

impl Forgeable for Stage {
    const KID: &'static str = "gce-1";

    fn issuer(&self) -> String {
        self.gce.issuer().to_owned()
    }

    fn other_issuers(&self) -> Vec<String> {
        vec!["accounts.google.com".to_owned()]
    }

    fn jwks(&self) -> Value {
        self.gce.jwks()
    }

    fn sign_as_another(&self, claims: &Map<String, Value>) -> String {
        started(&self.place).sign(claims).unwrap()
    }

    fn other_headers() -> Vec<Value> {
        vec![
            json!({ "alg": "RS256", "kid": "gce-9", "typ": "JWT" }),
            json!({ "alg": "RS384", "kid": "gce-1", "typ": "JWT" }),
            json!({ "alg": "PS256", "kid": "gce-1", "typ": "JWT" }),
            json!({ "alg": "RS256", "kid": "gce-1" }), // the signature is over another header
        ]
    }

    fn moved_to(&self, url: &str) -> (String, String) {
        (self.table().replace(self.gce.issuer(), url), url.to_owned())
    }
}

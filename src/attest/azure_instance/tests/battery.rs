//! The battery that every attestor of signed tokens passes.

use super::*;
use crate::attest::suite::battery::{Forgeable, battery};

battery!(Stage);

impl Forgeable for Stage {
    const KID: &'static str = "entra-1";

    fn issuer(&self) -> String {
        self.azure.issuer(TokenVersion::Two)
    }

    fn other_issuers(&self) -> Vec<String> {
        vec![
            format!("https://sts.windows.net/{TENANT}"),
            format!("https://sts.chinacloudapi.cn/{TENANT}/"),
        ]
    }

    fn jwks(&self) -> Value {
        self.azure.jwks()
    }

    fn sign_as_another(&self, claims: &Map<String, Value>) -> String {
        started(&self.place, AzureMachine::example()).sign(claims).unwrap()
    }

    fn other_headers() -> Vec<Value> {
        vec![
            json!({ "alg": "RS256", "kid": "entra-9", "typ": "JWT" }),
            json!({ "alg": "RS384", "kid": "entra-1", "typ": "JWT" }),
            json!({ "alg": "PS256", "kid": "entra-1", "typ": "JWT" }),
            json!({ "alg": "RS256", "kid": "entra-1", "typ": "JWT" }), // the signature is over another header
        ]
    }

    fn moved_to(&self, url: &str) -> (String, String) {
        let table = self.table().replace(self.azure.authority(), url);
        (table, format!("{url}/{TENANT}/v2.0"))
    }
}

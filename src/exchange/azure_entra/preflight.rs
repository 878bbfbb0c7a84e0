//! Holds our own SVID against Entra's rules before anything is sent.
//!
//! Reads the token without verifying it: we signed it ourselves, and Entra will verify it.

use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::{
    exchange::{
        CloudRefusal,
        azure_entra::{
            CLOUD,
            rules::{
                limits,
                refusal::Refusal,
                token::{self, Claims, Header, Strictness},
            },
        },
    },
    secret::Secret,
};

/// Refuses an assertion that Entra would refuse whatever it trusts.
pub(super) fn check(assertion: &Secret, now: SystemTime) -> Result<(), CloudRefusal> {
    let mut parts = assertion.expose().split('.').map(read);
    let header = parts.next().flatten().unwrap_or_default();
    let claims = parts.next().flatten().unwrap_or_default();
    let header = Header {
        algorithm: header.get("alg").and_then(Value::as_str).unwrap_or_default(),
        key_id: header.get("kid").and_then(Value::as_str),
    };
    let claims = Claims::from_json(&claims).map_err(|refusal| refused(&refusal))?;
    identity(&claims.issuer, &claims.subject, &claims.audience)?;
    token::check(&header, &claims, Strictness::Documented, now).map_err(|refusal| refused(&refusal))
}

/// Refuses an identity that no federated credential can hold (DEC-11).
pub(super) fn identity(issuer: &str, subject: &str, audience: &str) -> Result<(), CloudRefusal> {
    limits::identity(issuer, subject, audience).map_err(|why| CloudRefusal::Preflight {
        cloud: CLOUD,
        // Entra would find no matching credential; there is no code for a text that cannot be configured.
        code: match why.property {
            "issuer" => "AADSTS700211".to_owned(),
            "audience" => "AADSTS700212".to_owned(),
            _subject => "AADSTS700213".to_owned(),
        },
        problem: why.to_string(),
    })
}

fn refused(refusal: &Refusal) -> CloudRefusal {
    CloudRefusal::Preflight {
        cloud: CLOUD,
        code: format!("AADSTS{}", refusal.number()),
        problem: refusal.to_string(),
    }
}

fn read(part: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}

//! GetCallerIdentity: tells who holds credentials that were issued here, after checking their signature.

use std::time::{Duration, SystemTime};

use axum::http::request::Parts;

use super::{credentials::Issued, xml::Xml};
use crate::{
    exchange::aws::{Code, Refusal},
    sim::sigv4,
};

/// How far the signature's date may be off `[M]`.
const SKEW: Duration = Duration::from_mins(15);

/// Answers one signed request of whoever holds credentials that `issued` knows by their key id.
pub(in crate::exchange) fn answer(
    issued: impl FnOnce(&str) -> Option<Issued>,
    now: SystemTime,
    request: (&Parts, &[u8]),
) -> Result<Vec<Xml>, Refusal> {
    let caller = caller("sts", issued, now, request)?;
    Ok(vec![
        Xml::text("Arn", &caller.assumed_role_arn),
        Xml::text("UserId", &caller.assumed_role_id),
        Xml::text("Account", &caller.account),
    ])
}

/// Returns who signed a request to `service`.
///
/// # Errors
/// As the services refuse unknown keys, other session tokens, expired credentials and wrong signatures.
pub(in crate::exchange) fn caller(
    service: &str,
    issued: impl FnOnce(&str) -> Option<Issued>,
    now: SystemTime,
    (parts, body): (&Parts, &[u8]),
) -> Result<Issued, Refusal> {
    let signed = sigv4::Signed::read(parts, body, service)?;
    let Some(issued) = issued(signed.access_key_id()) else {
        return Err(unknown_token(format!(
            "`{}` was not issued here",
            signed.access_key_id()
        )));
    };
    if signed.session_token() != Some(&issued.session_token) {
        return Err(unknown_token(
            "the session token is not the one issued with this key".to_owned(),
        ));
    }
    signed.verify(&issued.secret_key)?;
    if now >= issued.expires_at {
        let text = "The security token included in the request is expired";
        return Err(Refusal::unverified(Code::ExpiredToken, text));
    }
    let (from, until) = signed.valid_within(SKEW);
    if now < from || now > until {
        let text = "Signature expired or not yet current";
        return Err(Refusal::unverified(Code::SignatureDoesNotMatch, text));
    }
    Ok(issued)
}

fn unknown_token(detail: String) -> Refusal {
    let text = "The security token included in the request is invalid.";
    Refusal::unverified(Code::InvalidClientTokenId, text).because(detail)
}

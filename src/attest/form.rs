//! Whether something is a compact JWS at all, before anybody asks whose.
//!
//! It must answer from the bytes alone, and never repeat any of them: whoever sent them proved nothing.

use crate::{
    attest::AttestRefusal,
    jose::{HeaderRefused, MAX_TOKEN_BYTES, TokenRefused, Unverified},
    secret::Secret,
};

/// Refuses what cannot be read as a compact JWS.
///
/// A token that can be read, and whose header asks for what is never done (`alg` none, `crit`), is not malformed.
pub(in crate::attest) fn of_a_compact_jws(token: &Secret) -> Result<(), AttestRefusal> {
    let token = token.expose();
    if token.len() > MAX_TOKEN_BYTES {
        return Err(AttestRefusal::Oversized {
            found_bytes: token.len(),
        });
    }
    match Unverified::parse(token) {
        Ok(_well_formed) => Ok(()),
        Err(refused) => fault(&refused).map_or(Ok(()), |reason| Err(AttestRefusal::Malformed { reason })),
    }
}

/// Returns the fault of the form; `None` for one of the content.
fn fault(refused: &TokenRefused) -> Option<String> {
    match refused {
        TokenRefused::Claims(_) => Some("its claims are no strict JSON object".to_owned()),
        TokenRefused::Encoding { part, .. } => Some(format!("its {part} is not canonical base64url without padding")),
        TokenRefused::Parts { .. } => Some(refused.to_string()),
        TokenRefused::Header(header) => match header {
            HeaderRefused::Json(_)
            | HeaderRefused::Missing { .. }
            | HeaderRefused::NotAnObject { .. }
            | HeaderRefused::TooLong { .. }
            | HeaderRefused::WrongType { .. } => Some(header.to_string()),
            HeaderRefused::Algorithm(_)
            | HeaderRefused::ForbiddenMember { .. }
            | HeaderRefused::KeyId { .. }
            | HeaderRefused::Kind { .. } => None,
        },
        // The length was judged above, and evidence brings no key that would be read.
        TokenRefused::EmbeddedKey(_) | TokenRefused::TooLong { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

    use super::*;

    fn code(token: &str) -> &'static str {
        of_a_compact_jws(&Secret::new(token)).map_or_else(|refusal| refusal.code(), |()| "in order")
    }

    fn with_header(header: &str) -> String {
        format!("{}.e30.", BASE64_URL_SAFE_NO_PAD.encode(header))
    }

    #[test]
    fn what_is_no_compact_jws_is_malformed() {
        let good = with_header(r#"{"alg":"RS256"}"#);
        assert_eq!(code(&good), "in order");
        for token in [
            String::new(),
            "garbage".to_owned(),
            ".".repeat(1000),
            "e30.e30".to_owned(),
            "e30.e30.e30.e30.e30".to_owned(),
            good.replace("e30", "e30="),
            good.replace("e30", "e3 0"),
            good.replace("e30", "W10"),
            with_header("no JSON"),
            with_header("[]"),
            with_header("{}"),
            with_header(r#"{"alg":1}"#),
        ] {
            assert_eq!(code(&token), "attest.evidence_malformed", "{token:.40}");
        }
    }

    #[test]
    fn a_header_that_asks_for_what_is_never_done_is_not_malformed() {
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"RS256","crit":["b64"]}"#,
            r#"{"alg":"RS256","kid":""}"#,
        ] {
            assert_eq!(code(&with_header(header)), "in order", "{header}");
        }
    }

    #[test]
    fn t_14_16_kib_are_judged_by_their_form_and_one_byte_more_is_oversized() {
        assert_eq!(code(&"a".repeat(16_384)), "attest.evidence_malformed");
        assert_eq!(code(&"a".repeat(16_385)), "attest.evidence_oversized");
    }

    #[test]
    fn t_52_no_reason_repeats_what_was_sent() {
        for token in ["canary.canary.canary", "canary", &with_header(r#"{"canary":"canary"}"#)] {
            let refused = of_a_compact_jws(&Secret::new(token)).unwrap_err();
            assert!(!refused.to_string().contains("canary"), "{token}: {refused}");
        }
    }
}

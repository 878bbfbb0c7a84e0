//! What is said of evidence that no configured attestor took.
//!
//! It must depend on the evidence and on what is compiled in, never on what is configured: the caller proved nothing.

use super::{AttestRefusal, BUILTINS, Builtin, Evidence, join_token, joining::JoinToken};
use crate::jose::excerpt;

/// Returns why `evidence` was taken by none of the configured attestors.
///
/// A kind that this build lacks, or bytes that no compiled-in kind can read, may be named. Well-formed evidence gets one
/// answer, whether its kind or its issuer is the one that is not configured.
pub fn refusal(evidence: &Evidence) -> AttestRefusal {
    of(BUILTINS, evidence)
}

fn of(builtins: &[Builtin], evidence: &Evidence) -> AttestRefusal {
    if evidence.certificate_unverified().is_some() {
        return nobodys(); // it was verified while the connection was made, so its form is in order
    }
    let kind = evidence.kind().or_else(|| told(evidence));
    let claimed = |builtin: &&Builtin| kind.is_none_or(|kind| kind == builtin.kind);
    let mut readers = builtins.iter().filter(claimed).peekable();
    if readers.peek().is_none() {
        return AttestRefusal::KindUnknown {
            found: evidence.kind().map(excerpt).unwrap_or_default(),
            expected: builtins
                .iter()
                .map(|builtin| builtin.kind)
                .collect::<Vec<_>>()
                .join("`, `"),
        };
    }
    let mut unreadable = None;
    for reader in readers {
        match (reader.form)(evidence.token_unverified()) {
            Ok(()) => return nobodys(),
            Err(refusal) => unreadable = Some(refusal),
        }
    }
    unreadable.unwrap_or_else(nobodys)
}

/// Returns the kind that a token tells by how it begins, so that a broken one learns what is broken of it.
fn told(evidence: &Evidence) -> Option<&'static str> {
    JoinToken::is_begun_in(evidence.token_unverified()).then_some(join_token::BUILTIN.kind)
}

fn nobodys() -> AttestRefusal {
    AttestRefusal::Unverifiable {
        reason: "no configured attestor takes this issuer or kind".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        attest::{Misconfigured, Possession},
        secret::Secret,
    };

    fn evidence(token: &str, kind: Option<&str>) -> Evidence {
        Evidence::new(Secret::new(token), kind.map(str::to_owned), Possession::Bearer)
    }

    /// `{"alg":"RS256"}.{}.` with an empty signature.
    const WELL_FORMED: &str = "eyJhbGciOiJSUzI1NiJ9.e30.";

    #[test]
    fn a_kind_that_is_not_compiled_in_is_named_with_those_that_are() {
        let refused = refusal(&evidence(WELL_FORMED, Some("tp\u{202e}m")));

        assert_eq!(
            refused.to_string(),
            "evidence of kind `tp\\u{202e}m` is not known, expected one of `aws_iam`, `aws_instance`, `azure_instance`, `bound_key`, `gcp_instance`, `join_token`, `kubernetes`, `oidc`, `spiffe`"
        );
        assert_eq!(refused.code(), "attest.kind_unknown");
    }

    #[test]
    fn well_formed_evidence_gets_one_answer_with_and_without_its_kind() {
        for kind in [None, Some("oidc")] {
            assert_eq!(
                refusal(&evidence(WELL_FORMED, kind)).code(),
                "attest.evidence_unverifiable",
                "{kind:?}"
            );
        }
    }

    #[test]
    fn what_one_compiled_in_kind_can_read_is_not_malformed() {
        let reads_all = Builtin {
            kind: "reads_all",
            form: |_token| Ok(()),
            configure: |_context, _table| {
                Err(Misconfigured {
                    code: "config.value_invalid",
                    key: String::new(),
                    problem: String::new(),
                })
            },
            manual: "",
            sample: "",
            #[cfg(feature = "dev")]
            sim: None,
        };
        let builtins = [BUILTINS, &[reads_all]].concat();
        let code = |kind| of(&builtins, &evidence("garbage", kind)).code();

        assert_eq!(code(None), "attest.evidence_unverifiable");
        assert_eq!(code(Some("reads_all")), "attest.evidence_unverifiable");
        assert_eq!(code(Some("oidc")), "attest.evidence_malformed");
    }
}

//! Whether an inline session policy is a policy document at all.
//!
//! Judges the shape, never what actions and resources mean: IAM does not either at this point.

use serde_json::Value;

use crate::exchange::aws::{Code, Refusal, strict_json};

/// Checks the shape of an inline session policy.
///
/// # Errors
/// `MalformedPolicyDocument`. Source: clouds.md 1.3, code `[D]`; text and the details of the shape `[M]`.
pub fn check(text: &str) -> Result<(), Refusal> {
    let document = strict_json::parse(text).map_err(|why| malformed(format!("it is not JSON: {why}")))?;
    if !matches!(
        document.get("Version").and_then(Value::as_str),
        Some("2012-10-17" | "2008-10-17")
    ) {
        return Err(malformed("`Version` is not `2012-10-17`".to_owned()));
    }
    match document.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.iter().try_for_each(statement),
        Some(single @ Value::Object(_)) => statement(single),
        _ => Err(malformed(
            "`Statement` is neither an object nor a filled list".to_owned(),
        )),
    }
}

fn statement(statement: &Value) -> Result<(), Refusal> {
    let has = |name: &str| statement.get(name).is_some();
    if !matches!(statement.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
        return Err(malformed("`Effect` is neither `Allow` nor `Deny`".to_owned()));
    }
    if has("Action") == has("NotAction") || has("Resource") == has("NotResource") {
        return Err(malformed(
            "a statement needs one of `Action` and `NotAction` and one of `Resource` and `NotResource`".to_owned(),
        ));
    }
    if has("Principal") || has("NotPrincipal") {
        return Err(malformed("a session policy names no `Principal`".to_owned()));
    }
    Ok(())
}

fn malformed(detail: String) -> Refusal {
    Refusal::unverified(
        Code::MalformedPolicyDocument,
        "The policy is not in the valid JSON format.",
    )
    .because(detail)
}

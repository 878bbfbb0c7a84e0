//! What an API server answers to a review.
//!
//! It must never take an answer for a review that it is not, and never read an absent member as a good one: without
//! `status.audiences` the token was judged for the API server itself (T-68).

use serde_json::Value;

use super::claims::Named;
use crate::jose::{Claims, ClaimsRefused, Object, excerpt, strict_json::type_name};

/// Holds an answer against the token that was asked about; returns why it does not confirm it.
///
/// # Errors
/// Refuses what is no review at all.
pub(super) fn judge(bytes: &[u8], audience: &str, named: &Named) -> Result<Result<(), String>, AnswerRefused> {
    let review = Claims::parse(bytes).map_err(AnswerRefused::Json)?;
    for (member, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        let found = review.get(member).and_then(Value::as_str).unwrap_or_default();
        if found != expected {
            let found = excerpt(found);
            return Err(AnswerRefused::Kind { found, expected });
        }
    }
    let status = review.object("status").ok().flatten().ok_or(AnswerRefused::NoStatus)?;
    Ok(confirmed(status, audience, named))
}

fn confirmed(status: Object<'_>, audience: &str, named: &Named) -> Result<(), String> {
    let error = status.get("error").and_then(Value::as_str).unwrap_or_default();
    if status.get("authenticated") != Some(&Value::Bool(true)) || !error.is_empty() {
        return Err(format!("it is not authenticated: `{}`", excerpt(error)));
    }
    let audiences = status.get("audiences").and_then(Value::as_array);
    let ours = |one: &Value| one.as_str() == Some(audience);
    if !audiences.is_some_and(|all| all.iter().any(ours)) {
        let found = status.get("audiences").map_or("no", type_name);
        return Err(format!("found {found} audiences without ours, expected `{audience}`"));
    }
    let user = status.object("user").ok().flatten();
    let user = user.ok_or_else(|| "found no user, expected the token's".to_owned())?;
    same("username", user.get("username"), &named.subject)?;
    same("uid", user.get("uid"), &named.account_uid)?;
    let Some((name, uid)) = &named.pod else {
        return Ok(());
    };
    let extra = user.get("extra");
    same("pod", first(extra, "authentication.kubernetes.io/pod-name"), name)?;
    same("pod's uid", first(extra, "authentication.kubernetes.io/pod-uid"), uid)
}

/// Returns the sole value of a member of `extra`.
fn first<'v>(extra: Option<&'v Value>, member: &str) -> Option<&'v Value> {
    match extra?.get(member)?.as_array()?.as_slice() {
        [value] => Some(value),
        _several => None,
    }
}

fn same(what: &str, found: Option<&Value>, expected: &str) -> Result<(), String> {
    let found = found.and_then(Value::as_str).unwrap_or_default();
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "found {what} `{}`, expected the token's `{}`",
        excerpt(found),
        excerpt(expected)
    ))
}

/// An answer is no review.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerRefused {
    /// It is not strict JSON.
    #[error("the answer is no strict JSON object")]
    Json(#[source] ClaimsRefused),
    /// It is another object, or of another version.
    #[error("the answer is `{found}`, expected `{expected}`")]
    Kind {
        /// What it says.
        found: String,
        /// What it should say.
        expected: &'static str,
    },
    /// It has no status.
    #[error("the answer has no status, expected the review's result")]
    NoStatus,
}

/// The version of the API, which servers have had since 1.6.
pub(super) const API_VERSION: &str = "authentication.k8s.io/v1";
/// The object that is created.
pub(super) const KIND: &str = "TokenReview";

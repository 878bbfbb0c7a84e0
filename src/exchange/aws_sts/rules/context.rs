//! What a web identity brings to a role's trust policy.
//!
//! Never judges anything: the evaluator does.

use super::token::{Audience, Claims, Session};
use crate::exchange::aws::trust::{Action, Context, Key, Principal};

/// Returns the context of a verified token at the provider with this ARN.
///
/// `sts:TagSession` and `sts:SetSourceIdentity` are needed exactly when the token brings tags or a source identity.
pub fn web_identity(
    provider_arn: &str,
    claims: &Claims,
    audience: &Audience,
    session: &Session,
    role_session_name: &str,
) -> Context {
    let issuer = &claims.issuer;
    let mut keys = vec![
        (Key::claim(issuer, "sub"), vec![claims.subject.clone()]),
        (Key::claim(issuer, "aud"), vec![audience.matched.clone()]),
        (Key::claim(issuer, "amr"), claims.methods.clone()),
        (Key::RoleSessionName, vec![role_session_name.to_owned()]),
        (Key::TagKeys, session.tags.iter().map(|(key, _)| key.clone()).collect()),
        (Key::TransitiveTagKeys, session.transitive_keys.clone()),
    ];
    if let Some(original) = &audience.original {
        keys.push((Key::claim(issuer, "oaud"), vec![original.clone()]));
    }
    for (tag, value) in &session.tags {
        keys.push((Key::request_tag(tag), vec![value.clone()]));
    }
    let mut actions = vec![Action::AssumeRoleWithWebIdentity];
    if !session.tags.is_empty() {
        actions.push(Action::TagSession);
    }
    if let Some(identity) = &session.source_identity {
        keys.push((Key::SourceIdentity, vec![identity.clone()]));
        actions.push(Action::SetSourceIdentity);
    }
    Context::new(Principal::Provider(provider_arn.to_owned()), actions, keys)
}

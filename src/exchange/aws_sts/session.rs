//! What the session in AWS is called and tagged with, so that CloudTrail leads back to our trail.
//!
//! Never takes a name or a tag from a request: only from the permission and the configuration.

use serde_json::{Map, Value, json};

use super::{config::Settings, rules::token};
use crate::{
    attest::Attributes,
    exchange::aws::{Refusal, role_session},
    secret::Digest,
};

/// The session tag that holds the exchange id.
pub(super) const EXCHANGE_TAG: &str = "exchange_id";

/// Who gets the session, and by which exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder<'a> {
    /// The registration entry.
    pub(super) entry: &'a str,
    /// The workload's own SPIFFE ID, whatever the SVID's subject is.
    pub(super) spiffe_id: &'a str,
    /// The workload's attributes.
    pub(super) attributes: &'a Attributes,
}

impl Holder<'_> {
    /// Returns `<entry>@<first 12 of the exchange id>`; the entry is cut where 64 characters would not do.
    pub(super) fn role_session_name(&self, short_exchange_id: &str) -> String {
        self.entry_before(&format!("@{short_exchange_id}"), *role_session::ROLE_SESSION_NAME.end())
    }

    /// Returns `<entry>.<8 hex of SHA-256(SPIFFE ID)>`, because a SPIFFE ID itself is no legal source identity.
    pub(super) fn source_identity(&self) -> String {
        let digest = Digest::of(self.spiffe_id.as_bytes()).to_string();
        let short: String = digest.chars().take(8).collect();
        self.entry_before(&format!(".{short}"), *role_session::SOURCE_IDENTITY.end())
    }

    fn entry_before(&self, suffix: &str, most: usize) -> String {
        let room = most.saturating_sub(suffix.len());
        self.entry.chars().take(room).chain(suffix.chars()).collect()
    }

    /// Returns the configured attributes that the workload has; those it lacks are left out.
    pub(super) fn tags(&self, settings: &Settings) -> Vec<(String, String)> {
        settings
            .session_tags
            .iter()
            .filter_map(|name| Some((name.clone(), self.attributes.get(name)?.to_owned())))
            .collect()
    }

    /// Returns the claims that AWS turns into session tags and source identity.
    ///
    /// # Errors
    /// What AWS would refuse: an attribute with a character that no tag may hold.
    pub(super) fn claims(&self, settings: &Settings, exchange_id: &str) -> Result<Map<String, Value>, Refusal> {
        let mut tags = self.tags(settings);
        let is_tag = |name: &&String| tags.iter().any(|(key, _)| key == *name);
        let transitive: Vec<String> = settings.transitive_tags.iter().filter(is_tag).cloned().collect();
        tags.push((EXCHANGE_TAG.to_owned(), exchange_id.to_owned()));
        let principal: Map<String, Value> = tags.into_iter().map(|(key, value)| (key, json!([value]))).collect();
        let claims = Map::from_iter([
            (
                token::TAGS_CLAIM.to_owned(),
                json!({ "principal_tags": principal, "transitive_tag_keys": transitive }),
            ),
            (token::SOURCE_IDENTITY_CLAIM.to_owned(), json!(self.source_identity())),
        ]);
        token::session(&Value::Object(claims.clone()))?;
        Ok(claims)
    }
}

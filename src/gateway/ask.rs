//! What a request wants of one relying party, held against what that relying party has.
//!
//! Only a workload that was permitted is told whether it fits: anybody else would learn which relying parties there are.

use crate::{authorize::Wants, exchange::RelyingParty};

/// What a request wants of one relying party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The name of the relying party, as it was sent.
    pub relying_party: String,
    /// In which form.
    pub form: Asked,
    /// The OAuth scope that the caller named.
    pub scope: Option<String>,
}

/// In which form a credential is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A bearer token.
    AccessToken,
    /// A bearer token where the relying party gives one, the SVID elsewhere (RFC 8693 without `requested_token_type`).
    Any,
    /// The relying party's credential, whatever its form.
    Credential,
    /// The SVID itself.
    Svid,
}

impl Ask {
    /// Asks for a relying party's credential in its native form.
    pub fn credential(relying_party: impl Into<String>) -> Self {
        Self {
            relying_party: relying_party.into(),
            form: Asked::Credential,
            scope: None,
        }
    }

    /// Asks for the SVID itself.
    pub fn svid(relying_party: impl Into<String>) -> Self {
        Self {
            form: Asked::Svid,
            ..Self::credential(relying_party)
        }
    }

    /// Returns what is to be authorized; a relying party without a cloud has nothing but the SVID.
    pub(super) fn wants(&self, party: &dyn RelyingParty) -> Wants {
        if party.upstream().is_none() {
            return Wants::Svid;
        }
        match self.form {
            Asked::AccessToken | Asked::Credential => Wants::Credential,
            Asked::Any if party.scope().is_some() => Wants::Credential,
            Asked::Any | Asked::Svid => Wants::Svid,
        }
    }

    /// Refuses what `party` does not have; to be asked only about a relying party that was permitted.
    pub(super) fn refuse_what_is_not_offered(&self, party: &dyn RelyingParty) -> Result<(), NotOffered> {
        if self.form == Asked::AccessToken && party.scope().is_none() {
            return Err(NotOffered::AccessToken);
        }
        match &self.scope {
            Some(found) if party.scope() != Some(found.as_str()) => Err(NotOffered::Scope {
                expected: party
                    .scope()
                    .map_or_else(|| "absent".to_owned(), |scope| format!("`{scope}` or absent")),
            }),
            Some(_) | None => Ok(()),
        }
    }
}

/// The relying party that was permitted does not have what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotOffered {
    /// It has no bearer tokens.
    #[error("parameter `requested_token_type` asks for an access token, which this relying party does not have")]
    AccessToken,
    /// It is configured with another scope, or with none.
    #[error("`scope` differs from the relying party's, expected it to be {expected}")]
    Scope {
        /// The configured scope, or that there is none.
        expected: String,
    },
}

impl NotOffered {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AccessToken => "request.parameter_invalid",
            Self::Scope { .. } => "request.scope_invalid",
        }
    }
}

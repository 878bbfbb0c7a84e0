//! Why evidence does not stand.
//!
//! What of this a caller learns is decided in `http/error.rs`; the trail holds everything.

use std::time::Duration;

use crate::{attest::attribute::AttributeRefused, store::StoreError};

/// Evidence does not stand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttestRefusal {
    /// The evidence of the actor does not stand, whatever that of the subject does.
    #[error("the actor token is refused")]
    Actor(#[source] Box<Self>),
    /// An attribute's value cannot be carried.
    #[error("the evidence holds a value that cannot be an attribute")]
    Attribute(#[from] AttributeRefused),
    /// The evidence is for somebody else.
    #[error("the evidence is for {found}, this gateway takes only `{expected}`")]
    AudienceMismatch {
        /// The audience that this attestor expects, as the sole one.
        expected: String,
        /// What the evidence names.
        found: String,
    },
    /// A claim is missing or has another type or value than its kind has.
    #[error("claim `{claim}` is {found}, expected {expected}")]
    Claim {
        /// The claim.
        claim: String,
        /// What is there, never the whole token.
        found: String,
        /// What should be.
        expected: String,
    },
    /// The proof of possession does not hold.
    #[error("the DPoP proof does not hold: {reason}")]
    Dpop {
        /// What is wrong with it.
        reason: String,
    },
    /// The event that started the job is refused unless it is named.
    #[error("the job was started by `{found}`, which this attestor takes only if it is listed in `events`")]
    EventForbidden {
        /// The event.
        found: String,
    },
    /// Past its `exp`.
    #[error("the evidence expired {ago:?} ago")]
    Expired {
        /// How long ago.
        ago: Duration,
    },
    /// The Idempotency-Key is too weak to bind evidence to.
    #[error("the Idempotency-Key has {found_bytes} bytes, expected 16 to 255 characters with at least 128 random bits")]
    IdempotencyKeyWeak {
        /// Its length.
        found_bytes: usize,
    },
    /// The issuer's keys cannot be had and the last good ones are too old.
    #[error("the keys of issuer `{issuer}` are not available")]
    IssuerUnavailable {
        /// The configured issuer.
        issuer: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The key that the evidence was made with counts no more, and none took its place.
    #[error("the machine's key has ended: {reason}")]
    KeyEnded {
        /// Why.
        reason: String,
    },
    /// A new key cannot be kept.
    #[error("the key is not kept: {reason}")]
    KeyRefused {
        /// Why.
        reason: String,
    },
    /// Another key took the place of the one that the evidence was made with.
    #[error("a later key took the place of this one of machine `{machine}`")]
    KeySuperseded {
        /// The machine.
        machine: String,
        /// What operators call its registration.
        registration: String,
    },
    /// No attestor that is compiled in takes evidence of this kind; what is configured is nobody's to learn here.
    #[error("evidence of kind `{found}` is not known, expected one of `{expected}`")]
    KindUnknown {
        /// The kind claimed.
        found: String,
        /// The kinds that are compiled in.
        expected: String,
    },
    /// Whether this evidence was used before cannot be asked.
    #[error("the ledger of used evidence is not available")]
    LedgerUnavailable {
        /// Why.
        #[source]
        source: StoreError,
    },
    /// Not even the outer form is right.
    #[error("the evidence is malformed: {reason}")]
    Malformed {
        /// What is wrong with the form.
        reason: String,
    },
    /// Before its `nbf` or `iat`.
    #[error("the evidence is valid only in {ahead:?}")]
    NotYetValid {
        /// How far in the future.
        ahead: Duration,
    },
    /// More bytes than evidence may have.
    #[error("the evidence has {found_bytes} bytes, at most 16384 are taken")]
    Oversized {
        /// Its length.
        found_bytes: usize,
    },
    /// The owner is not one of those configured.
    #[error("the evidence is of owner {found}, which is not in `owners`")]
    OwnerNotAllowed {
        /// Name and id found.
        found: String,
    },
    /// The proof of possession was used before.
    #[error("the DPoP proof was used before")]
    ProofReused,
    /// The evidence was used before and serves once.
    #[error("the evidence was used before")]
    Replayed,
    /// Expired evidence with a proof of possession, of which the ledger knows no first use.
    #[error(
        "the evidence has expired, get a new token from where this one came: it was never used with this key while it was valid"
    )]
    ResumeUnknown,
    /// The cluster's API server does not confirm the token, for example because its pod is gone.
    #[error("the cluster's API server does not confirm the token: {reason}")]
    ReviewRefused {
        /// What its answer lacks.
        reason: String,
    },
    /// The cluster's API server could not be asked, or gave no review.
    #[error("the API server of cluster `{cluster}` cannot be asked about the token")]
    ReviewUnavailable {
        /// The configured cluster.
        cluster: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The attestation that this evidence once gave has ended.
    #[error("the attestation of this evidence has ended")]
    SessionOver,
    /// The evidence is bound to another key than the caller proved.
    #[error("the evidence is bound to another key than the caller proved")]
    Stolen,
    /// Older than this attestor takes.
    #[error("the evidence was issued {age:?} ago, at most {max:?} is taken")]
    TooOld {
        /// Its age.
        age: Duration,
        /// The limit.
        max: Duration,
    },
    /// Unknown issuer, unknown key or bad signature: nothing is proven.
    #[error("the evidence cannot be verified: {reason}")]
    Unverifiable {
        /// For the trail only.
        reason: String,
    },
}

impl AttestRefusal {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Actor(refusal) => refusal.code(),
            Self::Attribute(_) => "attest.attribute_invalid",
            Self::AudienceMismatch { .. } => "attest.audience_mismatch",
            Self::Claim { .. } => "attest.claim_invalid",
            Self::Dpop { .. } => "attest.dpop_invalid",
            Self::EventForbidden { .. } => "attest.event_forbidden",
            Self::Expired { .. } => "attest.evidence_expired",
            Self::IdempotencyKeyWeak { .. } => "attest.idempotency_key_weak",
            Self::IssuerUnavailable { .. } => "issuer.unavailable",
            Self::KeyEnded { .. } => "attest.key_ended",
            Self::KeyRefused { .. } => "attest.key_refused",
            Self::KeySuperseded { .. } => "attest.key_superseded",
            Self::KindUnknown { .. } => "attest.kind_unknown",
            Self::LedgerUnavailable { .. } => "store.unavailable",
            Self::Malformed { .. } => "attest.evidence_malformed",
            Self::NotYetValid { .. } => "attest.evidence_not_yet_valid",
            Self::Oversized { .. } => "attest.evidence_oversized",
            Self::OwnerNotAllowed { .. } => "attest.owner_not_allowed",
            Self::ProofReused => "attest.dpop_reused",
            Self::Replayed => "attest.evidence_replayed",
            Self::ResumeUnknown => "attest.resume_unknown",
            Self::ReviewRefused { .. } => "attest.review_refused",
            Self::ReviewUnavailable { .. } => "attest.review_unavailable",
            Self::SessionOver => "attest.session_over",
            Self::Stolen => "attest.evidence_stolen",
            Self::TooOld { .. } => "attest.evidence_too_old",
            Self::Unverifiable { .. } => "attest.evidence_unverifiable",
        }
    }

    /// Returns whether the evidence's signature held: then the refusal is worth an entry, and the caller may learn why.
    ///
    /// Anything else could be sent by anybody, without limit, and is only counted.
    pub fn is_proven(&self) -> bool {
        match self {
            Self::Actor(refusal) => refusal.is_proven(),
            Self::Attribute(_)
            | Self::AudienceMismatch { .. }
            | Self::Claim { .. }
            | Self::EventForbidden { .. }
            | Self::Expired { .. }
            | Self::KeyEnded { .. }
            | Self::KeyRefused { .. }
            | Self::KeySuperseded { .. }
            | Self::NotYetValid { .. }
            | Self::OwnerNotAllowed { .. }
            | Self::ProofReused
            | Self::Replayed
            | Self::ResumeUnknown
            | Self::ReviewRefused { .. }
            | Self::ReviewUnavailable { .. }
            | Self::SessionOver
            | Self::Stolen
            | Self::TooOld { .. } => true,
            Self::Dpop { .. }
            | Self::IdempotencyKeyWeak { .. }
            | Self::IssuerUnavailable { .. }
            | Self::KindUnknown { .. }
            | Self::LedgerUnavailable { .. }
            | Self::Malformed { .. }
            | Self::Oversized { .. }
            | Self::Unverifiable { .. } => false,
        }
    }
}

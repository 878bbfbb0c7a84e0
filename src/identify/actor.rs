//! Who acts for a workload: the subject of a request together with the workload that presents an actor token.
//!
//! It must never let an actor in by itself: what a pair of subject and actor may have is for grants to say, which name the
//! current actor (RFC 8693 section 4.1).

use super::{Unidentified, Workload};
use crate::{
    attest::{Freshness, MAX_ACTORS, MayAct},
    jose::excerpt,
};

/// Why a workload cannot act for another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActorRefused {
    /// One more actor than a chain may have.
    #[error("`{subject}` is acted for by {MAX_ACTORS} actors already, as many as there may be")]
    ChainTooLong {
        /// For whom.
        subject: String,
    },
    /// The subject's token says that somebody else may act.
    #[error("the subject token lets {expected} act, the actor is {found}")]
    NotAllowed {
        /// Whom `may_act` names.
        expected: String,
        /// Who would act.
        found: String,
    },
    /// The actor's evidence is none that can stand beside another.
    #[error("the actor token of `{actor}` {reason}")]
    Unfit {
        /// Who would act.
        actor: String,
        /// What is wrong with its evidence.
        reason: &'static str,
    },
}

impl ActorRefused {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ChainTooLong { .. } => "identify.actor_chain_too_long",
            Self::NotAllowed { .. } => "identify.actor_not_allowed",
            Self::Unfit { .. } => "identify.actor_unfit",
        }
    }
}

impl Workload {
    /// Lets `actor` act for this workload, in front of whoever does already; what they have ends with the first of them.
    ///
    /// # Errors
    /// Refuses evidence of the actor that serves once, has expired or is itself acted with; an actor that the subject's
    /// `may_act` does not name; and a chain of more than [`MAX_ACTORS`].
    pub fn acted_for_by(self, actor: Self) -> Result<Self, Unidentified> {
        match refusal(&self, &actor) {
            None => Ok(self.with_actor(actor)),
            Some(reason) => Err(Unidentified::Actor {
                attestation: Box::new(self.attestation().clone()),
                reason,
            }),
        }
    }
}

fn refusal(subject: &Workload, actor: &Workload) -> Option<ActorRefused> {
    let unfit = |reason| {
        let actor = actor.spiffe_id().to_string();
        Some(ActorRefused::Unfit { actor, reason })
    };
    let attestation = actor.attestation();
    if attestation.ledger().is_some() {
        return unfit("serves once; expected evidence that stands until it expires, such as a JWT-SVID");
    }
    if attestation.freshness() == Freshness::Expired {
        return unfit("has expired");
    }
    if !actor.actors().is_empty() {
        return unfit("says that somebody acts with it; expected the actor's own");
    }
    if subject.actors().len() >= MAX_ACTORS {
        let subject = subject.spiffe_id().to_string();
        return Some(ActorRefused::ChainTooLong { subject });
    }
    let may_act = subject.attestation().delegation().may_act.as_ref();
    may_act.filter(|may_act| !names(may_act, actor)).map(|may_act| {
        let issuer = may_act
            .issuer
            .as_deref()
            .map(|issuer| format!(" of `{}`", excerpt(issuer)));
        ActorRefused::NotAllowed {
            expected: format!("`{}`{}", excerpt(&may_act.subject), issuer.unwrap_or_default()),
            found: format!(
                "`{}` of `{}`",
                excerpt(attestation.subject()),
                excerpt(attestation.issuer())
            ),
        }
    })
}

/// The issuer of the subject's token knows the actor by its own issuer's name, or by the SPIFFE ID that it has here.
fn names(may_act: &MayAct, actor: &Workload) -> bool {
    let attestation = actor.attestation();
    match &may_act.issuer {
        Some(issuer) => may_act.subject == attestation.subject() && issuer == attestation.issuer(),
        None => may_act.subject == actor.spiffe_id().as_str(),
    }
}

//! Who acts for a workload: the subject of a request together with the workload that presents an actor token.
//!
//! It must never let an actor in by itself: what a pair of subject and actor may have is for grants to say, which name the
//! current actor (RFC 8693 section 4.1).

use super::{Registry, Unidentified, Workload};
use crate::{
    attest::{Attestation, Freshness, MAX_ACTORS, MayAct},
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
    /// No entry names the actor, or the one that matches cannot.
    #[error("the actor token: {reason}")]
    Unnamed {
        /// The code of [`Unidentified`].
        code: &'static str,
        /// What it says.
        reason: String,
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
            Self::Unnamed { code, .. } => code,
        }
    }
}

impl Registry {
    /// Names the subject of a request, and the actor beside it.
    ///
    /// # Errors
    /// Refuses as [`Registry::identify`] and [`Workload::acted_for_by`] do.
    pub fn identify_both(&self, subject: Attestation, actor: Option<Attestation>) -> Result<Workload, Unidentified> {
        let subject = self.identify(subject)?;
        let Some(actor) = actor else {
            return Ok(subject);
        };
        match self.identify(actor) {
            Ok(actor) => subject.acted_for_by(actor),
            Err(unnamed) => Err(Unidentified::Actor {
                subject: Box::new(subject),
                actor: Box::new(unnamed.attestation().clone()),
                reason: ActorRefused::Unnamed {
                    code: unnamed.code(),
                    reason: unnamed.to_string(),
                },
            }),
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
                subject: Box::new(self),
                actor: Box::new(actor.attestation().clone()),
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
        return unfit("has expired; expected evidence that is valid");
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        identify::sample::{github_job, now},
        spiffe::SpiffeId,
    };

    fn subject() -> Workload {
        github_job().workload("shop-deploy", "/ci/acme/shop/deploy")
    }

    fn agent(nth: usize) -> Workload {
        github_job().workload("agent", &format!("/agent/{nth}"))
    }

    #[test]
    fn tx_18_the_last_to_act_is_the_current_actor() {
        let acted = subject()
            .acted_for_by(agent(1))
            .unwrap()
            .acted_for_by(agent(2))
            .unwrap();

        let paths: Vec<&str> = acted.actors().iter().map(SpiffeId::path).collect();
        assert_eq!(paths, ["/agent/2", "/agent/1"]);
        assert_eq!(acted.spiffe_id().path(), "/ci/acme/shop/deploy");
        assert_eq!(acted.actor().unwrap().spiffe_id().path(), "/agent/2");
    }

    #[test]
    fn tm_31_takes_3_actors_and_refuses_a_fourth() {
        let three = (0..3)
            .try_fold(subject(), |acted, nth| acted.acted_for_by(agent(nth)))
            .unwrap();

        let refused = three.acted_for_by(agent(3)).unwrap_err();

        assert_eq!(refused.code(), "identify.actor_chain_too_long");
    }

    #[test]
    fn an_actor_whose_evidence_has_expired_is_refused() {
        let expired = github_job().expired().workload("agent", "/agent/1");

        let refused = subject().acted_for_by(expired).unwrap_err();

        assert_eq!(refused.code(), "identify.actor_unfit", "{refused}");
    }

    #[test]
    fn the_standing_ends_with_that_of_the_actor_and_never_moves_later() {
        let standing = |left: u64| {
            github_job()
                .standing(Duration::from_secs(left))
                .workload("agent", "/agent/1")
        };
        let until = |acted: &Workload| {
            acted
                .attestation()
                .stands_until()
                .duration_since(now())
                .unwrap()
                .as_secs()
        };

        assert_eq!(until(&subject().acted_for_by(standing(60)).unwrap()), 60);
        assert_eq!(until(&standing(30).acted_for_by(standing(60)).unwrap()), 30);
    }
}

//! What an exchange ends in; a credential or a recorded refusal can be read only once its entry is durable.

use std::{sync::Arc, time::SystemTime};

use rustls::pki_types::CertificateDer;

use crate::{
    attest::{AttestRefusal, ExchangeId},
    audit::{Draft, TrailError, entry::denial_digest},
    authorize::Denial,
    exchange::{CloudCredential, CloudRefusal},
    gateway::{Request, ask::NotOffered, leg, rate::Exceeded},
    identify::{Unidentified, Workload},
    mint::MintRefusal,
    secret::{NoRandomness, Secret},
    store::{Committed, NotCommitted, Released, Unreleased},
};

/// What one request ended in.
#[derive(Debug)]
pub struct Answer {
    /// The request's id; `None` where not even an id could be drawn.
    pub exchange_id: Option<ExchangeId>,
    /// The workload, once it is known.
    pub spiffe_id: Option<String>,
    /// One result for each relying party asked for, in that order; one without a name where the request failed whole.
    pub results: Vec<(Option<String>, Given)>,
}

/// What one relying party's part of a request ended in.
pub type Given = Result<Released<Granted>, Refused>;

/// What a workload may take away.
#[derive(Clone, Debug)]
pub struct Granted {
    /// The relying party's kind.
    pub kind: &'static str,
    /// The SVID's subject, which differs from the workload's SPIFFE ID where the relying party shapes it.
    pub subject: String,
    /// The credential or the SVID.
    pub form: Form,
    /// The OAuth scope of a bearer token.
    pub scope: Option<String>,
}

/// In which form.
#[derive(Clone, Debug)]
pub enum Form {
    /// The relying party's native credential.
    Credential(Arc<CloudCredential>),
    /// The SVID itself.
    Svid {
        /// The compact JWT-SVID.
        token: Secret,
        /// Its `exp`.
        expires: SystemTime,
    },
    /// The X.509-SVID itself.
    X509Svid(Box<X509Form>),
}

/// An X.509-SVID for a key of the workload.
#[derive(Clone, Debug)]
pub struct X509Form {
    /// The certificates: its own first, then what leads to the root, never the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its serial number, big-endian.
    pub serial: Vec<u8>,
    /// Its end.
    pub expires: SystemTime,
}

/// Nothing was given.
#[derive(Debug)]
pub enum Refused {
    /// The refusal is in the trail.
    Recorded(Released<Cause>),
    /// Nothing was proven that would be worth an entry, or no entry could be written.
    Unrecorded(Cause),
}

impl Refused {
    /// Returns why.
    pub fn cause(&self) -> &Cause {
        match self {
            Self::Recorded(cause) => cause.get(),
            Self::Unrecorded(cause) => cause,
        }
    }
}

/// Why nothing was given: the refusal of one of the six steps.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Step 1.
    #[error(transparent)]
    Attest(#[from] AttestRefusal),
    /// Step 6.
    #[error(transparent)]
    Audit(#[from] TrailError),
    /// Step 3.
    #[error(transparent)]
    Authorize(#[from] Denial),
    /// Step 5.
    #[error(transparent)]
    Exchange(#[from] CloudRefusal),
    /// Step 2.
    #[error(transparent)]
    Identify(#[from] Unidentified),
    /// Step 4.
    #[error(transparent)]
    Mint(#[from] MintRefusal),
    /// Between two steps: something was to be opened that no entry names.
    #[error(transparent)]
    NotCommitted(#[from] NotCommitted),
    /// After step 3: the relying party does not have what was asked for.
    #[error(transparent)]
    NotOffered(#[from] NotOffered),
    /// Between steps 2 and 3: this workload asks more often than any may.
    #[error("the workload asks more than {per_second} times a second")]
    RateLimited {
        /// The sustained rate.
        per_second: u32,
        /// When to try again.
        retry_after_seconds: u64,
    },
    /// Before step 1.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl From<Exceeded> for Cause {
    fn from(exceeded: Exceeded) -> Self {
        let Exceeded {
            per_second,
            retry_after_seconds,
        } = exceeded;
        Self::RateLimited {
            per_second,
            retry_after_seconds,
        }
    }
}

impl Cause {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Attest(refusal) => refusal.code(),
            Self::Audit(refusal) => refusal.code(),
            Self::Authorize(denial) => denial.code(),
            Self::Exchange(refusal) => refusal.code(),
            Self::Identify(refusal) => refusal.code(),
            Self::Mint(refusal) => refusal.code(),
            Self::NotCommitted(_) => "store.unavailable",
            Self::NotOffered(refusal) => refusal.code(),
            Self::RateLimited { .. } => "request.rate_limited",
            Self::Randomness(_) => "mint.randomness_unavailable",
        }
    }

    /// Returns the whole chain of reasons, for the trail.
    pub fn detail(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(reason) = source {
            text.push_str(": ");
            text.push_str(&reason.to_string());
            source = reason.source();
        }
        text
    }
}

/// A denial that waits for its entry.
#[derive(Debug)]
pub(super) struct Denied {
    relying_party: Option<String>,
    cause: Unreleased<Cause>,
}

impl Denied {
    pub(super) fn new(id: &ExchangeId, relying_party: Option<&str>, cause: Cause) -> Self {
        let digest = denial_digest(id.as_str(), relying_party, cause.code());
        Self {
            relying_party: relying_party.map(str::to_owned),
            cause: Unreleased::new(cause, digest),
        }
    }

    /// Completes the entry about it.
    pub(super) fn entry(&self, draft: Draft) -> Draft {
        let cause = self.cause.describe();
        let draft = match &self.relying_party {
            Some(name) => draft.at(name),
            None => draft,
        };
        draft
            .refused(cause.code(), &cause.detail())
            .opening(self.cause.digest())
    }

    pub(super) fn released(self, committed: &Committed) -> Refused {
        match self.cause.released(committed) {
            Ok(cause) => Refused::Recorded(cause),
            Err(missing) => Refused::Unrecorded(missing.into()),
        }
    }
}

impl Answer {
    /// The request failed whole and there is no entry about it.
    pub(super) fn failed(id: Option<&ExchangeId>, cause: impl Into<Cause>) -> Self {
        let results = vec![(None, Err(Refused::Unrecorded(cause.into())))];
        Self {
            exchange_id: id.cloned(),
            spiffe_id: None,
            results,
        }
    }

    /// The request was denied whole.
    pub(super) fn denied(id: &ExchangeId, denied: Denied, committed: &Committed) -> Self {
        let results = vec![(None, Err(denied.released(committed)))];
        Self {
            exchange_id: Some(id.clone()),
            spiffe_id: None,
            results,
        }
    }

    /// The ledger refused the evidence; the trail holds one denial for each relying party asked for.
    pub(super) fn refused(id: &ExchangeId, refusal: AttestRefusal, request: &Request, committed: &Committed) -> Self {
        let listed = request
            .wanted
            .iter()
            .map(|ask| Some(ask.relying_party.as_str()))
            .chain([None]);
        let digest = listed
            .map(|name| denial_digest(id.as_str(), name, refusal.code()))
            .find(|digest| committed.lists(digest))
            .unwrap_or_else(|| denial_digest(id.as_str(), None, refusal.code()));
        let denied = Denied {
            relying_party: None,
            cause: Unreleased::new(refusal.into(), digest),
        };
        Self::denied(id, denied, committed)
    }

    /// Every relying party has its own result.
    pub(super) fn of(id: &ExchangeId, workload: &Workload, results: Vec<leg::Result>) -> Self {
        let results = results.into_iter().map(|(name, result)| (Some(name), result)).collect();
        Self {
            exchange_id: Some(id.clone()),
            spiffe_id: Some(workload.spiffe_id().as_str().to_owned()),
            results,
        }
    }
}

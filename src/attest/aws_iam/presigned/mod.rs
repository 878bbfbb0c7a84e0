//! Principals by a URL that they signed and AWS answers: `GetCallerIdentity`, over a challenge of ours.
//!
//! It must never ask anywhere but at the STS of a configured region, and never take from the caller what AWS has to say.
//! Whoever gets at such a URL can only have AWS tell us who signed this very challenge.

mod answer;
pub mod arn;
mod endpoint;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod judge;
mod request;
#[cfg(feature = "dev")]
pub mod sim;

use std::{collections::BTreeMap, time::SystemTime};

pub use answer::AnswerRefused;
pub use judge::{ATTRIBUTES, Presigned};
pub use request::RequestRefused;
use tokio::sync::Semaphore;

use self::{answer::Answer, arn::Arn, endpoint::Endpoint, request::Request};
use crate::{
    attest::{AttestRefusal, Challenge, Challenges},
    fetch::{AddressBlock, Fetch, FetchFailed, Origin, OriginRefused, OriginSettings},
    secret::Secret,
};

/// Asks AWS who signed a URL.
#[derive(Debug)]
pub struct Sts {
    /// By host.
    origins: BTreeMap<String, Asked>,
    /// Whoever has a challenge can have AWS asked: so many questions at a time and no more.
    places: Semaphore,
}

/// Where a host is asked.
#[derive(Debug)]
struct Asked {
    origin: Origin,
    /// Scheme, host and port, without a slash.
    base: String,
}

/// Another place to ask than AWS itself, for a simulated one.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere<'a> {
    /// Its URL, without a path.
    pub url: &'a str,
    /// The only certificate authorities that are trusted for it, as PEM.
    pub authorities_pem: Option<&'a [u8]>,
    /// Its addresses, where they are not public.
    pub allow_addresses: &'a [AddressBlock],
}

impl Sts {
    /// Makes the clients of the STS of `regions`; every one of their hosts is asked `elsewhere` if that is given.
    ///
    /// # Errors
    /// Refuses regions that are not known, and what no client can be made of.
    pub fn new(fetch: &Fetch, regions: &[String], elsewhere: Option<Elsewhere<'_>>) -> Result<Self, StsRefused> {
        let mut origins = BTreeMap::new();
        for region in regions {
            let endpoints = endpoint::of_region(region);
            if endpoints.is_empty() {
                return Err(StsRefused::Region { found: region.clone() });
            }
            for Endpoint { host, .. } in endpoints {
                let url = format!("https://{host}");
                let settings = elsewhere.map_or(
                    OriginSettings {
                        url: &url,
                        authorities_pem: None,
                        allow_addresses: &[],
                    },
                    |elsewhere| OriginSettings {
                        url: elsewhere.url,
                        authorities_pem: elsewhere.authorities_pem,
                        allow_addresses: elsewhere.allow_addresses,
                    },
                );
                let origin = fetch.origin(&settings).map_err(StsRefused::Origin)?;
                let base = origin.name().to_owned();
                origins.insert(host, Asked { origin, base });
            }
        }
        let places = Semaphore::new(MAX_QUESTIONS);
        Ok(Self { origins, places })
    }

    /// Has AWS say who signed the evidence, over a challenge of ours that still stands.
    ///
    /// # Errors
    /// Refuses what is out of order before anybody is asked, and what AWS does not confirm. Nothing is proven by then.
    pub async fn confirm(
        &self,
        evidence: &Secret,
        challenges: &Challenges,
        now: SystemTime,
    ) -> Result<Confirmed, AttestRefusal> {
        let request = Request::read(evidence.expose(), now).map_err(|refused| refusal(&refused))?;
        let challenge = challenges
            .open(&request.challenge_unverified, now)
            .map_err(|refused| unverifiable(&refused))?;
        let asked = self.origins.get(&request.endpoint.host);
        let asked = asked.ok_or_else(|| AttestRefusal::Unverifiable {
            reason: format!("host `{}` is not of a configured region", request.endpoint.host),
        })?;
        let place = self.places.try_acquire();
        let _place = place.map_err(|full| unavailable(&request.endpoint, full))?;
        let answer = asked.ask(&request, &challenge).await?;
        Ok(Confirmed {
            arn: answer.arn,
            unique_id: answer.unique_id,
            region: request.endpoint.region,
            challenge,
        })
    }
}

impl Asked {
    async fn ask(&self, request: &Request, challenge: &Challenge) -> Result<Answer, AttestRefusal> {
        let url = format!("{}{}", self.base, request.path_and_query);
        let headers = [
            ("host", request.endpoint.host.as_str()),
            (CHALLENGE_HEADER, challenge.as_str()),
        ];
        match self.origin.ask(&url, &headers).await {
            Ok(answer) => Answer::read(&answer.bytes, request.endpoint.partition)
                .map_err(|refused| unavailable(&request.endpoint, refused)),
            // What AWS says of a signature that is not good, or of a key that it does not know.
            Err(FetchFailed::Status { status: 403, .. }) => Err(AttestRefusal::Unverifiable {
                reason: "AWS does not take the URL's signature".to_owned(),
            }),
            Err(failed) => Err(unavailable(&request.endpoint, failed)),
        }
    }
}

/// Who AWS says signed a challenge of ours: the TLS answer of a pinned origin (invariant 5).
///
/// Only [`Sts::confirm`] makes one.
#[derive(Clone, Debug)]
pub struct Confirmed {
    arn: Arn,
    unique_id: String,
    region: &'static str,
    challenge: Challenge,
}

impl Confirmed {
    /// Returns the principal's ARN; its account is the answer's as well.
    pub fn arn(&self) -> &Arn {
        &self.arn
    }

    /// Returns the id that is never given to another principal: `AROA..`, `AIDA..`, or the account's.
    pub fn unique_id(&self) -> &str {
        &self.unique_id
    }

    /// Returns the region whose STS answered.
    pub fn region(&self) -> &'static str {
        self.region
    }

    /// Returns the challenge: the token id of this evidence, which serves once, and its end.
    pub fn challenge(&self) -> &Challenge {
        &self.challenge
    }
}

/// Returns the host of a region's own STS; `None` for a region that is not known.
pub fn host_of_region(region: &str) -> Option<String> {
    endpoint::of_region(region)
        .into_iter()
        .next()
        .map(|endpoint| endpoint.host)
}

/// Writes evidence: a challenge, and the URL that was signed over it.
pub fn written(challenge: &str, url: &str) -> Secret {
    Secret::new(request::written(challenge, url))
}

/// Tells whether evidence says that it is of this form, so that another is somebody else's.
pub fn is_announced(evidence: &Secret) -> bool {
    request::is_announced(evidence.expose())
}

/// Refuses what has not even the outer form; it answers from the bytes alone.
///
/// # Errors
/// Returns a refusal that repeats none of them.
pub fn form(evidence: &Secret) -> Result<(), AttestRefusal> {
    request::parted(evidence.expose())
        .map(|_parts| ())
        .map_err(|refused| refusal(&refused))
}

fn refusal(refused: &RequestRefused) -> AttestRefusal {
    if refused.is_of_form() {
        return AttestRefusal::Malformed {
            reason: refused.to_string(),
        };
    }
    unverifiable(refused)
}

fn unverifiable(refused: &dyn std::error::Error) -> AttestRefusal {
    AttestRefusal::Unverifiable {
        reason: refused.to_string(),
    }
}

fn unavailable(endpoint: &Endpoint, why: impl std::error::Error + Send + Sync + 'static) -> AttestRefusal {
    AttestRefusal::IssuerUnavailable {
        issuer: endpoint.host.clone(),
        source: Box::new(why),
    }
}

/// AWS cannot be asked as it is configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StsRefused {
    /// No client can be made.
    #[error("no client of AWS STS can be made")]
    Origin(#[source] OriginRefused),
    /// The region is not known.
    #[error("found region `{found}`, expected one that this version knows, such as `eu-central-1`")]
    Region {
        /// What was found.
        found: String,
    },
}

/// How many questions may be under way: AWS takes about 50 a second of an account [M], and answers in less than one.
const MAX_QUESTIONS: usize = 32;

/// The header that the signature covers besides `host`.
pub const CHALLENGE_HEADER: &str = "x-cambio-challenge";

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests;

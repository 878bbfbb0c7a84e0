//! The relying party kind `aws_roles_anywhere`: a role in AWS that trusts our X.509 authority through IAM Roles Anywhere.
//!
//! One exchange is one CreateSession, signed by a key that is made for it and never leaves. Nothing here decides who may;
//! the permission does.

mod config;
mod request;
mod response;
pub mod rules;
#[cfg(feature = "dev")]
pub mod sim;
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::pki_types::CertificateDer;

use self::{
    config::{Configuration, Settings},
    request::{Asked, Sessions, signature::Signer},
    response::Expected,
    rules::{Refusal, certificate::EndEntity, limits, session},
};
use super::{
    Builtin, CloudCredential, CloudRefusal, Exchanged, RelyingParty, RelyingPartyContext, aws::role_session,
    budget::Upstream,
};
use crate::{
    attest::Misconfigured,
    authorize::{Permission, RelyingPartyName, Terms},
    mint::{EXCHANGED_SVID_LIFE, NotSigned, SubjectKey, Svid, SvidShape, X509Shape, X509Svid},
    secret::Digest,
    store::Unreleased,
};

/// The kind `aws_roles_anywhere`.
pub const BUILTIN: Builtin = Builtin {
    kind: KIND,
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    configure,
    #[cfg(feature = "dev")]
    sim: Some(sim::seed),
};

/// The configuration's `kind`, also the beginning of its budget's name.
const KIND: &str = "aws_roles_anywhere";
/// The cloud's name in refusals.
const CLOUD: &str = "AWS Roles Anywhere";
/// LIMITS.md: 10 calls a second an account and region. Source: clouds.md 2.1 [D RA-guide quotas].
const CALLS_PER_SECOND: u32 = 10;

#[derive(Debug)]
struct AwsRolesAnywhere {
    name: RelyingPartyName,
    terms: Terms,
    settings: Settings,
    /// Stands for endpoint and authority in the digest of a request.
    endpoint: Digest,
    sessions: Sessions,
}

fn configure(context: RelyingPartyContext, table: toml::Table) -> Result<Arc<dyn RelyingParty>, Misconfigured> {
    let configuration = Configuration::read(&context.trust_domain, table)?;
    let endpoint = Digest::of_parts(&[
        configuration.endpoint.origin.as_bytes(),
        configuration.ca_pem.as_deref().unwrap_or_default(),
    ]);
    let certificates = configuration.ca_pem.as_deref().map(|pem| {
        reqwest::Certificate::from_pem_bundle(pem)
            .map_err(|why| config::invalid("ca_file", &format!("not PEM: {why}")))
            .and_then(|certificates| match certificates.as_slice() {
                [] => Err(config::invalid(
                    "ca_file",
                    "found no certificate, expected at least one in PEM",
                )),
                [_, ..] => Ok(certificates),
            })
    });
    let sessions = Sessions::new(configuration.endpoint, certificates.transpose()?)
        .map_err(|why| config::invalid("ca_file", &format!("the TLS client cannot be made: {why}")))?;
    Ok(Arc::new(AwsRolesAnywhere {
        name: context.name,
        terms: configuration.terms,
        settings: configuration.settings,
        endpoint,
        sessions,
    }))
}

impl RelyingParty for AwsRolesAnywhere {
    fn name(&self) -> &RelyingPartyName {
        &self.name
    }

    fn kind(&self) -> &'static str {
        KIND
    }

    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn shape(&self, _permission: &Permission) -> Result<SvidShape, CloudRefusal> {
        Ok(SvidShape::X509(X509Shape {
            key: SubjectKey::Generated(self.settings.key.kind()),
            dns_names: Vec::new(),
            life: EXCHANGED_SVID_LIFE,
        }))
    }

    fn request_digest(&self, permission: &Permission) -> Option<Digest> {
        Some(self.settings.digest(permission.subject().as_str(), self.endpoint))
    }

    fn upstream(&self) -> Option<Upstream> {
        Some(Upstream {
            key: format!("{KIND}/{}/{}", self.settings.role.account, self.settings.region),
            per_second: CALLS_PER_SECOND,
        })
    }

    fn scope(&self) -> Option<&str> {
        None
    }

    fn exchange(&self, svid: Svid, now: SystemTime) -> Pin<Box<dyn Future<Output = Exchanged> + Send + '_>> {
        Box::pin(async move {
            let svid = match svid {
                Svid::Jwt(svid) => return Err(CloudRefusal::wrong_form(CLOUD, svid.permission())),
                Svid::X509(svid) => svid,
            };
            match self.create(&svid, now).await {
                Ok(credential) => {
                    let digest = credential.digest();
                    Ok(Unreleased::new(credential, digest))
                }
                Err(refusal) => {
                    let exchange_id = svid.permission().exchange_id().as_str();
                    let digest = refusal.digest(exchange_id, self.name.as_str());
                    Err(Unreleased::new(refusal, digest))
                }
            }
        })
    }
}

impl AwsRolesAnywhere {
    async fn create(&self, svid: &X509Svid, now: SystemTime) -> Result<CloudCredential, CloudRefusal> {
        let permission = svid.permission();
        let name = session_name(permission.workload().entry().as_str(), permission.exchange_id().short());
        let call = Call {
            chain: svid.chain(),
            serial: svid.serial(),
            session_name: Some(name).filter(|_| self.settings.role_session_name),
            duration: permission.lifetime(),
        };
        call.make(
            &self.sessions,
            &self.settings,
            (|message: &[u8]| svid.sign(message), now),
        )
        .await
    }
}

/// Returns `<entry>@<first 12 of the exchange id>`; the entry is cut where 64 characters would not do.
fn session_name(entry: &str, short_exchange_id: &str) -> String {
    let suffix = format!("@{short_exchange_id}");
    let room = role_session::ROLE_SESSION_NAME.end().saturating_sub(suffix.len());
    entry.chars().take(room).chain(suffix.chars()).collect()
}

/// What is particular to one call.
#[derive(Clone, Debug)]
struct Call<'a> {
    chain: &'a [CertificateDer<'static>],
    serial: &'a [u8],
    session_name: Option<String>,
    duration: Duration,
}

impl Call<'_> {
    /// Holds the call against the rules, signs and makes it, and holds the answer against the call.
    async fn make(
        &self,
        sessions: &Sessions,
        settings: &Settings,
        (sign, now): (impl FnOnce(&[u8]) -> Result<Vec<u8>, NotSigned>, SystemTime),
    ) -> Result<CloudCredential, CloudRefusal> {
        self.preflight(now).map_err(|refusal| preflight(&refusal))?;
        let asked = Asked {
            profile_arn: &settings.profile_arn,
            role_arn: &settings.role_arn,
            trust_anchor_arn: &settings.trust_anchor_arn,
            session_name: self.session_name.as_deref(),
            duration: self.duration,
        };
        let (query, body) = (asked.query(), asked.body());
        let identity = Signer {
            chain: self.chain,
            serial: self.serial,
            algorithm: settings.key.algorithm(),
        };
        let signed = sessions
            .endpoint()
            .unsigned((&query, &body), now)
            .sign(identity, sign)
            .map_err(|why| CloudRefusal::Preflight {
                cloud: CLOUD,
                code: rules::Code::AccessDenied.name().to_owned(),
                problem: format!("the request cannot be signed: {why}"),
            })?;
        let answer = sessions.create(&signed, body).await?;
        let by_serial = session::hex_serial(self.serial);
        let expected = Expected {
            role_arn: &settings.role_arn,
            role: &settings.role,
            session_name: self.session_name.as_ref().unwrap_or(&by_serial),
            duration: self.duration,
        };
        response::credential(&answer, expected, now)
    }

    fn preflight(&self, now: SystemTime) -> Result<(), Refusal> {
        let own = self.chain.first().map_or(&[][..], |own| own.as_ref());
        EndEntity::read(own)?.timely(now)?;
        let intermediates = self.chain.len().saturating_sub(1);
        if intermediates > limits::CHAIN_DEPTH {
            return Err(Refusal::certificate(format!(
                "{intermediates} certificates lie between, expected at most {}",
                limits::CHAIN_DEPTH
            )));
        }
        self.session_name.as_deref().map_or(Ok(()), limits::session_name)?;
        limits::duration(i64::try_from(self.duration.as_secs()).unwrap_or(i64::MAX))
    }
}

fn preflight(refusal: &Refusal) -> CloudRefusal {
    let detail = refusal
        .detail
        .as_ref()
        .map_or_else(String::new, |detail| format!(" ({detail})"));
    CloudRefusal::Preflight {
        cloud: CLOUD,
        code: refusal.code.name().to_owned(),
        problem: format!("{}{detail}", refusal.message),
    }
}

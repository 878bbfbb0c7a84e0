//! The relying party kind `aws_sts`: a role in AWS that trusts us as its OIDC provider.
//!
//! One exchange is one AssumeRoleWithWebIdentity. Nothing here decides who may; the permission does.

mod config;
mod request;
mod response;
pub mod rules;
mod session;
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

use self::{
    config::Settings,
    request::{Asked, Sts},
    response::Expected,
    rules::{limits, token},
    session::Holder,
};
use super::{
    Builtin, CloudCredential, CloudRefusal, Exchanged, RelyingParty, RelyingPartyContext,
    aws::{Refusal, arn},
    budget::Upstream,
};
use crate::{
    attest::Misconfigured,
    authorize::{Permission, RelyingPartyName, Terms},
    mint::{EXCHANGED_SVID_LIFE, JwtShape, JwtSvid, Svid, SvidShape},
    secret::{Digest, Secret},
    store::Unreleased,
};

/// The kind `aws_sts`.
pub const BUILTIN: Builtin = Builtin {
    kind: "aws_sts",
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    configure,
    #[cfg(feature = "dev")]
    sim: Some(sim::seed),
};

/// LIMITS.md: 50 calls a second an account `[M]`.
const CALLS_PER_SECOND: u32 = 50;

#[derive(Debug)]
struct AwsSts {
    name: RelyingPartyName,
    terms: Terms,
    settings: Settings,
    /// Stands for endpoint and authority in the digest of a request.
    endpoint: Digest,
    sts: Sts,
}

fn configure(context: RelyingPartyContext, table: toml::Table) -> Result<Arc<dyn RelyingParty>, Misconfigured> {
    let (settings, terms, endpoint) = config::read(&context.issuer, table)?;
    let sts = Sts::new(&endpoint).map_err(|why| Misconfigured {
        code: "config.value_invalid",
        key: "ca_file".to_owned(),
        problem: format!("no TLS context can be made: {why}"),
    })?;
    let endpoint = Digest::of_parts(&[
        endpoint.region.as_bytes(),
        endpoint.url.as_deref().unwrap_or_default().as_bytes(),
        endpoint.ca_pem.as_deref().unwrap_or_default(),
    ]);
    Ok(Arc::new(AwsSts {
        name: context.name,
        terms,
        settings,
        endpoint,
        sts,
    }))
}

impl RelyingParty for AwsSts {
    fn name(&self) -> &RelyingPartyName {
        &self.name
    }

    fn kind(&self) -> &'static str {
        BUILTIN.kind
    }

    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn shape(&self, permission: &Permission) -> Result<SvidShape, CloudRefusal> {
        let claims = holder(permission)
            .claims(&self.settings, permission.exchange_id().as_str())
            .map_err(|refusal| preflight(&refusal))?;
        Ok(SvidShape::Jwt(JwtShape {
            algorithm: self.settings.algorithm,
            claims,
            life: EXCHANGED_SVID_LIFE,
        }))
    }

    fn request_digest(&self, permission: &Permission) -> Option<Digest> {
        Some(self.settings.digest(&holder(permission), self.endpoint))
    }

    fn upstream(&self) -> Option<Upstream> {
        Some(Upstream {
            key: format!("{}/{}", BUILTIN.kind, self.settings.role.account),
            per_second: CALLS_PER_SECOND,
        })
    }

    fn scope(&self) -> Option<&str> {
        None
    }

    fn exchange(&self, svid: Svid, now: SystemTime) -> Pin<Box<dyn Future<Output = Exchanged> + Send + '_>> {
        Box::pin(async move {
            let svid = match svid {
                Svid::Jwt(svid) => svid,
                Svid::X509(svid) => return Err(CloudRefusal::wrong_form("aws_sts", svid.permission())),
            };
            match self.assume(&svid, now).await {
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

impl AwsSts {
    async fn assume(&self, svid: &JwtSvid, now: SystemTime) -> Result<CloudCredential, CloudRefusal> {
        let permission = svid.permission();
        let session_name = holder(permission).role_session_name(permission.exchange_id().short());
        let call = Call {
            session_name: &session_name,
            token: svid.token(),
            duration: permission.lifetime(),
        };
        call.make(&self.sts, &self.settings, (&self.terms.audience, now)).await
    }
}

fn holder(permission: &Permission) -> Holder<'_> {
    let workload = permission.workload();
    Holder {
        entry: workload.entry().as_str(),
        spiffe_id: workload.spiffe_id().as_str(),
        attributes: workload.attestation().attributes(),
    }
}

/// What is particular to one call.
#[derive(Clone, Copy, Debug)]
struct Call<'a> {
    session_name: &'a str,
    token: &'a Secret,
    duration: Duration,
}

impl Call<'_> {
    /// Holds the call against the rules, makes it, and holds the answer against the call.
    async fn make(
        &self,
        sts: &Sts,
        settings: &Settings,
        (audience, now): (&String, SystemTime),
    ) -> Result<CloudCredential, CloudRefusal> {
        self.preflight(settings, audience, now)
            .map_err(|refusal| preflight(&refusal))?;
        let asked = Asked {
            role_arn: &settings.role_arn,
            session_name: self.session_name,
            token: self.token,
            policy: settings.session_policy.as_deref(),
            policy_arns: &settings.policy_arns,
            duration: self.duration,
        };
        let output = sts.assume(asked).await.map_err(|failure| response::refusal(&failure))?;
        let arn::RoleArn {
            partition,
            account,
            name,
        } = &settings.role;
        let assumed_role_arn = format!(
            "arn:{partition}:sts::{account}:assumed-role/{name}/{}",
            self.session_name
        );
        let expected = Expected {
            assumed_role_arn: &assumed_role_arn,
            duration: self.duration,
        };
        response::credential(&output, expected, now)
    }

    fn preflight(&self, settings: &Settings, audience: &String, now: SystemTime) -> Result<(), Refusal> {
        limits::request(&limits::Request {
            role_arn: Some(&settings.role_arn),
            role_session_name: Some(self.session_name),
            web_identity_token: Some(self.token.expose()),
            policy_arns: &settings.policy_arns,
            policy: settings.session_policy.as_deref(),
            duration_seconds: Some(i64::try_from(self.duration.as_secs()).unwrap_or(i64::MAX)),
            ..limits::Request::default()
        })?;
        let (header, claims) = token::split_unverified(self.token.expose())?;
        token::check(&header, &claims, std::slice::from_ref(audience), now)
    }
}

fn preflight(refusal: &Refusal) -> CloudRefusal {
    let detail = refusal
        .detail
        .as_ref()
        .map_or_else(String::new, |detail| format!(" ({detail})"));
    CloudRefusal::Preflight {
        cloud: "AWS STS",
        code: refusal.code.name().to_owned(),
        problem: format!("{}{detail}", refusal.message),
    }
}

//! The relying party kind `gcp_sts`: Google Cloud's workload identity federation.
//!
//! One exchange is a token exchange at Google's token service and, where configured, the impersonation of a service
//! account. `rules` say what Google accepts, `sim` is Google's side of the wire for tests and development.
//! Nothing here keeps a token: what is held is held by the exchange's own key.

mod certified;
mod configuration;
mod federated;
mod preflight;
mod request;
mod response;
pub mod rules;
#[cfg(feature = "dev")]
pub mod sim;

#[cfg(feature = "dev")]
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    attest::Misconfigured,
    authorize::{LifetimeMode, Permission, RelyingPartyName, Terms},
    clock::Clock,
    exchange::{
        Builtin, CloudCredential, CloudRefusal, Exchanged, RelyingParty, RelyingPartyContext,
        budget::Upstream,
        gcp_sts::{
            configuration::{Configuration, Form, Impersonated},
            federated::Federated,
            request::{Google, SubjectToken},
            rules::{limits::ACCESS_TOKEN_SECONDS, provider::ProviderName},
        },
    },
    mint::{
        EXCHANGED_SVID_LIFE, JwtShape, JwtSvid, SubjectKey, Svid, SvidShape, X509KeyAlgorithm, X509Shape, X509Svid,
    },
    secret::Digest,
    store::Unreleased,
};

/// The kind `gcp_sts`.
pub const BUILTIN: Builtin = Builtin {
    kind: KIND,
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    configure,
    #[cfg(feature = "dev")]
    sim: Some(sim::seed),
};

/// One provider of a workload identity pool, perhaps with one service account.
#[derive(Debug)]
struct GcpSts {
    name: RelyingPartyName,
    terms: Terms,
    issuer: String,
    provider: ProviderName,
    scope: String,
    form: Form,
    impersonated: Option<Impersonated>,
    google: Google,
    clock: Arc<dyn Clock>,
}

/// An SVID as it is exchanged, and what was permitted with it.
#[derive(Debug)]
struct Presented<'a> {
    subject: SubjectToken<'a>,
    ends: SystemTime,
    lifetime: Duration,
}

impl<'a> Presented<'a> {
    fn of_token(svid: &'a JwtSvid) -> Self {
        Self {
            subject: SubjectToken::Jwt(svid.token()),
            ends: svid.expires(),
            lifetime: svid.permission().lifetime(),
        }
    }

    fn of_certificate(svid: &X509Svid) -> Result<Self, CloudRefusal> {
        Ok(Self {
            subject: certified::subject_token(svid)?,
            ends: svid.expires(),
            lifetime: svid.permission().lifetime(),
        })
    }
}

impl GcpSts {
    /// Holds an SVID of the configured form against Google's rules and exchanges it.
    async fn present(&self, svid: &Svid, now: SystemTime) -> Result<CloudCredential, CloudRefusal> {
        match (svid, self.form) {
            (Svid::Jwt(svid), Form::Jwt(_)) => self.fetch(&Presented::of_token(svid), now).await,
            (Svid::X509(svid), Form::X509) => {
                let own = svid.chain().first().map_or(&[][..], |own| own.as_ref());
                preflight::certificate(own, svid.spiffe_id().as_str(), now)?;
                self.fetch(&Presented::of_certificate(svid)?, now).await
            }
            (Svid::Jwt(_), Form::X509) | (Svid::X509(_), Form::Jwt(_)) => Err(CloudRefusal::Preflight {
                cloud: CLOUD,
                code: "svid_form".to_owned(),
                problem: "the SVID is not of the form that is configured".to_owned(),
            }),
        }
    }

    /// Exchanges what is presented, and impersonates the service account where there is one.
    async fn fetch(&self, presented: &Presented<'_>, now: SystemTime) -> Result<CloudCredential, CloudRefusal> {
        if let SubjectToken::Jwt(svid) = &presented.subject {
            preflight::check(svid, &self.issuer, &self.provider, now)?;
        }
        let Some(impersonated) = &self.impersonated else {
            let token = self
                .google
                .federate(&self.provider, &self.scope, &presented.subject, now)
                .await?;
            return response::credential(token, presented.ends, now);
        };
        let token = self
            .google
            .federate(&self.provider, CALLER_SCOPE, &presented.subject, now)
            .await?;
        let bearer = Federated::new(&token, CALLER_SCOPE, now)?;
        // What the calls before took is taken off, so that the token ends with the permission.
        let permitted = now + presented.lifetime;
        let left = permitted.duration_since(self.clock.now()).unwrap_or_default();
        let token = self
            .google
            .impersonate(&bearer, impersonated, &self.scope, left.max(SHORTEST_LIFE))
            .await?;
        response::credential(token, permitted, now)
    }
}

impl RelyingParty for GcpSts {
    fn name(&self) -> &RelyingPartyName {
        &self.name
    }

    fn kind(&self) -> &'static str {
        KIND
    }

    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn shape(&self, permission: &Permission) -> Result<SvidShape, CloudRefusal> {
        preflight::subject(permission.subject().as_str())?;
        let life = match self.impersonated {
            // The federated token dies with the SVID.
            None => permission.lifetime(),
            Some(_) => EXCHANGED_SVID_LIFE,
        };
        Ok(match self.form {
            Form::Jwt(algorithm) => SvidShape::Jwt(JwtShape {
                algorithm,
                claims: serde_json::Map::new(),
                life,
            }),
            Form::X509 => SvidShape::X509(X509Shape {
                key: SubjectKey::Generated(X509KeyAlgorithm::P256),
                dns_names: Vec::new(),
                life,
            }),
        })
    }

    fn request_digest(&self, _permission: &Permission) -> Option<Digest> {
        Some(self.digest())
    }

    fn upstream(&self) -> Option<Upstream> {
        Some(Upstream {
            key: format!("{KIND}/{}", self.provider.project()),
            per_second: CALLS_PER_SECOND,
        })
    }

    fn scope(&self) -> Option<&str> {
        Some(&self.scope)
    }

    fn exchange(&self, svid: Svid, now: SystemTime) -> Pin<Box<dyn Future<Output = Exchanged> + Send + '_>> {
        Box::pin(async move {
            match self.present(&svid, now).await {
                Ok(credential) => {
                    let digest = credential.digest();
                    Ok(Unreleased::new(credential, digest))
                }
                Err(refusal) => {
                    let digest = refusal.digest(svid.permission().exchange_id().as_str(), self.name.as_str());
                    Err(Unreleased::new(refusal, digest))
                }
            }
        })
    }
}

impl GcpSts {
    /// Returns the digest of everything that makes two requests differ, the SVID and the duration apart.
    fn digest(&self) -> Digest {
        let provider = self.provider.to_string();
        let mut parts: Vec<&[u8]> = vec![
            provider.as_bytes(),
            self.scope.as_bytes(),
            self.google.sts().as_bytes(),
            self.google.iamcredentials().as_bytes(),
        ];
        if let Some(impersonated) = &self.impersonated {
            parts.push(impersonated.service_account.as_bytes());
            parts.extend(impersonated.delegates.iter().map(String::as_bytes));
        }
        Digest::of_parts(&parts)
    }
}

fn configure(context: RelyingPartyContext, table: toml::Table) -> Result<Arc<dyn RelyingParty>, Misconfigured> {
    configured(context, table).map(|party| Arc::new(party) as Arc<dyn RelyingParty>)
}

fn configured(context: RelyingPartyContext, table: toml::Table) -> Result<GcpSts, Misconfigured> {
    let configuration = Configuration::read(&context, table)?;
    let (maximum, lifetime_mode) = match &configuration.impersonated {
        None => (Duration::from_secs(ACCESS_TOKEN_SECONDS), LifetimeMode::FollowsSvid),
        Some(impersonated) => (impersonated.maximum, LifetimeMode::Requested),
    };
    let terms = Terms {
        audience: match configuration.form {
            Form::Jwt(_) => configuration.provider.to_string(),
            // A certificate has no audience: whoever trusts the trust domain takes it.
            Form::X509 => context.trust_domain.id().as_str().to_owned(),
        },
        subject: configuration.subject,
        minimum: SHORTEST_LIFE,
        maximum,
        lifetime_mode,
        session_policy: false,
        // The SVID opens every scope and every account that the pool's bindings admit, the credential one.
        svid_is_credential: false,
    };
    Ok(GcpSts {
        name: context.name,
        terms,
        issuer: context.issuer,
        provider: configuration.provider,
        scope: configuration.scopes.join(" "),
        form: configuration.form,
        impersonated: configuration.impersonated,
        google: configuration.google,
        clock: context.clock,
    })
}

/// The configuration's `kind`, also the name of its budget.
const KIND: &str = "gcp_sts";
/// The cloud's name in refusals.
const CLOUD: &str = "Google";
/// LIMITS.md: Google's token service is called at most 100 times a second for each project.
const CALLS_PER_SECOND: u32 = 100;
/// Google documents no shortest life.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);
/// The scope with which the impersonation is called.
const CALLER_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

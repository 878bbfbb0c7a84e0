//! The relying party kind `azure_entra`: an Entra application or user-assigned identity that trusts our issuer.
//!
//! Never shares a credential object of azure_identity between two exchanges: its cache knows scopes only, so that the
//! second workload would get the first one's token.

mod configuration;
mod preflight;
mod request;
mod response;
pub mod rules;
#[cfg(feature = "dev")]
pub mod sim;
mod transport;

#[cfg(test)]
mod tests;

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

use crate::{
    attest::Misconfigured,
    authorize::{LifetimeMode, Permission, RelyingPartyName, Terms},
    exchange::{
        Builtin, CloudCredential, CloudRefusal, Exchanged, RelyingParty, RelyingPartyContext,
        azure_entra::{
            configuration::Configuration,
            request::Application,
            response::{LONGEST_LIFE, SHORTEST_LIFE},
        },
        budget::Upstream,
    },
    jose::SigningAlgorithm,
    mint::{EXCHANGED_SVID_LIFE, JwtShape, Svid, SvidShape},
    secret::{Digest, Secret},
    store::Unreleased,
};

/// The kind `azure_entra`.
pub const BUILTIN: Builtin = Builtin {
    kind: KIND,
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    configure,
    #[cfg(feature = "dev")]
    sim: Some(sim::SEED),
};

/// One application or user-assigned identity of one tenant.
#[derive(Debug)]
pub struct AzureEntra {
    name: RelyingPartyName,
    terms: Terms,
    issuer: String,
    application: Application,
}

impl AzureEntra {
    /// Holds an assertion against the rules, then asks Entra for a token, at most twice.
    async fn fetch(&self, assertion: &Secret, now: SystemTime) -> Result<CloudCredential, CloudRefusal> {
        preflight::check(assertion, now)?;
        self.application.ask(assertion, now).await
    }
}

impl RelyingParty for AzureEntra {
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
        preflight::identity(&self.issuer, permission.subject().as_str(), &self.terms.audience)?;
        Ok(SvidShape::Jwt(JwtShape {
            algorithm: SigningAlgorithm::Rs256,
            claims: serde_json::Map::new(),
            life: EXCHANGED_SVID_LIFE,
        }))
    }

    fn request_digest(&self, permission: &Permission) -> Option<Digest> {
        Some(
            self.application
                .digest(permission.subject().as_str(), &self.terms.audience),
        )
    }

    fn upstream(&self) -> Option<Upstream> {
        Some(Upstream {
            key: format!("{KIND}/{}", self.application.tenant()),
            per_second: CALLS_PER_SECOND,
        })
    }

    fn scope(&self) -> Option<&str> {
        Some(self.application.scope())
    }

    fn exchange(&self, svid: Svid, now: SystemTime) -> Pin<Box<dyn Future<Output = Exchanged> + Send + '_>> {
        Box::pin(async move {
            let svid = match svid {
                Svid::Jwt(svid) => svid,
                Svid::X509(svid) => return Err(CloudRefusal::wrong_form(KIND, svid.permission())),
            };
            match self.fetch(svid.token(), now).await {
                Ok(credential) => {
                    let digest = credential.digest();
                    Ok(Unreleased::new(credential, digest))
                }
                Err(refusal) => {
                    let exchange_id = svid.permission().exchange_id();
                    let digest = refusal.digest(exchange_id.as_str(), self.name.as_str());
                    Err(Unreleased::new(refusal, digest))
                }
            }
        })
    }
}

fn configure(context: RelyingPartyContext, table: toml::Table) -> Result<Arc<dyn RelyingParty>, Misconfigured> {
    configured(context, table).map(|relying_party| Arc::new(relying_party) as Arc<dyn RelyingParty>)
}

fn configured(context: RelyingPartyContext, table: toml::Table) -> Result<AzureEntra, Misconfigured> {
    let configuration = Configuration::read(&context, table)?;
    let terms = Terms {
        audience: configuration.audience,
        subject: configuration.subject,
        minimum: SHORTEST_LIFE,
        maximum: LONGEST_LIFE,
        lifetime_mode: LifetimeMode::Fixed,
        session_policy: false,
        // The SVID opens every resource of the application, the credential one.
        svid_is_credential: false,
    };
    Ok(AzureEntra {
        name: context.name,
        terms,
        issuer: context.issuer,
        application: configuration.application,
    })
}

/// The configuration's `kind`, also the name of its budget.
const KIND: &str = "azure_entra";

/// The cloud's name in refusals.
const CLOUD: &str = "Entra";

/// LIMITS.md: 50 calls a second and tenant; unverified.
const CALLS_PER_SECOND: u32 = 50;

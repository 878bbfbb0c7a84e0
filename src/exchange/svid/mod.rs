//! The relying party kind `svid`: a relying party without a cloud; its grant releases the SVID itself.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Deserialize;

use super::{Builtin, Exchanged, RelyingParty, RelyingPartyContext, budget::Upstream};
use crate::{
    attest::Misconfigured,
    authorize::{LifetimeMode, Permission, RelyingPartyName, Terms},
    exchange::CloudRefusal,
    jose::SigningAlgorithm,
    mint::{EXCHANGED_SVID_LIFE, MAX_RELEASED_SVID_LIFE, Svid, SvidShape},
    secret::Digest,
    store::Unreleased,
};

/// The kind `svid`.
pub const BUILTIN: Builtin = Builtin {
    kind: "svid",
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    configure,
    #[cfg(feature = "dev")]
    sim: None,
};

/// Its table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    audience: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    algorithm: Algorithm,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum Algorithm {
    #[serde(rename = "ES256")]
    Es256,
    #[default]
    #[serde(rename = "RS256")]
    Rs256,
}

#[derive(Debug)]
struct SvidParty {
    name: RelyingPartyName,
    terms: Terms,
    algorithm: SigningAlgorithm,
}

fn configure(context: RelyingPartyContext, table: toml::Table) -> Result<Arc<dyn RelyingParty>, Misconfigured> {
    let table: Table = table.try_into().map_err(|problem: toml::de::Error| Misconfigured {
        code: "config.value_invalid",
        key: String::new(),
        problem: problem.message().to_owned(),
    })?;
    let found_bytes = table.audience.len();
    if found_bytes == 0 || found_bytes > MAX_AUDIENCE_BYTES || table.audience.chars().any(char::is_control) {
        return Err(Misconfigured {
            code: "config.value_invalid",
            key: "audience".to_owned(),
            problem: format!("the audience has {found_bytes} bytes, expected 1 to {MAX_AUDIENCE_BYTES} printable ones"),
        });
    }
    let terms = Terms {
        audience: table.audience,
        subject: table.subject,
        minimum: Duration::from_secs(1),
        maximum: MAX_RELEASED_SVID_LIFE,
        lifetime_mode: LifetimeMode::FollowsSvid,
        session_policy: false,
        svid_is_credential: true,
    };
    let algorithm = match table.algorithm {
        Algorithm::Es256 => SigningAlgorithm::Es256,
        Algorithm::Rs256 => SigningAlgorithm::Rs256,
    };
    Ok(Arc::new(SvidParty {
        name: context.name,
        terms,
        algorithm,
    }))
}

/// The smallest limit of a known verifier: AWS client ids have at most 255 characters.
const MAX_AUDIENCE_BYTES: usize = 255;

impl RelyingParty for SvidParty {
    fn name(&self) -> &RelyingPartyName {
        &self.name
    }

    fn kind(&self) -> &'static str {
        BUILTIN.kind
    }

    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn shape(&self, _permission: &Permission) -> Result<SvidShape, CloudRefusal> {
        Ok(SvidShape {
            algorithm: self.algorithm,
            claims: serde_json::Map::new(),
            life: EXCHANGED_SVID_LIFE,
        })
    }

    fn request_digest(&self, _permission: &Permission) -> Option<Digest> {
        None
    }

    fn upstream(&self) -> Option<Upstream> {
        None
    }

    fn scope(&self) -> Option<&str> {
        None
    }

    fn exchange(&self, svid: Svid, _now: SystemTime) -> Pin<Box<dyn Future<Output = Exchanged> + Send + '_>> {
        let Svid::Jwt(svid) = svid;
        let refusal = CloudRefusal::Unavailable {
            cloud: "svid",
            reason: "there is no cloud behind this kind".to_owned(),
        };
        let digest = refusal.digest(svid.permission().exchange_id().as_str(), self.name.as_str());
        Box::pin(async move { Err(Unreleased::new(refusal, digest)) })
    }
}

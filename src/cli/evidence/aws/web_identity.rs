//! A token of AWS's outbound identity federation for the role that this workload has (`sts:GetWebIdentityToken`).
//!
//! The role's credentials go nowhere but into the signature of one question to STS, which goes to no foreign host over
//! plain HTTP: it carries the session token, and is answered with a bearer token.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, anyhow};
use aws_sdk_sts::{
    Client,
    config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata as _, SdkError},
    operation::get_web_identity_token::GetWebIdentityTokenError,
};
use aws_smithy_http_client::{
    Builder,
    tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use url::Url;

use super::{
    super::{Asked, Evidence, Found, Holder, checked, held, https},
    role::{Place, Role},
};
use crate::{
    bounded_file::{self, MAX_AUTHORITIES_BYTES},
    cli::{
        exit::Exit,
        failure::{Failure, plain},
    },
};

/// Asks STS, where this workload has a role.
pub(in super::super) async fn look(asked: &Asked<'_>) -> Result<Found, Failure> {
    let Some(place) = Place::of(asked) else {
        return Ok(Found::Nothing(Place::looked_for(asked)));
    };
    let audience = asked.audience("AWS's web identity")?;
    let answer = answer(asked, place, audience).await;
    let (text, code) = match held(answer.context(REFUSED))? {
        Answer::Token(token) => {
            return Ok(Found::Evidence(Evidence {
                token: held(checked(&token).context(REFUSED))?,
                holder: Holder::Process,
            }));
        }
        Answer::Refusal { text, code } => (text, code),
    };
    let refused = Failure::saying(Exit::Unattested, text).context(REFUSED);
    match code.as_deref() {
        Some(DISABLED | DENIED) => Ok(Found::Unavailable(refused.hint(
            "let the role have one (sts:GetWebIdentityToken, and federation enabled in the account), or try \
             --attest aws_presigned, which needs neither",
        ))),
        _other => Err(refused),
    }
}

/// What STS says.
enum Answer {
    /// The token, which was not looked at.
    Token(String),
    /// Nothing, and why.
    Refusal { text: String, code: Option<String> },
}

async fn answer(asked: &Asked<'_>, place: Place, audience: &str) -> anyhow::Result<Answer> {
    // Before the credentials are fetched, which go nowhere else.
    let endpoint = endpoint(asked)?;
    let answer = client(asked, Role::at(asked, place).await?, endpoint)?
        .get_web_identity_token()
        .audience(audience)
        .signing_algorithm("RS256")
        .duration_seconds(LIFE_SECONDS)
        .send()
        .await;
    Ok(match answer {
        Ok(answer) => Answer::Token(answer.web_identity_token.unwrap_or_default()),
        Err(failed) => Answer::Refusal {
            code: failed.code().map(str::to_owned),
            text: told(failed),
        },
    })
}

/// Puts a failed call into words, without the answer itself: one that the SDK cannot read may hold the token.
fn told(failed: SdkError<GetWebIdentityTokenError>) -> String {
    let code = failed.code().map(str::to_owned);
    let said = match (code, failed) {
        (Some(code), failed) => format!("{code}: {}", failed.message().unwrap_or_default()),
        (None, SdkError::TimeoutError(_)) => format!("no answer within {} s", TOTAL.as_secs()),
        (None, failed @ SdkError::DispatchFailure(_)) => match failed.into_source() {
            Ok(source) => format!("STS cannot be asked: {:#}", anyhow!(source)),
            Err(_sourceless) => "STS cannot be asked".to_owned(),
        },
        (None, _) => "found an answer that is none of STS's".to_owned(),
    };
    plain(&said)
}

/// Returns the address of STS that the environment names; `None` where the region has one.
fn endpoint(asked: &Asked<'_>) -> anyhow::Result<Option<Url>> {
    let named = ENDPOINTS.iter().find_map(|name| Some((name, asked.variable(name)?)));
    named.map(|(name, text)| https::address_nearby(name, text)).transpose()
}

fn client(asked: &Asked<'_>, role: Role, endpoint: Option<Url>) -> anyhow::Result<Client> {
    let trust = match asked.variable(CA_BUNDLE) {
        None => TrustStore::default(),
        Some(file) => {
            let pem = bounded_file::read(Path::new(file), MAX_AUTHORITIES_BYTES);
            let pem = pem.with_context(|| format!("{CA_BUNDLE} names a file that cannot be read"))?;
            TrustStore::empty().with_native_roots(false).with_pem_certificate(pem)
        }
    };
    let context = TlsContext::builder().with_trust_store(trust).build();
    let http = Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context.map_err(|failed| anyhow!("{failed}"))?)
        .build_https();
    let mut config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(role.region))
        .credentials_provider(role.credentials)
        .retry_config(RetryConfig::standard().with_max_attempts(2))
        .timeout_config(TimeoutConfig::builder().operation_timeout(TOTAL).build())
        .http_client(http);
    // As it was read here: the SDK may read another host in what was written.
    config.set_endpoint_url(endpoint.map(String::from));
    Ok(Client::from_conf(config.build()))
}

const REFUSED: &str = "AWS gave no web identity token for this workload's role";

// STS API Reference, GetWebIdentityToken, and Common Errors.
const DISABLED: &str = "OutboundWebIdentityFederationDisabledException";
const DENIED: &str = "AccessDenied";

// As AWS's own libraries name them.
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"];

/// What AWS gives where nothing is asked for (clouds.md 6).
const LIFE_SECONDS: i32 = 300;
/// LIMITS.md: an upstream call.
const TOTAL: Duration = Duration::from_secs(10);

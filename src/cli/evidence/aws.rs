//! A token of AWS's outbound identity federation for the role that this workload has (`sts:GetWebIdentityToken`).
//!
//! The role's credentials come from where the platform puts them, and go nowhere but into the signature of one question to STS.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use aws_sdk_sts::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig},
    error::DisplayErrorContext,
};
use aws_smithy_http_client::{
    Builder,
    tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use reqwest::RequestBuilder;
use serde_json::Value;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::{Asked, Attest, Evidence, Found, Holder, checked, held, https, platform::Machine};
use crate::{cli::failure::Failure, secret::Secret};

/// Asks STS, where this workload has a role.
pub(super) async fn look(asked: &Asked<'_>) -> Result<Found, Failure> {
    let Some(place) = Place::of(asked) else {
        let states = NAMES.map(|name| asked.states(&[name])).join(" or ");
        return Ok(Found::Nothing(format!(
            "{states} or a machine of Amazon's (it is none)"
        )));
    };
    let audience = asked.audience("AWS's web identity")?;
    let token = token(asked, place, audience).await;
    let token = held(token.context("AWS gave no web identity token for this workload's role"))?;
    Ok(Found::Evidence(Evidence {
        token,
        holder: Holder::Process,
    }))
}

/// Where the credentials of the role are.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// At the endpoint that ECS or EKS names to its containers.
    Container,
    /// In the environment, as Lambda puts them there.
    Environment,
    /// At the instance's metadata service.
    Instance,
}

impl Place {
    fn of(asked: &Asked<'_>) -> Option<Self> {
        let set = |name: &str| asked.variable(name).is_some();
        let named = asked.names(Attest::AwsIam);
        let instance = set(METADATA) || asked.machine == Machine::Amazon || named;
        if set(RELATIVE) || set(FULL) {
            Some(Self::Container)
        } else if set(ACCESS_KEY) && (set(LAMBDA) || named) {
            Some(Self::Environment)
        } else if instance && asked.variable(DISABLED) != Some("true") {
            Some(Self::Instance)
        } else {
            None
        }
    }
}

async fn token(asked: &Asked<'_>, place: Place, audience: &str) -> anyhow::Result<Secret> {
    let (credentials, region) = match place {
        Place::Container => (of_container(asked).await?, None),
        Place::Environment => (of_environment(asked)?, None),
        Place::Instance => of_instance(asked).await?,
    };
    let named = REGIONS.iter().find_map(|name| asked.variable(name).map(str::to_owned));
    let region = named
        .or(region)
        .ok_or_else(|| anyhow!("no region is named, expected AWS_REGION"))?;
    let answer = client(asked, credentials, region)?
        .get_web_identity_token()
        .audience(audience)
        .signing_algorithm("RS256")
        .duration_seconds(LIFE_SECONDS)
        .send()
        .await
        .map_err(|failed| anyhow!("{}", DisplayErrorContext(failed)))?;
    checked(answer.web_identity_token().unwrap_or_default())
}

fn client(asked: &Asked<'_>, credentials: Credentials, region: String) -> anyhow::Result<Client> {
    let trust = match asked.variable(CA_BUNDLE) {
        None => TrustStore::default(),
        Some(file) => {
            let pem = std::fs::read(file).with_context(|| format!("{CA_BUNDLE} names a file that cannot be read"))?;
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
        .region(Region::new(region))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::standard().with_max_attempts(2))
        .timeout_config(TimeoutConfig::builder().operation_timeout(TOTAL).build())
        .http_client(http);
    let endpoint = ENDPOINTS.iter().find_map(|name| asked.variable(name));
    config.set_endpoint_url(endpoint.map(str::to_owned));
    Ok(Client::from_conf(config.build()))
}

fn of_environment(asked: &Asked<'_>) -> anyhow::Result<Credentials> {
    let key = asked
        .variable(ACCESS_KEY)
        .with_context(|| format!("{ACCESS_KEY} is not set"))?;
    let secret = asked
        .variable(SECRET_KEY)
        .with_context(|| format!("{SECRET_KEY} is not set"))?;
    let session = asked.variable(SESSION_TOKEN).map(str::to_owned);
    Ok(Credentials::new(key, secret, session, None, "environment"))
}

/// IMDSv2 (clouds.md 5.1): a session first, then the role's name, then its credentials.
async fn of_instance(asked: &Asked<'_>) -> anyhow::Result<(Credentials, Option<String>)> {
    let base = asked.variable(METADATA).unwrap_or(INSTANCE).trim_end_matches('/');
    let client = https::neighbour()?;
    let session = client
        .put(format!("{base}/latest/api/token"))
        .header(SESSION_LIFE, "60");
    let session = text(session).await.context("the metadata service opens no session")?;
    let get = |path: &str| {
        let request = client.get(format!("{base}/latest/meta-data/{path}"));
        text(request.header(SESSION, session.as_str()))
    };
    let role = get("iam/security-credentials/")
        .await
        .context("the instance has no role")?;
    if !role
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@-_".contains(&byte))
    {
        bail!("the metadata service names a role that none can have");
    }
    let credentials = get(&format!("iam/security-credentials/{}", role.as_str())).await?;
    let region = get("placement/region")
        .await
        .context("the metadata service names no region")?;
    Ok((parsed(&credentials, "instance")?, Some(region.to_string())))
}

async fn of_container(asked: &Asked<'_>) -> anyhow::Result<Credentials> {
    let url = match (asked.variable(RELATIVE), asked.variable(FULL)) {
        (Some(path), _) => Url::parse(CONTAINER)?.join(path).context("the path is none")?,
        (None, full) => Url::parse(full.unwrap_or_default()).with_context(|| format!("{FULL} is no URL"))?,
    };
    refuse_foreign(&url)?;
    let authorization = match asked.variable(AUTHORIZATION_FILE) {
        None => asked
            .variable(AUTHORIZATION)
            .map(|text| Zeroizing::new(text.to_owned())),
        Some(file) => {
            let text = std::fs::read_to_string(PathBuf::from(file));
            Some(Zeroizing::new(
                text.with_context(|| format!("{AUTHORIZATION_FILE} cannot be read"))?,
            ))
        }
    };
    let mut request = https::neighbour()?.get(url);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization.as_str());
    }
    parsed(&text(request).await?, "container")
}

/// Plain HTTP to the container's own agent only, as AWS's SDKs have it (clouds.md 5.1).
fn refuse_foreign(url: &Url) -> anyhow::Result<()> {
    let near = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback() || AGENTS.contains(&address.to_string().as_str()),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.to_string() == "fd00:ec2::23",
        Some(Host::Domain(_)) | None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if near => Ok(()),
        found => bail!("the container's endpoint is `{found}` to a foreign host, expected `https`"),
    }
}

async fn text(request: RequestBuilder) -> anyhow::Result<Zeroizing<String>> {
    let body = https::answered(request).await?;
    let text = std::str::from_utf8(&body).context("found no text")?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

fn parsed(text: &str, provider: &'static str) -> anyhow::Result<Credentials> {
    let value: Value = serde_json::from_str(text).map_err(|_secret| anyhow!("found no JSON, expected credentials"))?;
    let member = |name: &str| {
        let found = value.get(name).and_then(Value::as_str);
        found
            .map(str::to_owned)
            .ok_or_else(|| anyhow!("found no `{name}` in the credentials"))
    };
    let (key, secret) = (member("AccessKeyId")?, member("SecretAccessKey")?);
    Ok(Credentials::new(key, secret, Some(member("Token")?), None, provider))
}

// As AWS's own libraries name them.
const ACCESS_KEY: &str = "AWS_ACCESS_KEY_ID";
const SECRET_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
const LAMBDA: &str = "AWS_LAMBDA_FUNCTION_NAME";
const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const AUTHORIZATION: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const AUTHORIZATION_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const METADATA: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"];
const NAMES: [&str; 4] = [RELATIVE, FULL, LAMBDA, METADATA];

const INSTANCE: &str = "http://169.254.169.254";
const CONTAINER: &str = "http://169.254.170.2";
const AGENTS: [&str; 2] = ["169.254.170.2", "169.254.170.23"];
const SESSION: &str = "x-aws-ec2-metadata-token";
const SESSION_LIFE: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// What AWS gives where nothing is asked for (clouds.md 6).
const LIFE_SECONDS: i32 = 300;
/// LIMITS.md: an upstream call.
const TOTAL: Duration = Duration::from_secs(10);

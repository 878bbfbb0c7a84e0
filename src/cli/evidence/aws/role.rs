//! The credentials of the role that a workload of Amazon's has, from where its platform puts them.
//!
//! Never takes them from a foreign host over plain HTTP, and never shows them.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use aws_sdk_sts::config::Credentials;
use serde_json::Value;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::{
    super::{Asked, Attest, MAX_TOKEN_BYTES, https, platform::Machine},
    metadata::{self, Metadata},
};
use crate::{attest::aws_iam::is_region, bounded_file};

/// A role's credentials, and the region that the workload is in.
pub(super) struct Role {
    pub(super) credentials: Credentials,
    pub(super) region: String,
}

/// Where the credentials of the role are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// At the endpoint that ECS or EKS names to its containers.
    Container,
    /// In the environment, as Lambda puts them there.
    Environment,
    /// At the instance's metadata service.
    Instance,
}

impl Place {
    /// Returns where they are; `None` where nothing says that there are any.
    pub(super) fn of(asked: &Asked<'_>) -> Option<Self> {
        let set = |name: &str| asked.variable(name).is_some();
        let named = asked.names(Attest::AwsIam) || asked.names(Attest::AwsPresigned);
        let instance = set(metadata::ENDPOINT) || asked.machine == Machine::Amazon || named;
        if set(RELATIVE) || set(FULL) {
            Some(Self::Container)
        } else if set(ACCESS_KEY) && (set(LAMBDA) || named) {
            Some(Self::Environment)
        } else if instance && asked.variable(metadata::DISABLED) != Some("true") {
            Some(Self::Instance)
        } else {
            None
        }
    }

    /// Says what would have named a place.
    pub(super) fn looked_for(asked: &Asked<'_>) -> String {
        let states = NAMES.map(|name| asked.states(&[name])).join(" or ");
        format!("{states} or a machine of Amazon's (it is none)")
    }
}

impl Role {
    /// Takes the credentials, and the region of the environment or else of the instance.
    pub(super) async fn at(asked: &Asked<'_>, place: Place) -> anyhow::Result<Self> {
        let (credentials, region) = match place {
            Place::Container => (of_container(asked).await?, None),
            Place::Environment => (of_environment(asked)?, None),
            Place::Instance => of_instance(asked).await?,
        };
        let region = region_named(asked)?
            .or(region)
            .ok_or_else(|| anyhow!("no region is named, expected AWS_REGION"))?;
        Ok(Self { credentials, region })
    }
}

/// Returns the region that the environment names; it becomes a part of the host that is asked.
fn region_named(asked: &Asked<'_>) -> anyhow::Result<Option<String>> {
    let Some((name, region)) = REGIONS.iter().find_map(|name| Some((name, asked.variable(name)?))) else {
        return Ok(None);
    };
    if !is_region(region) {
        bail!("found `{region}` in {name}, expected the name of a region, such as `eu-central-1`");
    }
    Ok(Some(region.to_owned()))
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

/// The role's name first, then its credentials (clouds.md 5.1).
async fn of_instance(asked: &Asked<'_>) -> anyhow::Result<(Credentials, Option<String>)> {
    let metadata = Metadata::open(asked).await?;
    let role = metadata
        .get("meta-data/iam/security-credentials/")
        .await
        .context("the instance has no role")?;
    if !role
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@-_".contains(&byte))
    {
        bail!("the metadata service names a role that none can have");
    }
    let credentials = metadata
        .get(&format!("meta-data/iam/security-credentials/{}", role.as_str()))
        .await?;
    let region = metadata
        .get("meta-data/placement/region")
        .await
        .context("the metadata service names no region")?;
    if !is_region(&region) {
        bail!("the metadata service names a region that none is called, expected such as `eu-central-1`");
    }
    Ok((parsed(&credentials, "instance")?, Some(region.to_string())))
}

async fn of_container(asked: &Asked<'_>) -> anyhow::Result<Credentials> {
    let url = match (asked.variable(RELATIVE), asked.variable(FULL)) {
        (Some(path), _) => Url::parse(CONTAINER)?.join(path).context("the path is none")?,
        (None, full) => Url::parse(full.unwrap_or_default()).with_context(|| format!("{FULL} is no URL"))?,
    };
    https::refuse_foreign("the container's endpoint", &url, is_agent)?;
    let mut request = https::neighbour()?.get(url);
    if let Some(authorization) = authorization(asked)? {
        request = request.header("authorization", authorization.as_str());
    }
    parsed(&https::text_of_container(request).await?, "container")
}

/// What opens the container's endpoint, where anything does.
fn authorization(asked: &Asked<'_>) -> anyhow::Result<Option<Zeroizing<String>>> {
    let Some(file) = asked.variable(AUTHORIZATION_FILE) else {
        let text = asked.variable(AUTHORIZATION);
        return Ok(text.map(|text| Zeroizing::new(text.to_owned())));
    };
    let unreadable = || format!("{AUTHORIZATION_FILE} cannot be read");
    let bytes = bounded_file::read(Path::new(file), MAX_TOKEN_BYTES as u64).with_context(unreadable)?;
    let bytes = Zeroizing::new(bytes);
    let text = std::str::from_utf8(&bytes).with_context(unreadable)?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

/// Plain HTTP to the container's own agent only, as AWS's SDKs have it (clouds.md 5.1).
fn is_agent(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(_) => false,
        Host::Ipv4(address) => address.is_loopback() || AGENTS.contains(&address.to_string().as_str()),
        Host::Ipv6(address) => address.is_loopback() || address.to_string() == "fd00:ec2::23",
    }
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
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
const NAMES: [&str; 4] = [RELATIVE, FULL, LAMBDA, metadata::ENDPOINT];

const CONTAINER: &str = "http://169.254.170.2";
const AGENTS: [&str; 2] = ["169.254.170.2", "169.254.170.23"];

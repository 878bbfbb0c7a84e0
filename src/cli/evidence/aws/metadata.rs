//! The metadata service of an EC2 instance, version 2 (clouds.md 5.1): a session first, then whatever is asked.
//!
//! Never asks without a session, so that a server that is made to fetch URLs for others cannot stand in for it.

use anyhow::Context as _;
use reqwest::Client;
use zeroize::Zeroizing;

use super::super::{Asked, https};

/// A session.
pub(super) struct Metadata {
    client: Client,
    base: String,
    session: Zeroizing<String>,
}

impl Metadata {
    /// Opens a session where the environment says, or where every instance has the service.
    pub(super) async fn open(asked: &Asked<'_>) -> anyhow::Result<Self> {
        let base = asked.variable(ENDPOINT).unwrap_or(INSTANCE).trim_end_matches('/');
        let client = https::neighbour()?;
        let session = client
            .put(format!("{base}/latest/api/token"))
            .header(SESSION_LIFE, "60");
        let session = https::text_nearby(session)
            .await
            .context("the metadata service opens no session")?;
        Ok(Self {
            client,
            base: base.to_owned(),
            session,
        })
    }

    /// Returns what stands at a path below `latest`.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Zeroizing<String>> {
        let request = self.client.get(self.address(path));
        https::text_nearby(request.header(SESSION, self.session.as_str())).await
    }

    /// Returns the address of a path below `latest`.
    pub(super) fn address(&self, path: &str) -> String {
        format!("{}/latest/{path}", self.base)
    }
}

// As AWS's own libraries name them.
pub(super) const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
pub(super) const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";

const INSTANCE: &str = "http://169.254.169.254";
const SESSION: &str = "x-aws-ec2-metadata-token";
const SESSION_LIFE: &str = "x-aws-ec2-metadata-token-ttl-seconds";

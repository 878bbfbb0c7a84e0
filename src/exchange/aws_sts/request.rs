//! AssumeRoleWithWebIdentity on the wire: an STS client of its own for each relying party.
//!
//! Never finds credentials, a region or an endpoint by itself: the call is unauthenticated, the rest is configured.

use std::{fmt, time::Duration};

use aws_sdk_sts::{
    Client,
    config::{
        BehaviorVersion, ConfigBag, Intercept, Region, RuntimeComponents,
        interceptors::BeforeDeserializationInterceptorContextMut, retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::BoxError,
    operation::assume_role_with_web_identity::{AssumeRoleWithWebIdentityError, AssumeRoleWithWebIdentityOutput},
    types::PolicyDescriptorType,
};
use aws_smithy_http_client::{
    Builder,
    tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::{client::result::SdkError, http::Response};
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

use crate::secret::Secret;

/// LIMITS.md: an upstream call connects within 2 s ..
const CONNECT: Duration = Duration::from_secs(2);
/// .. and ends within 10 s, retries included ..
pub(super) const TOTAL: Duration = Duration::from_secs(10);
/// .. after at most 2 tries on transient errors.
const TRIES: u32 = 2;
/// Before the second try; the SDK's second would eat a tenth of the total.
const BACKOFF: Duration = Duration::from_millis(100);
/// Bytes of an answer: a session token has no documented bound, 4096 bytes have been announced (clouds.md 1.3).
pub(super) const ANSWER_BYTES: usize = 64 * 1024;

/// Where STS is, and whose certificate it shows.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// The region.
    pub(super) region: String,
    /// Another URL than the region's own.
    pub(super) url: Option<String>,
    /// The only authorities that may have issued its certificate; the platform's where there are none.
    pub(super) ca_pem: Option<Vec<u8>>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// The role.
    pub(super) role_arn: &'a str,
    /// What the session is called.
    pub(super) session_name: &'a str,
    /// The SVID.
    pub(super) token: &'a Secret,
    /// The inline session policy.
    pub(super) policy: Option<&'a str>,
    /// The managed session policies.
    pub(super) policy_arns: &'a [String],
    /// How long the credentials shall last.
    pub(super) duration: Duration,
}

/// The SDK's own error.
pub(super) type Failure = SdkError<AssumeRoleWithWebIdentityError, Response<SdkBody>>;

/// One relying party's client of STS.
pub(super) struct Sts {
    client: Client,
}

impl Sts {
    /// Returns a client; it connects at the first call.
    ///
    /// # Errors
    /// Fails where the TLS context cannot be made.
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, BoxError> {
        let trust = endpoint.ca_pem.as_ref().map_or_else(TrustStore::default, |pem| {
            TrustStore::empty()
                .with_native_roots(false)
                .with_pem_certificate(pem.clone())
        });
        let http = Builder::new()
            .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(TlsContext::builder().with_trust_store(trust).build()?)
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_timeout(TOTAL)
            .build();
        let mut config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(endpoint.region.clone()))
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(TRIES)
                    .with_initial_backoff(BACKOFF),
            )
            .timeout_config(timeouts)
            .interceptor(LimitAnswer)
            .http_client(http);
        config.set_endpoint_url(endpoint.url.clone());
        Ok(Self {
            client: Client::from_conf(config.build()),
        })
    }

    /// Asks for credentials.
    pub(super) async fn assume(&self, asked: Asked<'_>) -> Result<AssumeRoleWithWebIdentityOutput, Failure> {
        let policies: Vec<PolicyDescriptorType> = asked
            .policy_arns
            .iter()
            .map(|arn| PolicyDescriptorType::builder().arn(arn).build())
            .collect();
        self.client
            .assume_role_with_web_identity()
            .role_arn(asked.role_arn)
            .role_session_name(asked.session_name)
            .web_identity_token(asked.token.expose())
            .set_policy(asked.policy.map(str::to_owned))
            .set_policy_arns(Some(policies).filter(|policies| !policies.is_empty()))
            .duration_seconds(i32::try_from(asked.duration.as_secs()).unwrap_or(i32::MAX))
            .send()
            .await
    }
}

impl fmt::Debug for Sts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sts").finish_non_exhaustive()
    }
}

/// Stops reading an answer that no STS would give; the SDK reads any length.
#[derive(Debug)]
struct LimitAnswer;

impl Intercept for LimitAnswer {
    fn name(&self) -> &'static str {
        "LimitAnswer"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _runtime_components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().take_body();
        *context.response_mut().body_mut() = SdkBody::from_body_1_x(Limited::new(body, ANSWER_BYTES));
        Ok(())
    }
}

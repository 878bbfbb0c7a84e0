//! What goes to Entra: one client credentials request with our SVID as its assertion, made by azure_identity.
//!
//! Never keeps a credential object: one is made for each exchange and dropped with it.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::SystemTime};

use azure_core::{
    cloud::{CloudConfiguration, CustomConfiguration},
    credentials::TokenCredential as _,
    http::{ClientMethodOptions, ClientOptions, FixedRetryOptions, RetryOptions, Transport},
    time::Duration,
};
use azure_identity::{ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions};

use crate::{
    exchange::{
        CloudCredential, CloudRefusal,
        azure_entra::{
            CLOUD, response,
            transport::{Call, TOTAL_TIME},
        },
    },
    secret::{Digest, Secret},
};

/// Where tokens are asked for, and for what.
#[derive(Clone, Debug)]
pub(super) struct Application {
    client: reqwest::Client,
    authority: String,
    tenant: String,
    client_id: String,
    scope: String,
    patience: std::time::Duration,
}

impl Application {
    /// Takes what the configuration checked.
    pub(super) fn new(
        client: reqwest::Client,
        authority: String,
        tenant: String,
        client_id: String,
        scope: String,
    ) -> Self {
        Self {
            client,
            authority,
            tenant,
            client_id,
            scope,
            patience: TOTAL_TIME,
        }
    }

    /// Changes how long a call may take.
    #[cfg(all(test, feature = "dev"))]
    pub(super) fn with_patience(self, patience: std::time::Duration) -> Self {
        Self { patience, ..self }
    }

    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    pub(super) fn scope(&self) -> &str {
        &self.scope
    }

    /// Returns the digest of everything in the request but the assertion, and of whom the assertion names.
    pub(super) fn digest(&self, subject: &str, audience: &str) -> Digest {
        Digest::of_parts(&[
            self.authority.as_bytes(),
            self.tenant.as_bytes(),
            self.client_id.as_bytes(),
            self.scope.as_bytes(),
            subject.as_bytes(),
            audience.as_bytes(),
        ])
    }

    /// Asks for a token: one call, and one more on a transient error, all within [`TOTAL_TIME`].
    pub(super) async fn ask(&self, assertion: &Secret, now: SystemTime) -> Result<CloudCredential, CloudRefusal> {
        let call = Arc::new(Call::new(self.client.clone(), now));
        let credential = self.credential(assertion, &call)?;
        let scopes = [self.scope.as_str()];
        let asked = tokio::time::timeout(self.patience, credential.get_token(&scopes, None)).await;
        let Ok(token) = asked else {
            return Err(CloudRefusal::Unavailable {
                cloud: CLOUD,
                reason: format!("no answer within {:?}", self.patience),
            });
        };
        match (call.last(), token) {
            (Some(Err(refusal)), _unread) => Err(refusal),
            (Some(Ok(granted)), Ok(token)) => response::credential(token.token.secret(), granted, now),
            (Some(Ok(_granted)), Err(why)) => Err(CloudRefusal::Garbage {
                cloud: CLOUD,
                found: format!("a token response that azure_identity does not read ({})", why.kind()),
                expected: "a token response",
            }),
            (None, unsent) => Err(CloudRefusal::Unavailable {
                cloud: CLOUD,
                reason: format!(
                    "no request was sent: {}",
                    unsent.err().map(|why| why.to_string()).unwrap_or_default()
                ),
            }),
        }
    }

    /// Makes the one credential object of one exchange.
    fn credential(
        &self,
        assertion: &Secret,
        call: &Arc<Call>,
    ) -> Result<Arc<ClientAssertionCredential<Assertion>>, CloudRefusal> {
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host.clone_from(&self.authority);
        let client_options = ClientOptions {
            retry: RetryOptions::fixed(FixedRetryOptions {
                delay: Duration::milliseconds(RETRY_DELAY_MILLISECONDS),
                max_retries: MAX_RETRIES,
                ..FixedRetryOptions::default()
            }),
            transport: Some(Transport::new(Arc::<Call>::clone(call))),
            cloud: Some(Arc::new(CloudConfiguration::Custom(cloud))),
            ..ClientOptions::default()
        };
        ClientAssertionCredential::new(
            self.tenant.clone(),
            self.client_id.clone(),
            Assertion(assertion.clone()),
            Some(ClientAssertionCredentialOptions { client_options }),
        )
        .map_err(|why| CloudRefusal::Unavailable {
            cloud: CLOUD,
            reason: format!("azure_identity refuses the configuration: {why}"),
        })
    }
}

/// The SVID of one exchange.
struct Assertion(Secret);

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Assertion([redacted])")
    }
}

impl ClientAssertion for Assertion {
    fn secret<'s, 'o, 'f>(
        &'s self,
        _options: Option<ClientMethodOptions<'o>>,
    ) -> Pin<Box<dyn Future<Output = azure_core::Result<String>> + Send + 'f>>
    where
        's: 'f,
        'o: 'f,
        Self: 'f,
    {
        Box::pin(async { Ok(self.0.expose().to_owned()) })
    }
}

/// LIMITS.md: two tries on transient errors.
const MAX_RETRIES: u32 = 1;

/// How long the second try waits; azure_core adds a random part.
const RETRY_DELAY_MILLISECONDS: i64 = 200;

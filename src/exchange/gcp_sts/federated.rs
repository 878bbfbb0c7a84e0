//! A federated token as a source of Google tokens: whatever needs one takes `dyn gcp_auth::TokenProvider`.
//!
//! Never fetches anything and never outlives the exchange that made it.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::SystemTime};

use gcp_auth::{Token, TokenProvider};
use serde_json::json;

use crate::exchange::{
    CloudRefusal,
    gcp_sts::response::{Granted, garbage},
};

/// One federated token of one scope.
pub(super) struct Federated {
    token: Arc<Token>,
    scope: &'static str,
}

impl Federated {
    /// Takes a token that was granted for `scope`.
    pub(super) fn new(granted: &Granted, scope: &'static str, now: SystemTime) -> Result<Self, CloudRefusal> {
        let left = granted.expires.duration_since(now).unwrap_or_default();
        // The crate offers no constructor; what it reads is what Google answers.
        let token = serde_json::from_value(json!({
            "access_token": granted.token.expose(),
            "expires_in": left.as_secs(),
        }))
        .map_err(|why| garbage(format!("a token that cannot be read ({:?})", why.classify()), "a token"))?;
        Ok(Self {
            token: Arc::new(token),
            scope,
        })
    }
}

type TokenFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, gcp_auth::Error>> + Send + 'a>>;

impl TokenProvider for Federated {
    fn token<'life0, 'life1, 'life2, 'async_trait>(
        &'life0 self,
        scopes: &'life1 [&'life2 str],
    ) -> TokenFuture<'async_trait, Arc<Token>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        Self: 'async_trait,
    {
        let answer = if scopes == [self.scope] {
            Ok(Arc::clone(&self.token))
        } else {
            Err(gcp_auth::Error::Str(
                "the federated token has another scope than the one asked for",
            ))
        };
        Box::pin(async move { answer })
    }

    fn project_id<'life0, 'async_trait>(&'life0 self) -> TokenFuture<'async_trait, Arc<str>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        // The project of what is used is the user's; a pool's project is another thing.
        Box::pin(async { Err(gcp_auth::Error::Str("a federated token names no project")) })
    }
}

impl fmt::Debug for Federated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Federated")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

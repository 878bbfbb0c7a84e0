//! Sessions of EC2's metadata service, version 2: whoever asks has opened one before.
//!
//! It answers nobody without a session's token, and opens none for a request that another passed on.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use axum::{
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

use crate::{
    clock::Clock,
    secret::{Random, hex},
};

/// The sessions that were opened.
pub struct Sessions {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// By token, and when they end.
    open: Mutex<BTreeMap<String, SystemTime>>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

impl Sessions {
    /// Begins without any.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            clock,
            random,
            open: Mutex::default(),
        }
    }

    /// Answers `PUT /latest/api/token`.
    pub fn opened(&self, headers: &HeaderMap) -> Response {
        let seconds = headers
            .get(TTL)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let seconds = seconds.filter(|seconds| (1..=MAX_TTL_SECONDS).contains(seconds));
        let (Some(seconds), false) = (seconds, headers.contains_key("x-forwarded-for")) else {
            return (StatusCode::BAD_REQUEST, "").into_response();
        };
        let mut bytes = [0; 42];
        if self.random.fill(&mut bytes).is_err() {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        let token = hex(&bytes);
        let ends = self.clock.now() + Duration::from_secs(seconds);
        self.open().insert(token.clone(), ends);
        ([(TTL, seconds.to_string())], token).into_response()
    }

    /// Refuses a question without the token of a session that still stands.
    pub fn refused(&self, headers: &HeaderMap) -> Option<Response> {
        let token = headers.get(TOKEN).and_then(|value| value.to_str().ok());
        let ends = token.and_then(|token| self.open().get(token).copied());
        let counts = ends.is_some_and(|ends| self.clock.now() < ends);
        (!counts).then(|| StatusCode::UNAUTHORIZED.into_response())
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<String, SystemTime>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// EC2 User Guide: six hours.
const MAX_TTL_SECONDS: u64 = 21_600;

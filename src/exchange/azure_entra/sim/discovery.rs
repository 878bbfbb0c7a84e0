//! The documents that MSAL reads before it asks for a token.
//!
//! Serves no key: access tokens are opaque here.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde_json::json;
use url::Url;

use crate::exchange::azure_entra::{rules::refusal::Refusal, sim::Served};

/// Tells that this host is an Entra authority, and where the tenant's configuration is.
pub(super) async fn instance(State(served): State<Arc<Served>>, RawQuery(query): RawQuery) -> Response {
    let base = &served.public_url;
    let asked = query.and_then(|query| {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _value)| name == "authorization_endpoint")
            .and_then(|(_name, value)| Url::parse(&value).ok())
    });
    let tenant = asked
        .as_ref()
        .and_then(Url::path_segments)
        .and_then(|mut segments| segments.next().map(str::to_owned))
        .unwrap_or_else(|| "common".to_owned());
    let authority = Url::parse(base)
        .ok()
        .map(|url| url.authority().to_owned())
        .unwrap_or_default();
    let body = json!({
        "tenant_discovery_endpoint": format!("{base}/{tenant}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{
            "preferred_network": authority,
            "preferred_cache": authority,
            "aliases": [authority],
        }],
    });
    Json(body).into_response()
}

/// Tells where a tenant's endpoints are.
pub(super) async fn configuration(
    State(served): State<Arc<Served>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !served.sim.state().directory.has_tenant(&tenant) {
        return served.sim.refused(&Refusal::TenantNotFound { tenant }, &headers);
    }
    let base = format!("{}/{tenant}", served.public_url);
    let body = json!({
        "issuer": format!("{base}/v2.0"),
        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "jwks_uri": format!("{base}/discovery/v2.0/keys"),
        "response_types_supported": ["token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
    });
    Json(body).into_response()
}

/// Serves an empty key set.
pub(super) async fn keys() -> Response {
    Json(json!({"keys": []})).into_response()
}

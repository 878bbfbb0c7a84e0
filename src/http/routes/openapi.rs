//! `GET /openapi.json`: what the exchange listener takes and gives.

use axum::{Json, response::IntoResponse};
use utoipa::OpenApi;

/// The OpenAPI document.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Cambio",
        description = "Federation gateway for cross-cloud credential exchange."
    ),
    paths(
        super::bound_keys::post,
        super::challenge::post,
        super::exchange::post,
        super::svid_x509::post,
        super::token::post,
        super::whoami::post,
        get
    ),
    components(schemas(crate::http::error::Problem))
)]
pub struct Document;

/// Shows this document.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "this document")))]
pub async fn get() -> impl IntoResponse {
    Json(Document::openapi())
}

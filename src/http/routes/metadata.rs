//! The metadata listener: discovery, JWKS and bundle; GET and HEAD only, from memory, for ever.

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};

use crate::trust::{Document, Documents, Published, RevocationLists};

/// Which document a path shows.
type Choose = fn(&Documents) -> &Document;

/// Returns the routes for an issuer whose path is `path` (empty for none) on `host`.
///
/// OpenID Connect appends its suffix to the issuer's path, RFC 8414 inserts its own before it (OIDC-DISC-1, AS-META-1).
pub fn routes(published: &Published, lists: &RevocationLists, host: &str, path: &str) -> Router {
    let state = |choose: Choose| Shown {
        published: published.clone(),
        host: host.to_owned(),
        choose,
    };
    Router::new()
        .route(
            &format!("{path}/.well-known/openid-configuration"),
            any(show).with_state(state(|all| &all.openid_configuration)),
        )
        .route(
            &format!("{path}/.well-known/jwks.json"),
            any(show).with_state(state(|all| &all.jwks)),
        )
        .route(
            &format!("{path}/.well-known/spiffe/bundle.json"),
            any(show).with_state(state(|all| &all.bundle)),
        )
        .route(
            &format!("/.well-known/oauth-authorization-server{path}"),
            any(show).with_state(state(|all| &all.authorization_server)),
        )
        .route(
            &format!("{path}/.well-known/crl/{{file}}"),
            any(list).with_state((lists.clone(), host.to_owned())),
        )
        .fallback(unknown)
}

#[derive(Clone)]
struct Shown {
    published: Published,
    host: String,
    choose: Choose,
}

async fn show(State(shown): State<Shown>, request: Request) -> Response {
    if let Err(refused) = judge(&shown.host, &request) {
        return *refused;
    }
    let documents = shown.published.load();
    send((shown.choose)(&documents), "application/json", request.headers())
}

/// The list of the intermediate whose key id is the file's name (RFC 5280 section 4.2.1.13, RFC 2585 section 4.2).
async fn list(
    State((lists, host)): State<(RevocationLists, String)>,
    Path(file): Path<String>,
    request: Request,
) -> Response {
    if let Err(refused) = judge(&host, &request) {
        return *refused;
    }
    match file.strip_suffix(".crl").and_then(|key_id| lists.find(key_id)) {
        Some(document) => send(&document, "application/pkix-crl", request.headers()),
        None => unknown().await,
    }
}

fn judge(host: &str, request: &Request) -> Result<(), Box<Response>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Err(Box::new(plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "this path takes GET and HEAD",
            &[(header::ALLOW, "GET, HEAD")],
        )));
    }
    if !is_for(host, request) {
        let refused = plain(StatusCode::BAD_REQUEST, "this host is not the issuer's", &[]); // OIDC-DISC-6
        return Err(Box::new(refused));
    }
    Ok(())
}

fn send(document: &Document, kind: &'static str, asked: &HeaderMap) -> Response {
    let mut response = if matches(asked, document.etag()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(document.body().to_vec()))
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHING));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000"),
    ); // TM-25
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(etag) = HeaderValue::from_str(document.etag()) {
        headers.insert(header::ETAG, etag);
    }
    response
}

async fn unknown() -> Response {
    plain(StatusCode::NOT_FOUND, "there is no such path", &[])
}

/// LIMITS.md: `max-age=300`, `stale-while-revalidate=86400`.
const CACHING: &str = "public, max-age=300, stale-while-revalidate=86400";

fn plain(status: StatusCode, text: &'static str, headers: &[(HeaderName, &'static str)]) -> Response {
    let mut response = (status, text).into_response();
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name.clone(), HeaderValue::from_static(value));
    }
    response
}

fn is_for(host: &str, request: &Request) -> bool {
    let named = request.uri().host().or_else(|| {
        let line = request.headers().get(header::HOST)?.to_str().ok()?;
        Some(match line.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) | None => line,
        })
    });
    named.is_some_and(|named| named.eq_ignore_ascii_case(host))
}

fn matches(headers: &HeaderMap, etag: &str) -> bool {
    let lines = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::{
        jose::{SigningAlgorithm, SigningKey},
        trust::PublishedKeys,
    };

    fn router(path: &str) -> Router {
        let key = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
        let keys = PublishedKeys {
            jwt: vec![key.public_jwk(&key.thumbprint().to_string())],
            ..PublishedKeys::default()
        };
        let issuer = format!("https://id.acme.example{path}");
        let documents = Documents::new(&issuer, "https://exchange.acme.example", &keys).unwrap();
        let lists = RevocationLists::default();
        lists.replace([("key-1".to_owned(), vec![0x30, 0])]);
        routes(&Published::new(documents), &lists, "id.acme.example", path)
    }

    async fn ask(path: &str, method: &str, uri: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        router(path)
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap()
    }

    const HOST: (&str, &str) = ("host", "id.acme.example");

    #[tokio::test]
    async fn oidc_disc_1_the_suffix_is_appended_to_the_issuers_path() {
        let response = ask("/prod", "GET", "/prod/.well-known/openid-configuration", &[HOST]).await;

        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/json");
    }

    #[tokio::test]
    async fn as_meta_1_the_suffix_is_inserted_before_the_issuers_path() {
        let response = ask("/prod", "GET", "/.well-known/oauth-authorization-server/prod", &[HOST]).await;

        assert_eq!(response.status(), 200);
    }

    #[tokio::test]
    async fn oidc_disc_5_head_is_taken_and_other_methods_are_refused() {
        assert_eq!(ask("", "HEAD", "/.well-known/jwks.json", &[HOST]).await.status(), 200);
        let refused = ask("", "POST", "/.well-known/jwks.json", &[HOST]).await;
        assert_eq!(refused.status(), 405);
        assert_eq!(refused.headers()["allow"], "GET, HEAD");
    }

    #[tokio::test]
    async fn oidc_disc_5_a_strong_etag_saves_the_body() {
        let first = ask("", "GET", "/.well-known/jwks.json", &[HOST]).await;
        assert_eq!(
            first.headers()["cache-control"],
            "public, max-age=300, stale-while-revalidate=86400"
        );
        assert_eq!(first.headers()["access-control-allow-origin"], "*");
        let etag = first.headers()["etag"].to_str().unwrap().to_owned();
        assert!(etag.starts_with('"'));

        let key_of_another_router = ask("", "GET", "/.well-known/jwks.json", &[HOST, ("if-none-match", "*")]).await;

        assert_eq!(key_of_another_router.status(), 304);
        assert!(
            key_of_another_router
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .is_empty()
        );
    }

    #[tokio::test]
    async fn a_revocation_list_is_served_under_its_intermediates_key_id() {
        let found = ask("/prod", "GET", "/prod/.well-known/crl/key-1.crl", &[HOST]).await;
        assert_eq!(found.status(), 200);
        assert_eq!(found.headers()["content-type"], "application/pkix-crl");
        assert!(found.headers().contains_key("etag"));
        assert_eq!(
            found.into_body().collect().await.unwrap().to_bytes().as_ref(),
            [0x30, 0]
        );

        for (method, path, host, status) in [
            ("GET", "/.well-known/crl/key-2.crl", HOST, 404),
            ("GET", "/.well-known/crl/key-1", HOST, 404),
            ("POST", "/.well-known/crl/key-1.crl", HOST, 405),
            ("GET", "/.well-known/crl/key-1.crl", ("host", "evil.example"), 400),
        ] {
            assert_eq!(ask("", method, path, &[host]).await.status(), status, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn oidc_disc_6_another_host_is_refused_and_never_repeated() {
        let refused = ask(
            "",
            "GET",
            "/.well-known/openid-configuration",
            &[("host", "evil.example")],
        )
        .await;

        assert_eq!(refused.status(), 400);
        let body = refused.into_body().collect().await.unwrap().to_bytes();
        assert!(!String::from_utf8_lossy(&body).contains("evil"));
    }
}

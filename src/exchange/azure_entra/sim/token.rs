//! The simulated token endpoint, and the protected resource that proves its tokens.
//!
//! Judges with `rules`, answers through `answer`; holds no rule of its own but the order of the checks.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, header::AUTHORIZATION},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    exchange::azure_entra::{
        rules::{
            self,
            refusal::Refusal,
            trust::{self, Application},
        },
        sim::{
            ApplicationKind, EntraSim, Served,
            answer::{self, Grant},
            assertion::UnverifiedAssertion,
            directory::{Entry, Issued},
        },
    },
    secret::Digest,
    sim::Mutation,
};

/// The shortest life of an access token: 60 minutes. From memory: unverified.
const SHORTEST_LIFE: Duration = Duration::from_hours(1);

/// How much longer an access token may live: up to 90 minutes in all. From memory: unverified.
const LIFE_SPREAD_SECONDS: u64 = 30 * 60;

/// Most access tokens that are remembered; the one that ends first makes room.
const REMEMBERED_TOKENS: usize = 4_096;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Issues an access token, or refuses as the cloud does.
pub(super) async fn issue(
    State(served): State<Arc<Served>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let sim = &served.sim;
    sim.calls.fetch_add(1, Ordering::SeqCst);
    match sim.mutations.take() {
        None => {}
        Some(Mutation::Delay(delay)) => tokio::time::sleep(delay).await,
        Some(Mutation::Garbage) => return answer::garbage(),
        Some(Mutation::Oversized) => return answer::oversized(),
        Some(Mutation::ServerError) => return sim.server_error(&headers),
        Some(Mutation::Throttle) => return sim.throttled(&headers),
    }
    let form: HashMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    match sim.judge(&tenant, &form).await {
        Ok(grant) => sim.grant(grant),
        Err(refusal) => sim.refused(&refusal, &headers),
    }
}

/// Tells whose a live access token is.
pub(super) async fn accepted(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    let sim = &served.sim;
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let now = sim.clock.now();
    let issued = token.and_then(|token| sim.state().issued.get(&Digest::of(token.as_bytes())).cloned());
    match issued {
        Some(issued) if now < issued.expires => answer::accepted(&issued),
        Some(_expired) => answer::unauthorized("the access token expired"),
        None => answer::unauthorized("found no access token that was issued here, expected `Authorization: Bearer`"),
    }
}

impl EntraSim {
    async fn judge(&self, tenant: &str, form: &HashMap<String, String>) -> Result<Grant, Refusal> {
        let now = self.clock.now();
        let (client_id, entry) = self.client(tenant, form)?;
        let resource = resource(form)?;
        let token = parameter(form, "client_assertion")?;
        let assertion = UnverifiedAssertion::read(token)?;
        let claims = &assertion.claims;
        let behaviour = self.state().behaviour;
        let application = Application {
            id: client_id,
            credentials: &entry.credentials,
        };
        rules::judge(&assertion.header(), claims, &application, behaviour.strictness, now)?;
        let credential = trust::evaluate(&application, claims).map_err(|mismatch| mismatch.refusal)?;
        if !entry.is_propagated(credential.name(), behaviour.propagation, now) {
            return Err(Refusal::NotPropagated {
                issuer: claims.issuer.clone(),
                subject: claims.subject.clone(),
                audience: claims.audience.clone(),
            });
        }
        let documents = self.documents_of(&claims.issuer, now).await?;
        assertion.verify(&documents)?;
        if entry.kind == ApplicationKind::Blocked {
            return Err(Refusal::ConditionalAccess);
        }
        Ok(Grant {
            tenant: tenant.to_owned(),
            application: client_id.to_owned(),
            resource: resource.to_owned(),
            now,
        })
    }

    /// Finds who asks, and whether it may ask in this way at all.
    fn client<'f>(&self, tenant: &str, form: &'f HashMap<String, String>) -> Result<(&'f str, Entry), Refusal> {
        if !self.state().directory.has_tenant(tenant) {
            return Err(Refusal::TenantNotFound {
                tenant: tenant.to_owned(),
            });
        }
        match parameter(form, "grant_type")? {
            "client_credentials" => {}
            found => {
                return Err(Refusal::GrantTypeUnsupported {
                    found: found.to_owned(),
                });
            }
        }
        let client_id = parameter(form, "client_id")?;
        let entry = self.state().directory.find(tenant, client_id)?.clone();
        if entry.kind == ApplicationKind::Public {
            return Err(Refusal::PublicClient);
        }
        if form.contains_key("client_secret") {
            return Err(Refusal::SecretExpired {
                application: client_id.to_owned(),
            });
        }
        match parameter(form, "client_assertion_type")? {
            ASSERTION_TYPE => Ok((client_id, entry)),
            found => Err(Refusal::AssertionInvalid {
                reason: format!("found client_assertion_type `{found}`, expected `{ASSERTION_TYPE}`"),
            }),
        }
    }

    fn grant(&self, grant: Grant) -> Response {
        let mut bytes = [0; 34];
        if let Err(why) = self.random.fill(&mut bytes) {
            return answer::failed(why);
        }
        let [first, second, rest @ ..] = bytes;
        let spread = u64::from(u16::from_be_bytes([first, second])) % (LIFE_SPREAD_SECONDS + 1);
        let life = SHORTEST_LIFE + Duration::from_secs(spread);
        let token = format!("simulated-entra.{}", URL_SAFE_NO_PAD.encode(rest));
        self.remember(
            &token,
            Issued {
                tenant: grant.tenant,
                application: grant.application,
                resource: grant.resource,
                expires: grant.now + life,
            },
            grant.now,
        );
        answer::token(&token, life)
    }

    fn remember(&self, token: &str, issued: Issued, now: SystemTime) {
        let mut state = self.state();
        state.issued.retain(|_digest, other| now < other.expires);
        if state.issued.len() >= REMEMBERED_TOKENS {
            let first = state
                .issued
                .iter()
                .min_by_key(|(_digest, other)| other.expires)
                .map(|(digest, _other)| *digest);
            if let Some(first) = first {
                state.issued.remove(&first);
            }
        }
        state.issued.insert(Digest::of(token.as_bytes()), issued);
    }
}

fn parameter<'f>(form: &'f HashMap<String, String>, name: &'static str) -> Result<&'f str, Refusal> {
    match form.get(name).map(String::as_str) {
        None | Some("") => Err(Refusal::ParameterMissing { name }),
        Some(value) => Ok(value),
    }
}

/// Reads the one resource of a scope `<resource>/.default`.
fn resource(form: &HashMap<String, String>) -> Result<&str, Refusal> {
    let scope = parameter(form, "scope")?;
    scope
        .strip_suffix("/.default")
        .filter(|resource| !resource.is_empty() && !resource.contains(char::is_whitespace))
        .ok_or_else(|| Refusal::ScopeInvalid {
            scope: scope.to_owned(),
        })
}

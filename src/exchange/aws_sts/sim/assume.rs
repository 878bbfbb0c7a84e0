//! AssumeRoleWithWebIdentity, in the check order of the rules' source.
//!
//! parameters, token, provider, keys, signature, times, audience, trust policy, duration, packed size. The order is `[M]`.

use std::time::{Duration, SystemTime};

use super::{AssumedSession, AwsSim, StandingRole, jwks};
use crate::{
    clock,
    exchange::{
        aws::{
            Refusal,
            arn::{self, RoleArn},
            role_session,
            sim::{
                credentials::{Issued, RoleSession, no_randomness},
                form::Form,
                xml::Xml,
            },
        },
        aws_sts::rules::{
            context, limits, provider, session_policy,
            token::{self, Audience, Claims, Session},
        },
    },
    secret::Secret,
};

/// The parameters, after their constraints were checked.
struct Asked {
    role_arn: String,
    role: RoleArn,
    session_name: String,
    token: Secret,
    policy: Option<String>,
    policy_arns: Vec<String>,
    seconds: i64,
}

/// What a verified token says.
struct Proven {
    claims: Claims,
    audience: Audience,
    session: Session,
    provider_arn: String,
}

/// Answers one request.
pub(super) async fn answer(sim: &AwsSim, form: &Form) -> Result<Vec<Xml>, Refusal> {
    let asked = Asked::read(form)?;
    if let Some(refusal) = sim.lock().refuse_next.pop_front() {
        return Err(refusal);
    }
    let now = sim.clock.now();
    let proven = prove(sim, &asked, now).await?;
    let role = authorize(sim, &asked, &proven)?;
    let role_maximum = i64::try_from(role.max_session_duration.as_secs()).unwrap_or(i64::MAX);
    role_session::within_role_maximum(asked.seconds, role_maximum)?;
    asked.policy.as_deref().map_or(Ok(()), session_policy::check)?;
    let policies: Vec<&str> = asked
        .policy
        .iter()
        .chain(&asked.policy_arns)
        .map(String::as_str)
        .collect();
    let packed = role_session::packed_percent(&policies, &proven.session.tags)?;
    let assumed = RoleSession {
        role: &asked.role,
        role_id: &role.id,
        name: &asked.session_name,
        lasting: Duration::from_secs(u64::try_from(asked.seconds).unwrap_or(0)),
    };
    let issued = Issued::draw(&*sim.random, assumed, now).map_err(no_randomness)?;
    let result = result(&issued, &proven, packed);
    let session = session(asked, proven, &issued);
    sim.lock().issue(issued, session);
    Ok(result)
}

impl Asked {
    fn read(form: &Form) -> Result<Self, Refusal> {
        let policy_arns = form.list("PolicyArns.member.", ".arn")?;
        let request = limits::Request {
            role_arn: form.get("RoleArn"),
            role_session_name: form.get("RoleSessionName"),
            web_identity_token: form.get("WebIdentityToken"),
            provider_id: form.get("ProviderId"),
            policy_arns: &policy_arns,
            policy: form.get("Policy"),
            duration_seconds: form.integer("DurationSeconds")?,
            minimum_session_token_size: form.integer("MinimumSessionTokenSize")?,
        };
        limits::request(&request)?;
        let role_arn = request.role_arn.unwrap_or_default().to_owned();
        Ok(Self {
            role: arn::role_arn(&role_arn)?,
            role_arn,
            session_name: request.role_session_name.unwrap_or_default().to_owned(),
            token: Secret::new(request.web_identity_token.unwrap_or_default()),
            policy: request.policy.map(str::to_owned),
            seconds: request
                .duration_seconds
                .unwrap_or(role_session::DEFAULT_DURATION_SECONDS),
            policy_arns,
        })
    }
}

async fn prove(sim: &AwsSim, asked: &Asked, now: SystemTime) -> Result<Proven, Refusal> {
    let (header, unverified) = token::split_unverified(asked.token.expose())?;
    token::algorithm(&header)?;
    let unverified = Claims::read(&unverified)?;
    // The account is the role's: provider and role must be in the same one [D re:Post-oidc].
    let key = (asked.role.account.clone(), unverified.issuer);
    let Some(standing) = sim.lock().providers.get(&key).cloned() else {
        return Err(Refusal::no_provider(&key.1).because(format!("looked in account {}", key.0)));
    };
    let keys = jwks::fetch(sim, &standing.url).await?;
    let signed = jwks::verify(asked.token.expose(), &header, &keys)?;
    let claims = Claims::read(&signed)?;
    claims.timely(now)?;
    let audience = claims.audience(&standing.client_ids)?;
    let session = token::session(&signed)?;
    let provider_arn = provider::arn(&asked.role.partition, &standing.account, &standing.url);
    Ok(Proven {
        claims,
        audience,
        session,
        provider_arn,
    })
}

fn authorize(sim: &AwsSim, asked: &Asked, proven: &Proven) -> Result<StandingRole, Refusal> {
    let Some(role) = sim.lock().roles.get(&asked.role_arn).cloned() else {
        return Err(Refusal::not_authorized()
            .as_unverified()
            .because(format!("the role `{}` does not exist", asked.role_arn)));
    };
    let context = context::web_identity(
        &proven.provider_arn,
        &proven.claims,
        &proven.audience,
        &proven.session,
        &asked.session_name,
    );
    role.trust.evaluate(&context).into_result()?;
    Ok(role)
}

fn result(issued: &Issued, proven: &Proven, packed: usize) -> Vec<Xml> {
    let user = [
        Xml::text("Arn", &issued.assumed_role_arn),
        Xml::text("AssumedRoleId", &issued.assumed_role_id),
    ];
    let credentials = [
        Xml::text("SessionToken", issued.session_token.expose()),
        Xml::text("SecretAccessKey", issued.secret_key.expose()),
        Xml::text("Expiration", &clock::rfc3339(issued.expires_at)),
        Xml::text("AccessKeyId", &issued.access_key_id),
    ];
    let mut result = vec![
        Xml::text("SubjectFromWebIdentityToken", &proven.claims.subject),
        Xml::text("Audience", &proven.audience.matched),
        Xml::parent("AssumedRoleUser", &user),
        Xml::parent("Credentials", &credentials),
        // The ARN instead of the issuer is what the real service was seen to return [M].
        Xml::text("Provider", &proven.provider_arn),
    ];
    if packed > 0 {
        result.push(Xml::text("PackedPolicySize", &packed.to_string()));
    }
    if let Some(identity) = &proven.session.source_identity {
        result.push(Xml::text("SourceIdentity", identity));
    }
    result
}

fn session(asked: Asked, proven: Proven, issued: &Issued) -> AssumedSession {
    AssumedSession {
        role_arn: asked.role_arn,
        session_name: asked.session_name,
        issuer: proven.claims.issuer,
        subject: proven.claims.subject,
        audience: proven.audience.matched,
        tags: proven.session.tags.into_iter().collect(),
        transitive_keys: proven.session.transitive_keys,
        source_identity: proven.session.source_identity,
        duration: Duration::from_secs(u64::try_from(asked.seconds).unwrap_or(0)),
        policy: asked.policy,
        policy_arns: asked.policy_arns,
        access_key_id: issued.access_key_id.clone(),
        expires_at: issued.expires_at,
    }
}

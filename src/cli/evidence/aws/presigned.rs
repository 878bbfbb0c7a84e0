//! A question that this workload's role signs and the gateway has AWS answer: "who am I", over a challenge.
//!
//! Never asks AWS itself, and never sends more of the credentials than their id and session token: the secret key goes
//! into the signature alone.

use std::time::SystemTime;

use anyhow::Context as _;
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::{
    super::{Asked, Evidence, Found, Holder, held},
    role::{Place, Role},
};
use crate::{
    attest::aws_iam::presigned,
    cli::failure::Failure,
    clock,
    secret::{Digest, hex},
};

/// Signs with the role's credentials, where this workload has one.
pub(in super::super) async fn look(asked: &Asked<'_>) -> Result<Found, Failure> {
    let Some(place) = Place::of(asked) else {
        return Ok(Found::Nothing(Place::looked_for(asked)));
    };
    let role = Role::at(asked, place).await;
    let role = held(role.context("this workload's role has no credentials to sign with"))?;
    let host = presigned::host_of_region(&role.region);
    let unknown = || {
        let region = &role.region;
        format!("found region `{region}`, expected one whose STS this version knows, such as `eu-central-1`")
    };
    let host = held(host.with_context(unknown))?;
    let challenge = asked.gateway.challenge().await?;
    let url = Question {
        host: &host,
        challenge: &challenge,
        now: asked.environment.clock.now(),
    }
    .signed_by(&role);
    Ok(Found::Evidence(Evidence {
        token: presigned::written(&challenge, &url),
        holder: Holder::Process,
    }))
}

/// What is asked of whom, and when.
struct Question<'a> {
    host: &'a str,
    challenge: &'a str,
    now: SystemTime,
}

impl Question<'_> {
    /// Signs the question as AWS's documentation has it ("Signing AWS API requests", query parameters); the headers are
    /// `host` and the challenge's.
    fn signed_by(&self, role: &Role) -> String {
        let date: String = clock::rfc3339(self.now)
            .chars()
            .filter(|one| !matches!(one, '-' | ':'))
            .collect();
        let day: String = date.chars().take(8).collect();
        let scope = [day.as_str(), &role.region, "sts", "aws4_request"];
        let header = presigned::CHALLENGE_HEADER;
        let headers = format!("host;{header}");
        let credential = format!("{}/{}", role.credentials.access_key_id(), scope.join("/"));
        // In the order of their names, which is that of the signature.
        let mut pairs = vec![
            ("Action", "GetCallerIdentity"),
            ("Version", "2011-06-15"),
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &date),
            ("X-Amz-Expires", LIFE_SECONDS),
        ];
        pairs.extend(
            role.credentials
                .session_token()
                .map(|token| ("X-Amz-Security-Token", token)),
        );
        pairs.push(("X-Amz-SignedHeaders", &headers));
        let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let (host, challenge, nothing) = (self.host, self.challenge, Digest::of(b""));
        let request = format!("GET\n/\n{query}\nhost:{host}\n{header}:{challenge}\n\n{headers}\n{nothing}");
        let request = Digest::of(request.as_bytes());
        let to_sign = format!("{ALGORITHM}\n{date}\n{}\n{request}", scope.join("/"));
        let first = format!("AWS4{}", role.credentials.secret_access_key()).into_bytes();
        let key = scope
            .iter()
            .fold(Zeroizing::new(first), |key, part| mac(&key, part.as_bytes()));
        let signature = hex(&mac(&key, to_sign.as_bytes()));
        format!("https://{host}/?{query}&X-Amz-Signature={signature}")
    }
}

fn mac(key: &[u8], message: &[u8]) -> Zeroizing<Vec<u8>> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    Zeroizing::new(hmac::sign(&key, message).as_ref().to_vec())
}

/// All but the unreserved characters of RFC 3986 section 2.3.
fn encoded(value: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    value.bytes().map(one).collect()
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// As long as the challenge stands.
const LIFE_SECONDS: &str = "60";

//! Signature Version 4 as a verifier, for every simulated service of AWS: canonical request, string to sign, derived key.
//!
//! Source: AWS documentation, "Signing AWS API requests". In the `Authorization` header; a presigned query is refused as unsigned.
//! Compares in constant time and never logs what it computed.

use std::time::{Duration, SystemTime};

use aws_lc_rs::{constant_time, hmac};
use axum::http::{HeaderMap, request::Parts};
use time::{PrimitiveDateTime, macros::format_description};

use crate::{
    clock,
    secret::{Digest, Secret, hex},
};

/// Why a signature does not hold; each service has its own code for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureRefused {
    /// A part is missing or has another form.
    #[error("{0}")]
    Incomplete(String),
    /// The signature is another, or over something else.
    #[error("{0}")]
    Mismatch(String),
    /// There is none.
    #[error("Request is missing Authentication Token")]
    Missing,
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A request that carries a signature, not yet verified.
pub(crate) struct Signed {
    access_key_id: String,
    scope: Vec<String>,
    date: String,
    moment: SystemTime,
    session_token: Option<Secret>,
    signature: String,
    canonical_request: String,
}

/// The parts of a signature.
struct Claimed {
    credential: String,
    signed_headers: String,
    signature: String,
    date: String,
    session_token: Option<String>,
}

impl Signed {
    /// Reads the signature of a request to a service from the `Authorization` header.
    pub(crate) fn read(parts: &Parts, body: &[u8], expected: &str) -> Result<Self, SignatureRefused> {
        let authorization = header(&parts.headers, "authorization").ok_or(SignatureRefused::Missing)?;
        let claimed = Claimed::from_header(&authorization, &parts.headers)?;
        let scope: Vec<String> = claimed.credential.split('/').map(str::to_owned).collect();
        let [access_key_id, day, _region, service, terminator] = scope.as_slice() else {
            return Err(incomplete("Credential has other than five parts"));
        };
        if service != expected
            || terminator != "aws4_request"
            || !claimed.date.starts_with(day.as_str())
            || day.len() != 8
        {
            return Err(mismatch(&format!(
                "Credential should be scoped to the request's day, service `{expected}`, `aws4_request`"
            )));
        }
        let moment = moment(&claimed.date).ok_or_else(|| incomplete("X-Amz-Date is not YYYYMMDDTHHMMSSZ"))?;
        let canonical_request = canonical_request(parts, body, &claimed.signed_headers)?;
        Ok(Self {
            access_key_id: access_key_id.clone(),
            scope: scope.iter().skip(1).cloned().collect(),
            date: claimed.date,
            moment,
            session_token: claimed.session_token.map(Secret::new),
            signature: claimed.signature,
            canonical_request,
        })
    }

    /// Returns the key id that the request claims.
    pub(crate) fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Returns the session token that the request carries.
    pub(crate) fn session_token(&self) -> Option<&Secret> {
        self.session_token.as_ref()
    }

    /// Returns from when until when the signature may be used.
    pub(crate) fn valid_within(&self, skew: Duration) -> (SystemTime, SystemTime) {
        let from = self.moment.checked_sub(skew).unwrap_or(self.moment);
        (from, self.moment + skew)
    }

    /// Checks the signature against the secret key.
    pub(crate) fn verify(&self, secret_key: &Secret) -> Result<(), SignatureRefused> {
        let expected = signature(secret_key, (&self.date, &self.scope.join("/")), &self.canonical_request);
        constant_time::verify_slices_are_equal(expected.as_bytes(), self.signature.as_bytes()).map_err(|_differs| {
            mismatch(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                 Access Key and signing method. Consult the service documentation for details.",
            )
        })
    }
}

/// Signs a canonical request; the scope is that of the credential, without the key's id.
pub(crate) fn signature(secret_key: &Secret, (date, scope): (&str, &str), canonical_request: &str) -> String {
    let request = Digest::of(canonical_request.as_bytes());
    let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{request}");
    let first = format!("AWS4{}", secret_key.expose()).into_bytes();
    let key = scope.split('/').fold(first, |key, part| mac(&key, part.as_bytes()));
    hex(&mac(&key, to_sign.as_bytes()))
}

impl Claimed {
    fn from_header(authorization: &str, headers: &HeaderMap) -> Result<Self, SignatureRefused> {
        let Some(fields) = authorization.strip_prefix(ALGORITHM) else {
            return Err(incomplete("Authorization does not begin with AWS4-HMAC-SHA256"));
        };
        let field = |name: &str| {
            fields
                .split(',')
                .filter_map(|field| field.trim().split_once('='))
                .find(|(found, _)| *found == name)
                .map(|(_, value)| value.to_owned())
                .ok_or_else(|| incomplete(&format!("Authorization has no {name}")))
        };
        Ok(Self {
            credential: field("Credential")?,
            signed_headers: field("SignedHeaders")?,
            signature: field("Signature")?,
            date: header(headers, "x-amz-date").ok_or_else(|| incomplete("there is no X-Amz-Date"))?,
            session_token: header(headers, "x-amz-security-token"),
        })
    }
}

/// Rebuilds the canonical request from what came in and the list of signed headers.
///
/// # Errors
/// [`SignatureRefused::Incomplete`] where the list is not sorted or lacks `host`; [`SignatureRefused::Mismatch`] for an unsigned `x-amz-` header.
pub(crate) fn canonical_request(parts: &Parts, body: &[u8], signed_headers: &str) -> Result<String, SignatureRefused> {
    let names: Vec<&str> = signed_headers.split(';').collect();
    if !names.contains(&"host") || !names.is_sorted() {
        return Err(incomplete("SignedHeaders must be sorted and name `host`"));
    }
    // An unsigned x-amz header could change what the request means after it was signed.
    if let Some(unsigned) = parts
        .headers
        .keys()
        .map(axum::http::HeaderName::as_str)
        .find(|name| name.starts_with("x-amz-") && !names.contains(name))
    {
        return Err(mismatch(&format!("header `{unsigned}` is not signed")));
    }
    let mut headers = String::new();
    for name in &names {
        let value =
            header_or_authority(parts, name).ok_or_else(|| mismatch(&format!("`{name}` is signed and absent")))?;
        headers.push_str(&format_header(name, &value));
    }
    let mut pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .map(|(name, value)| (encode(&name), encode(&value)))
            .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let payload = Digest::of(body);
    Ok(format!(
        "{method}\n{path}\n{}\n{headers}\n{signed_headers}\n{payload}",
        pairs.join("&")
    ))
}

fn format_header(name: &str, value: &str) -> String {
    let collapsed: Vec<&str> = value.split_ascii_whitespace().collect();
    format!("{name}:{}\n", collapsed.join(" "))
}

fn header_or_authority(parts: &Parts, name: &str) -> Option<String> {
    let authority = || {
        parts
            .uri
            .authority()
            .filter(|_| name == "host")
            .map(ToString::to_string)
    };
    header(&parts.headers, name).or_else(authority)
}

/// Returns a header; several of one name are joined by commas.
pub(crate) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    if values.is_empty() {
        None
    } else {
        Some(values.join(","))
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// Reads `YYYYMMDDTHHMMSSZ`.
pub(crate) fn moment(date: &str) -> Option<SystemTime> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let moment = PrimitiveDateTime::parse(date, format).ok()?.assume_utc();
    clock::from_unix_seconds(u64::try_from(moment.unix_timestamp()).ok()?)
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
        .as_ref()
        .to_vec()
}

fn incomplete(detail: &str) -> SignatureRefused {
    SignatureRefused::Incomplete(detail.to_owned())
}

fn mismatch(detail: &str) -> SignatureRefused {
    SignatureRefused::Mismatch(detail.to_owned())
}

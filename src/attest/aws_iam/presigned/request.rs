//! The evidence: a challenge of ours, and the URL that asks AWS who signed it, over that very challenge.
//!
//! It must never send what came in: what is in order is written anew from its parts, so that nothing can be smuggled past
//! a check into a request that the gateway makes (T-41 to T-44).

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::endpoint::{self, Endpoint};
use crate::{attest::CLOCK_LEEWAY, clock::parse_rfc3339};

/// A question that is in order by its form; whether AWS takes its signature is not known yet.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) endpoint: Endpoint,
    pub(super) challenge_unverified: String,
    /// What is asked, behind the host: `/?Action=..`, in our own spelling.
    pub(super) path_and_query: String,
}

impl Request {
    /// Reads evidence strictly.
    pub(super) fn read(evidence: &str, now: SystemTime) -> Result<Self, RequestRefused> {
        let (challenge, url) = parted(evidence)?;
        let (host, query) = host_and_query(&url)?;
        let endpoint = endpoint::of_host(host).ok_or_else(|| RequestRefused::Host { found: shown(host) })?;
        let parameters = Parameters::read(query)?;
        parameters.check(&endpoint, now)?;
        Ok(Self {
            endpoint,
            challenge_unverified: challenge,
            path_and_query: parameters.written(),
        })
    }
}

/// Tells whether evidence says that it is of this form.
pub(super) fn is_announced(evidence: &str) -> bool {
    evidence.starts_with(PREFIX)
}

/// Puts evidence together of challenge and URL.
pub(super) fn written(challenge: &str, url: &str) -> String {
    format!("{PREFIX}{challenge}.{}", BASE64_URL_SAFE_NO_PAD.encode(url))
}

/// Takes evidence apart into challenge and URL; what fails here has not even the outer form.
pub(super) fn parted(evidence: &str) -> Result<(String, String), RequestRefused> {
    if evidence.len() > MAX_EVIDENCE_BYTES {
        return Err(RequestRefused::Oversized {
            found_bytes: evidence.len(),
        });
    }
    let rest = evidence.strip_prefix(PREFIX).ok_or(RequestRefused::Prefix)?;
    let (challenge, url) = rest.split_once('.').ok_or(RequestRefused::Parts)?;
    let url = BASE64_URL_SAFE_NO_PAD.decode(url).map_err(RequestRefused::Encoding)?;
    let url = String::from_utf8(url)
        .ok()
        .filter(|url| url.bytes().all(|byte| byte.is_ascii_graphic()));
    Ok((challenge.to_owned(), url.ok_or(RequestRefused::Text)?))
}

/// Takes the URL apart by hand: another parser would repair it first (T-13).
fn host_and_query(url: &str) -> Result<(&str, &str), RequestRefused> {
    let rest = url.strip_prefix("https://").ok_or(RequestRefused::Scheme)?;
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at(end);
    let query = rest.strip_prefix("/?").ok_or(RequestRefused::Path)?;
    Ok((host, query))
}

/// The parameters, decoded, in the order of [`NAMES`].
#[derive(Debug)]
struct Parameters([Option<String>; NAMES.len()]);

impl Parameters {
    fn read(query: &str) -> Result<Self, RequestRefused> {
        let mut found = Self(std::array::from_fn(|_| None));
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
            let unknown = || RequestRefused::Unknown { found: shown(name) };
            let place = place.ok_or_else(unknown)?;
            let (Some(slot), Some(spelled)) = (found.0.get_mut(place), NAMES.get(place)) else {
                return Err(unknown());
            };
            // AWS may read either of two spellings, so one of them would be checked and the other one believed (T-43).
            if slot.is_some() {
                return Err(RequestRefused::Repeated { name: spelled });
            }
            if *spelled != name {
                return Err(unknown());
            }
            *slot = Some(decoded(value).ok_or(RequestRefused::Value { name: spelled })?);
        }
        Ok(found)
    }

    fn of(&self, name: &'static str) -> Result<&str, RequestRefused> {
        let place = NAMES.iter().position(|known| *known == name);
        let value = place.and_then(|place| self.0.get(place)).and_then(Option::as_deref);
        value
            .filter(|value| !value.is_empty())
            .ok_or(RequestRefused::Missing { name })
    }

    fn check(&self, endpoint: &Endpoint, now: SystemTime) -> Result<(), RequestRefused> {
        for (name, expected) in EXACT {
            let found = self.of(name)?;
            if found != *expected {
                return Err(RequestRefused::Other {
                    name,
                    found: shown(found),
                    expected,
                });
            }
        }
        let date = self.of(DATE)?;
        self.check_credential(endpoint, date)?;
        let signature = self.of(SIGNATURE)?;
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if signature.len() != 64 || !signature.bytes().all(hex) {
            return Err(RequestRefused::Value { name: SIGNATURE });
        }
        if self.of(TOKEN).is_err() && query_has(&self.0, TOKEN) {
            return Err(RequestRefused::Value { name: TOKEN });
        }
        check_time(date, self.of(EXPIRES)?, now)
    }

    /// The scope names the day, the region and the service that the key was derived for.
    fn check_credential(&self, endpoint: &Endpoint, date: &str) -> Result<(), RequestRefused> {
        let credential = self.of(CREDENTIAL)?;
        let parts: Vec<&str> = credential.split('/').collect();
        let key = |key: &str| {
            let byte = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
            (16..=128).contains(&key.len()) && key.bytes().all(byte)
        };
        match parts.as_slice() {
            [id, day, region, "sts", "aws4_request"]
                if key(id) && date.get(..8) == Some(*day) && *region == endpoint.region =>
            {
                Ok(())
            }
            _another => Err(RequestRefused::Credential {
                found: shown(credential),
                region: endpoint.region,
            }),
        }
    }

    /// Writes path and query anew, each value encoded as a signer would.
    fn written(&self) -> String {
        let pairs = NAMES.iter().zip(&self.0);
        let pairs = pairs.filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={}", encoded(value))));
        format!("/?{}", pairs.collect::<Vec<_>>().join("&"))
    }
}

fn query_has(found: &[Option<String>; NAMES.len()], name: &str) -> bool {
    NAMES
        .iter()
        .zip(found)
        .any(|(known, value)| *known == name && value.is_some())
}

fn check_time(date: &str, expires: &str, now: SystemTime) -> Result<(), RequestRefused> {
    let signed = moment(date).ok_or_else(|| RequestRefused::Date { found: shown(date) })?;
    let life = Some(expires)
        .filter(|text| text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .filter(|seconds| *seconds <= MAX_LIFE.as_secs())
        .map(Duration::from_secs)
        .ok_or_else(|| RequestRefused::Expires { found: shown(expires) })?;
    if let Ok(ahead) = signed.duration_since(now)
        && ahead > CLOCK_LEEWAY
    {
        return Err(RequestRefused::Early { ahead });
    }
    let ends = signed + life;
    if ends + CLOCK_LEEWAY <= now {
        let ago = now.duration_since(ends).unwrap_or_default();
        return Err(RequestRefused::Expired { ago });
    }
    Ok(())
}

/// Reads `20260116T144000Z`.
fn moment(text: &str) -> Option<SystemTime> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    if day.len() != 8 || time.len() != 6 || !digits(day) || !digits(time) {
        return None;
    }
    let (year, month, day) = (day.get(..4)?, day.get(4..6)?, day.get(6..)?);
    let (hour, minute, second) = (time.get(..2)?, time.get(2..4)?, time.get(4..)?);
    parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

/// Decodes a value of unreserved characters and `%XX`; `None` for any other character, before or after.
fn decoded(value: &str) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let decoded = if byte == b'%' {
            let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
            u8::try_from(high * 16 + low).ok()?
        } else {
            Some(byte).filter(|byte| is_unreserved(*byte))?
        };
        out.push(Some(decoded).filter(u8::is_ascii_graphic).map(char::from)?);
    }
    Some(out)
}

fn encoded(value: &str) -> String {
    let one = |byte: u8| {
        if is_unreserved(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    value.bytes().map(one).collect()
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Returns the beginning of foreign text, escaped.
fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_default).collect()
}

/// Evidence is no question to AWS that may be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestRefused {
    /// The credential scope is not of this day, region and service.
    #[error("`X-Amz-Credential` is `{found}`, expected `<key id>/<day of X-Amz-Date>/{region}/sts/aws4_request`")]
    Credential {
        /// What was found.
        found: String,
        /// The region of the host.
        region: &'static str,
    },
    /// The date is none.
    #[error("`X-Amz-Date` is `{found}`, expected such as `20260116T144000Z`")]
    Date {
        /// What was found.
        found: String,
    },
    /// It was signed in the future.
    #[error("the URL is signed for {ahead:?} from now, at most 30 s are taken")]
    Early {
        /// How far ahead.
        ahead: Duration,
    },
    /// The last part is not base64url.
    #[error("the URL is not canonical base64url without padding")]
    Encoding(#[source] base64::DecodeError),
    /// The signature has ended.
    #[error("the URL's signature ended {ago:?} ago")]
    Expired {
        /// How long ago.
        ago: Duration,
    },
    /// The life is none, or too long.
    #[error("`X-Amz-Expires` is `{found}`, expected 0 to 900")]
    Expires {
        /// What was found.
        found: String,
    },
    /// The host is no endpoint of a known region.
    #[error("the URL's host is `{found}`, expected that of AWS STS in a known region")]
    Host {
        /// What was found.
        found: String,
    },
    /// A parameter that must be there is not.
    #[error("found no `{name}`, expected it")]
    Missing {
        /// The parameter.
        name: &'static str,
    },
    /// A parameter has another value than the only one that is taken.
    #[error("`{name}` is `{found}`, expected `{expected}`")]
    Other {
        /// The parameter.
        name: &'static str,
        /// What was found.
        found: String,
        /// The only value.
        expected: &'static str,
    },
    /// More bytes than this evidence may have.
    #[error("the evidence has {found_bytes} bytes, at most 4096 are taken")]
    Oversized {
        /// How many.
        found_bytes: usize,
    },
    /// There is no challenge, or no URL.
    #[error("the evidence is not `cambio-aws-v1.<challenge>.<base64url of the URL>`")]
    Parts,
    /// The path is another one than `/`, or there is no query.
    #[error("the URL's path is not `/` with a query, expected `https://<host>/?..`")]
    Path,
    /// It does not begin as this evidence does.
    #[error("the evidence does not begin with `cambio-aws-v1.`")]
    Prefix,
    /// A parameter is there twice, however it is spelled.
    #[error("`{name}` is there more than once, expected it once")]
    Repeated {
        /// The parameter.
        name: &'static str,
    },
    /// The URL is not `https`.
    #[error("the URL does not begin with `https://`")]
    Scheme,
    /// The URL is not printable ASCII.
    #[error("the URL holds other bytes than printable ASCII")]
    Text,
    /// A parameter that is not asked for, or that is spelled in another way.
    #[error("found parameter `{found}`, expected only those of a presigned GetCallerIdentity")]
    Unknown {
        /// What was found.
        found: String,
    },
    /// A value that no signer writes.
    #[error("the value of `{name}` is not one that a signer writes")]
    Value {
        /// The parameter.
        name: &'static str,
    },
}

impl RequestRefused {
    /// Tells whether not even the outer form is right, which the bytes alone show.
    pub(super) fn is_of_form(&self) -> bool {
        match self {
            Self::Encoding(_) | Self::Oversized { .. } | Self::Parts | Self::Prefix | Self::Text => true,
            Self::Credential { .. }
            | Self::Date { .. }
            | Self::Early { .. }
            | Self::Expired { .. }
            | Self::Expires { .. }
            | Self::Host { .. }
            | Self::Missing { .. }
            | Self::Other { .. }
            | Self::Path
            | Self::Repeated { .. }
            | Self::Scheme
            | Self::Unknown { .. }
            | Self::Value { .. } => false,
        }
    }
}

/// How evidence of this form begins.
const PREFIX: &str = "cambio-aws-v1.";

/// T-43.
const MAX_EVIDENCE_BYTES: usize = 4096;

/// AWS signs nothing for STS that lives longer, and takes none later.
const MAX_LIFE: Duration = Duration::from_mins(15);

const CREDENTIAL: &str = "X-Amz-Credential";
const DATE: &str = "X-Amz-Date";
const EXPIRES: &str = "X-Amz-Expires";
const SIGNATURE: &str = "X-Amz-Signature";
const TOKEN: &str = "X-Amz-Security-Token";

/// All parameters that there may be (T-43).
const NAMES: [&str; 9] = [
    "Action",
    "Version",
    "X-Amz-Algorithm",
    CREDENTIAL,
    DATE,
    EXPIRES,
    TOKEN,
    SIGNATURE,
    "X-Amz-SignedHeaders",
];

/// Those that have one value only. The signed headers are what we send and no more: `host`, and the challenge.
const EXACT: &[(&str, &str)] = &[
    ("Action", "GetCallerIdentity"),
    ("Version", "2011-06-15"),
    ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
    ("X-Amz-SignedHeaders", "host;x-cambio-challenge"),
];

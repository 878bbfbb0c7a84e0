//! The protected header of a received token.
//!
//! It must never act on a key, an address or an extension that the header brings along (T-54).

use serde_json::{Map, Value};

use super::{
    Algorithm, UnsupportedAlgorithm, excerpt,
    strict_json::{self, JsonRefused, Limits, type_name},
};

/// Which members a header may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::jose) enum HeaderRule {
    /// A foreign issuer's token: what we do not know is ignored, as RFC 7515 section 4 says. GitHub and Entra send
    /// `x5t`; nothing here ever selects a key by it.
    Evidence,
    /// A JWT-SVID: `alg`, `kid`, and `typ` of `JWT` or `JOSE`, nothing else (JWT-SVID section 2).
    JwtSvid,
    /// A DPoP proof: exactly `typ`, `alg` and `jwk` (RFC 9449 section 4.2).
    Proof,
}

/// What a header says, none of it trusted yet.
#[derive(Debug)]
pub(in crate::jose) struct ReceivedHeader {
    pub(in crate::jose) algorithm: Algorithm,
    pub(in crate::jose) key_id: Option<String>,
    pub(in crate::jose) kind: Option<String>,
    pub(in crate::jose) jwk: Option<Map<String, Value>>,
}

impl ReceivedHeader {
    pub(in crate::jose) fn parse(bytes: &[u8], rule: HeaderRule) -> Result<Self, HeaderRefused> {
        if bytes.len() > MAX_HEADER_BYTES {
            return Err(HeaderRefused::TooLong { found: bytes.len() });
        }
        let mut members = match strict_json::parse(bytes, &Limits::default()).map_err(HeaderRefused::Json)? {
            Value::Object(members) => members,
            other => {
                return Err(HeaderRefused::NotAnObject {
                    found: type_name(&other),
                });
            }
        };
        refuse_members(&members, rule)?;
        let algorithm = text(&members, "alg")?.ok_or(HeaderRefused::Missing { name: "alg" })?;
        let algorithm = algorithm.parse().map_err(HeaderRefused::Algorithm)?;
        let key_id = text(&members, "kid")?.map(key_id).transpose()?;
        let kind = text(&members, "typ")?.map(str::to_owned);
        refuse_kind(kind.as_deref(), rule)?;
        let jwk = match (rule, members.remove("jwk")) {
            (HeaderRule::Evidence | HeaderRule::JwtSvid, _refused_above) => None,
            (HeaderRule::Proof, Some(Value::Object(jwk))) => Some(jwk),
            (HeaderRule::Proof, Some(other)) => {
                return Err(HeaderRefused::WrongType {
                    name: "jwk",
                    found: type_name(&other),
                    expected: "an object",
                });
            }
            (HeaderRule::Proof, None) => return Err(HeaderRefused::Missing { name: "jwk" }),
        };
        if rule == HeaderRule::JwtSvid && key_id.is_none() {
            return Err(HeaderRefused::Missing { name: "kid" });
        }
        Ok(Self {
            algorithm,
            key_id,
            kind,
            jwk,
        })
    }
}

/// Why a header was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderRefused {
    /// The algorithm is not of the list.
    #[error("header names an algorithm that is never accepted")]
    Algorithm(#[source] UnsupportedAlgorithm),
    /// The header has a member that would change what is verified, or with what.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8725#section-3.10>
    #[error("header has member `{name}`, expected none that brings keys, addresses or extensions")]
    ForbiddenMember {
        /// The member, shortened and escaped.
        name: String,
    },
    /// The header is not strict JSON.
    #[error("header is not strict JSON")]
    Json(#[source] JsonRefused),
    /// The key id is empty, too long, or holds control characters.
    #[error(
        "header has key id `{found}` of {bytes} bytes, expected 1 to {MAX_KEY_ID_BYTES} without control characters"
    )]
    KeyId {
        /// What was found, shortened and escaped.
        found: String,
        /// Its length.
        bytes: usize,
    },
    /// The `typ` is not the one of this kind of token.
    #[error("header has typ `{found}`, expected {expected}")]
    Kind {
        /// What was found, shortened and escaped.
        found: String,
        /// What this kind of token says.
        expected: &'static str,
    },
    /// A required member is absent.
    #[error("header has no member `{name}`, expected it")]
    Missing {
        /// The member.
        name: &'static str,
    },
    /// The header is not an object.
    #[error("header is {found}, expected an object")]
    NotAnObject {
        /// The JSON type.
        found: &'static str,
    },
    /// The header is longer than the limit.
    #[error("header has {found} bytes, expected at most {MAX_HEADER_BYTES}")]
    TooLong {
        /// The length.
        found: usize,
    },
    /// A member has another type.
    #[error("header member `{name}` is {found}, expected {expected}")]
    WrongType {
        /// The member.
        name: &'static str,
        /// The JSON type that was found.
        found: &'static str,
        /// The JSON type that was expected.
        expected: &'static str,
    },
}

/// Tells whether `text` can be a key id: an opaque look-up key, bounded, and safe to print.
pub(in crate::jose) fn is_key_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_KEY_ID_BYTES && !text.chars().any(char::is_control)
}

fn refuse_members(members: &Map<String, Value>, rule: HeaderRule) -> Result<(), HeaderRefused> {
    for name in members.keys() {
        let accepted = match rule {
            HeaderRule::Evidence => !FORBIDDEN.contains(&name.as_str()),
            HeaderRule::JwtSvid => ["alg", "kid", "typ"].contains(&name.as_str()),
            HeaderRule::Proof => ["alg", "jwk", "typ"].contains(&name.as_str()),
        };
        if !accepted {
            return Err(HeaderRefused::ForbiddenMember { name: excerpt(name) });
        }
    }
    Ok(())
}

fn refuse_kind(kind: Option<&str>, rule: HeaderRule) -> Result<(), HeaderRefused> {
    let expected = match (rule, kind) {
        (HeaderRule::Evidence, _the_attestors_to_judge) => return Ok(()),
        (HeaderRule::JwtSvid, None | Some("JWT" | "JOSE")) | (HeaderRule::Proof, Some(PROOF_KIND)) => return Ok(()),
        (HeaderRule::JwtSvid, Some(_)) => "`JWT` or `JOSE`",
        (HeaderRule::Proof, None) => return Err(HeaderRefused::Missing { name: "typ" }),
        (HeaderRule::Proof, Some(_)) => "`dpop+jwt`",
    };
    let found = excerpt(kind.unwrap_or_default());
    Err(HeaderRefused::Kind { found, expected })
}

fn text<'m>(members: &'m Map<String, Value>, name: &'static str) -> Result<Option<&'m str>, HeaderRefused> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(HeaderRefused::WrongType {
            name,
            found: type_name(other),
            expected: "a string",
        }),
    }
}

fn key_id(text: &str) -> Result<String, HeaderRefused> {
    if is_key_id(text) {
        return Ok(text.to_owned());
    }
    Err(HeaderRefused::KeyId {
        found: excerpt(text),
        bytes: text.len(),
    })
}

/// Members that bring a key or an address, or change how the token is read; `cty` and `enc` announce a nested or
/// encrypted token.
const FORBIDDEN: [&str; 14] = [
    "apu", "apv", "b64", "crit", "cty", "enc", "epk", "jku", "jwk", "p2c", "p2s", "x5c", "x5u", "zip",
];

const PROOF_KIND: &str = "dpop+jwt";

// JWT-BCP-12.
const MAX_HEADER_BYTES: usize = 4 * 1024;

/// The longest key id; long enough for a URL or an ARN, short enough for a log line.
const MAX_KEY_ID_BYTES: usize = 256;

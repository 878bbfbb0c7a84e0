//! A foreign issuer's JWK set.
//!
//! A set that shows a secret or is ambiguous must be refused whole; a key we cannot use is only left out.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    Algorithm, KeyRefused, PublicKey, excerpt,
    strict_json::{self, JsonRefused, Limits, type_name},
};

/// The usable keys of one issuer.
#[derive(Debug, Clone)]
pub struct KeySet {
    keys: Vec<PublicKey>,
    ignored: Vec<IgnoredKey>,
}

impl KeySet {
    /// Reads a JWK set whose keys may use every algorithm of the list.
    ///
    /// # Errors
    /// As [`Self::parse_allowing`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetRefused> {
        Self::parse_allowing(bytes, &Algorithm::ALL)
    }

    /// Reads a JWK set whose keys may use `allowed`.
    ///
    /// # Errors
    /// Refuses what is not strict JSON or no set, other than 1 to 100 keys, any symmetric or private key, a key id that
    /// stands twice, and a set without a single usable key.
    pub fn parse_allowing(bytes: &[u8], allowed: &[Algorithm]) -> Result<Self, KeySetRefused> {
        Self::parse_of(bytes, allowed, None)
    }

    /// Reads the JWK set of `issuer` whose keys may use `allowed`; a key that says that it is another issuer's is left out.
    ///
    /// Microsoft's sets hold the keys of private accounts beside those of tenants, and say whose is which in the member
    /// `issuer`, where `{tenantid}` stands for any tenant. Nobody else's sets have that member.
    ///
    /// # Errors
    /// As [`Self::parse_allowing`].
    pub fn parse_issued(bytes: &[u8], allowed: &[Algorithm], issuer: &str) -> Result<Self, KeySetRefused> {
        Self::parse_of(bytes, allowed, Some(issuer))
    }

    fn parse_of(bytes: &[u8], allowed: &[Algorithm], issuer: Option<&str>) -> Result<Self, KeySetRefused> {
        let document = strict_json::parse(bytes, &Limits::default()).map_err(KeySetRefused::Json)?;
        let entries = entries(&document)?;
        if !(1..=MAX_KEYS).contains(&entries.len()) {
            return Err(KeySetRefused::Count { found: entries.len() });
        }
        let set = Self::collect(entries.iter().enumerate(), allowed, issuer)?;
        if set.keys.is_empty() {
            return Err(KeySetRefused::NoUsableKey { ignored: set.ignored });
        }
        Ok(set)
    }

    /// Reads the entries of a set, each with its position.
    pub(crate) fn from_entries<'e>(
        entries: impl Iterator<Item = (usize, &'e Value)>,
        allowed: &[Algorithm],
    ) -> Result<Self, KeySetRefused> {
        Self::collect(entries, allowed, None)
    }

    fn collect<'e>(
        entries: impl Iterator<Item = (usize, &'e Value)>,
        allowed: &[Algorithm],
        issuer: Option<&str>,
    ) -> Result<Self, KeySetRefused> {
        let mut set = Self {
            keys: Vec::new(),
            ignored: Vec::new(),
        };
        let mut seen = HashSet::new();
        for (position, entry) in entries {
            if let Some(key_id) = entry.get("kid").and_then(Value::as_str)
                && !seen.insert(key_id)
            {
                return Err(KeySetRefused::DuplicateKeyId { found: excerpt(key_id) });
            }
            match read(entry, allowed).and_then(|key| refuse_other_issuer(entry, issuer).map(|()| key)) {
                Ok(key) => set.keys.push(key),
                Err(reason) if reason.shows_a_secret() => return Err(KeySetRefused::Secret { position, reason }),
                Err(reason) => set.ignored.push(IgnoredKey {
                    position,
                    key_id: entry.get("kid").and_then(Value::as_str).map(excerpt),
                    reason,
                }),
            }
        }
        Ok(set)
    }

    /// Finds the key for a token.
    ///
    /// A token without a key id is served only where exactly one key comes into question.
    ///
    /// # Errors
    /// Refuses an unknown key id, an algorithm the key does not allow, and an ambiguous token.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&PublicKey, KeyNotFound> {
        let Some(kid) = kid else {
            return self.sole(algorithm);
        };
        let key = self.keys.iter().find(|key| key.kid() == Some(kid));
        let key = key.ok_or_else(|| KeyNotFound::UnknownKeyId {
            found: excerpt(kid),
            known: self.keys.len(),
        })?;
        if !key.allows(algorithm) {
            return Err(KeyNotFound::Algorithm {
                found: algorithm,
                expected: Algorithm::names(key.algorithms()),
            });
        }
        Ok(key)
    }

    /// Returns the usable keys.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Returns the keys that were left out, and why.
    pub fn ignored(&self) -> &[IgnoredKey] {
        &self.ignored
    }

    fn sole(&self, algorithm: Algorithm) -> Result<&PublicKey, KeyNotFound> {
        let mut candidates = self.keys.iter().filter(|key| key.allows(algorithm));
        match (candidates.next(), candidates.count()) {
            (Some(key), 0) => Ok(key),
            (first, more) => Err(KeyNotFound::NoKeyId {
                candidates: usize::from(first.is_some()) + more,
            }),
        }
    }
}

/// A key that was left out of a set.
#[derive(Debug, Clone)]
pub struct IgnoredKey {
    position: usize,
    key_id: Option<String>,
    reason: KeyRefused,
}

impl IgnoredKey {
    /// Returns the place in the set, from 0.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Returns the key id, shortened and escaped.
    pub fn kid(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Returns why it was left out.
    pub fn reason(&self) -> &KeyRefused {
        &self.reason
    }
}

/// Why a set was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetRefused {
    /// There are no keys, or too many.
    #[error("found {found} keys, expected 1 to {MAX_KEYS}")]
    Count {
        /// How many.
        found: usize,
    },
    /// Two keys have one id.
    #[error("found key id `{found}` twice, expected it once")]
    DuplicateKeyId {
        /// The id, shortened and escaped.
        found: String,
    },
    /// The document is not strict JSON.
    #[error("key set is not strict JSON")]
    Json(#[source] JsonRefused),
    /// No key can be used.
    #[error("found no usable key among {}, expected at least one", .ignored.len())]
    NoUsableKey {
        /// Every key, and why it cannot be used.
        ignored: Vec<IgnoredKey>,
    },
    /// The document is not an object with a list of keys.
    #[error("found {found}, expected an object with a list `keys`")]
    NotAKeySet {
        /// What was found.
        found: &'static str,
    },
    /// A key is symmetric or private, so whoever reads the set can sign.
    #[error("key {position} of the set is a secret, expected public keys only")]
    Secret {
        /// The place in the set, from 0.
        position: usize,
        /// What shows the secret.
        #[source]
        reason: KeyRefused,
    },
}

/// Why no key was found for a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyNotFound {
    /// The key is configured for other algorithms.
    #[error("token is signed with {found}, its key is configured for {expected}")]
    Algorithm {
        /// What the token names.
        found: Algorithm,
        /// What the key allows.
        expected: String,
    },
    /// The token names no key, and not exactly one comes into question.
    #[error("token names no key and {candidates} come into question, expected exactly 1")]
    NoKeyId {
        /// How many.
        candidates: usize,
    },
    /// The token names a key that the set does not have.
    #[error("token names key `{found}`, which is not among the {known} usable keys")]
    UnknownKeyId {
        /// The id, shortened and escaped.
        found: String,
        /// How many usable keys there are.
        known: usize,
    },
}

/// Refuses a key that names another issuer than `issuer`, where both name one.
fn refuse_other_issuer(entry: &Value, issuer: Option<&str>) -> Result<(), KeyRefused> {
    let (Some(expected), Some(named)) = (issuer, entry.get("issuer")) else {
        return Ok(());
    };
    let found = named.as_str().unwrap_or_default();
    let is = match found.split_once("{tenantid}") {
        None => found == expected,
        Some((before, after)) => expected
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|tenant| !tenant.is_empty() && !tenant.contains('/')),
    };
    if is {
        return Ok(());
    }
    Err(KeyRefused::OtherIssuer {
        expected: expected.to_owned(),
        found: excerpt(found),
    })
}

/// Returns the list of keys of a set's document.
pub(crate) fn entries(document: &Value) -> Result<&Vec<Value>, KeySetRefused> {
    let Some(keys) = document.get("keys") else {
        let found = match document {
            Value::Object(_) => "an object without `keys`",
            other => type_name(other),
        };
        return Err(KeySetRefused::NotAKeySet { found });
    };
    keys.as_array().ok_or(KeySetRefused::NotAKeySet {
        found: "an object whose `keys` are no list",
    })
}

fn read(entry: &Value, allowed: &[Algorithm]) -> Result<PublicKey, KeyRefused> {
    let jwk: &Map<String, Value> = entry.as_object().ok_or_else(|| KeyRefused::WrongType {
        name: "keys",
        found: type_name(entry),
        expected: "a list of objects",
    })?;
    PublicKey::from_jwk(jwk, allowed)
}

// TM-11; AWS finds no key in a set of more than 100 either.
const MAX_KEYS: usize = 100;

#[cfg(test)]
mod tests;

//! Checkpoints: the heads of all chains, signed, so that a copy kept elsewhere shows what was cut off.
//!
//! Never signs with a key that signs anything else, and never takes heads that its signature does not cover.

use std::{sync::Arc, time::SystemTime};

use serde::{Deserialize, Serialize};

use super::{chain::Chain, trail::TrailError};
use crate::{
    clock,
    jose::{
        ClaimRefused, Claims, PublicKey, SignatureRefused, TokenRefused, Unverified,
        sign::{self, Header, Unwritable},
    },
    mint::keys::{Key, KeyUnavailable},
    secret::Digest,
    store::{Store, StoreError, TrailFilter, TrailRow},
};

/// Gives the key that signs checkpoints; its purpose is `audit`.
pub trait CheckpointSigner: Send + Sync + std::fmt::Debug {
    /// Returns the key of this moment; `None` while there is none.
    fn key(&self) -> Option<Arc<dyn Key>>;
}

/// The end of one chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The chain.
    pub writer: String,
    /// The position of its last entry.
    pub sequence: u64,
    /// That entry's hash in hex.
    pub hash: String,
}

impl Head {
    /// Returns the head that `row` is.
    pub fn of(row: &TrailRow) -> Self {
        Self {
            writer: row.writer.clone(),
            sequence: row.sequence,
            hash: row.hash.to_string(),
        }
    }

    pub(in crate::audit) fn end_of(chain: &Chain) -> Self {
        Self {
            writer: chain.writer().to_owned(),
            sequence: chain.sequence(),
            hash: chain.hash().to_string(),
        }
    }
}

/// A checkpoint as it was read.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    heads: Vec<Head>,
    time: SystemTime,
}

impl Checkpoint {
    /// Reads a checkpoint and verifies it with `key`.
    ///
    /// # Errors
    /// Refuses one that `key` did not sign, or whose heads are not those that were signed.
    pub fn verify(text: &str, key: &PublicKey) -> Result<Self, CheckpointRefused> {
        let Written { checkpoint } = serde_json::from_str(text.trim_end())?;
        let token = Unverified::parse(&checkpoint.jws)?;
        let claims = token.verify(key)?;
        checkpoint.covered_by(claims.get())
    }

    /// Reads a checkpoint without verifying it: whoever can change the store can change this one as well.
    fn read_unverified(text: &str) -> Result<Self, CheckpointRefused> {
        let Written { checkpoint } = serde_json::from_str(text)?;
        let time = clock::parse_rfc3339(&checkpoint.time).ok_or_else(|| CheckpointRefused::Time {
            found: checkpoint.time.clone(),
        })?;
        Ok(Self {
            heads: checkpoint.heads,
            time,
        })
    }

    /// Returns the heads.
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// Returns when it was made.
    pub fn time(&self) -> SystemTime {
        self.time
    }
}

/// A checkpoint cannot be relied on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointRefused {
    /// A claim is missing or of another type.
    #[error("the checkpoint's signed part is not a checkpoint's")]
    Claim(#[from] ClaimRefused),
    /// It is not of the form of a checkpoint.
    #[error("the checkpoint is not of the form `{{\"checkpoint\":{{..}}}}`")]
    Form(#[from] serde_json::Error),
    /// The heads are not those that were signed.
    #[error("the checkpoint's heads have the digest {found}, signed is {expected}")]
    Heads {
        /// The digest of the heads that stand there.
        found: String,
        /// The digest that was signed.
        expected: String,
    },
    /// The signature is not the key's.
    #[error("the checkpoint is not signed by the audit key")]
    Signature(#[from] SignatureRefused),
    /// The moment cannot be read, or is not the one that was signed.
    #[error("the checkpoint's time is `{found}`, expected the signed one in RFC 3339")]
    Time {
        /// What stands there.
        found: String,
    },
    /// The signed part is not a token.
    #[error("the checkpoint's signed part cannot be read")]
    Token(#[from] TokenRefused),
}

/// No checkpoint was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointFailed {
    /// No key of purpose `audit` is active.
    #[error("no key of purpose `audit` is active")]
    KeyMissing,
    /// A chain in the store is shorter than this process has seen it.
    #[error("chain {writer} ends at {found}, this process has seen it up to {expected}")]
    Shrunk {
        /// The chain.
        writer: String,
        /// Where it ends in the store.
        found: u64,
        /// How far it was seen.
        expected: u64,
    },
    /// The key did not sign.
    #[error("the checkpoint cannot be signed")]
    Signing(#[from] KeyUnavailable),
    /// The store did not answer.
    #[error("the checkpoint cannot be kept")]
    Store(#[from] StoreError),
    /// It cannot be written as JSON.
    #[error("the checkpoint cannot be written")]
    Unwritable(#[from] serde_json::Error),
    /// Its signed part cannot be written as JSON.
    #[error("the checkpoint's signed part cannot be written")]
    UnwritableClaims(#[from] Unwritable),
}

/// Signs `heads` as they stand at `now`; the text is one line.
pub(in crate::audit) async fn sign(
    signer: &dyn CheckpointSigner,
    heads: &[Head],
    now: SystemTime,
) -> Result<String, CheckpointFailed> {
    let key = signer.key().ok_or(CheckpointFailed::KeyMissing)?;
    let public = key.public_jwk();
    let header = Header {
        algorithm: public.algorithm(),
        key_id: public.kid().to_owned(),
    };
    let time = clock::rfc3339(now);
    // The heads stand beside the token: a token is bounded (TM-45), the number of chains is not.
    let claims = Signed {
        checkpoint: VERSION,
        time: &time,
        heads_sha256: &digest(heads).to_string(),
    };
    let input = sign::signing_input(&header, &claims)?;
    let signature = key.sign(input.as_bytes()).await?;
    let checkpoint = Document {
        jws: sign::assemble(input, &signature),
        time,
        heads: heads.to_vec(),
    };
    Ok(serde_json::to_string(&Written { checkpoint })?)
}

/// Moves `known` on to what was `seen`; a chain never gets shorter.
pub(in crate::audit) fn advance(
    known: &mut Vec<Head>,
    seen: impl IntoIterator<Item = Head>,
) -> Result<(), CheckpointFailed> {
    for head in seen.into_iter().filter(|head| head.sequence > 0) {
        match known.iter_mut().find(|known| known.writer == head.writer) {
            None => known.push(head),
            Some(known) if head.sequence < known.sequence => {
                return Err(CheckpointFailed::Shrunk {
                    writer: head.writer,
                    found: head.sequence,
                    expected: known.sequence,
                });
            }
            Some(known) => *known = head,
        }
    }
    Ok(())
}

/// Returns the checkpoint that the store itself keeps.
pub(in crate::audit) async fn stored(store: &dyn Store) -> Result<Option<Checkpoint>, TrailError> {
    let Some(text) = store.fact(FACT).await? else {
        return Ok(None);
    };
    Checkpoint::read_unverified(&text).map(Some).map_err(|refused| {
        StoreError::Unavailable {
            doing: "reading the last checkpoint",
            source: Box::new(refused),
        }
        .into()
    })
}

/// Refuses a store whose `heads` lie before those a checkpoint `kept` (TM-42).
pub(in crate::audit) async fn hold_against(store: &dyn Store, heads: &[Head], kept: &[Head]) -> Result<(), TrailError> {
    for kept in kept {
        let head = heads.iter().find(|head| head.writer == kept.writer);
        let holds = match head {
            Some(head) if head.sequence == kept.sequence => head.hash == kept.hash,
            Some(head) if head.sequence > kept.sequence => entry_hash(store, kept).await?.as_ref() == Some(&kept.hash),
            Some(_) | None => false,
        };
        if !holds {
            return Err(TrailError::RolledBack {
                writer: kept.writer.clone(),
                found: head.map_or(0, |head| head.sequence),
                expected: kept.sequence,
            });
        }
    }
    Ok(())
}

async fn entry_hash(store: &dyn Store, head: &Head) -> Result<Option<String>, StoreError> {
    let filter = TrailFilter {
        writer: Some(head.writer.clone()),
        after_sequence: Some(head.sequence.saturating_sub(1)),
        limit: 1,
        ..TrailFilter::default()
    };
    let rows = store.trail(filter).await?;
    let row = rows.first().filter(|row| row.sequence == head.sequence);
    Ok(row.map(|row| row.hash.to_string()))
}

fn digest(heads: &[Head]) -> Digest {
    let numbers: Vec<[u8; 8]> = heads.iter().map(|head| head.sequence.to_be_bytes()).collect();
    let parts: Vec<&[u8]> = heads
        .iter()
        .zip(&numbers)
        .flat_map(|(head, number)| [head.writer.as_bytes(), number.as_slice(), head.hash.as_bytes()])
        .collect();
    Digest::of_parts(&parts)
}

#[derive(Serialize)]
struct Signed<'a> {
    checkpoint: u64,
    time: &'a str,
    heads_sha256: &'a str,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    checkpoint: Document,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    jws: String,
    time: String,
    heads: Vec<Head>,
}

impl Document {
    fn covered_by(self, claims: &Claims) -> Result<Checkpoint, CheckpointRefused> {
        let expected = claims.required_text("heads_sha256")?;
        let found = digest(&self.heads).to_string();
        if found != expected {
            return Err(CheckpointRefused::Heads {
                found,
                expected: expected.to_owned(),
            });
        }
        let signed = claims.required_text("time")?;
        let time = clock::parse_rfc3339(signed).filter(|_time| signed == self.time);
        let time = time.ok_or(CheckpointRefused::Time { found: self.time })?;
        Ok(Checkpoint {
            heads: self.heads,
            time,
        })
    }
}

/// Under which name the store keeps the last checkpoint.
pub(in crate::audit) const FACT: &str = "trail.checkpoint";

const VERSION: u64 = 1;

#[cfg(test)]
pub(in crate::audit) mod tests {
    use super::*;
    use crate::{
        jose::{PublicJwk, SigningAlgorithm, SigningKey},
        mint::keys::Signing,
    };

    /// A key of purpose `audit`.
    #[derive(Debug, Clone)]
    pub(in crate::audit) struct AuditKey(Arc<SigningKey>);

    impl AuditKey {
        pub(in crate::audit) fn new() -> Self {
            Self(Arc::new(SigningKey::generate(SigningAlgorithm::Es256).unwrap()))
        }

        pub(in crate::audit) fn public(&self) -> PublicKey {
            PublicKey::from_public_jwk(&self.public_jwk()).unwrap()
        }
    }

    impl Key for AuditKey {
        fn sign<'a>(&'a self, input: &'a [u8]) -> Signing<'a> {
            let signed = self.0.sign(input).map_err(|failed| KeyUnavailable {
                doing: "signing",
                source: Box::new(failed),
            });
            Box::pin(std::future::ready(signed))
        }

        fn public_jwk(&self) -> PublicJwk {
            self.0.public_jwk("audit-key")
        }
    }

    impl CheckpointSigner for AuditKey {
        fn key(&self) -> Option<Arc<dyn Key>> {
            Some(Arc::new(self.clone()))
        }
    }

    fn head(writer: &str, sequence: u64) -> Head {
        Head {
            writer: writer.to_owned(),
            sequence,
            hash: format!("{sequence:064x}"),
        }
    }

    #[test]
    fn heads_advance_and_never_go_back() {
        let mut known = vec![head("a", 3)];

        advance(&mut known, [head("a", 4), head("b", 1), head("c", 0)]).unwrap();

        assert_eq!(known, [head("a", 4), head("b", 1)]);
        assert!(matches!(
            advance(&mut known, [head("a", 3)]),
            Err(CheckpointFailed::Shrunk {
                found: 3,
                expected: 4,
                ..
            })
        ));
    }

    #[tokio::test]
    async fn a_checkpoint_of_a_thousand_chains_verifies() {
        let key = AuditKey::new();
        let heads: Vec<_> = (1..=1_000).map(|number| head(&format!("w{number}"), number)).collect();
        let now = clock::parse_rfc3339("2026-01-16T14:41:00Z").unwrap();

        let text = sign(&key, &heads, now).await.unwrap();

        let read = Checkpoint::verify(&text, &key.public()).unwrap();
        assert_eq!((read.heads(), read.time()), (heads.as_slice(), now));
    }
}

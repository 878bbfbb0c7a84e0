//! The rows that every store keeps.
//!
//! Pure data: never knows how a store writes it.

use crate::secret::Digest;

/// A row of the trail: one entry of one hash chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailRow {
    /// The process incarnation whose chain this is.
    pub writer: String,
    /// Position in the chain, from 1.
    pub sequence: u64,
    /// When, in unix seconds.
    pub time_seconds: u64,
    /// What kind of entry.
    pub kind: String,
    /// The request it belongs to; empty for entries about the gateway itself.
    pub exchange_id: String,
    /// The workload's SPIFFE ID; empty where there is none.
    pub spiffe_id: String,
    /// The relying party; empty where there is none.
    pub relying_party: String,
    /// The refusal's code; empty where there is none.
    pub code: String,
    /// The entry as JSON, exactly as it was hashed.
    pub body: String,
    /// SHA-256 over the previous hash and the body.
    pub hash: Digest,
    /// The digests that this entry makes releasable.
    pub opens: Vec<Digest>,
}

impl TrailRow {
    /// Returns whether this row is an intent, which stays open until a row closes it.
    pub fn opens_intent(&self) -> bool {
        self.kind == "intent"
    }

    /// Returns whether this row closes the intents of its exchange at its relying party.
    pub fn closes_intent(&self) -> bool {
        self.kind == "outcome" || self.kind == "unknown"
    }
}

/// Which rows of the trail to return.
#[derive(Clone, Debug, Default)]
pub struct TrailFilter {
    /// Only of this writer.
    pub writer: Option<String>,
    /// Only after this position in the chain.
    pub after_sequence: Option<u64>,
    /// Only of this exchange.
    pub exchange_id: Option<String>,
    /// Only of this workload.
    pub spiffe_id: Option<String>,
    /// Only of this relying party.
    pub relying_party: Option<String>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only with this refusal code.
    pub code: Option<String>,
    /// Only from this moment, in unix seconds.
    pub since_seconds: Option<u64>,
    /// Only before this moment, in unix seconds.
    pub until_seconds: Option<u64>,
    /// Only intents that no outcome closed.
    pub open: bool,
    /// The newest rows instead of the oldest.
    pub newest: bool,
    /// At most so many rows; 0 and anything above [`Self::MAX_ROWS`] means that many.
    pub limit: u32,
}

impl TrailFilter {
    /// The most rows that one question returns, so that no answer is unbounded.
    pub const MAX_ROWS: u32 = 10_000;

    /// Returns the limit that applies.
    pub fn rows(&self) -> u32 {
        match self.limit {
            0 => Self::MAX_ROWS,
            asked => asked.min(Self::MAX_ROWS),
        }
    }
}

/// A lock as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockRow {
    /// Its id.
    pub id: String,
    /// What is locked: `spiffe_id`, `entry`, `attestor`, `relying_party` or `run`.
    pub target: String,
    /// The value that is locked.
    pub value: String,
    /// Why, for the one who is denied.
    pub reason: String,
    /// When it was set, in unix seconds.
    pub created_seconds: u64,
}

/// A lease that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Counts the changes of the holder.
    pub fence: u64,
}

/// The authorities at one generation.
#[derive(Clone, Debug, Default)]
pub struct Authorities {
    /// Counts the changes.
    pub generation: u64,
    /// One row for each key.
    pub rows: Vec<AuthorityRow>,
}

/// A signing key as it is stored; the private half is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityRow {
    /// The key id.
    pub id: String,
    /// What it signs: `audit`, `jwt`, `x509_root` or `x509_intermediate`.
    pub purpose: String,
    /// Its algorithm.
    pub algorithm: String,
    /// Its place in the life cycle.
    pub state: String,
    /// When it was made, in unix seconds.
    pub created_seconds: u64,
    /// From when it may sign, in unix seconds.
    pub activates_seconds: u64,
    /// When it stops signing, in unix seconds.
    pub expires_seconds: u64,
    /// PKCS#8, sealed with the key-encryption key; the associated data are id and purpose.
    pub sealed: Vec<u8>,
    /// Its certificates in DER, one after the other: its own, then those that lead to the root, without the root.
    ///
    /// Empty where it signs no certificates.
    pub certificates: Vec<u8>,
    /// When it may leave the published documents, in unix seconds; 0 while that is not known.
    ///
    /// That is when the last thing it signed has expired, plus the time that documents are cached.
    pub removes_seconds: u64,
}

/// A join token as it is stored; the token itself is known to nobody but whom it was given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinTokenRow {
    /// What operators call it.
    pub id: String,
    /// SHA-256 of the token.
    pub sha256: Digest,
    /// What its one use is held against in the ledger.
    pub ledger_key: Digest,
    /// The attestor that it is for.
    pub attestor: String,
    /// The machine that it names.
    pub machine: String,
    /// What else it says of the machine, as a JSON object of texts.
    pub labels: String,
    /// Who made it.
    pub made_by: String,
    /// When it was made, in unix seconds.
    pub created_seconds: u64,
    /// When it ends, in unix seconds.
    pub expires_seconds: u64,
    /// Whether the ledger knows its use; read from there, never written.
    pub used: bool,
}

impl JoinTokenRow {
    /// The most rows that stand at once: a new one takes the place of one that was used, or is refused.
    pub const MAX_ROWS: usize = 10_000;

    /// How long a row is kept after its end, so that whoever comes late is told so.
    pub const KEPT_SECONDS: u64 = 60 * 60;
}

/// The certificates that are revoked, at one generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    /// Counts the changes.
    pub generation: u64,
    /// One row for each certificate, in the order of their serials.
    pub rows: Vec<RevocationRow>,
}

/// A certificate that ends before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationRow {
    /// Its serial number, big-endian, at most 20 bytes.
    pub serial: Vec<u8>,
    /// The SPIFFE ID it was issued for; empty where nobody looked.
    pub spiffe_id: String,
    /// The exchange it was issued in; empty where nobody looked.
    pub exchange_id: String,
    /// Why.
    pub reason: String,
    /// When it was revoked, in unix seconds.
    pub revoked_seconds: u64,
    /// When the row may be forgotten, because the certificate and every list that ought to name it have ended.
    pub forget_seconds: u64,
}

impl RevocationRow {
    /// The most rows that stand at once.
    ///
    /// Roles Anywhere takes revocation lists of 300,000 bytes (clouds.md 2.2), an entry takes 37.
    /// Whoever has more to revoke replaces the intermediate.
    pub const MAX_ROWS: usize = 5_000;
}

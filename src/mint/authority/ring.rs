//! The authorities in use, and the one way to sign with them.
//!
//! It never signs with a key that is not active, or that the documents which this process serves do not name.

use std::{
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use arc_swap::ArcSwap;

use super::{
    Authority, AuthoritySet, Certification, Purpose, State,
    genesis::{self, new_intermediate, new_root},
    serving::{self, Serving},
    stored::{KeyRingRefused, name, read, read_row},
};
use crate::{
    jose::{PublicKey, SigningAlgorithm},
    mint::{
        MintRefusal,
        keys::{Key, KeySource, SignatureCheck},
        outside::RootPlace,
    },
    store::{Authorities, AuthorityRow, Store},
};

/// The authorities in use, swapped whole; cheap to clone.
#[derive(Clone, Debug)]
pub struct KeyRing {
    set: Arc<ArcSwap<AuthoritySet>>,
    serving: Arc<OnceLock<Arc<dyn Serving>>>,
}

impl KeyRing {
    /// Opens the store's authorities; an empty store gets its first ones, which sign at once (`genesis`).
    ///
    /// They may: nobody can hold an older key set of an issuer that has never published one. The same goes for a store
    /// that has keys for tokens but never had a root: no certificate of it can be known anywhere. Where the root is outside,
    /// no authority for certificates is made here.
    ///
    /// # Errors
    /// Fails where the store or the key source does, where rows contradict each other, and on more than ten published keys.
    pub async fn open(
        store: &dyn Store,
        source: &dyn KeySource,
        certification: Certification<'_>,
        now: SystemTime,
    ) -> Result<Self, KeyRingRefused> {
        for _ in 0..MOST_TRIES {
            let stored = store.authorities().await?;
            let first = first(source, certification, (&stored, now)).await?;
            if first.is_empty() {
                return Ok(Self::of(read(source, &stored, now)?));
            }
            // Another process may be faster; then its keys are taken, or what it left is completed.
            let rows: Vec<_> = stored.rows.into_iter().chain(first).collect();
            if store.replace_authorities(stored.generation, &rows).await? {
                let stored = store.authorities().await?;
                return Ok(Self::of(read(source, &stored, now)?));
            }
        }
        Err(KeyRingRefused::Contended { tries: MOST_TRIES })
    }

    fn of(set: AuthoritySet) -> Self {
        Self {
            set: Arc::new(ArcSwap::from_pointee(set)),
            serving: Arc::default(),
        }
    }

    /// Returns the authorities of this moment.
    pub fn load(&self) -> Arc<AuthoritySet> {
        self.set.load_full()
    }

    /// Says what this process publishes; until then nothing is signed but checkpoints. Only the first call counts.
    pub fn serve(&self, serving: Arc<dyn Serving>) {
        let _first = self.serving.set(serving);
    }

    /// Returns where the authorities are swapped.
    pub(in crate::mint) fn set(&self) -> Arc<ArcSwap<AuthoritySet>> {
        Arc::clone(&self.set)
    }

    /// Signs with the active authority; returns its key id, the signature's input as given, and the signature.
    ///
    /// # Errors
    /// Refuses where no authority of that purpose and algorithm is active, where this process does not publish it or has not
    /// heard of the store for too long, and where its source does not sign.
    pub async fn sign<I: AsRef<[u8]>>(
        &self,
        purpose: Purpose,
        algorithm: SigningAlgorithm,
        input: impl FnOnce(&Authority) -> Result<I, MintRefusal>,
    ) -> Result<Signed<I>, MintRefusal> {
        let unavailable = |reason: String| MintRefusal::KeyUnavailable {
            algorithm: name(algorithm),
            reason,
        };
        self.freshen().await.map_err(unavailable)?;
        let authorities = self.load();
        let index = authorities
            .authorities
            .iter()
            .position(|one| one.purpose == purpose && one.algorithm == algorithm && one.state == State::Active);
        let authority = index.and_then(|index| authorities.authorities.get(index));
        let authority = authority.ok_or_else(|| unavailable("no authority is active".to_owned()))?;
        serving::judge(authority, &authorities, self.serving.get()).map_err(unavailable)?;
        let input = input(authority)?;
        let signature = authority
            .key
            .sign(input.as_ref())
            .await
            .map_err(|failed| unavailable(failed.to_string()))?;
        Ok(Signed {
            key_id: authority.id().to_owned(),
            input,
            signature,
            verifier: authority.verifier.clone(),
            check: authority.key.signature_check(),
        })
    }

    async fn freshen(&self) -> Result<(), String> {
        match self.serving.get() {
            Some(serving) => serving.freshen().await.map_err(|stale| stale.to_string()),
            None => Ok(()),
        }
    }

    /// Returns the key that signs checkpoints, and nothing else.
    pub fn audit_key(&self) -> Option<Arc<dyn Key>> {
        let authorities = self.load();
        authorities
            .active(Purpose::Audit, SigningAlgorithm::Es256)
            .map(|authority| Arc::clone(&authority.key))
    }
}

/// Makes the authorities that the store never had.
async fn first(
    source: &dyn KeySource,
    certification: Certification<'_>,
    (stored, now): (&Authorities, SystemTime),
) -> Result<Vec<AuthorityRow>, KeyRingRefused> {
    let mut first = Vec::new();
    if stored.rows.is_empty() {
        first.extend(genesis::first_keys(source, now)?);
    }
    if certification.root == RootPlace::Outside {
        return Ok(first);
    }
    // A key whose request nobody answered has no certificate that anybody could know.
    let certifies = |row: &AuthorityRow| Purpose::X509.contains(&row.purpose.as_str()) && !row.certificates.is_empty();
    if !stored.rows.iter().any(certifies) {
        let root = genesis::active(new_root(source, certification, now).await?);
        let issuing = read_row(source, &root)?;
        let intermediate = new_intermediate(source, certification, &issuing, now).await?;
        first.extend([root, genesis::active(intermediate)]);
    }
    Ok(first)
}

/// Several processes may start on an empty store at once, and others may rotate its keys meanwhile: more than there are
/// replicas in any sane deployment.
const MOST_TRIES: usize = 16;

/// What was signed, with which key.
#[derive(Debug)]
pub struct Signed<I> {
    /// The key.
    pub key_id: String,
    /// What was signed.
    pub input: I,
    /// The signature.
    pub signature: Vec<u8>,
    /// The key's verifying half.
    pub verifier: PublicKey,
    /// Whether the signature was held against it already.
    pub check: SignatureCheck,
}

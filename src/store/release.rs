//! What only a commit opens: proof of the commit, and the closed values before and after it.
//!
//! Never gives a closed value to a proof that does not list its digest.

use crate::secret::Digest;

/// The proof that digests are durable; only a store makes one.
#[derive(Debug)]
pub struct Committed {
    /// Sorted: the proof of a full batch is asked once for each of its digests.
    digests: Vec<Digest>,
}

impl Committed {
    pub(in crate::store) fn new(mut digests: Vec<Digest>) -> Self {
        digests.sort_unstable();
        Self { digests }
    }

    /// Returns whether `digest` was committed.
    pub fn lists(&self, digest: &Digest) -> bool {
        self.digests.binary_search(digest).is_ok()
    }

    /// Splits off the proof for one part of a batch: a list with those of `digests` that were committed.
    #[must_use]
    pub fn narrowed(&self, digests: &[Digest]) -> Self {
        Self::new(digests.iter().copied().filter(|digest| self.lists(digest)).collect())
    }
}

/// The value was not in the commit that should have opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no durable entry names {digest}")]
pub struct NotCommitted {
    /// The digest that is missing.
    pub digest: Digest,
}

/// Something signed that no durable entry names yet.
#[derive(Debug)]
pub struct Unrecorded<T> {
    value: T,
    digest: Digest,
}

impl<T> Unrecorded<T> {
    /// Closes `value` until an entry that holds `digest` is durable.
    pub fn new(value: T, digest: Digest) -> Self {
        Self { value, digest }
    }

    /// Returns the digest that the entry must hold.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Looks at the value to write the entry about it.
    pub fn describe(&self) -> &T {
        &self.value
    }

    /// Opens the value for use inside the process: its intent is durable.
    ///
    /// # Errors
    /// Refuses where `committed` does not list the digest.
    pub fn intended(self, committed: &Committed) -> Result<T, NotCommitted> {
        if committed.lists(&self.digest) {
            Ok(self.value)
        } else {
            Err(NotCommitted { digest: self.digest })
        }
    }

    /// Opens the value for the caller: the record of handing it out is durable.
    ///
    /// # Errors
    /// Refuses where `committed` does not list the digest.
    pub fn released(self, committed: &Committed) -> Result<Released<T>, NotCommitted> {
        self.intended(committed).map(Released)
    }
}

/// A result that waits for the entry about it: a credential, a cloud's refusal, a denial.
#[derive(Debug)]
pub struct Unreleased<T> {
    value: T,
    digest: Digest,
}

impl<T> Unreleased<T> {
    /// Closes `value` until an entry that holds `digest` is durable.
    pub fn new(value: T, digest: Digest) -> Self {
        Self { value, digest }
    }

    /// Returns the digest that the entry must hold.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Looks at the value to write the entry about it.
    pub fn describe(&self) -> &T {
        &self.value
    }

    /// Opens the value for the caller.
    ///
    /// # Errors
    /// Refuses where `committed` does not list the digest.
    pub fn released(self, committed: &Committed) -> Result<Released<T>, NotCommitted> {
        if committed.lists(&self.digest) {
            Ok(Released(self.value))
        } else {
            Err(NotCommitted { digest: self.digest })
        }
    }
}

/// What may leave the process: its entry is durable.
#[derive(Debug)]
pub struct Released<T>(T);

impl<T> Released<T> {
    /// Returns the value.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// Returns the value, no longer marked.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// Changes the form of what may leave, for example into JSON.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Released<U> {
        Released(change(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_opens_without_its_digest_in_the_commit() {
        let listed = Digest::of(b"listed");
        let other = Digest::of(b"other");
        let committed = Committed::new(vec![listed]);

        assert_eq!(Unrecorded::new(1, listed).intended(&committed), Ok(1));
        assert_eq!(
            Unrecorded::new(1, other).intended(&committed),
            Err(NotCommitted { digest: other })
        );
        assert_eq!(
            Unrecorded::new(1, other).released(&committed).map(Released::into_inner),
            Err(NotCommitted { digest: other })
        );
        assert_eq!(
            Unreleased::new(1, other).released(&committed).map(Released::into_inner),
            Err(NotCommitted { digest: other })
        );
        assert_eq!(
            Unreleased::new(1, listed)
                .released(&committed)
                .map(Released::into_inner),
            Ok(1)
        );
    }

    #[test]
    fn a_narrowed_proof_lists_only_what_was_committed_and_asked_for() {
        let [first, second, third] = [b"1", b"2", b"3"].map(|text| Digest::of(text));
        let committed = Committed::new(vec![first, second]);

        let narrowed = committed.narrowed(&[second, third]);

        assert!(!narrowed.lists(&first));
        assert!(narrowed.lists(&second));
        assert!(!narrowed.lists(&third));
    }
}

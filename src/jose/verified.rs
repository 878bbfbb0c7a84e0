//! The mark of bytes whose signature was checked.

/// A value that was read from the very bytes a signature covers.
///
/// Invariant 5: there is no second parse of the request. Only a verifier of this module makes one, after the signature
/// was found good; whoever is handed a `Verified<T>` needs no check of its own. It can neither be built, nor
/// deserialised, nor turned into a `Verified` of something else:
///
/// ```compile_fail,E0423
/// use cambio::jose::Verified;
/// let forged = Verified("claims");
/// ```
///
/// ```compile_fail,E0624
/// use cambio::jose::Verified;
/// let forged = Verified::new("claims");
/// ```
///
/// That the name itself is right, so that the two above fail for the reason they should:
///
/// ```
/// use cambio::jose::Verified;
/// fn reads(claims: &Verified<&str>) -> usize {
///     claims.get().len()
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Marks `value`; the caller has just checked the signature over the bytes it was read from.
    pub(in crate::jose) fn new(value: T) -> Self {
        Self(value)
    }

    /// Returns the value.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// Returns the value without its mark.
    pub fn into_inner(self) -> T {
        self.0
    }
}

//! Keys that lie in the store, sealed by the key-encryption key.
//!
//! The plain key is only ever in memory, and only while the process runs.

use std::{fmt, sync::Arc};

use super::{Key, KeySource, KeyUnavailable, SignatureCheck, Signing};
use crate::{
    jose::{Algorithm, PublicJwk, PublicKey, Seal, SigningAlgorithm, SigningKey},
    mint::authority::Purpose,
    secret::Random,
};

/// The key source of the store.
#[derive(Debug)]
pub struct StoreKeys {
    seal: Seal,
    random: Arc<dyn Random>,
}

impl StoreKeys {
    /// Takes the key-encryption key.
    pub fn new(seal: Seal, random: Arc<dyn Random>) -> Self {
        Self { seal, random }
    }
}

impl KeySource for StoreKeys {
    fn generate(
        &self,
        purpose: Purpose,
        algorithm: SigningAlgorithm,
    ) -> Result<(Arc<dyn Key>, Vec<u8>), KeyUnavailable> {
        let doing = "making a key";
        let key = SigningKey::generate(algorithm).map_err(|source| unavailable(doing, source))?;
        let key = StoredKey::new(key);
        let pkcs8 = key.private.to_pkcs8().map_err(|source| unavailable(doing, source))?;
        let place = [key.public.kid().as_bytes(), purpose.as_str().as_bytes()];
        let sealed = self
            .seal
            .seal(&pkcs8, &place, &*self.random)
            .map_err(|source| unavailable(doing, source))?;
        Ok((Arc::new(key), sealed))
    }

    fn open(
        &self,
        id: &str,
        purpose: Purpose,
        algorithm: SigningAlgorithm,
        sealed: &[u8],
    ) -> Result<Arc<dyn Key>, KeyUnavailable> {
        let doing = "opening a sealed key";
        let place = [id.as_bytes(), purpose.as_str().as_bytes()];
        let pkcs8 = self
            .seal
            .open(sealed, &place)
            .map_err(|source| unavailable(doing, source))?;
        let key = SigningKey::from_pkcs8(algorithm, &pkcs8).map_err(|source| unavailable(doing, source))?;
        Ok(Arc::new(StoredKey::new(key)))
    }
}

fn unavailable(doing: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> KeyUnavailable {
    KeyUnavailable {
        doing,
        source: Box::new(source),
    }
}

struct StoredKey {
    private: SigningKey,
    public: PublicJwk,
}

impl StoredKey {
    fn new(private: SigningKey) -> Self {
        let public = private.public_jwk(&private.thumbprint().to_string());
        Self { private, public }
    }
}

impl Key for StoredKey {
    fn sign<'a>(&'a self, input: &'a [u8]) -> Signing<'a> {
        Box::pin(async move {
            self.private
                .sign(input)
                .map_err(|source| unavailable("signing", source))
        })
    }

    /// AWS-LC holds every RSA signature against the public half before it returns it, so that a fault in the Chinese
    /// remainder computation cannot give the key away; it does not do so for ECDSA.
    fn signature_check(&self) -> SignatureCheck {
        if self.private.algorithm() == Algorithm::Rs256 {
            SignatureCheck::Source
        } else {
            SignatureCheck::Lint
        }
    }

    fn public_jwk(&self) -> PublicJwk {
        self.public.clone()
    }
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKey")
            .field("kid", &self.public.kid())
            .finish_non_exhaustive()
    }
}

/// Returns the verifying half of a published key.
pub(in crate::mint) fn verifier(jwk: &PublicJwk) -> Result<PublicKey, KeyUnavailable> {
    PublicKey::from_public_jwk(jwk).map_err(|source| unavailable("reading a public key", source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SystemRandom;

    fn keys(kek: u8) -> StoreKeys {
        StoreKeys::new(Seal::new(&[kek; 32]).unwrap(), Arc::new(SystemRandom))
    }

    #[test]
    fn opens_what_it_sealed() {
        let (key, sealed) = keys(1).generate(Purpose::Jwt, SigningAlgorithm::Es256).unwrap();

        let opened = keys(1)
            .open(key.public_jwk().kid(), Purpose::Jwt, SigningAlgorithm::Es256, &sealed)
            .unwrap();

        assert_eq!(opened.public_jwk(), key.public_jwk());
    }

    #[test]
    fn tm_15_refuses_a_key_sealed_for_another_id_purpose_or_kek() {
        let (key, sealed) = keys(1).generate(Purpose::Jwt, SigningAlgorithm::Es256).unwrap();
        let kid = key.public_jwk().kid().to_owned();

        assert!(
            keys(1)
                .open("other", Purpose::Jwt, SigningAlgorithm::Es256, &sealed)
                .is_err()
        );
        assert!(
            keys(1)
                .open(&kid, Purpose::Audit, SigningAlgorithm::Es256, &sealed)
                .is_err()
        );
        assert!(
            keys(2)
                .open(&kid, Purpose::Jwt, SigningAlgorithm::Es256, &sealed)
                .is_err()
        );
    }

    #[test]
    fn debug_shows_the_key_id_only() {
        let (key, _) = keys(1).generate(Purpose::Jwt, SigningAlgorithm::Es256).unwrap();

        assert_eq!(
            format!("{key:?}"),
            format!("StoredKey {{ kid: {:?}, .. }}", key.public_jwk().kid())
        );
    }
}

//! Certificate requests.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use cambio::{
    mint::csr::{MAX_CSR_BYTES, SubjectPublicKey},
    secret::Digest,
};

use super::can_be_logged;

/// Takes the input for a request in DER, and for one in PEM or base64.
pub fn hold(input: &[u8]) {
    let judged = SubjectPublicKey::from_der(input);
    match &judged {
        Ok(key) => requested(key, input),
        Err(refused) => can_be_logged(refused),
    }
    let encoded = BASE64_STANDARD.encode(input);
    if encoded.len() <= MAX_CSR_BYTES {
        let again = SubjectPublicKey::from_text(&encoded);
        assert_eq!(again.map(|key| key.spki()).ok(), judged.map(|key| key.spki()).ok());
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match SubjectPublicKey::from_text(text) {
        Ok(key) => requested(&key, input),
        Err(refused) => can_be_logged(&refused),
    }
}

/// Only a key whose holder asked for a certificate is taken, whatever else a request says.
fn requested(key: &SubjectPublicKey, input: &[u8]) {
    assert!(input.len() <= MAX_CSR_BYTES);
    let digest = Digest::of(&key.spki()).to_string();
    assert!(
        include_str!("../signed/requested_keys.txt")
            .lines()
            .any(|known| known == digest),
        "nobody asked for a certificate of {digest}"
    );
}

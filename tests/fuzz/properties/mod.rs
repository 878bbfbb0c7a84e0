//! What must hold of every document that a stranger can send, however it is spelled.
//!
//! The fuzz targets feed these properties with what they find; the ordinary tests feed them with the corpora that are
//! kept, so that no find is ever lost. Each takes any bytes, and panics where its property does not hold.

pub mod claims;
pub mod configuration;
pub mod jwks;
pub mod pkcs7;
pub mod spiffe_id;
pub mod x509;

use std::error::Error;

/// Demands that an error, with all that it stems from, can be logged: it is bounded, and no character of the document
/// breaks or reorders a line (T-13).
pub(crate) fn can_be_logged(error: &dyn Error) {
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        assert!(text.len() <= MAX_ERROR_BYTES, "{} bytes: {text}", text.len());
        assert!(!text.contains(breaks_a_line), "{text:?}");
        next = error.source();
    }
}

/// Tells whether a character breaks or reorders the line that it stands in.
pub(crate) fn breaks_a_line(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Four shortened excerpts at their worst; the trail cuts each field at 512 bytes besides.
const MAX_ERROR_BYTES: usize = 2048;

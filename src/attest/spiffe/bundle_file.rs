//! The pinned bundle of a foreign trust domain: a file that people review, so it is read more strictly than the
//! SPIFFE specification reads what is fetched.
//!
//! It must never load a file of which anything had to be left out because it is broken.

use std::{error::Error, io::ErrorKind, path::Path};

use crate::{
    attest::{Misconfigured, table::misconfigured},
    bounded_file,
    spiffe::{Bundle, IgnoredReason, TrustDomain},
};

/// Reads the bundle of `trust_domain`; `at` is the key of the configuration that names the file.
pub(super) fn read(trust_domain: &TrustDomain, path: &Path, at: &str) -> Result<Bundle, Misconfigured> {
    let shown = path.display();
    let bytes = bounded_file::read(path, MAX_BYTES).map_err(|why| {
        let code = match why.kind() {
            ErrorKind::FileTooLarge => "config.bundle_oversized",
            _ => "config.bundle_unreadable",
        };
        misconfigured(code, at, format!("`{shown}`: {why}"))
    })?;
    let malformed = |problem: String| misconfigured("config.bundle_malformed", at, format!("`{shown}`: {problem}"));
    let bundle = Bundle::parse(trust_domain.clone(), &bytes).map_err(|refused| malformed(with_causes(&refused)))?;
    if let Some(place) = bundle.surplus().first() {
        return Err(malformed(format!(
            "key {place} has more than one certificate in `x5c`, expected 1"
        )));
    }
    // SPIFFE-BUNDLE-7: keys of uses that came later than this code are no fault of the file.
    let broken = bundle
        .ignored()
        .iter()
        .find(|ignored| !matches!(ignored.reason(), IgnoredReason::Use { .. }));
    if let Some(broken) = broken {
        let why = with_causes(broken.reason());
        return Err(malformed(format!("key {}: {why}", broken.position())));
    }
    if let Err((place, refused)) = bundle.check_roots() {
        let problem = format!("`{shown}`: root {place}: {refused}");
        return Err(misconfigured("config.bundle_root_invalid", at, problem));
    }
    if bundle.jwt_authorities().keys().is_empty() && bundle.x509_authorities().is_empty() {
        let problem = format!(
            "`{shown}` has no key that verifies SVIDs; to take no SVIDs of `{trust_domain}`, remove it from `trust_domains`"
        );
        return Err(misconfigured("config.bundle_empty", at, problem));
    }
    Ok(bundle)
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(why) = cause {
        text = format!("{text}: {why}");
        cause = why.source();
    }
    text
}

/// LIMITS.md: a bundle has at most 1 MiB.
pub(super) const MAX_BYTES: u64 = 1024 * 1024;

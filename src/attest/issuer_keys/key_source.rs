//! Where the configuration says that an issuer's keys are: discovery, a key set's address, or a file.
//!
//! It must never leave it open which of them counts, and never read more of a file than would be fetched.

use std::path::Path;

use super::{Entrance, IssuerKeys, KeySource, Keys, discovery};
use crate::{
    attest::{Misconfigured, table::misconfigured},
    bounded_file::{self, MAX_AUTHORITIES_BYTES},
    fetch::{AddressBlock, Fetch, Origin, OriginRefused, OriginSettings, SizeLimit},
    jose::{Algorithm, KeySet},
};

/// What the configuration says of an issuer's keys.
#[derive(Clone, Copy, Debug)]
pub(in crate::attest) struct Asked<'a> {
    pub(in crate::attest) issuer: &'a str,
    pub(in crate::attest) discovery_url: Option<&'a str>,
    pub(in crate::attest) jwks_uri: Option<&'a str>,
    pub(in crate::attest) jwks_file: Option<&'a Path>,
    pub(in crate::attest) reach: Reach<'a>,
}

/// What the configuration says of how a host is reached.
#[derive(Clone, Copy, Debug)]
pub(in crate::attest) struct Reach<'a> {
    /// The table that says it, with the dot behind it; empty for the attestor's own.
    pub(in crate::attest) table: &'a str,
    pub(in crate::attest) ca_file: Option<&'a Path>,
    pub(in crate::attest) allow_addresses: &'a [String],
}

impl Asked<'_> {
    /// Returns the keys, or where they will be fetched.
    ///
    /// # Errors
    /// Refuses two sources, addresses that are no https URL, and files that cannot be read or hold no usable key.
    pub(in crate::attest) fn keys(&self, fetch: &Fetch, algorithms: &[Algorithm]) -> Result<Keys, Misconfigured> {
        self.refuse_two_sources()?;
        // Also where the keys come from elsewhere, the issuer must be a URL.
        self.reach.origin(fetch, "issuer", self.issuer)?;
        if let Some(file) = self.jwks_file {
            return pinned(file, algorithms, self.issuer).map(Keys::Pinned);
        }
        let (key, entrance) = match (self.jwks_uri, self.discovery_url) {
            (Some(url), _) => ("jwks_uri", Entrance::KeySet(url.to_owned())),
            (None, Some(url)) => ("discovery_url", Entrance::Discovery(url.to_owned())),
            (None, None) => ("issuer", Entrance::Discovery(discovery::url_of(self.issuer))),
        };
        let url = match &entrance {
            Entrance::Discovery(url) | Entrance::KeySet(url) => url,
        };
        let origin = self.reach.origin(fetch, key, url)?;
        let source = KeySource {
            issuer: self.issuer.to_owned(),
            origin,
            entrance,
        };
        Ok(Keys::fetched(IssuerKeys::new(source, algorithms.to_vec())))
    }

    fn refuse_two_sources(&self) -> Result<(), Misconfigured> {
        let sources = [
            ("jwks_file", self.jwks_file.is_some()),
            ("jwks_uri", self.jwks_uri.is_some()),
            ("discovery_url", self.discovery_url.is_some()),
        ];
        let reached = self.reach.ca_file.is_some() || !self.reach.allow_addresses.is_empty();
        if self.jwks_file.is_some() && reached {
            let problem =
                "found `ca_file` or `allow_addresses` as well, expected neither: nothing is fetched".to_owned();
            return Err(misconfigured("config.key_source_twice", "jwks_file", problem));
        }
        let mut named = sources.iter().filter(|(_, there)| *there).map(|(key, _)| *key);
        let (Some(first), Some(second)) = (named.next(), named.next()) else {
            return Ok(());
        };
        let problem = format!("found `{first}` as well, expected one of `discovery_url`, `jwks_uri` and `jwks_file`");
        Err(misconfigured("config.key_source_twice", second, problem))
    }
}

impl Reach<'_> {
    /// Returns the origin of `url`, which the key `key` of the table names.
    ///
    /// # Errors
    /// Refuses what is no https URL, no block of addresses or no file of certificates.
    pub(in crate::attest) fn origin(&self, fetch: &Fetch, key: &str, url: &str) -> Result<Origin, Misconfigured> {
        let (pem, allow_addresses) = (self.authorities()?, self.addresses()?);
        let settings = OriginSettings {
            url,
            authorities_pem: pem.as_deref(),
            allow_addresses: &allow_addresses,
        };
        let at = format!("{}{key}", self.table);
        let refused = |error: OriginRefused| misconfigured("config.issuer_invalid", &at, error.to_string());
        fetch.origin(&settings).map_err(refused)
    }

    /// Reads the only certificate authorities that are trusted, as PEM; `None` where those of the host are.
    pub(in crate::attest) fn authorities(&self) -> Result<Option<Vec<u8>>, Misconfigured> {
        let Some(file) = self.ca_file else {
            return Ok(None);
        };
        let pem = bounded_file::read(file, MAX_AUTHORITIES_BYTES);
        pem.map(Some).map_err(|error| {
            let problem = format!("`{}` cannot be read: {error}", file.display());
            misconfigured("config.ca_file", &format!("{}ca_file", self.table), problem)
        })
    }

    /// Reads the blocks of addresses that are allowed although they are not public.
    pub(in crate::attest) fn addresses(&self) -> Result<Vec<AddressBlock>, Misconfigured> {
        let blocks = self.allow_addresses.iter().map(|text| text.parse::<AddressBlock>());
        let at = format!("{}allow_addresses", self.table);
        let blocks = blocks.collect::<Result<Vec<_>, _>>();
        blocks.map_err(|error| misconfigured("config.allow_addresses", &at, error.to_string()))
    }
}

fn pinned(file: &Path, algorithms: &[Algorithm], issuer: &str) -> Result<KeySet, Misconfigured> {
    let refused = |why: String| {
        let problem = format!("`{}` {why}", file.display());
        misconfigured("config.jwks_file", "jwks_file", problem)
    };
    let bytes = bounded_file::read(file, SizeLimit::Document.bytes() as u64);
    let bytes = bytes.map_err(|error| refused(format!("cannot be read: {error}")))?;
    KeySet::parse_issued(&bytes, algorithms, issuer)
        .map_err(|error| refused(format!("is refused, expected a JWK set: {error}")))
}

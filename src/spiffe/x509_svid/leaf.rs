//! What a leaf must be beside having a valid path (X509-SVID sections 2 to 5).

use x509_parser::{certificate::X509Certificate, extensions::GeneralName, public_key::PublicKey};

use super::{SpiffeId, SvidRefused};

/// Returns the one SPIFFE ID, which has a path.
pub(super) fn spiffe_id(read: &X509Certificate<'_>) -> Result<SpiffeId, SvidRefused> {
    let names = read
        .subject_alternative_name()
        .map_err(|twice| SvidRefused::Unreadable {
            reason: twice.to_string(),
        })?;
    let uris: Vec<&str> = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            GeneralName::Invalid(..) => Some(""), // may be a URI that is no text, and counts as one
            GeneralName::DNSName(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::IPAddress(_)
            | GeneralName::OtherName(..)
            | GeneralName::RFC822Name(_)
            | GeneralName::RegisteredID(_)
            | GeneralName::X400Address(_) => None,
        })
        .collect();
    let [uri] = uris.as_slice() else {
        return Err(SvidRefused::Uris { found: uris.len() });
    };
    let id = SpiffeId::parse(uri).map_err(SvidRefused::Id)?;
    if id.path().is_empty() {
        return Err(SvidRefused::RootPath);
    }
    Ok(id)
}

/// Refuses whatever can sign certificates or lists.
pub(super) fn refuse_authority(read: &X509Certificate<'_>) -> Result<(), SvidRefused> {
    if read.is_ca() {
        return Err(SvidRefused::Authority { found: "CA:true" });
    }
    let usage = read.key_usage().map_err(|twice| SvidRefused::Unreadable {
        reason: twice.to_string(),
    })?;
    let found = match usage.map(|usage| usage.value) {
        None => "none",
        Some(usage) if usage.key_cert_sign() => "`keyCertSign`",
        Some(usage) if usage.crl_sign() => "`cRLSign`",
        Some(usage) if !usage.digital_signature() => "without `digitalSignature`",
        Some(_) => return Ok(()),
    };
    Err(SvidRefused::Usage { found })
}

/// Refuses RSA keys that are weak or cost too much, before any signature is checked (T-06).
pub(super) fn refuse_key(read: &X509Certificate<'_>) -> Result<(), SvidRefused> {
    let key = read.public_key().parsed().map_err(|why| SvidRefused::Unreadable {
        reason: why.to_string(),
    })?;
    let PublicKey::RSA(key) = key else {
        return Ok(());
    };
    let bits = key.key_size();
    let exponent = key.try_exponent().unwrap_or(0);
    if (2048..=4096).contains(&bits) && exponent > 1 && exponent % 2 == 1 {
        return Ok(()); // LIMITS: RSA keys have 2048 to 4096 bits and an odd exponent above 1
    }
    Err(SvidRefused::Key { found: bits })
}

//! What Azure gives its machines: tokens of managed identities, and signed documents about the machine.

pub(super) mod attested;
pub(super) mod managed_identity;

/// As Azure's own libraries name the metadata service (clouds.md 5.3).
const HOST: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
const DEFAULT_HOST: &str = "http://169.254.169.254";

//! The native credential of a relying party, in the shape its SDK wants.

use std::{fmt, time::SystemTime};

use crate::secret::{Digest, Secret};

/// A credential as a relying party gave it.
///
/// `Debug` shows field names only; the values are secrets.
#[derive(Clone)]
pub struct CloudCredential {
    fields: Vec<(&'static str, Field)>,
    expires: SystemTime,
    bearer: Option<Secret>,
}

/// One field of the native shape.
#[derive(Clone, Debug)]
pub enum Field {
    /// A number that is no secret, such as `Version`.
    Number(u64),
    /// The seconds that are left of the credential when it is handed out.
    SecondsLeft,
    /// A value that must not be shown.
    Secret(Secret),
    /// Text that is no secret, such as `token_type`.
    Text(String),
}

impl CloudCredential {
    /// Takes the fields of the native JSON shape in order, and when the credential ends.
    pub fn new(fields: Vec<(&'static str, Field)>, expires: SystemTime) -> Self {
        Self {
            fields,
            expires,
            bearer: None,
        }
    }

    /// Marks the credential as an OAuth bearer token.
    #[must_use]
    pub fn with_bearer(self, token: Secret) -> Self {
        Self {
            bearer: Some(token),
            ..self
        }
    }

    /// Returns when it ends.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// Returns the bearer token, where the relying party has such.
    pub fn bearer(&self) -> Option<&Secret> {
        self.bearer.as_ref()
    }

    /// Returns the fields of the native JSON shape.
    pub fn fields(&self) -> &[(&'static str, Field)] {
        &self.fields
    }

    /// Returns the digest that stands for this credential in the trail: over the secrets, which it does not reveal.
    pub fn digest(&self) -> Digest {
        let secrets = self.fields.iter().filter_map(|(name, field)| match field {
            Field::Number(_) | Field::SecondsLeft | Field::Text(_) => None,
            Field::Secret(secret) => Some(Digest::of_parts(&[name.as_bytes(), secret.expose().as_bytes()])),
        });
        let digests: Vec<Digest> = secrets.collect();
        let parts: Vec<&[u8]> = digests.iter().map(|digest| digest.as_bytes().as_slice()).collect();
        Digest::of_parts(&parts)
    }
}

impl fmt::Debug for CloudCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.fields.iter().map(|(name, _)| *name).collect();
        f.debug_struct("CloudCredential")
            .field("fields", &names)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn debug_shows_names_and_no_secret() {
        let fields = vec![("SecretAccessKey", Field::Secret(Secret::new("canary")))];

        let shown = format!("{:?}", CloudCredential::new(fields, UNIX_EPOCH));

        assert!(shown.contains("SecretAccessKey"));
        assert!(!shown.contains("canary"));
    }
}

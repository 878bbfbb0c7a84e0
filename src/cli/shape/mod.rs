//! How a credential is written down: as variables, as native JSON, or as AWS wants it from a `credential_process`.
//!
//! Never lets a value become shell code.

use serde_json::{Map, Value};

use crate::cli::{
    answer::{Credential, SVID},
    exit::Exit,
    failure::Failure,
};
use crate::secret::Secret;

/// How a credential is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// For an AWS profile's `credential_process`; AWS only.
    #[value(name = "credential_process")]
    CredentialProcess,
    /// `export NAME='value'` lines for a shell.
    #[default]
    Env,
    /// The native JSON.
    Json,
}

impl Shape {
    /// Writes `credential`.
    ///
    /// # Errors
    /// Refuses a kind that this shape does not exist for, and a credential without the members that it needs.
    pub fn write(self, credential: &Credential) -> Result<Secret, Failure> {
        match self {
            Self::CredentialProcess => credential_process(credential),
            Self::Env => Ok(exports(&variables(credential)?)),
            Self::Json => Ok(credential.native().clone()),
        }
    }
}

/// Returns the variables that the relying party's own tools read.
///
/// # Errors
/// Refuses a kind that has none, and a credential without the members that they need.
pub fn variables(credential: &Credential) -> Result<Vec<(&'static str, Secret)>, Failure> {
    let names = match Family::of(credential) {
        Some(Family::Aws) => AWS,
        Some(Family::Azure) => AZURE,
        Some(Family::Google) => GOOGLE,
        Some(Family::Svid) => CAMBIO,
        None => {
            let why = format!(
                "a credential of kind `{}` has no variables that its tools read",
                credential.kind
            );
            return Err(Failure::saying(Exit::Failed, why).hint("take it as JSON: cambio creds --shape json"));
        }
    };
    names
        .iter()
        .map(|(variable, member)| Ok((*variable, required(credential, member)?)))
        .collect()
}

/// Whose tools a credential is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Aws,
    Azure,
    Google,
    Svid,
}

impl Family {
    fn of(credential: &Credential) -> Option<Self> {
        let kind = credential.kind.as_str();
        let is = |prefix: &str| kind.starts_with(prefix);
        match () {
            () if credential.form == SVID => Some(Self::Svid),
            () if is("aws_") => Some(Self::Aws),
            () if is("azure_") => Some(Self::Azure),
            () if is("gcp_") => Some(Self::Google),
            () => None,
        }
    }
}

/// clouds.md 5.1; botocore reads `AWS_CREDENTIAL_EXPIRATION`.
const AWS: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "AccessKeyId"),
    ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
    ("AWS_SESSION_TOKEN", "SessionToken"),
    ("AWS_CREDENTIAL_EXPIRATION", "Expiration"),
];
/// No Azure SDK reads an access token from the environment; scripts do.
const AZURE: &[(&str, &str)] = &[("AZURE_ACCESS_TOKEN", "access_token")];
/// gcloud reads the first, the Terraform provider the second.
const GOOGLE: &[(&str, &str)] = &[
    ("CLOUDSDK_AUTH_ACCESS_TOKEN", "access_token"),
    ("GOOGLE_OAUTH_ACCESS_TOKEN", "access_token"),
];
const CAMBIO: &[(&str, &str)] = &[("CAMBIO_SVID", "svid")];

fn credential_process(credential: &Credential) -> Result<Secret, Failure> {
    if Family::of(credential) != Some(Family::Aws) {
        let why = format!(
            "found a credential of kind `{}` and form `{}`, `credential_process` is for AWS only",
            credential.kind, credential.form
        );
        return Err(Failure::saying(Exit::Usage, why).hint("take another --shape: env or json"));
    }
    let mut members = Map::new();
    members.insert("Version".to_owned(), 1.into());
    for (_, member) in AWS {
        let value = required(credential, member)?;
        members.insert((*member).to_owned(), value.expose().into());
    }
    Ok(Secret::new(Value::Object(members).to_string()))
}

fn required(credential: &Credential, member: &str) -> Result<Secret, Failure> {
    let kind = &credential.kind;
    let value = credential.text(member);
    let value = value.filter(|value| !value.expose().is_empty() && !value.expose().contains('\0'));
    value.ok_or_else(|| {
        let why = format!("found no text `{member}` in the gateway's credential, expected one of kind `{kind}`");
        Failure::saying(Exit::Failed, why)
    })
}

fn exports(variables: &[(&str, Secret)]) -> Secret {
    let lines: Vec<String> = variables
        .iter()
        .map(|(name, value)| format!("export {name}={}", quoted(value.expose())))
        .collect();
    Secret::new(lines.join("\n"))
}

/// Quotes for a POSIX shell (2.2.2): between single quotes nothing has a meaning, and a single quote cannot stand.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;

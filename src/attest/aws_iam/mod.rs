//! Attests IAM roles of AWS: whoever holds a role's credentials, on an instance, in a function or elsewhere.
//!
//! It must never take one account's word for another account's role, and never name a role by what only the caller says.
//! Each way to prove a role is a file of its own; they share what a role is called.

mod arn;
mod settings;
#[cfg(feature = "dev")]
pub mod sim;
mod tags;
mod web_identity;

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

use self::{settings::Settings, web_identity::WebIdentity};
use super::{Attestor, AttestorContext, AttestorName, Builtin, Evidence, Misconfigured, Pins, Verdict};

/// The kind `aws_iam`.
pub const BUILTIN: Builtin = Builtin {
    kind: KIND,
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    form: super::form::of_a_compact_jws,
    configure,
    #[cfg(feature = "dev")]
    sim: Some(sim::SEED),
};

const KIND: &str = "aws_iam";

fn configure(context: AttestorContext, table: toml::Table) -> Result<Arc<dyn Attestor>, Misconfigured> {
    Ok(Arc::new(AwsIamAttestor::configure(context, table)?))
}

/// Judges the roles of configured accounts.
#[derive(Debug)]
struct AwsIamAttestor {
    name: AttestorName,
    web_identity: WebIdentity,
    attributes: Vec<&'static str>,
    pins: Pins,
}

impl AwsIamAttestor {
    fn configure(context: AttestorContext, table: toml::Table) -> Result<Self, Misconfigured> {
        let web_identity = Settings::parse(table)?.check(&context)?;
        Ok(Self {
            name: context.name,
            attributes: web_identity.attributes(),
            web_identity,
            pins: pins(),
        })
    }
}

impl Attestor for AwsIamAttestor {
    fn name(&self) -> &AttestorName {
        &self.name
    }

    fn attributes(&self) -> &[&'static str] {
        &self.attributes
    }

    fn immutable(&self) -> &[&'static str] {
        IMMUTABLE
    }

    fn pins(&self) -> Option<&Pins> {
        Some(&self.pins)
    }

    fn judge<'a>(
        &'a self,
        evidence: &'a Evidence,
        now: SystemTime,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>> {
        Box::pin(self.web_identity.verdict(&self.name, evidence, now))
    }
}

/// Returns what entries must pin: a role with its account (T-46), or what runs as it. An account alone is everybody in it.
fn pins() -> Pins {
    Pins {
        everybody: "every role of the attestor's accounts",
        ids: vec![
            vec![ROLE_ARN],
            vec![PRINCIPAL_ARN],
            vec![ACCOUNT, ROLE_NAME],
            vec![INSTANCE_ARN],
            vec![INSTANCE_ID],
            vec![FUNCTION_ARN],
        ],
        names: vec![ROLE_NAME, SESSION_NAME],
        strangers: None,
    }
}

// No name is a dotted-path prefix of another.
const ACCOUNT: &str = "aws.account";
const FUNCTION_ARN: &str = "aws.lambda_function_arn";
const INSTANCE_ARN: &str = "aws.ec2_instance_arn";
const INSTANCE_ID: &str = "aws.ec2_instance_id";
const ORG_ID: &str = "aws.org_id";
const OU_PATH: &str = "aws.ou_path";
const PRINCIPAL_ARN: &str = "aws.principal_arn";
const ROLE_ARN: &str = "aws.role_arn";
const ROLE_NAME: &str = "aws.role_name";
const SESSION_NAME: &str = "aws.session_name";
const SOURCE_REGION: &str = "aws.source_region";

/// Accounts and instances are never named again. A role is: whoever makes one of a deleted role's name has its ARN (T-69).
const IMMUTABLE: &[&str] = &[ACCOUNT, INSTANCE_ARN, INSTANCE_ID];

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests;

//! Attests IAM roles of AWS: whoever holds a role's credentials, on an instance, in a function or elsewhere.
//!
//! It must never take one account's word for another account's role, and never name a role by what only the caller says.
//! Each way to prove a role is a file of its own; they share what a role is called.

mod arn;
pub mod presigned;
mod settings;
#[cfg(feature = "dev")]
pub mod sim;
mod tags;
mod web_identity;

pub use arn::is_region;

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

use self::{
    presigned::Presigned,
    settings::{Checked, Settings},
    web_identity::WebIdentity,
};
use super::{AttestRefusal, Attestor, AttestorContext, AttestorName, Builtin, Evidence, Misconfigured, Pins, Verdict};
use crate::secret::Secret;

/// The kind `aws_iam`.
pub const BUILTIN: Builtin = Builtin {
    kind: KIND,
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    form,
    configure,
    #[cfg(feature = "dev")]
    sim: Some(sim::SEED),
};

const KIND: &str = "aws_iam";

fn form(token: &Secret) -> Result<(), AttestRefusal> {
    if presigned::is_announced(token) {
        return presigned::form(token);
    }
    super::form::of_a_compact_jws(token)
}

fn configure(context: AttestorContext, table: toml::Table) -> Result<Arc<dyn Attestor>, Misconfigured> {
    Ok(Arc::new(AwsIamAttestor::configure(context, table)?))
}

/// Judges the roles of configured accounts.
#[derive(Debug)]
struct AwsIamAttestor {
    name: AttestorName,
    web_identity: WebIdentity,
    presigned: Option<Presigned>,
    attributes: Vec<&'static str>,
    immutable: Vec<&'static str>,
    pins: Pins,
}

impl AwsIamAttestor {
    fn configure(context: AttestorContext, table: toml::Table) -> Result<Self, Misconfigured> {
        let Checked {
            web_identity,
            presigned,
        } = Settings::parse(table)?.check(&context)?;
        let mut attributes = web_identity.attributes();
        attributes.extend(presigned.iter().flat_map(|_way| presigned::ATTRIBUTES));
        attributes.sort_unstable();
        attributes.dedup();
        Ok(Self {
            name: context.name,
            pins: pins(&attributes),
            immutable: IMMUTABLE
                .iter()
                .copied()
                .filter(|name| attributes.contains(name))
                .collect(),
            attributes,
            web_identity,
            presigned,
        })
    }

    async fn verdict(&self, evidence: &Evidence, now: SystemTime) -> Verdict {
        match &self.presigned {
            Some(presigned) if presigned::is_announced(evidence.token_unverified()) => {
                presigned.verdict(&self.name, evidence, now).await
            }
            Some(_) | None => self.web_identity.verdict(&self.name, evidence, now).await,
        }
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
        &self.immutable
    }

    fn pins(&self) -> Option<&Pins> {
        Some(&self.pins)
    }

    fn judge<'a>(
        &'a self,
        evidence: &'a Evidence,
        now: SystemTime,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>> {
        Box::pin(self.verdict(evidence, now))
    }
}

/// Returns what entries must pin: a role with its account (T-46), or what runs as it. An account alone is everybody in it.
fn pins(attributes: &[&str]) -> Pins {
    let mut ids = vec![
        vec![ROLE_ARN],
        vec![ROLE_ID],
        vec![PRINCIPAL_ARN],
        vec![ACCOUNT, ROLE_NAME],
        vec![INSTANCE_ARN],
        vec![INSTANCE_ID],
        vec![FUNCTION_ARN],
    ];
    ids.retain(|together| together.iter().all(|id| attributes.contains(id)));
    Pins {
        everybody: "every role of the attestor's accounts",
        ids,
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
const ROLE_ID: &str = "aws.role_id";
const ROLE_NAME: &str = "aws.role_name";
const SESSION_NAME: &str = "aws.session_name";
const SOURCE_REGION: &str = "aws.source_region";

/// Accounts, instances and ids of roles are never given again. A role's name is: whoever makes one of a deleted role's name has
/// its ARN (T-69).
const IMMUTABLE: &[&str] = &[ACCOUNT, INSTANCE_ARN, INSTANCE_ID, ROLE_ID];

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests;

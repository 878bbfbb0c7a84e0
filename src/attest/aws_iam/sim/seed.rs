//! The development instance of EC2, and the STS of its account.

use std::{error::Error, sync::Arc};

use serde_json::json;

use super::{AwsAccountSim, Ec2Instance};
use crate::sim::{Ground, Platform, SeedPlatforms};

/// Starts an account with one instance.
pub(in crate::attest::aws_iam) const SEED: SeedPlatforms = |ground| Box::pin(async move { start(&ground) });

fn start(ground: &Ground) -> Result<Vec<Platform>, Box<dyn Error + Send + Sync>> {
    let instance = Ec2Instance::example();
    let (clock, random) = (Arc::clone(&ground.clock), Arc::clone(&ground.random));
    let simulated = AwsAccountSim::start(&*ground.listen, instance.clone(), clock, random)?;
    let account = toml::Table::from_iter([
        ("account".to_owned(), instance.account.as_str().into()),
        ("issuer".to_owned(), simulated.issuer().into()),
    ]);
    let mut attestor = ground.reach();
    attestor.extend([
        ("kind".to_owned(), "aws_iam".into()),
        ("accounts".to_owned(), toml::Value::Array(vec![account.into()])),
    ]);
    Ok(vec![Platform {
        name: "aws_iam",
        attestor,
        matches: toml::Table::from_iter([("aws.role_arn".to_owned(), instance.role_arn().into())]),
        variables: vec![
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", simulated.metadata().to_owned()),
            ("AWS_ENDPOINT_URL_STS", simulated.sts().to_owned()),
            ("AWS_CA_BUNDLE", ground.ca_file.display().to_string()),
        ],
        token: None,
        ready: json!({ "issuer": simulated.issuer() }),
        simulator: simulated,
    }])
}

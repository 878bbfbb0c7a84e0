//! The simulated AWS of a development world: one account, our issuer as provider, one role.
//!
//! The role admits exactly the one workload that the ground names.

use std::{error::Error, future::Future, pin::Pin, sync::Arc, time::Duration};

use serde_json::json;

use super::{AwsSim, OidcProvider, Role};
use crate::{
    exchange::aws_sts::rules::provider,
    sim::{Ground, Seeded},
};

const ACCOUNT: &str = "123456789012";
const ROLE: &str = "arn:aws:iam::123456789012:role/cambio-dev";
const REGION: &str = "eu-central-1";

type Started = Result<Seeded, Box<dyn Error + Send + Sync>>;

/// Starts STS on loopback and creates what the development configuration refers to.
pub fn seed(ground: Ground) -> Pin<Box<dyn Future<Output = Started> + Send>> {
    Box::pin(async move { start(&ground) })
}

fn start(ground: &Ground) -> Started {
    let aws = Arc::new(AwsSim::new(
        Arc::clone(&ground.documents),
        Arc::clone(&ground.clock),
        Arc::clone(&ground.random),
    ));
    let audience = format!("{}/aws/{ACCOUNT}", ground.issuer);
    let provider_arn = aws.create_oidc_provider(OidcProvider {
        account: ACCOUNT.to_owned(),
        url: ground.issuer.clone(),
        client_ids: vec![audience.clone()],
        thumbprints: Vec::new(),
    })?;
    let key = provider::without_scheme(&ground.issuer);
    let trust_policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "Cambio",
            "Effect": "Allow",
            "Principal": {"Federated": provider_arn},
            "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"],
            "Condition": {"StringEquals": {format!("{key}:aud"): audience, format!("{key}:sub"): ground.subject}},
        }],
    });
    aws.create_role(Role {
        arn: ROLE.to_owned(),
        trust_policy: trust_policy.to_string(),
        max_session_duration: Duration::from_hours(1),
    })?;
    let bound = ground.listen.bind()?;
    let url = bound.url;
    (bound.serve)(Arc::clone(&aws).sts_router());
    let mut relying_party = toml::Table::new();
    for (name, value) in [
        ("kind", "aws_sts"),
        ("role_arn", ROLE),
        ("region", REGION),
        ("endpoint", &url),
        ("ca_file", &ground.ca_file.to_string_lossy()),
    ] {
        relying_party.insert(name.to_owned(), toml::Value::from(value));
    }
    relying_party.insert(
        "session_tags".to_owned(),
        toml::Value::Array(vec!["ci.repo_id".into(), "ci.sha".into()]),
    );
    Ok(Seeded {
        relying_party,
        name: "aws-dev",
        section: "aws",
        try_next: vec![format!(
            "AWS_ENDPOINT_URL_STS={url} AWS_CA_BUNDLE={} AWS_DEFAULT_REGION={REGION} cambio exec aws-dev -- \
             aws sts get-caller-identity",
            ground.ca_file.display()
        )],
        ready: json!({"sts": url, "role_arn": ROLE}),
        told: None,
        simulator: aws,
    })
}

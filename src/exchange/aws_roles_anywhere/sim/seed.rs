//! The simulated Roles Anywhere of a development world: one account with a trust anchor, a profile and a role.
//!
//! The role admits exactly the one workload that the ground names; the trust anchor is told our root once there is one.

use std::{error::Error, fs, future::Future, pin::Pin, sync::Arc, time::Duration};

use serde_json::json;

use super::{NewProfile, NewTrustAnchor, Place, RolesAnywhereSim};
use crate::sim::{Ground, Seeded, Told, ca};

const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-central-1";
const ROLE: &str = "arn:aws:iam::123456789012:role/cambio-dev-x509";
const NAME: &str = "aws-x509-dev";

type Started = Result<Seeded, Box<dyn Error + Send + Sync>>;

/// Starts Roles Anywhere on loopback and creates what the development configuration refers to.
pub fn seed(ground: Ground) -> Pin<Box<dyn Future<Output = Started> + Send>> {
    Box::pin(async move { start(&ground) })
}

fn start(ground: &Ground) -> Started {
    let place = Place {
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
    };
    let sim = RolesAnywhereSim::new(place, Arc::clone(&ground.clock), Arc::clone(&ground.random))?;
    let sim = Arc::new(sim);
    // Until the gateway has a root, the throw-away CA stands in its place; it issues no SVID.
    let anchor = sim.create_trust_anchor(NewTrustAnchor {
        name: "cambio".to_owned(),
        bundle: fs::read_to_string(&ground.ca_file)?,
        enabled: true,
    })?;
    let profile = sim.create_profile(NewProfile {
        name: "cambio".to_owned(),
        role_arns: vec![ROLE.to_owned()],
        accept_role_session_name: true,
        enabled: true,
        ..NewProfile::default()
    })?;
    sim.create_role(ROLE, &trust_policy(&anchor, &ground.subject), Duration::from_hours(1))?;
    let bound = ground.listen.bind()?;
    let url = bound.url;
    (bound.serve)(Arc::clone(&sim).router());
    let mut relying_party = toml::Table::new();
    for (name, value) in [
        ("kind", "aws_roles_anywhere"),
        ("trust_anchor_arn", &anchor),
        ("profile_arn", &profile),
        ("role_arn", ROLE),
        ("endpoint", &url),
        ("ca_file", &ground.ca_file.to_string_lossy()),
    ] {
        relying_party.insert(name.to_owned(), toml::Value::from(value));
    }
    relying_party.insert("role_session_name".to_owned(), true.into());
    let administrator = sim.administrator();
    Ok(Seeded {
        relying_party,
        name: NAME,
        section: "aws_roles_anywhere",
        try_next: vec![format!(
            "AWS_ENDPOINT_URL_STS={url} AWS_CA_BUNDLE={} AWS_DEFAULT_REGION={REGION} cambio exec {NAME} -- \
             aws sts get-caller-identity",
            ground.ca_file.display()
        )],
        ready: json!({
            "rolesanywhere": url, "sts": url, "iam": url,
            "trust_anchor_arn": anchor, "profile_arn": profile, "role_arn": ROLE,
            // Of the simulated account; they open nothing else.
            "administrator": {
                "access_key_id": administrator.access_key_id,
                "secret_access_key": administrator.secret_key.expose(),
                "session_token": administrator.session_token.expose(),
            },
        }),
        told: Some(told(Arc::clone(&sim), &anchor)),
        simulator: sim,
    })
}

/// Replaces the trust anchor's bundle by our roots, as Terraform does with the published ones.
fn told(sim: Arc<RolesAnywhereSim>, anchor: &str) -> Told {
    let id = anchor.rsplit('/').next().unwrap_or_default().to_owned();
    Arc::new(move |roots: &[Vec<u8>]| {
        let pem: String = roots.iter().map(|root| ca::pem(root)).collect();
        Ok(sim.replace_bundle(&id, &pem)?)
    })
}

fn trust_policy(anchor: &str, subject: &str) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "Cambio",
            "Effect": "Allow",
            "Principal": {"Service": "rolesanywhere.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
            "Condition": {
                "ArnEquals": {"aws:SourceArn": anchor},
                "StringEquals": {"aws:PrincipalTag/x509SAN/URI": subject},
            },
        }],
    })
    .to_string()
}

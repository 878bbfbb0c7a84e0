//! Tokens of a simulated account against a configured attestor, over real TLS on loopback.

mod battery;
mod claims;
mod metadata;
mod settings;
mod use_rule;

use std::{sync::Arc, time::SystemTime};

use serde_json::{Map, Value, json};

use super::{
    AwsIamAttestor,
    sim::{AwsAccountSim, Ec2Instance},
};
use crate::{
    attest::{
        Attestor, Evidence, Misconfigured, Possession,
        suite::{self, Place, TokenStage, attested, evidence, refused, seconds},
    },
    clock::{self, FakeClock, unix_seconds},
    secret::{Digest, Secret, SystemRandom},
};

const AUDIENCE: &str = "https://id.acme.example";
const OWN: &str = "https://sts.amazonaws.com/";

/// An account with an issuer, an STS and one instance.
struct Stage {
    aws: Arc<AwsAccountSim>,
    place: Place,
}

impl TokenStage for Stage {
    type Judge = AwsIamAttestor;

    fn start() -> Self {
        let place = Place::find();
        let aws = started(&place, Ec2Instance::example());
        Self { aws, place }
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn attestor(table: &str) -> AwsIamAttestor {
        attestor(table)
    }

    fn table(&self) -> String {
        self.table_of(&[("123456789012", self.aws.issuer())])
    }

    fn claims(&self) -> Map<String, Value> {
        self.aws.claims(AUDIENCE)
    }

    fn sign(&self, claims: &Map<String, Value>) -> String {
        self.aws.sign(claims).unwrap()
    }
}

impl Stage {
    /// Returns the table of an attestor of these accounts, by their numbers and issuers.
    fn table_of(&self, accounts: &[(&str, &str)]) -> String {
        let accounts: Vec<String> = accounts
            .iter()
            .map(|(account, issuer)| format!("{{ account = \"{account}\", issuer = \"{issuer}\", name = \"shop\" }}"))
            .collect();
        format!("accounts = [{}]\n{}", accounts.join(", "), self.place.reach())
    }
}

fn started(place: &Place, instance: Ec2Instance) -> Arc<AwsAccountSim> {
    let told: Arc<dyn clock::Clock> = Arc::<FakeClock>::clone(&place.clock);
    AwsAccountSim::start(&place.loopback, instance, told, Arc::new(SystemRandom)).unwrap()
}

fn configured(table: &str) -> Result<AwsIamAttestor, Misconfigured> {
    AwsIamAttestor::configure(suite::context("roles"), table.parse().unwrap())
}

fn attestor(table: &str) -> AwsIamAttestor {
    configured(table).unwrap_or_else(|refused| panic!("{refused:?}"))
}

/// Changes a member of AWS's own claim.
fn own(claims: &mut Map<String, Value>, member: &str, value: Value) {
    claims[OWN].as_object_mut().unwrap().insert(member.to_owned(), value);
}

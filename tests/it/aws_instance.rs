//! EC2 instances from outside: a signed document goes in, an SVID comes out, once for each start.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use cambio::{
    attest::aws_instance::sim::{InstanceSim, RegionSim},
    clock,
};

use crate::world::World;

const ACCOUNT: &str = "123456789012";

/// A region whose certificate the world's gateway has, in which instances start.
struct Region {
    world: World,
    simulated: Arc<RegionSim>,
    _directory: tempfile::TempDir,
}

impl Region {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let simulated = Arc::new(RegionSim::new("eu-central-1", 1).unwrap());
        let file = directory.path().join("eu-central-1.pem");
        std::fs::write(&file, simulated.certificate_pem()).unwrap();
        let tables = format!(
            "[[attestor]]\nname = \"instances\"\nkind = \"aws_instance\"\naccounts = [\"{ACCOUNT}\"]\n\
             certificate_files = {{ eu-central-1 = \"{}\" }}\n\n\
             [[entry]]\nname = \"builder\"\nattestor = \"instances\"\n\
             match = {{ \"aws.account\" = \"{ACCOUNT}\" }}\nspiffe_id = \"/aws/builder/{{aws.instance_id}}\"\n\n\
             [[relying_party]]\nname = \"inner\"\nkind = \"svid\"\naudience = \"https://inner.test\"\n\n\
             [[grant]]\nname = \"builders\"\nentries = [\"builder\"]\nrelying_parties = [\"inner\"]\nttl = \"20m\"\n\
             release = [\"svid\"]\n\n",
            file.display()
        );
        let world =
            World::start_with(|configuration| configuration.replacen("[[grant]]", &format!("{tables}[[grant]]"), 1))
                .await;
        Self {
            world,
            simulated,
            _directory: directory,
        }
    }

    fn instance(&self, account: &str, started: SystemTime) -> InstanceSim {
        let started = clock::rfc3339(started);
        InstanceSim::start(Arc::clone(&self.simulated), account, "i-0123456789abcdef0", &started)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t_47_an_instance_gets_its_svid_once_for_each_start() {
    let region = Region::start().await;
    let now = region.world.now();
    let instance = region.instance(ACCOUNT, now - Duration::from_mins(1));

    let first = region.world.exchange(&instance.rsa2048(), &["inner"]).await;
    let again = region.world.exchange(&instance.rsa2048(), &["inner"]).await;
    instance.restart(&clock::rfc3339(now));
    let restarted = region.world.exchange(&instance.rsa2048(), &["inner"]).await;

    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(
        first.text_at("/spiffe_id"),
        "spiffe://dev.cambio.test/aws/builder/i-0123456789abcdef0"
    );
    assert_eq!(
        (again.status, again.code().as_str()),
        (400, "attest.evidence_replayed"),
        "{}",
        again.text
    );
    assert_eq!(restarted.status, 200, "{}", restarted.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_47_a_document_of_an_instance_that_started_long_ago_is_too_old() {
    let region = Region::start().await;
    let instance = region.instance(ACCOUNT, region.world.now() - Duration::from_mins(6));

    let answer = region.world.exchange(&instance.rsa2048(), &["inner"]).await;

    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "attest.evidence_too_old"),
        "{}",
        answer.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_of_another_account_is_refused_and_recorded() {
    let region = Region::start().await;
    let instance = region.instance("210987654321", region.world.now());

    let answer = region.world.exchange(&instance.rsa2048(), &["inner"]).await;

    assert_eq!(answer.code(), "attest.claim_invalid", "{}", answer.text);
    let entries = region.world.trail_of(&answer.text_at("/exchange_id")).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["code"], "attest.claim_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn t_01_a_document_of_another_key_is_unverifiable_and_not_recorded() {
    let region = Region::start().await;
    let rogue = Arc::new(RegionSim::new("eu-central-1", 1).unwrap());
    let started = clock::rfc3339(region.world.now());
    let forged = InstanceSim::start(rogue, ACCOUNT, "i-0123456789abcdef0", &started);

    let answer = region.world.exchange(&forged.rsa2048(), &["inner"]).await;

    assert_eq!(answer.code(), "attest.evidence_unverifiable", "{}", answer.text);
    assert!(region.world.trail_of(&answer.text_at("/exchange_id")).await.is_empty());
}

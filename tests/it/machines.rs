//! Machines from outside: a token of each cloud's metadata service goes in, and another cloud's credential comes out.

use std::sync::Arc;

use cambio::{
    attest::{
        aws_iam::sim::{AwsAccountSim, Ec2Instance},
        azure_instance::sim::{AzureMachine, AzureSim, TokenVersion},
        gcp_instance::sim::{GceSim, Instance},
    },
    clock::{self, FakeClock},
    secret::SystemRandom,
    sim::server::Loopback,
};

use crate::world::{Answer, World};

/// One machine in each cloud, and a gateway that believes their issuers.
struct Machines {
    world: World,
    gce: Arc<GceSim>,
    aws: Arc<AwsAccountSim>,
    azure: Arc<AzureSim>,
    clock: Arc<FakeClock>,
    _directory: tempfile::TempDir,
    _stop: tokio::sync::watch::Sender<bool>,
}

const APPLICATION: &str = "api://cambio.dev.test";

impl Machines {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let now = clock::system().now();
        let (loopback, files, switch) = Loopback::throw_away(directory.path(), now).unwrap();
        let clock = FakeClock::at(&clock::rfc3339(now));
        let told = || Arc::<FakeClock>::clone(&clock) as Arc<dyn clock::Clock>;
        let gce = GceSim::start(&loopback, Instance::example(now), told()).unwrap();
        let aws = AwsAccountSim::start(&loopback, Ec2Instance::example(), told(), Arc::new(SystemRandom)).unwrap();
        let azure = AzureSim::start(&loopback, AzureMachine::example(), told()).unwrap();
        azure.register(APPLICATION, "3f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f", TokenVersion::One);
        let reach = format!(
            "ca_file = \"{}\"\nallow_addresses = [\"127.0.0.0/8\"]\n",
            files.ca.display()
        );
        let tables = tables(&reach, (&gce, &aws, &azure));
        let world = World::start_with(|configuration| {
            configuration
                .replacen("[[grant]]", &format!("{tables}[[grant]]"), 1)
                .replace(
                    "entries = [\"shop-deploy\"]",
                    "entries = [\"shop-deploy\", \"gce\", \"ec2\", \"azure\"]",
                )
        })
        .await;
        Self {
            world,
            gce,
            aws,
            azure,
            clock,
            _directory: directory,
            _stop: switch,
        }
    }

    /// Asks a metadata service as a process on its machine does.
    async fn metadata(&self, url: String, (name, value): (&str, &str)) -> String {
        self.clock.set(self.world.now());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(url).header(name, value).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        answer.text().await.unwrap()
    }

    async fn of_gce(&self, format: &str) -> String {
        let accounts = "computeMetadata/v1/instance/service-accounts/default";
        let audience = &self.world.development.issuer;
        let url = format!(
            "{}/{accounts}/identity?audience={audience}&format={format}",
            self.gce.metadata()
        );
        self.metadata(url, ("Metadata-Flavor", "Google")).await
    }

    async fn of_azure(&self) -> String {
        let path = "metadata/identity/oauth2/token?api-version=2018-02-01";
        let url = format!("{}/{path}&resource={APPLICATION}", self.azure.metadata());
        let answer: serde_json::Value = serde_json::from_str(&self.metadata(url, ("Metadata", "true")).await).unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    fn of_aws(&self) -> String {
        self.clock.set(self.world.now());
        self.aws.sign(&self.aws.claims(&self.world.development.issuer)).unwrap()
    }

    async fn ask(&self, token: &str, party: &str) -> Answer {
        self.world.exchange(token, &[party]).await
    }
}

/// Each machine is the one workload that the simulated clouds admit.
fn tables(reach: &str, (gce, aws, azure): (&GceSim, &AwsAccountSim, &AzureSim)) -> String {
    let machine = azure.machine();
    let entry = |name: &str, attestor: &str, matched: &str| {
        format!(
            "[[entry]]\nname = \"{name}\"\nattestor = \"{attestor}\"\nmatch = {{ {matched} }}\n\
             spiffe_id = \"/ci/acme/shop/deploy\"\n\n"
        )
    };
    [
        format!(
            "[[attestor]]\nname = \"instances\"\nkind = \"gcp_instance\"\nprojects = [\"{}\"]\nissuer = \"{}\"\n{reach}\n",
            gce.instance().project_number,
            gce.issuer(),
        ),
        format!(
            "[[attestor]]\nname = \"roles\"\nkind = \"aws_iam\"\n\
             accounts = [{{ account = \"{}\", issuer = \"{}\" }}]\n{reach}\n",
            aws.instance().account,
            aws.issuer(),
        ),
        format!(
            "[[attestor]]\nname = \"machines\"\nkind = \"azure_instance\"\ntenants = [\"{}\"]\n\
             audience = \"{APPLICATION}\"\nauthority = \"{}\"\n{reach}\n",
            machine.tenant_id,
            azure.authority(),
        ),
        entry(
            "gce",
            "instances",
            &format!("\"gcp.service_account_id\" = \"{}\"", gce.instance().service_account_id),
        ),
        entry("ec2", "roles", "\"aws.role_arn\" = \"arn:aws:iam::123456789012:role/deploy\""),
        entry(
            "azure",
            "machines",
            &format!("\"azure.principal_id\" = \"{}\"", machine.system_assigned.principal_id),
        ),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_of_each_cloud_gets_credentials_of_another() {
    let machines = Machines::start().await;
    for (token, party, secret) in [
        (machines.of_gce("full").await, "aws-dev", "SecretAccessKey"),
        (machines.of_aws(), "gcp-dev", "access_token"),
        (machines.of_azure().await, "aws-dev", "SecretAccessKey"),
    ] {
        let answer = machines.ask(&token, party).await;

        assert_eq!(answer.status, 200, "{party}: {}", answer.text);
        assert_ne!(answer.text_at(&format!("/credentials/{party}/{secret}")), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_metadata_service_hands_out_again_serves_again_and_what_is_new_each_time_serves_once() {
    let machines = Machines::start().await;
    for token in [machines.of_gce("full").await, machines.of_azure().await] {
        for _twice in 0..2 {
            let answer = machines.ask(&token, "aws-dev").await;

            assert_eq!(answer.status, 200, "{}", answer.text);
        }
    }
    let token = machines.of_aws();

    let first = machines.ask(&token, "gcp-dev").await;
    let second = machines.ask(&token, "gcp-dev").await;

    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(
        (second.status, second.code().as_str()),
        (400, "attest.evidence_replayed"),
        "{}",
        second.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_did_not_ask_for_the_full_format_learns_what_to_do() {
    let machines = Machines::start().await;

    let answer = machines.ask(&machines.of_gce("standard").await, "aws-dev").await;

    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "attest.claim_invalid"),
        "{}",
        answer.text
    );
    assert!(answer.text_at("/detail").contains("`format=full`"), "{}", answer.text);
    let entries = machines.world.trail_of(&answer.text_at("/exchange_id")).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["code"], "attest.claim_invalid");
}

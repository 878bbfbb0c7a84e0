//! `cambio creds` where a metadata service or a role signs something, against the whole gateway.

use std::{
    ffi::OsStr,
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use cambio::{
    attest::{
        aws_iam::{
            presigned::sim::{Principal, StsSim},
            sim::{AwsAccountSim, Ec2Instance, Federation},
        },
        aws_instance::sim::{InstanceSim, RegionSim},
        azure_instance::sim::attested::AttestedSim,
    },
    cli::{
        dev::{development::Development, place::Place},
        environment::Environment,
    },
    clock::{self, Clock},
    secret::SystemRandom,
    sim::{Listen as _, imds::Sessions, server::Loopback},
};
use serde_json::Value;

use crate::{
    guides::{calls, read},
    jobs::{has_credentials, stand_in},
};

const ACCOUNT: &str = "123456789012";
const SUBSCRIPTION: &str = "8d10da13-8125-4ba9-a717-bf7490507b3d";
const VM: &str = "13f56399-bd52-4150-9748-7190aae1ff21";
const TENANT: &str = "0f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f";

/// An account of AWS with a role and an instance, a VM of Azure, and a gateway that believes them.
struct Clouds {
    development: Development,
    account: Arc<AwsAccountSim>,
    sts: Arc<StsSim>,
    instance: String,
    vm: String,
    ca_file: String,
    directory: tempfile::TempDir,
    _stop: tokio::sync::watch::Sender<bool>,
}

impl Clouds {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let now = clock::system().now();
        let (loopback, files, switch) = Loopback::throw_away(directory.path(), now).unwrap();
        let told = || clock::system() as Arc<dyn Clock>;
        let account = AwsAccountSim::start(&loopback, Ec2Instance::example(), told(), Arc::new(SystemRandom)).unwrap();

        let (region, instance) = instance(&loopback);
        let attested = Arc::new(AttestedSim::new(SUBSCRIPTION, VM, told()).unwrap());
        let bound = loopback.bind_plain().unwrap();
        (bound.serve)(Arc::clone(&attested).router());
        let vm = bound.url;

        let sts = Arc::new(StsSim::new(told()));
        let bound = loopback.bind().unwrap();
        (bound.serve)(Arc::clone(&sts).router());

        let written = |name: &str, text: String| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let signers = attested.signers();
        let tables = tables(
            &format!(
                "ca_file = \"{}\"\nallow_addresses = [\"127.0.0.0/8\"]\n",
                files.ca.display()
            ),
            (account.issuer(), &bound.url),
            &written("region.pem", region.certificate_pem()),
            &[
                written("roots.pem", pem(signers.root().certificate())),
                written("intermediates.pem", pem(signers.intermediate().certificate())),
            ],
        );
        let place = Place::open(Some(directory.path().join("world")), &SystemRandom).unwrap();
        let environment = Environment::new(clock::system(), Arc::new(SystemRandom), std::iter::empty());
        let development = Development::start_with(&place, &environment, |configuration| {
            configuration
                .replacen("[[grant]]", &format!("{tables}[[grant]]"), 1)
                .replace(
                    "entries = [\"shop-deploy\"]",
                    "entries = [\"shop-deploy\", \"role\", \"instance\", \"vm\"]",
                )
        });
        Self {
            development: development.await.unwrap_or_else(|unready| panic!("{unready:?}")),
            account,
            sts,
            instance,
            vm,
            ca_file: files.ca.display().to_string(),
            directory,
            _stop: switch,
        }
    }

    /// Runs `cambio creds aws-dev` with these words and variables.
    async fn creds(&self, words: &[&str], variables: &[(&str, &str)]) -> Output {
        let creds = ["creds", "aws-dev", "--shape", "json"];
        self.cambio(&[&creds, words].concat(), variables).await
    }

    async fn cambio<W: AsRef<OsStr>>(&self, words: &[W], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cambio"));
        command
            .env_clear()
            .env("CAMBIO_GATEWAY", &self.development.exchange_url)
            .env("CAMBIO_CA_FILE", &self.development.world.files.ca)
            .env("CAMBIO_AUDIENCE", &self.development.issuer)
            .env("CAMBIO_STATE_DIR", self.directory.path().join("state"))
            .envs(variables.iter().copied())
            .current_dir(self.directory.path())
            .args(words);
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    /// Lets the simulated STS know the role, as AWS does whose credentials it gave out.
    async fn knows_the_role(&self) -> Principal {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let base = format!("{}/latest", self.account.metadata());
        let session = client
            .put(format!("{base}/api/token"))
            .header("x-aws-ec2-metadata-token-ttl-seconds", "60");
        let session = session.send().await.unwrap().text().await.unwrap();
        let credentials = client
            .get(format!("{base}/meta-data/iam/security-credentials/deploy"))
            .header("x-aws-ec2-metadata-token", session);
        let credentials: Value = credentials.send().await.unwrap().json().await.unwrap();
        let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
        let role = Principal {
            access_key_id: text("AccessKeyId"),
            secret_access_key: text("SecretAccessKey"),
            session_token: Some(text("Token")),
            arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/deploy/i-0123456789abcdef0"),
            user_id: "AROA0123456789EXAMPLE:i-0123456789abcdef0".to_owned(),
        };
        self.sts.know(role.clone());
        role
    }

    fn of_account(&self) -> [(&str, &str); 3] {
        [
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.account.metadata()),
            ("AWS_ENDPOINT_URL_STS", self.account.sts()),
            ("AWS_CA_BUNDLE", &self.ca_file),
        ]
    }
}

/// Starts an instance, and returns its region and where its metadata service is.
fn instance(loopback: &Loopback) -> (Arc<RegionSim>, String) {
    let region = Arc::new(RegionSim::new("eu-central-1", 1).unwrap());
    let started = clock::rfc3339(clock::system().now() - Duration::from_mins(1));
    let instance = InstanceSim::start(Arc::clone(&region), ACCOUNT, "i-0123456789abcdef0", &started);
    let bound = loopback.bind_plain().unwrap();
    let sessions = Sessions::new(clock::system(), Arc::new(SystemRandom));
    (bound.serve)(Arc::new(instance).router(Arc::new(sessions)));
    (region, bound.url)
}

fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .map(|at| text.get(at..text.len().min(at + 64)).unwrap())
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}

/// Each of them is the one workload that the simulated clouds admit.
fn tables(reach: &str, (issuer, sts): (&str, &str), region: &str, [roots, intermediates]: &[String; 2]) -> String {
    let entry = |name: &str, attestor: &str, matched: &str| {
        format!(
            "[[entry]]\nname = \"{name}\"\nattestor = \"{attestor}\"\nmatch = {{ {matched} }}\n\
             spiffe_id = \"/ci/acme/shop/deploy\"\n\n"
        )
    };
    [
        format!(
            "[[attestor]]\nname = \"roles\"\nkind = \"aws_iam\"\n\
             accounts = [{{ account = \"{ACCOUNT}\", issuer = \"{issuer}\" }}]\n{reach}\n\
             [attestor.presigned]\nregions = [\"eu-central-1\"]\nendpoint = \"{sts}\"\n{reach}\n"
        ),
        format!(
            "[[attestor]]\nname = \"instances\"\nkind = \"aws_instance\"\naccounts = [\"{ACCOUNT}\"]\n\
             certificate_files = {{ eu-central-1 = \"{region}\" }}\n\n"
        ),
        format!(
            "[[attestor]]\nname = \"machines\"\nkind = \"azure_instance\"\ntenants = [\"{TENANT}\"]\n\
             audience = \"api://cambio.dev.test\"\n\n[attestor.attested]\nsubscriptions = [\"{SUBSCRIPTION}\"]\n\
             roots_file = \"{roots}\"\nintermediates_file = \"{intermediates}\"\n\n"
        ),
        entry(
            "role",
            "roles",
            "\"aws.role_arn\" = \"arn:aws:iam::123456789012:role/deploy\"",
        ),
        entry("instance", "instances", "\"aws.instance_id\" = \"i-0123456789abcdef0\""),
        entry("vm", "machines", &format!("\"azure.vm_id\" = \"{VM}\"")),
    ]
    .concat()
}

fn succeeded(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let given: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(given["SecretAccessKey"].is_string(), "{said}");
}

fn refused(output: &Output, code: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains(code), "{said}");
    assert!(output.stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn t_47_an_instance_presents_its_document_once_and_only_when_told_to() {
    let clouds = Clouds::start().await;
    let metadata = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", clouds.instance.as_str())];

    let unasked = clouds.creds(&[], &metadata).await;
    let first = clouds.creds(&["--attest", "aws_instance"], &metadata).await;
    let second = clouds.creds(&["--attest", "aws_instance"], &metadata).await;

    refused(&unasked, "the instance has no role");
    succeeded(&first);
    refused(&second, "attest.evidence_replayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn t_44_a_vm_presents_a_document_over_a_challenge_as_often_as_it_asks() {
    let clouds = Clouds::start().await;
    let metadata = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", clouds.vm.as_str())];

    for _each in 0..2 {
        succeeded(&clouds.creds(&["--attest", "azure_attested"], &metadata).await);
    }
    let identity = clouds.creds(&["--attest", "azure_instance"], &metadata).await;

    refused(&identity, "found status 404, expected 200");
}

#[tokio::test(flavor = "multi_thread")]
async fn t_44_a_role_presents_a_question_over_a_challenge_and_its_secret_stays() {
    let clouds = Clouds::start().await;
    let role = clouds.knows_the_role().await;

    for _each in 0..2 {
        let words = ["--attest", "aws_presigned"];
        succeeded(&clouds.creds(&words, &clouds.of_account()).await);
    }

    let questions = clouds.sts.questions();
    assert_eq!(questions.len(), 2, "{questions:?}");
    for question in &questions {
        assert!(question.contains(&role.access_key_id) && !question.contains(&role.secret_access_key));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_have_no_token_presents_a_question_instead_and_says_so() {
    let clouds = Clouds::start().await;
    clouds.knows_the_role().await;

    let by_token = clouds.creds(&[], &clouds.of_account()).await;
    assert!(clouds.sts.questions().is_empty());
    clouds.account.set_federation(Federation::Disabled);
    let by_question = clouds.creds(&[], &clouds.of_account()).await;
    let named = clouds.creds(&["--attest", "aws_iam"], &clouds.of_account()).await;

    succeeded(&by_token);
    succeeded(&by_question);
    let said = String::from_utf8_lossy(&by_question.stderr);
    assert!(said.starts_with("note: AWS gave no web identity token"), "{said}");
    refused(&named, "OutboundWebIdentityFederationDisabledException");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_aws_does_not_know_is_refused() {
    let clouds = Clouds::start().await;

    let stranger = clouds.creds(&["--attest", "aws_presigned"], &clouds.of_account()).await;

    refused(&stranger, "attest.evidence_unverifiable");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_their_pages_runs() {
    let clouds = Clouds::start().await;
    clouds.knows_the_role().await;
    stand_in(&clouds.directory.path().join("set-up"));
    let of_account = clouds.of_account();

    for (page, variables) in [
        (
            "aws_instance/manual.md",
            &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", clouds.instance.as_str())][..],
        ),
        (
            "azure_instance/manual.md",
            &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", clouds.vm.as_str())],
        ),
        ("aws_iam/presigned/manual.md", &of_account),
    ] {
        let calls = calls(&read(&format!("src/attest/{page}")));
        assert_eq!(calls.len(), 1, "{page}");
        let words: Vec<String> = calls[0][1..].iter().map(|word| word.replace("-prod", "-dev")).collect();

        let output = clouds.cambio(&words, variables).await;

        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{page}: {words:?}: {said}");
        let printed = String::from_utf8_lossy(&output.stdout);
        has_credentials(page, &words.join(" "), &printed);
    }
}

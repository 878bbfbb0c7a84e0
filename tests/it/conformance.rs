//! Every compiled-in kind of attestor and relying party is whole: manual, sample, simulator, module, row, behaviour.

use std::{fs, path::Path, sync::Arc, time::Duration};

use cambio::{
    attest::{self, AttestorContext, AttestorName, Challenges, OwnDocuments, OwnStore},
    authorize::RelyingPartyName,
    clock,
    exchange::{
        self, RelyingPartyContext, aws_roles_anywhere::sim::RolesAnywhereSim, aws_sts::sim::AwsSim,
        azure_entra::sim::EntraSim, gcp_sts::sim::GcpSim,
    },
    fetch::Fetch,
    sim::{Mutation, Seeded},
    spiffe::TrustDomain,
};

use crate::world::World;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a sample, which stands without its header, `name` and `kind`.
fn table(sample: &str) -> toml::Table {
    let mut table: toml::Table = toml::from_str(sample).unwrap();
    for header in ["attestor", "relying_party"] {
        if let Some(first) = table.get(header).and_then(|tables| tables.get(0)) {
            table = first.as_table().unwrap().clone();
        }
    }
    table.remove("name");
    table.remove("kind");
    table
}

#[test]
fn every_kind_has_a_manual_page_that_names_it_and_warns_first() {
    let attestors = attest::BUILTINS.iter().map(|builtin| (builtin.kind, builtin.manual));
    let parties = exchange::BUILTINS.iter().map(|builtin| (builtin.kind, builtin.manual));

    for (kind, manual) in attestors.chain(parties) {
        let (head, rest) = manual
            .split_once('\n')
            .unwrap_or_else(|| panic!("{kind}: the page is empty"));
        assert!(head.starts_with("# ") && head.contains(kind), "{kind}: {head}");
        let warns = ["> ", "**Warning"]
            .iter()
            .any(|sign| rest.trim_start().starts_with(sign));
        assert!(warns, "{kind}: the warning comes first");
        assert!(manual.contains("\n| Option |"), "{kind}: no table of options");
        assert!(manual.contains("```toml"), "{kind}: no sample");
    }
}

#[test]
fn every_sample_configures() {
    // The samples name files where an operator would have them; here they are those of a simulated cloud.
    let directory = tempfile::tempdir().unwrap();
    let region = attest::aws_instance::sim::RegionSim::new("eu-central-1", 1).unwrap();
    fs::create_dir(directory.path().join("aws")).unwrap();
    fs::write(directory.path().join("aws/eu-central-1.pem"), region.certificate_pem()).unwrap();
    let files = format!("{}/", directory.path().display());
    for builtin in attest::BUILTINS {
        let context = AttestorContext {
            name: AttestorName::parse("sample").unwrap(),
            issuer: "https://id.acme.example".to_owned(),
            trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
            own: OwnDocuments::default(),
            challenges: Challenges::default(),
            store: OwnStore::default(),
            fetch: Arc::new(Fetch::system()),
            clock: clock::system(),
        };
        let configured = (builtin.configure)(context, table(&builtin.sample.replace("/etc/cambio/", &files)));
        assert!(configured.is_ok(), "{}: {:?}", builtin.kind, configured.err());
    }
    for builtin in exchange::BUILTINS {
        let context = RelyingPartyContext {
            name: RelyingPartyName::parse("sample").unwrap(),
            issuer: "https://id.acme.example".to_owned(),
            trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
            clock: clock::system(),
        };
        let configured = (builtin.configure)(context, table(builtin.sample));
        assert!(configured.is_ok(), "{}: {:?}", builtin.kind, configured.err());
    }
}

#[test]
fn no_kind_takes_a_key_that_it_does_not_know() {
    for builtin in exchange::BUILTINS {
        let context = RelyingPartyContext {
            name: RelyingPartyName::parse("sample").unwrap(),
            issuer: "https://id.acme.example".to_owned(),
            trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
            clock: clock::system(),
        };
        let mut changed = table(builtin.sample);
        changed.insert("colour".to_owned(), "red".into());
        assert!((builtin.configure)(context, changed).is_err(), "{}", builtin.kind);
    }
}

/// Kinds without a cloud, which need neither a simulator nor a Terraform module.
const WITHOUT_A_CLOUD: [&str; 1] = ["svid"];

#[test]
fn every_relying_party_with_a_cloud_has_a_terraform_module() {
    for builtin in exchange::BUILTINS
        .iter()
        .filter(|builtin| !WITHOUT_A_CLOUD.contains(&builtin.kind))
    {
        assert!(builtin.sim.is_some(), "{} has no simulator", builtin.kind);
        let module = root().join("terraform/modules").join(builtin.kind);
        assert!(module.join("main.tf").is_file(), "{} is missing", module.display());
    }
}

#[test]
fn every_kind_has_a_row_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap_or_default();
    let kinds = attest::BUILTINS.iter().map(|builtin| builtin.kind);
    for kind in kinds.chain(exchange::BUILTINS.iter().map(|builtin| builtin.kind)) {
        let row = readme
            .lines()
            .any(|line| line.starts_with('|') && line.contains(&format!("`{kind}`")));
        assert!(row, "README.md has no row for `{kind}`");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_simulator_serves_and_every_cloud_passes_the_battery() {
    let world = World::start().await;
    let with_cloud = exchange::BUILTINS
        .iter()
        .filter(|builtin| builtin.sim.is_some())
        .count();
    assert_eq!(world.development.world.clouds.len(), with_cloud);

    for cloud in &world.development.world.clouds {
        let name = cloud.name;
        let good = world.exchange(&world.good(), &[name]).await;
        assert_eq!(good.status, 200, "{name}: {}", good.text);
        let expires = good.text_at(&format!("/details/{name}/expires"));
        assert!(clock::parse_rfc3339(&expires).unwrap() > world.now(), "{name}");

        for (mutation, code) in [
            (Mutation::ServerError, "exchange.cloud_unavailable"),
            (Mutation::Garbage, "exchange.upstream_garbage"),
            (Mutation::Oversized, "exchange.upstream_oversized"),
        ] {
            (0..6).for_each(|_| push(cloud, mutation.clone()));
            let answer = world.exchange(&world.good(), &[name]).await;
            assert_eq!(answer.code(), code, "{name} {mutation:?}: {}", answer.text);
            assert!(answer.status >= 502, "{name} {mutation:?}");
            drain(cloud);
        }
        let recovered = world.exchange(&world.good(), &[name]).await;
        assert_eq!(recovered.status, 200, "{name} recovers: {}", recovered.text);

        // Last, because a cloud that says when to come again is not called before.
        (0..6).for_each(|_| push(cloud, Mutation::Throttle));
        let throttled = world.exchange(&world.good(), &[name]).await;
        assert_eq!(
            (throttled.status, throttled.code().as_str()),
            (503, "exchange.cloud_throttled"),
            "{name}"
        );
        drain(cloud);
        let next = world.exchange(&world.good(), &[name]).await;
        assert!(
            next.status == 200 || next.code() == "exchange.budget_spent",
            "{name}: {}",
            next.text
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cloud_that_does_not_answer_is_given_up_in_time() {
    let world = World::start().await;
    let names: Vec<&str> = world.development.world.clouds.iter().map(|cloud| cloud.name).collect();
    for cloud in &world.development.world.clouds {
        (0..6).for_each(|_| push(cloud, Mutation::Delay(Duration::from_secs(25))));
    }
    let started = tokio::time::Instant::now();

    let answer = world.exchange(&world.good(), &names).await;

    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(answer.status, 503, "{}", answer.text);
    for name in names {
        assert_eq!(
            answer.text_at(&format!("/refusals/{name}/code")),
            "exchange.cloud_unavailable"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cloud_refuses_a_workload_that_it_does_not_trust() {
    let world = World::start_with(|configuration| {
        let entry = "[[entry]]\nname = \"other\"\nattestor = \"github\"\nmatch = { \"ci.repo_id\" = \"75\" }\n\
                     spiffe_id = \"/ci/acme/other\"\n\n[[relying_party]]";
        configuration
            .replacen("[[relying_party]]", entry, 1)
            .replace("entries = [\"shop-deploy\"]", "entries = [\"shop-deploy\", \"other\"]")
    })
    .await;

    for cloud in &world.development.world.clouds {
        let token = world.sign(world.job().with("repository_id", "75"));
        let answer = world.exchange(&token, &[cloud.name]).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (502, "exchange.cloud_refused"),
            "{}",
            answer.text
        );
        assert_ne!(answer.text_at(&format!("/refusals/{}/cloud_code", cloud.name)), "");
        let entries = world.trail_of(&answer.text_at("/exchange_id")).await;
        let outcome = entries.last().unwrap();
        assert_eq!(
            (&outcome["kind"], &outcome["code"]),
            (&"outcome".into(), &"exchange.cloud_refused".into())
        );
    }
}

/// One arm a simulator: a new one fails here until it has its own.
fn mutations<R>(cloud: &Seeded, then: impl FnOnce(&cambio::sim::Mutations) -> R) -> R {
    let simulator = Arc::clone(&cloud.simulator);
    match cloud.section {
        "aws" => then(simulator.downcast::<AwsSim>().unwrap().mutations()),
        "aws_roles_anywhere" => then(simulator.downcast::<RolesAnywhereSim>().unwrap().mutations()),
        "azure" => then(simulator.downcast::<EntraSim>().unwrap().mutations()),
        "gcp" => then(simulator.downcast::<GcpSim>().unwrap().mutations()),
        other => panic!("the battery does not know the simulator `{other}`"),
    }
}

fn push(cloud: &Seeded, mutation: Mutation) {
    mutations(cloud, |mutations| mutations.push(mutation));
}

fn drain(cloud: &Seeded) {
    mutations(cloud, |mutations| while mutations.take().is_some() {});
}

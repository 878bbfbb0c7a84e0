//! The how-to pages: their configurations load, their command lines parse, and their trust is what Terraform makes.

use std::{fs, path::PathBuf, sync::Arc};

use cambio::{
    cli::{Arguments, Command},
    config::{self, Profile, Surroundings},
    manual,
};
use clap::Parser as _;
use serde_json::{Value, json};

use crate::readme::{sample, written_as};

/// Returns the pages of the CI systems and of what else holds a token.
fn jobs() -> impl Iterator<Item = &'static str> {
    manual::guides::PAGES.iter().map(|(name, _)| *name).chain([
        "azure-vm.md",
        "bound-key.md",
        "ec2-role.md",
        "gce.md",
        "join-token.md",
        "kubernetes.md",
    ])
}

pub(crate) fn read(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{file}: {why}"))
}

pub(crate) fn page(name: &str) -> String {
    read(&format!("src/manual/{name}"))
}

/// Returns the blocks of a page in one language.
pub(crate) fn blocks(page: &str, language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    let rest = page.split(begin.as_str()).skip(1);
    rest.map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

/// Returns the sample's parts: what is the gateway's own, and its relying parties.
fn parts() -> (String, String) {
    let sample = sample();
    let (ours, rest) = sample.split_once("[[attestor]]").unwrap();
    let (_, parties) = rest.split_once("[[relying_party]]").unwrap();
    let (parties, _) = parties.split_once("[[grant]]").unwrap();
    (ours.to_owned(), format!("[[relying_party]]{parties}"))
}

/// Says what `cambio check` says of a configuration.
fn checked(text: String, more: &[(&str, &str)]) -> String {
    let (directory, file) = written_as(text);
    for (name, content) in more {
        let path = directory.path().join("etc").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let surroundings = Surroundings {
        clock: cambio::clock::system(),
        fetch: Arc::new(cambio::fetch::Fetch::system()),
        own: cambio::attest::OwnDocuments::default(),
        challenges: cambio::attest::Challenges::default(),
        store: cambio::attest::OwnStore::default(),
    };
    config::check(&file, std::iter::empty(), Profile::Production, &surroundings).text()
}

#[test]
fn every_preset_has_a_page_with_the_same_parts_that_the_index_links_to() {
    let index = page("index.md");
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/attest/oidc/presets");
    for preset in fs::read_dir(folder).unwrap() {
        let preset = preset.unwrap().path();
        let name = preset.file_stem().unwrap().to_str().unwrap().to_owned();
        let file = format!("{}.md", name.replace('_', "-"));
        let (_, page) = manual::guides::PAGES.iter().find(|(page, _)| *page == file).unwrap();

        assert!(page.starts_with("# Credentials "), "{file}");
        let parts = [
            "\n## The gateway's side\n",
            "\n## When it is refused\n\n| Code | Look at |\n",
        ];
        for part in parts {
            assert!(page.contains(part), "{file}: {part:?}");
        }
        assert!(page.contains(&format!("preset = \"{name}\"")), "{file}");
        assert!(page.contains("It was tried"), "{file}: against what it was tried");
        assert!(index.contains(&format!("({file})")), "index.md has no link to {file}");
    }
}

#[test]
fn the_configuration_of_each_job_loads_without_a_problem() {
    let (ours, parties) = parts();
    for name in jobs() {
        let own = blocks(&page(name), "toml");
        assert_eq!(own.len(), 1, "{name}");

        let said = checked(format!("{ours}{parties}{}", own[0]), &[]);

        assert_eq!(said, "", "{name}");
    }
}

#[test]
fn t_63_t_46_an_entry_that_names_everybody_at_a_cloud_or_goes_by_a_name_alone_does_not_load() {
    let (ours, parties) = parts();
    let everybody = "config.entry_any_repository";
    let by_name = "config.entry_renamed_repository";
    for (name, matched, code, whom) in [
        (
            "gce.md",
            "\"gcp.project_number\" = \"123456789012\"",
            everybody,
            "every instance of the attestor's projects",
        ),
        (
            "gce.md",
            "\"gcp.service_account\" = \"deploy@acme-prod.iam.gserviceaccount.com\"",
            by_name,
            "`gcp.project_number",
        ),
        (
            "ec2-role.md",
            "\"aws.account\" = \"123456789012\"",
            everybody,
            "every role of the attestor's accounts",
        ),
        (
            "ec2-role.md",
            "\"aws.role_name\" = \"deploy\"",
            by_name,
            "`aws.role_arn`",
        ),
        (
            "azure-vm.md",
            "\"azure.subscription_id\" = \"7d1c2b3a-4e5f-4a6b-8c7d-9e0f1a2b3c4d\"",
            everybody,
            "every managed identity of the attestor's tenants",
        ),
        (
            "azure-vm.md",
            "\"azure.vm_name\" = \"deploy-1\"",
            by_name,
            "`azure.principal_id`",
        ),
        (
            "kubernetes.md",
            "\"k8s.namespace\" = \"shop\"",
            everybody,
            "every service account of the cluster, or of a namespace",
        ),
        (
            "kubernetes.md",
            "\"k8s.service_account\" = \"deploy\"",
            by_name,
            "`k8s.namespace` with `k8s.service_account`",
        ),
    ] {
        let own = blocks(&page(name), "toml").remove(0);
        let (before, rest) = own.split_once("\nmatch = {").unwrap();
        let (_, after) = rest.split_once('}').unwrap();

        let said = checked(format!("{ours}{parties}{before}\nmatch = {{ {matched} }}{after}"), &[]);

        assert!(said.contains(code) && said.contains(whom), "{name} {matched}: {said}");
    }
}

#[cfg(feature = "dev")]
#[test]
fn t_63_an_entry_that_names_the_instances_of_every_account_does_not_load_unless_it_says_so() {
    let (ours, parties) = parts();
    let certificate = cambio::attest::aws_instance::sim::RegionSim::new("eu-central-1", 1).unwrap();
    let certificate = certificate.certificate_pem();
    let page = read("src/attest/aws_instance/manual.md");
    let own = blocks(&page, "toml").remove(0);
    let several = own.replace("[\"123456789012\"]", "[\"123456789012\", \"210987654321\"]");
    let silent = several.replace("\"aws.account\" = \"123456789012\", ", "");
    let silent = silent.replace(
        "\"aws.image_id\" = \"ami-0123456789abcdef0\"",
        "\"aws.region\" = \"eu-central-1\"",
    );
    let silent = silent.replace("/aws/{aws.account}/builder/{aws.instance_id}", "/aws/builder");
    let saying = format!("{silent}dangerous_admits = [\"any_repository\"]\n");
    let said = |own: &str| {
        checked(
            format!("{ours}{parties}{own}"),
            &[("aws/eu-central-1.pem", &certificate)],
        )
    };

    let (of_one, of_all, named) = (said(&own), said(&silent), said(&saying));

    let everybody = "config.entry_any_repository";
    assert!(!of_one.contains("config.entry"), "{of_one}");
    assert!(
        of_all.contains(everybody) && of_all.contains("every instance of all"),
        "{of_all}"
    );
    assert!(!named.contains("config.entry"), "{named}");
}

/// Returns a development configuration whose relying parties are called as the pages call theirs.
#[cfg(feature = "dev")]
pub(crate) fn named_as_in_the_pages(configuration: &str) -> String {
    ["aws", "azure", "gcp"]
        .iter()
        .fold(configuration.to_owned(), |text, cloud| {
            text.replace(&format!("\"{cloud}-dev\""), &format!("\"{cloud}-prod\""))
        })
}

/// Returns the command lines that call `cambio`, from the blocks that a shell or an SDK reads.
pub(crate) fn command_lines(page: &str) -> Vec<String> {
    let languages = ["yaml", "ini", "sh"];
    let lines = languages
        .iter()
        .flat_map(|language| blocks(page, language))
        .collect::<String>();
    let keys = [
        "- ",
        "credential_process = ",
        "ExecStartPre=/usr/local/bin/",
        "ExecStart=/usr/local/bin/",
    ];
    let line = |line: &str| {
        let line = line.trim();
        let line = keys.iter().find_map(|key| line.strip_prefix(key)).unwrap_or(line);
        line.split(" > ").next().unwrap_or_default().to_owned()
    };
    let calls = |line: &String| called(line).is_some();
    lines.lines().map(line).filter(calls).collect()
}

/// Returns the words of a line from `cambio` on, after what it sets for it.
fn called(line: &str) -> Option<Vec<String>> {
    let words = line.split(' ').map(|word| word.trim_matches('"').to_owned());
    let call: Vec<String> = words.skip_while(|word| word.contains('=')).collect();
    (call.first()? == "cambio").then_some(call)
}

/// Returns the words of each command line that calls `cambio`.
pub(crate) fn calls(page: &str) -> Vec<Vec<String>> {
    command_lines(page).iter().filter_map(|line| called(line)).collect()
}

#[test]
fn every_command_line_of_the_guides_parses() {
    let jobs = jobs().map(|name| (name, 1));
    for (name, expected) in jobs.chain([("deployment.md", 3), ("audit.md", 2)]) {
        let calls = calls(&page(name));
        assert!(calls.len() >= expected, "{name}: found only {calls:?}");
        for words in calls {
            if let Err(refused) = Arguments::try_parse_from(&words) {
                panic!("{name}: {words:?}: {refused}");
            }
        }
    }
}

#[test]
fn the_jobs_ask_for_relying_parties_that_their_grant_names() {
    for name in jobs() {
        let page = page(name);
        let granted = blocks(&page, "toml")[0].clone();
        for words in calls(&page) {
            let asked = match Arguments::try_parse_from(&words).unwrap().command {
                Command::Exec(exec) => exec.relying_parties,
                Command::Creds(creds) => vec![creds.relying_party],
                Command::BoundKey(_) | Command::JoinToken(_) => Vec::new(),
                other => panic!("{name}: {other:?}"),
            };
            for party in asked {
                assert!(
                    granted.contains(&format!("\"{party}\"")),
                    "{name}: no grant names {party}"
                );
            }
        }
    }
}

#[test]
fn the_forbid_rules_load_and_each_of_them_is_needed() {
    let page = page("forbid.md");
    let (rules, section) = (&blocks(&page, "cedar")[0], &blocks(&page, "toml")[0]);
    let configured = || {
        let sample = sample();
        let (before, after) = sample.split_once("[[sink]]").unwrap();
        format!("{before}{section}\n[[sink]]{after}")
    };

    assert_eq!(checked(configured(), &[("policies/night.cedar", rules)]), "");

    for (from, to) in [
        ("shop-deploy", "shop-deplyo"),
        ("aws-prod", "aws-prdo"),
        ("ci.environment", "ci.enviroment"),
    ] {
        let wrong = rules.replace(from, to);
        let said = checked(configured(), &[("policies/night.cedar", &wrong)]);
        assert!(said.contains("error[config."), "{to}: {said}");
    }
    let permit = "permit (principal, action, resource);";
    let said = checked(configured(), &[("policies/night.cedar", permit)]);
    assert!(said.contains("config.raw_permit"), "{said}");
}

#[test]
fn the_relying_parties_of_the_terraform_example_load() {
    let test = read("terraform/examples/shop/tests/inputs.tftest.hcl");
    let (_, after) = test.split_once("output.relying_parties == <<-EOT\n").unwrap();
    let (written, _) = after.split_once("EOT").unwrap();
    let parties = written.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    assert_eq!(parties.matches("[[relying_party]]").count(), 3);
    let sample = sample();
    let (before, rest) = sample.split_once("[[relying_party]]").unwrap();
    let (_, grant) = rest.split_once("[[grant]]").unwrap();

    let said = checked(format!("{before}{parties}\n[[grant]]{grant}"), &[]);

    assert_eq!(said, "");
}

#[test]
fn the_trust_policy_of_the_aws_page_is_the_one_that_terraform_makes() {
    let manual = read("src/exchange/aws_sts/manual.md");
    let shown: Value = serde_json::from_str(&blocks(&manual, "json")[0]).unwrap();
    let test = read("terraform/modules/aws_sts/tests/trust.tftest.hcl");
    let (_, after) = test.split_once("assume_role_policy) == jsondecode(<<-EOT").unwrap();
    let mut made: Value = serde_json::from_str(after.split_once("EOT").unwrap().0).unwrap();

    // The page's sample has more session tags than the module's test.
    let sample: toml::Table = toml::from_str(&blocks(&manual, "toml")[0]).unwrap();
    let mut tags: Vec<Value> = vec![json!("exchange_id")];
    let configured = sample["relying_party"][0]["session_tags"].as_array().unwrap();
    tags.extend(configured.iter().map(|tag| json!(tag.as_str().unwrap())));
    tags.sort_by_key(ToString::to_string);
    made["Statement"][1]["Condition"]["ForAllValues:StringEquals"]["aws:TagKeys"] = json!(tags);

    assert_eq!(shown, made);
}

#[test]
fn the_provider_of_the_google_page_is_the_one_that_terraform_makes() {
    let manual = read("src/exchange/gcp_sts/manual.md");
    let commands = blocks(&manual, "sh");
    let command = |making: &str| commands.iter().find(|block| block.contains(making)).unwrap();
    let sample: toml::Table = toml::from_str(&blocks(&manual, "toml")[0]).unwrap();
    let party = &sample["relying_party"][0];
    let subject = format!("spiffe://prod.acme.example{}", party["subject"].as_str().unwrap());
    let locals = read("terraform/modules/gcp_sts/locals.tf");
    assert!(locals.contains(r#"local.by_certificate ? "assertion.san.uri[0]" : "assertion.sub""#));
    assert!(
        locals.contains(r#""${local.assertion} in [${join(", ", [for subject in var.subjects : "'${subject}'"])}]""#)
    );
    assert!(locals.contains(r#"{ "google.subject" = local.assertion }"#));

    let both = |assertion: &str| {
        [
            format!("--attribute-condition=\"{assertion} in ['{subject}']\""),
            format!("--attribute-mapping=\"google.subject={assertion}\""),
        ]
    };
    let by_token = [
        format!("--allowed-audiences=\"{}\"", party["provider"].as_str().unwrap()),
        format!("/subject/{subject}\""),
    ];
    for (making, options) in [
        ("providers create-oidc", [both("assertion.sub"), by_token].concat()),
        ("providers create-x509", both("assertion.san.uri[0]").to_vec()),
    ] {
        let command = command(making);
        for option in options {
            assert!(command.contains(&option), "{option} is not in {command}");
        }
    }
}

#[test]
fn every_page_of_a_code_can_be_printed() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/manual/errors");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let code = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if code != "config" {
            assert_eq!(
                manual::explanation(&code),
                Some(fs::read_to_string(&path).unwrap()),
                "{code}"
            );
        }
    }
}

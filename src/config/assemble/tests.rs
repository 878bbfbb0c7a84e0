//! Tables reach the plugin of their kind, and what it says reaches the file.

use std::sync::Arc;

use super::*;
use crate::config::tests::{Case, at, surroundings};

#[expect(clippy::needless_pass_by_value, reason = "the signature of a plugin")]
fn refuse(context: AttestorContext, table: toml::Table) -> Result<Arc<dyn Attestor>, Misconfigured> {
    assert_eq!(context.issuer, "https://id.acme.example");
    assert_eq!(table.get("name"), None);
    Err(Misconfigured {
        code: "config.owners_required",
        key: "owners[0].id".to_owned(),
        problem: format!("found no digits, expected the id of `{}`'s owner", context.name),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of a plugin")]
fn refuse_party(context: RelyingPartyContext, table: toml::Table) -> Result<Arc<dyn RelyingParty>, Misconfigured> {
    assert_eq!(context.trust_domain.as_str(), "prod.acme.example");
    assert_eq!(table.get("shared_audience"), None);
    let key = if table.contains_key("role_arn") { "role_arn" } else { "" };
    Err(Misconfigured {
        code: "config.role_invalid",
        key: key.to_owned(),
        problem: "found something, expected a role".to_owned(),
    })
}

fn with_refusing_plugins<T>(then: impl FnOnce(Plugins<'_>) -> T) -> T {
    let mut attestors = attest::BUILTINS.to_vec();
    let mut relying_parties = exchange::BUILTINS.to_vec();
    for plugin in &mut attestors {
        plugin.configure = refuse;
    }
    for plugin in &mut relying_parties {
        plugin.configure = refuse_party;
    }
    then(Plugins {
        attestors: &attestors,
        relying_parties: &relying_parties,
    })
}

#[test]
fn what_plugins_refuse_is_shown_where_it_stands() {
    let settings = Case::sample().settings();

    let refused = with_refusing_plugins(|plugins| settings.assemble_with(plugins, &surroundings())).unwrap_err();

    let all: Vec<_> = refused.iter().map(|found| (found.code, found.key.as_str())).collect();
    assert_eq!(
        all,
        [
            ("config.owners_required", "attestor[0].owners[0].id"),
            ("config.role_invalid", "relying_party[0].role_arn"),
            ("config.role_invalid", "relying_party[1]"),
            ("config.role_invalid", "relying_party[2]"),
        ]
    );
    insta::assert_snapshot!(
        crate::config::render::text(&refused[..2])
            .replace(&settings.document.file().display().to_string(), "cambio.toml")
    );
}

#[test]
fn a_check_asks_plugins_although_another_part_is_wrong() {
    let case = Case::sample().with("ttl = \"20m\"", "ttl = \"13h\"");

    let report = with_refusing_plugins(|plugins| case.check(plugins, &surroundings()));

    assert!(report.is_refused());
    let codes: Vec<_> = report.diagnostics().iter().map(|found| found.code).collect();
    assert!(
        codes.contains(&"config.out_of_range") && codes.contains(&"config.owners_required"),
        "{codes:?}"
    );
}

/// Holds for plugins that have a sample; one without fails the conformance test, not this one.
#[test]
fn each_plugins_sample_configures() {
    for plugin in attest::BUILTINS.iter().filter(|plugin| !plugin.sample.is_empty()) {
        configures(plugin.kind, "attestor", plugin.sample);
    }
    for plugin in exchange::BUILTINS.iter().filter(|plugin| !plugin.sample.is_empty()) {
        configures(plugin.kind, "relying_party", plugin.sample);
    }
}

/// Puts a plugin's sample into a file of its own and configures it.
fn configures(kind: &str, table: &str, sample: &str) {
    let mut case = Case::ours();
    if !sample.contains(&format!("[[{table}]]")) {
        // A sample may be the plugin's own keys only.
        case = case.and(&format!("\n[[{table}]]\nname = \"sample\"\nkind = \"{kind}\"\n"));
    }
    case.write("etc/eu-central-1.pem", 0o644, region_certificate());
    let files = case.path("etc").display().to_string();
    let case = case.and("\n").and(&sample.replace("/etc/cambio/aws", &files));
    let settings = case
        .load()
        .unwrap_or_else(|why| panic!("{kind}: {}", crate::config::render::text(&why)));
    let made = settings
        .assemble(&surroundings())
        .unwrap_or_else(|why| panic!("{kind}: {}", crate::config::render::text(&why)));
    let count = match table {
        "attestor" => made.attestors.len(),
        _ => made.relying_parties.len(),
    };
    assert_eq!(count, 1, "{kind}: one [[{table}]] table");
    let kinds = settings.attestors.iter().map(|table| &table.kind);
    let kinds: Vec<_> = kinds
        .chain(settings.relying_parties.iter().map(|table| &table.kind))
        .collect();
    assert_eq!(kinds, [kind]);
}

/// Returns a certificate such as a sample names the file of.
fn region_certificate() -> String {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    certificate.pem()
}

#[test]
fn every_kind_is_known_by_its_own_name_only() {
    let mut kinds: Vec<_> = attest::BUILTINS.iter().map(|plugin| plugin.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), attest::BUILTINS.len());

    let case = Case::sample().with("kind = \"aws_sts\"", "kind = \"aws_st\"");
    assert_eq!(case.fault(), at("config.kind_unknown", "relying_party[0].kind"));
    let case = Case::sample().with("kind = \"oidc\"", "kind = \"ODIC\"");
    assert_eq!(case.fault(), at("config.kind_unknown", "attestor[0].kind"));
}

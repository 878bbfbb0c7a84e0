//! Whole files, each changed in one place, and what is said of them.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use super::*;
use crate::{
    attest::{Challenges, OwnDocuments, OwnStore},
    clock::FakeClock,
    fetch::Fetch,
    identify::Condition,
};

/// A directory with a configuration that loads, to be changed in one place.
pub(super) struct Case {
    directory: tempfile::TempDir,
    text: String,
    environment: Vec<(String, String)>,
    profile: Profile,
}

impl Case {
    /// Returns the file of the architecture's section 5, with files that exist and all relying parties.
    pub(super) fn sample() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let case = Self {
            text: String::new(),
            environment: Vec::new(),
            profile: Profile::Production,
            directory,
        };
        for folder in ["etc", "var", "policies"] {
            fs::create_dir(case.path(folder)).unwrap();
        }
        case.write("etc/tls.crt", 0o644, pem("CERTIFICATE"));
        case.write("etc/tls.key", 0o640, pem("PRIVATE KEY"));
        case.write("etc/kek", 0o600, [7; 32]);
        case.write("policies/night.cedar", 0o644, "forbid (principal, action, resource);");
        let text = SAMPLE
            .replace("/etc/cambio/", "etc/")
            .replace("/var/lib/cambio/", &format!("{}/", case.path("var").display()));
        Self {
            text: text + MORE_RELYING_PARTIES,
            ..case
        }
    }

    /// Returns the sample without attestors, entries, relying parties and grants.
    pub(super) fn ours() -> Self {
        let case = Self::sample();
        let (ours, _) = case.text.split_once("[[attestor]]").unwrap();
        let text = ours.to_owned();
        case.text(text)
    }

    /// Replaces the first `from`, which must be there.
    pub(super) fn with(mut self, from: &str, to: &str) -> Self {
        assert!(self.text.contains(from), "the sample has no {from:?}");
        self.text = self.text.replacen(from, to, 1);
        self
    }

    /// Adds text at the end.
    pub(super) fn and(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Takes another text altogether.
    pub(super) fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// Sets a variable.
    pub(super) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts for development, with what that demands.
    pub(super) fn development(mut self) -> Self {
        self.profile = Profile::Development;
        self.with("prod.acme.example", "dev.cambio.test")
            .with("https://id.acme.example\"             #", "https://127.0.0.1:8443\" #")
            .with("https://exchange.acme.example:9443", "https://127.0.0.1:9443")
            .with("0.0.0.0:8443", "127.0.0.1:8443")
            .with("0.0.0.0:9443", "127.0.0.1:9443")
    }

    /// Writes a file of the directory.
    pub(super) fn write(&self, name: &str, mode: u32, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Returns the path of a file of the directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Loads it.
    pub(super) fn load(&self) -> Result<Settings, Vec<Diagnostic>> {
        let path = self.path("cambio.toml");
        fs::write(&path, &self.text).unwrap();
        load(&path, self.environment.clone().into_iter(), self.profile)
    }

    /// Checks it against other plugins.
    pub(super) fn check(&self, plugins: Plugins<'_>, surroundings: &Surroundings) -> Report {
        let path = self.path("cambio.toml");
        fs::write(&path, &self.text).unwrap();
        check_with(
            &path,
            self.environment.clone().into_iter(),
            self.profile,
            (plugins, surroundings),
        )
    }

    /// Returns the settings, which there must be.
    pub(super) fn settings(&self) -> Settings {
        self.load().unwrap_or_else(|why| panic!("{}", render::text(&why)))
    }

    /// Returns what is wrong, of which there must be something.
    pub(super) fn refused(&self) -> Vec<Diagnostic> {
        self.load().expect_err("a configuration that is refused")
    }

    /// Returns the one thing that is wrong, as code and key.
    pub(super) fn fault(&self) -> (&'static str, String) {
        let refused = self.refused();
        assert_eq!(refused.len(), 1, "{}", render::text(&refused));
        (refused[0].code, refused[0].key.clone())
    }

    /// Returns what is wrong for people, without the directory's name.
    pub(super) fn report(&self) -> String {
        let text = render::text(&self.refused());
        text.replace(&self.directory.path().display().to_string(), "DIR")
    }
}

pub(super) fn pem(label: &str) -> String {
    format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n")
}

/// Returns surroundings in which nothing is fetched.
pub(super) fn surroundings() -> Surroundings {
    Surroundings {
        clock: FakeClock::at("2026-01-16T14:40:00Z"),
        fetch: Arc::new(Fetch::system()),
        own: OwnDocuments::default(),
        challenges: Challenges::default(),
        store: OwnStore::default(),
    }
}

/// Returns the fault as it is compared.
pub(super) fn at(code: &'static str, key: &str) -> (&'static str, String) {
    (code, key.to_owned())
}

const SAMPLE: &str = include_str!("architecture.toml");

const MORE_RELYING_PARTIES: &str = r#"
[[relying_party]]
name = "gcp-prod"
kind = "gcp_sts"

[[relying_party]]
name = "azure-prod"
kind = "azure_entra"
"#;

#[test]
fn the_architectures_sample_loads() {
    let settings = Case::sample().settings();

    assert_eq!(settings.trust_domain.as_str(), "prod.acme.example");
    assert_eq!(settings.issuer, "https://id.acme.example");
    assert_eq!(settings.exchange_url, "https://exchange.acme.example:9443");
    assert_eq!(settings.replicas.get(), 1);
    assert_eq!(settings.attestors[0].kind, "oidc");
    assert_eq!(settings.attestors[0].table["preset"].as_str(), Some("github_actions"));
    assert!(!settings.attestors[0].table.contains_key("name"));
    assert_eq!(settings.entries[0].conditions.iter().len(), 3);
    assert_eq!(settings.grants[0].relying_parties.len(), 3);
    assert_eq!(settings.grants[0].ttl.as_secs(), 1_200);
    assert_eq!(settings.policies[0].text, "forbid (principal, action, resource);");
    assert_eq!(settings.warnings, []);
}

#[test]
fn the_architectures_sample_as_printed_lacks_only_what_is_not_in_it() {
    let refused = Case::sample().text(SAMPLE).refused();

    let all: Vec<_> = refused.iter().map(|found| (found.code, found.key.as_str())).collect();
    assert_eq!(
        all,
        [
            ("config.file_unreadable", "tls.certificate_file"),
            ("config.file_unreadable", "tls.key_file"),
            ("config.file_unreadable", "keys.kek_file"),
            ("config.name_unknown", "grant[0].relying_parties[1]"),
            ("config.name_unknown", "grant[0].relying_parties[2]"),
        ]
    );
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let report = Case::sample()
        .with("issuer =", "isuer =")
        .with("0.0.0.0:8443", "everywhere")
        .with("ttl = \"20m\"", "ttl = \"13h\"")
        .with("attestor = \"github\"", "attestor = \"githbu\"")
        .variable("CAMBIO_LISTN__EXCHANGE", "0.0.0.0:1")
        .report();

    insta::assert_snapshot!(report);
}

#[test]
fn a_report_for_programs_has_the_same_fields() {
    let case = Case::sample()
        .with("0.0.0.0:8443", "everywhere")
        .variable("CAMBIO_LISTN__EXCHANGE", "0.0.0.0:1");
    let written = render::json(&case.refused()).to_string();
    let written = written.replace(&case.directory.path().display().to_string(), "DIR");
    let read: serde_json::Value = serde_json::from_str(&written).unwrap();
    insta::assert_json_snapshot!(read);
}

#[test]
fn takes_a_file_of_a_mebibyte_and_refuses_one_byte_more() {
    let padded = |bytes: usize| {
        let case = Case::sample();
        let comment = format!("\n#{}", "x".repeat(bytes - case.text.len() - 2));
        case.and(&comment)
    };

    assert!(padded(1024 * 1024).load().is_ok());
    assert_eq!(padded(1024 * 1024 + 1).fault(), at("config.file_too_large", ""));
}

#[test]
fn refuses_a_file_that_is_absent_or_not_text() {
    let case = Case::sample();
    let refused = load(&case.path("absent.toml"), std::iter::empty(), Profile::Production).unwrap_err();
    assert_eq!(refused[0].code, "config.file_unreadable");

    case.write("latin1.toml", 0o600, [b'#', 0xe4]);
    let refused = load(&case.path("latin1.toml"), std::iter::empty(), Profile::Production).unwrap_err();
    assert_eq!(refused[0].code, "config.syntax");
}

#[test]
fn takes_16_levels_and_refuses_17() {
    // The root, `attestor` and its table are three levels.
    let nested = |levels: usize| {
        let value = format!("deep = {}{}", "[".repeat(levels - 3), "]".repeat(levels - 3));
        Case::sample().with("preset =", &format!("{value}\npreset ="))
    };

    assert!(nested(16).load().is_ok());
    assert_eq!(nested(17).fault(), at("config.too_deep", ""));
}

#[test]
fn survives_any_nesting() {
    let dots = format!("{}a = 1", "a.".repeat(400_000));
    let header = format!("[{}a]", "a.".repeat(400_000));
    let tables = "a = { ".repeat(100_000);
    for (text, code) in [
        ("[".repeat(1_000_000), "config.syntax"),
        (format!("a = {}", "[".repeat(1_000_000)), "config.syntax"),
        (tables, "config.syntax"),
        (dots, "config.syntax"),
        (header, "config.syntax"),
    ] {
        let refused = Case::sample().text(text).refused();
        assert_eq!(refused[0].code, code);
        assert!(refused.len() <= 20);
    }
}

#[test]
fn tells_200_problems_and_counts_the_rest() {
    let unknown = |count: usize| (0..count).fold(String::new(), |text, number| format!("{text}\nk{number} = 1"));
    let with = |count| Case::ours().and(&format!("\n[limits]{}", unknown(count)));

    assert_eq!(with(200).refused().len(), 200);
    let refused = with(203).refused();
    assert_eq!(refused.len(), 201);
    assert_eq!(
        (refused[200].code, refused[200].found.as_str()),
        ("config.too_many_problems", "3 more problems")
    );
}

#[test]
fn a_file_full_of_mistakes_is_judged_quickly() {
    let text: String = (0..20_000).fold(String::new(), |text, number| text + &format!("k{number}=1\n"));

    let refused = Case::sample().text(text).refused();

    assert_eq!(refused.len(), 201);
}

#[test]
fn refuses_names_that_are_none_taken_or_unknown() {
    let more = "\n[[entry]]\nname = \"shop-deploy\"\nattestor = \"github\"\nspiffe_id = \"/ci/b\"\n";
    assert_eq!(
        Case::sample().and(more).fault(),
        at("config.name_duplicate", "entry[1].name")
    );

    let case = Case::sample().with("name = \"shop-to-prod\"", "name = \"Shop to prod\"");
    assert_eq!(case.fault(), at("config.name_invalid", "grant[0].name"));

    let case = Case::sample().with("entries = [\"shop-deploy\"]", "entries = [\"shop-deploy\", \"shop\"]");
    assert_eq!(case.fault(), at("config.name_unknown", "grant[0].entries[1]"));

    let case = Case::sample().with("\"aws-prod\", ", "\"aws-prod\", \"aws-prod\", ");
    assert_eq!(case.fault(), at("config.name_duplicate", "grant[0].relying_parties[1]"));
}

#[test]
fn a_name_that_is_none_is_not_refused_again_where_it_is_used() {
    let case = Case::sample()
        .with("name = \"github\"", "name = \"GitHub\"")
        .with("attestor = \"github\"", "attestor = \"GitHub\"");

    assert_eq!(case.fault(), at("config.name_invalid", "attestor[0].name"));
}

#[test]
fn refuses_conditions_that_nothing_can_satisfy_or_that_say_nothing() {
    for (condition, code) in [
        ("[]", "config.value_invalid"),
        ("\"\"", "config.value_invalid"),
        ("\"prod*\"", "config.value_invalid"),
        ("\" production\"", "config.value_invalid"),
        ("[\"a\", \"a\"]", "config.value_invalid"),
        ("{ absent = false }", "config.value_invalid"),
    ] {
        let case = Case::sample().with("\"production\"", condition);
        assert_eq!(
            case.fault(),
            at(code, "grant[0].match.\"ci.environment\""),
            "{condition}"
        );
    }
}

#[test]
fn takes_a_condition_of_255_bytes_and_refuses_256() {
    let with = |bytes: usize| Case::sample().with("\"production\"", &format!("\"{}\"", "a".repeat(bytes)));

    assert!(with(255).load().is_ok());
    assert_eq!(
        with(256).fault(),
        at("config.out_of_range", "grant[0].match.\"ci.environment\"")
    );
}

#[test]
fn takes_a_ttl_of_1m_to_12h_and_refuses_one_second_beyond() {
    let with = |ttl: &str| Case::sample().with("\"20m\"", &format!("\"{ttl}\""));

    assert!(with("1m").load().is_ok());
    assert!(with("12h").load().is_ok());
    assert_eq!(with("59s").fault(), at("config.out_of_range", "grant[0].ttl"));
    assert_eq!(with("12h1s").fault(), at("config.out_of_range", "grant[0].ttl"));
    assert_eq!(with("soon").fault(), at("config.value_invalid", "grant[0].ttl"));
}

#[test]
fn refuses_a_grant_for_nobody_or_nothing() {
    let case = Case::sample().with("entries = [\"shop-deploy\"]", "entries = []");

    assert_eq!(case.fault(), at("config.value_invalid", "grant[0].entries"));
}

#[test]
fn refuses_a_spiffe_id_with_a_trust_domain() {
    let case = Case::sample().with("\"/ci/acme", "\"spiffe://prod.acme.example/ci/acme");

    assert_eq!(case.fault(), at("config.value_invalid", "entry[0].spiffe_id"));
}

#[test]
fn takes_absent_and_release_and_the_switches() {
    let settings = Case::sample()
        .with("\"production\"", "{ absent = true }")
        .with(
            "ttl = \"20m\"",
            "ttl = \"20m\"\nrelease = [\"svid\"]\naccept_lifetime = true",
        )
        .with("session_tags", "shared_audience = true\nsession_tags")
        .settings();

    assert_eq!(
        settings.grants[0].conditions.get("ci.environment"),
        Some(&Condition::Absent)
    );
    assert_eq!(settings.grants[0].release, [grant::Release::Svid]);
    assert!(settings.grants[0].accept_lifetime);
    assert!(settings.relying_parties[0].shared_audience && !settings.relying_parties[0].shared_subject);
    assert!(!settings.relying_parties[0].table.contains_key("shared_audience"));
}

#[test]
fn warns_of_what_no_grant_uses() {
    let settings = Case::sample().with("\"gcp-prod\", ", "").settings();

    let warnings: Vec<_> = settings
        .warnings
        .iter()
        .map(|found| (found.code, found.key.as_str()))
        .collect();
    assert_eq!(warnings, [("config.unused", "relying_party[1].name")]);
}

#[test]
fn an_entry_that_a_grant_names_as_an_actor_is_not_unused() {
    let agent = "\n[[entry]]\nname = \"triage\"\nattestor = \"github\"\nmatch = { \"ci.repo_id\" = \"1\" }\nspiffe_id = \"/agent/triage\"\n";
    let unused = |actors: &str| {
        let case = Case::sample().and(agent);
        let settings = case.with("ttl = \"20m\"", &format!("ttl = \"20m\"{actors}")).settings();
        settings.warnings.iter().map(|found| found.code).collect::<Vec<_>>()
    };

    assert_eq!(unused(""), ["config.unused"]);
    assert_eq!(unused("\nactors = [\"/agent/triage\"]"), Vec::<&str>::new());
}

#[test]
fn what_a_refused_grant_names_is_not_called_unused() {
    let case = Case::sample().with("ttl = \"20m\"", "ttl = \"20 minutes\"");

    let report = case.check(Plugins::COMPILED_IN, &surroundings());

    let codes: Vec<_> = report.diagnostics().iter().map(|found| found.code).collect();
    assert!(report.is_refused() && !codes.contains(&"config.unused"), "{codes:?}");
}

#[test]
fn reads_sinks_and_refuses_those_that_cannot_be() {
    let settings = Case::sample()
        .and("\n[[sink]]\nkind = \"stdout\"\n[[sink]]\nkind = \"file\"\npath = \"var/trail.ndjson\"\n")
        .settings();
    assert_eq!(settings.sinks.len(), 2);

    for (sinks, code, key) in [
        (
            "[[sink]]\nkind = \"stdout\"\n[[sink]]\nkind = \"stdout\"",
            "config.sink_duplicate",
            "sink[1]",
        ),
        ("[[sink]]\nkind = \"file\"", "config.key_missing", "sink[0]"),
        (
            "[[sink]]\nkind = \"file\"\npath = \"absent/trail\"",
            "config.file_unreadable",
            "sink[0].path",
        ),
        (
            "[[sink]]\nkind = \"file\"\npath = \"var\"",
            "config.file_unreadable",
            "sink[0].path",
        ),
        (
            "[[sink]]\nkind = \"stdout\"\npath = \"var/trail\"",
            "config.unknown_key",
            "sink[0].path",
        ),
        ("[[sink]]\nkind = \"syslog\"", "config.value_invalid", "sink[0].kind"),
    ] {
        let case = Case::sample().and(&format!("\n{sinks}\n"));
        assert_eq!(case.fault(), at(code, key), "{sinks}");
    }
}

#[test]
fn tm_42_a_checkpoint_is_kept_outside_of_the_stores_directory() {
    let with = |path: &str| Case::sample().and(&format!("\n[audit]\ncheckpoint_file = \"{path}\"\n"));
    assert_eq!(Case::sample().settings().audit.checkpoint_file, None);
    // It need not be there: before the first start there is none.
    let file = with("etc/checkpoints.jsonl").settings().audit.checkpoint_file;
    assert!(file.unwrap().ends_with("etc/checkpoints.jsonl"));

    let key = "audit.checkpoint_file";
    assert_eq!(
        with("var/checkpoints.jsonl").fault(),
        at("config.checkpoint_in_store_directory", key)
    );
    assert_eq!(
        with("absent/checkpoints.jsonl").fault(),
        at("config.file_unreadable", key)
    );
    assert_eq!(with("etc").fault(), at("config.file_unreadable", key));
}

#[test]
fn all_syntax_errors_are_told_at_once() {
    let report = Case::sample()
        .text("issuer = \nexchange_url = \"https://a\"\nlisten = { metadata = 1\n")
        .report();

    insta::assert_snapshot!(report);
}

#[test]
fn the_settings_show_no_secret() {
    let case = Case::sample().variable("CAMBIO_STORE__URL", "postgres://u:hunter2@localhost/cambio");

    let shown = format!("{:?}", case.settings());

    assert!(!shown.contains("hunter2") && shown.contains("[redacted]"), "{shown}");
}

#[test]
fn the_schema_is_stable() {
    insta::assert_json_snapshot!(schema::schema());
}

mod manual;

#[test]
fn an_element_of_another_type_moves_no_other() {
    let case = Case::sample().with("entries = [\"shop-deploy\"]", "entries = [1, \"shop\"]");

    assert_eq!(case.fault(), at("config.value_invalid", "grant[0].entries[0]"));
}

proptest::proptest! {
    // A file takes milliseconds in a build for tests.
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(96))]

    #[test]
    fn a_changed_file_loads_as_what_it_says_or_not_at_all(
        changed in crate::mutated::mutated_text(&Case::sample().text),
    ) {
        // The directory of a case is its own, and the text names it.
        let case = Case::sample().text(changed);
        match case.load() {
            Ok(mut settings) => {
                let again = toml::from_str::<toml::Table>(&case.text).unwrap().to_string();
                let mut again = case.text(again).settings();
                // They say in which line.
                settings.warnings.clear();
                again.warnings.clear();
                proptest::prop_assert_eq!(format!("{settings:?}"), format!("{again:?}"));
            }
            Err(all) => {
                proptest::prop_assert!(!all.is_empty());
                for found in &all {
                    proptest::prop_assert!(crate::manual::explanation(found.code).is_some(), "{}", found.code);
                }
            }
        }
    }

    #[test]
    fn any_text_is_refused_with_a_reason(text in "(\\PC|[\\n\\[\\]\"=]){0,200}") {
        let all = Case::sample().text(text).refused();
        proptest::prop_assert!(!all.is_empty() && !render::text(&all).is_empty());
    }
}

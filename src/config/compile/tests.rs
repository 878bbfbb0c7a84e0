//! What the registry and the policy refuse is shown at its place in the file.

use crate::config::{
    Settings,
    diagnostic::Diagnostic,
    tests::{Case, surroundings},
};

/// A file whose only relying party needs no cloud.
fn case() -> Case {
    Case::ours()
        .and("\n[policy]\nfiles = [\"policies/*.cedar\"]\n")
        .and(TABLES)
}

const TABLES: &str = r#"
[[attestor]]
name = "github"
kind = "oidc"
preset = "github_actions"
owners = [{ name = "acme", id = "1234567" }]

[[entry]]
name = "orders"
attestor = "github"
match = { "ci.repo_id" = "7654321", "ci.ref" = "refs/heads/main" }
spiffe_id = "/ci/acme/orders"

[[relying_party]]
name = "orders-api"
kind = "svid"
audience = "https://orders.internal.example"

[[grant]]
name = "orders"
entries = ["orders"]
relying_parties = ["orders-api"]
ttl = "20m"
"#;

fn compiled(settings: &Settings) -> Result<(), Vec<Diagnostic>> {
    let assembly = settings.assemble(&surroundings())?;
    settings.compile(&assembly, 1).map(|_| ())
}

fn refused(case: &Case) -> Vec<(&'static str, String)> {
    let all = compiled(&case.settings()).expect_err("a policy that is refused");
    all.into_iter().map(|found| (found.code, found.key)).collect()
}

#[test]
fn a_whole_file_compiles() {
    let made = compiled(&case().settings());

    assert!(made.is_ok(), "{}", crate::config::render::text(&made.unwrap_err()));
}

#[test]
fn an_attribute_that_the_attestor_does_not_give_is_shown_where_it_stands() {
    let case = case().with("\"ci.repo_id\"", "\"k8s.namespace\"");

    assert_eq!(
        refused(&case),
        [(
            "config.attribute_unknown",
            "entry[0].match.\"k8s.namespace\"".to_owned()
        )]
    );
}

#[test]
fn t_63_t_64_an_entry_that_admits_more_than_it_seems_to_is_refused_unless_it_says_so() {
    let repo = "\"ci.repo_id\" = \"7654321\"";
    for (instead, code, danger) in [
        (
            "\"ci.owner_id\" = \"1234567\"",
            "config.entry_any_repository",
            "any_repository",
        ),
        (
            "\"ci.repo_name\" = \"acme/orders\"",
            "config.entry_renamed_repository",
            "renamed_repository",
        ),
    ] {
        let silent = || case().with(repo, instead);
        let other = "spiffe_id = \"/ci/acme/orders\"\ndangerous_admits = [\"fork\"]";
        let named = other.replace("fork", danger);

        assert_eq!(refused(&silent()), [(code, "entry[0].match".to_owned())]);
        let wrong = silent().with("spiffe_id = \"/ci/acme/orders\"", other);
        assert_eq!(refused(&wrong), [(code, "entry[0].match".to_owned())]);
        let right = silent().with("spiffe_id = \"/ci/acme/orders\"", &named);
        assert!(compiled(&right.settings()).is_ok(), "{danger}");
    }
}

#[test]
fn t_66_an_entry_that_admits_a_strangers_job_is_refused_unless_it_is_guarded() {
    let owners = "owners = [{ name = \"acme\", id = \"1234567\" }]";
    let open = || case().with(owners, &format!("{owners}\nevents = [\"pull_request_target\"]"));
    let guarded = open().with("\"ci.ref\"", "\"ci.environment\" = \"production\", \"ci.ref\"");
    let other = open().with("\"ci.ref\"", "\"ci.event\" = \"push\", \"ci.ref\"");

    assert_eq!(refused(&open()), [("config.entry_fork", "entry[0].match".to_owned())]);
    assert!(compiled(&guarded.settings()).is_ok());
    assert!(compiled(&other.settings()).is_ok());
}

#[test]
fn overlapping_entries_are_refused_with_both_names() {
    let other = "\n[[entry]]\nname = \"other\"\nattestor = \"github\"\nmatch = { \"ci.repo_id\" = \"7654321\" }\nspiffe_id = \"/ci/acme/other\"\n";
    let case = case().and(other);

    let all = compiled(&case.settings()).unwrap_err();

    assert!(all[0].key.starts_with("entry["), "{}", all[0]);
    let text = all[0].to_string();
    assert!(text.contains("orders") && text.contains("other"), "{text}");
}

#[test]
fn a_raw_permit_is_shown_at_its_pattern_with_its_file() {
    let case = case();
    case.write("policies/night.cedar", 0o644, "permit (principal, action, resource);");

    let all = compiled(&case.settings()).unwrap_err();

    assert_eq!(
        (all[0].code, all[0].key.as_str()),
        ("config.raw_permit", "policy.files[0]")
    );
    assert!(all[0].found.contains("night.cedar"), "{}", all[0]);
}

#[test]
fn t_25_a_check_says_what_a_load_would_refuse_at_any_step() {
    let check = |case: &Case| {
        let report = case.check(crate::config::Plugins::COMPILED_IN, &surroundings());
        let codes: Vec<_> = report.diagnostics().iter().map(|found| found.code).collect();
        (report.is_refused(), codes)
    };

    assert_eq!(check(&case()), (false, vec![]));
    let case = case().with("\"ci.repo_id\"", "\"k8s.namespace\"");
    assert_eq!(check(&case), (true, vec!["config.attribute_unknown"]));
}

#[test]
fn an_actor_that_no_workload_could_be_is_refused() {
    for path in [
        "agent",
        "/agent/",
        "/agent/*",
        "/rp/agent",
        "spiffe://prod.acme.example/agent",
    ] {
        let codes = refused(&case().with("ttl = \"20m\"", &format!("ttl = \"20m\"\nactors = [\"{path}\"]")));

        assert_eq!(
            codes,
            [("config.spiffe_id_invalid", "grant[0].actors".to_owned())],
            "{path}"
        );
    }
    let right = case().with("ttl = \"20m\"", "ttl = \"20m\"\nactors = [\"/agent/triage\"]");
    assert!(compiled(&right.settings()).is_ok());
}

/// A certificate for mTLS and a role by certificate, each by a grant of its own.
const CERTIFICATES: &str = r#"
[[relying_party]]
name = "mesh"
kind = "svid"
x509 = true

[[relying_party]]
name = "role"
kind = "aws_roles_anywhere"
trust_anchor_arn = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/3f2b7c1e-9a64-4d0f-8b15-6c2d9e7a1f40"
profile_arn = "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/8d1e5a72-4c3b-4f96-a7e0-2b9c6d5f1e83"
role_arn = "arn:aws:iam::123456789012:role/deploy"
#subject = "/rp/aws/orders"

[[grant]]
name = "mesh"
entries = ["orders"]
relying_parties = ["mesh"]
ttl = "1h"

[[grant]]
name = "role"
entries = ["orders"]
relying_parties = ["role"]
ttl = "20m"
"#;

#[test]
fn a_certificate_for_mtls_that_would_open_a_role_too_is_refused() {
    let codes = refused(&case().and(CERTIFICATES));

    assert_eq!(codes, [("config.release_wider", "grant[1].release".to_owned())]);
}

#[test]
fn a_role_with_a_subject_of_its_own_is_not_opened_by_a_certificate_for_mtls() {
    let shaped = case().and(CERTIFICATES).with("#subject", "subject");

    assert!(compiled(&shaped.settings()).is_ok());
}

use super::MAX_UNSCOPED;
use crate::{
    authorize::{
        Basis, Denial, Wants,
        sample::{Ask, Sample, ask, aws, grant, sample},
    },
    identify::sample::github_job,
};

const MAIN_ONLY: &str = r#"
    forbid(principal, action == Action::"exchange", resource == RelyingParty::"aws-prod")
    unless { principal has "ci.ref" && principal["ci.ref"] == "refs/heads/main" };
"#;

const NEVER: &str = "forbid(principal, action, resource) when { context.wants == \"nothing\" };\n";

fn forbidden(sample: &Sample, ask: Ask) -> Option<String> {
    match sample.decide(ask) {
        Ok(_) => None,
        Err(Denial::Forbidden { policy }) => Some(policy),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn t_40h_a_forbid_wins_over_a_grant_and_is_named() {
    let sample = sample().with_raw(NEVER).with_raw(MAIN_ONLY);
    let branch = Ask {
        job: github_job().with("ci.ref", "refs/heads/dev"),
        ..ask()
    };

    assert_eq!(forbidden(&sample, ask()), None);
    assert_eq!(forbidden(&sample, branch).as_deref(), Some("raw1.cedar#1"));
}

#[test]
fn a_policy_is_named_by_its_number_in_the_file() {
    let never = NEVER.repeat(11);
    let sample = sample().with_raw(&format!("{never}forbid(principal, action, resource);"));

    assert_eq!(forbidden(&sample, ask()).as_deref(), Some("raw0.cedar#12"));
}

#[test]
fn a_policy_scoped_to_another_relying_party_does_not_apply() {
    let sample = sample()
        .with(|it| {
            it.relying_parties.push(aws("aws-dev"));
            it.grants[0].relying_parties.push(it.relying_parties[1].name.clone());
        })
        .with_raw(r#"forbid(principal, action, resource == RelyingParty::"aws-dev");"#);
    let dev = Ask {
        relying_party: "aws-dev".to_owned(),
        ..ask()
    };

    assert_eq!(forbidden(&sample, ask()), None);
    assert_eq!(forbidden(&sample, dev).as_deref(), Some("raw0.cedar#1"));
}

#[test]
fn the_always_evaluated_policies_apply_beside_the_scoped_ones() {
    let sample = sample()
        .with_raw(
            r#"forbid(principal, action, resource == RelyingParty::"aws-prod") when { context.wants == "nothing" };"#,
        )
        .with_raw("forbid(principal, action, resource is RelyingParty);");

    assert_eq!(forbidden(&sample, ask()).as_deref(), Some("raw1.cedar#1"));
}

#[test]
fn a_policy_may_look_at_id_entry_attestor_what_is_wanted_and_the_basis() {
    for text in [
        r#"forbid(principal == Workload::"spiffe://prod.acme.example/ci/acme/shop/deploy", action, resource);"#,
        r#"forbid(principal in Entry::"shop-deploy", action, resource);"#,
        r#"forbid(principal in Attestor::"github", action, resource);"#,
        r#"forbid(principal, action, resource) when { context.wants == "svid" };"#,
        r#"forbid(principal, action, resource) when { context.basis == "resumed" };"#,
    ] {
        let sample = sample().with(|it| it.grants[0].release = crate::authorize::Release::CredentialsAndSvid);
        let sample = sample.with_raw(text);
        let asked = Ask {
            wants: Wants::Svid,
            basis: Basis::Resumed,
            ..ask()
        };
        assert_eq!(forbidden(&sample, asked).as_deref(), Some("raw0.cedar#1"), "{text}");
    }
}

#[test]
fn other_entries_and_attestors_are_not_hit() {
    let sample = sample()
        .with(|it| {
            it.entries.push(crate::identify::sample::entry(
                1,
                "other",
                &[("ci.repo_id", &["1"])],
                "/ci/other",
            ));
        })
        .with_raw(r#"forbid(principal in Entry::"other", action, resource);"#)
        .with_raw(r#"forbid(principal in Attestor::"cluster", action, resource);"#);

    assert_eq!(forbidden(&sample, ask()), None);
}

#[test]
fn refuses_a_permit() {
    let problem = sample().with_raw("permit(principal, action, resource);").problem();

    assert_eq!(problem.code, "config.raw_permit");
    assert_eq!(
        problem.to_string(),
        "policy.files[0]: found `raw0.cedar#1`: a `permit`, expected only `forbid`: what permits is a `[[grant]]`"
    );
}

#[test]
fn refuses_a_template() {
    let text = "forbid(principal == ?principal, action, resource);";

    assert_eq!(sample().with_raw(text).problems(), ["config.raw_template"]);
}

#[test]
fn refuses_what_is_not_cedar() {
    assert_eq!(
        sample().with_raw("forbid everything").problems(),
        ["config.raw_invalid"]
    );
}

#[test]
fn refuses_what_does_not_fit_the_schema_in_strict_mode() {
    for condition in [
        r#"principal["ci.ref"] == "x""#,                         // not guarded
        r#"principal has "ci.ref" && principal["ci.ref"] == 7"#, // another type
    ] {
        let text = format!("forbid(principal, action, resource) when {{ {condition} }};");
        assert_eq!(
            sample().with_raw(&text).problems(),
            ["config.raw_invalid"],
            "{condition}"
        );
    }
}

#[test]
fn refuses_an_attribute_that_nobody_has_although_cedar_takes_it_for_one_that_is_absent() {
    for condition in [
        r#"principal has "ci.refs" && principal["ci.refs"] == "x""#,
        r#"context.wants == "svid" || principal has "ci.refs""#,
        r#"!(principal has "ci.refs")"#,
    ] {
        let text = format!("forbid(principal, action, resource) when {{ {condition} }};");
        assert!(
            sample()
                .with_raw(&text)
                .problems()
                .contains(&"config.attribute_unknown"),
            "{condition}"
        );
    }
}

#[test]
fn refuses_a_forbid_that_can_never_apply() {
    assert_eq!(
        sample()
            .with_raw("forbid(principal, action, resource) when { false };")
            .problems(),
        ["config.raw_invalid"]
    );
}

#[test]
fn t_39_refuses_letters_that_look_like_others() {
    let text = "forbid(principal, action, resource) when { context.wants == \"\u{455}vid\" };";

    assert_eq!(sample().with_raw(text).problems(), ["config.raw_invalid"]);
}

#[test]
fn refuses_names_that_nobody_bears() {
    for text in [
        r#"forbid(principal, action, resource == RelyingParty::"aws-prd");"#,
        r#"forbid(principal in Entry::"shop", action, resource);"#,
        r#"forbid(principal, action, resource) when { principal in Attestor::"gitlab" };"#,
    ] {
        assert_eq!(
            sample().with_raw(text).problems(),
            ["config.raw_name_unknown"],
            "{text}"
        );
    }
}

#[test]
fn takes_100_policies_without_a_scope_and_refuses_101() {
    let policies = |count: usize| NEVER.repeat(count);

    assert!(sample().with_raw(&policies(MAX_UNSCOPED)).compile().is_ok());
    let problem = sample().with_raw(&policies(MAX_UNSCOPED + 1)).problem();
    assert_eq!(problem.code, "config.raw_unscoped_limit");
    assert_eq!(problem.found, "101 policies without `resource ==`");
}

#[test]
fn policies_with_a_scope_do_not_count_against_the_limit() {
    let scoped = "forbid(principal, action, resource == RelyingParty::\"aws-prod\");\n";

    assert!(sample().with_raw(&scoped.repeat(MAX_UNSCOPED + 1)).compile().is_ok());
}

#[test]
fn refuses_two_files_of_one_name() {
    let twice = sample()
        .with_raw(MAIN_ONLY)
        .with_raw(MAIN_ONLY)
        .with(|it| it.raw[1].name = it.raw[0].name.clone());

    assert_eq!(twice.problems(), ["config.duplicate_name"]);
}

#[test]
fn a_policy_that_cannot_be_evaluated_denies_although_cedar_would_skip_it() {
    let overflow = "forbid(principal, action, resource) when { 9223372036854775807 + 1 == 0 };";

    let denial = sample().with_raw(overflow).decide(ask()).unwrap_err();

    assert_eq!(denial.code(), "authorize.policy_error");
    assert!(denial.to_string().contains("overflow"), "{denial}");
}

#[test]
fn a_value_cannot_break_out_of_its_literal() {
    let hostile = r#"x" || true || ""#;
    let sample = sample().with(|it| {
        it.grants.push(grant("hostile"));
        it.grants[1].conditions = crate::identify::sample::conditions(&[("ci.environment", &[hostile])]);
        it.grants.remove(0);
    });

    let other = sample.decide(ask()).unwrap_err();
    let equal = sample.decide(Ask {
        job: github_job().with("ci.environment", hostile),
        ..ask()
    });

    assert_eq!(other.code(), "authorize.condition_failed");
    assert!(equal.is_ok(), "{equal:?}");
}

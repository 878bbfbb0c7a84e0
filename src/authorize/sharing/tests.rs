use crate::{
    authorize::{
        Grant, GrantName, Release, RelyingPartySource,
        sample::{Sample, ask, aws, grant, sample},
    },
    identify::{
        AttestorFacts, Entry, EntrySource,
        sample::{GITHUB, conditions, entry, entry_source, trust_domain},
    },
    spiffe::SpiffeId,
};

/// `aws-prod` and `aws-dev`, with one audience of one scope, both reached by the grant of the sample.
fn two_of_one_audience() -> Sample {
    sample().with(|it| {
        let other = RelyingPartySource {
            scope: it.relying_parties[0].scope.clone(),
            terms: it.relying_parties[0].terms.clone(),
            ..aws("aws-dev")
        };
        it.grants[0].relying_parties.push(other.name.clone());
        it.relying_parties.push(other);
    })
}

fn shaped(subject: &str) -> Sample {
    sample().with_terms(|terms| terms.subject = Some(subject.to_owned()))
}

/// An entry for each repository of the owner, named by id and name.
fn templated() -> Entry {
    let source = EntrySource {
        conditions: conditions(&[]),
        ..entry_source("shop-deploy", "/ci/{ci.repo_id}/{ci.job}")
    };
    let facts = AttestorFacts {
        attributes: &GITHUB,
        immutable: &GITHUB,
    };
    Entry::new(source, facts).unwrap()
}

#[test]
fn one_scope_may_share_an_audience() {
    assert!(two_of_one_audience().compile().is_ok());
}

#[test]
fn refuses_one_audience_for_two_scopes_unless_both_say_so() {
    let other = two_of_one_audience().with(|it| it.relying_parties[1].scope = "aws/other".to_owned());
    assert_eq!(other.problem().code, "config.audience_shared");
    assert_eq!(other.problem().at.to_string(), "relying_party[1].audience");

    let one_says_so = other.clone().with(|it| it.relying_parties[1].shared_audience = true);
    assert_eq!(one_says_so.problems(), ["config.audience_shared"]);

    let both_say_so = one_says_so.with(|it| it.relying_parties[0].shared_audience = true);
    assert!(both_say_so.compile().is_ok());
}

#[test]
fn a_shaped_subject_is_made_and_told_beside_the_workloads_own_id() {
    let permission = shaped("/rp/aws/shop").decide(ask()).unwrap();

    assert_eq!(permission.subject().as_str(), "spiffe://prod.acme.example/rp/aws/shop");
    assert_eq!(
        permission.workload().spiffe_id().as_str(),
        "spiffe://prod.acme.example/ci/acme/shop/deploy"
    );
}

#[test]
fn refuses_a_subject_that_is_no_template() {
    for subject in ["repo:acme/shop", "/rp//shop", "/rp/{}"] {
        assert_eq!(shaped(subject).problems(), ["config.subject_invalid"], "{subject}");
    }
}

#[test]
fn refuses_a_subject_of_more_than_512_bytes() {
    let long = format!("/rp/{0}/{0}", "a".repeat(250));

    assert_eq!(shaped(&long).problems(), ["config.subject_invalid"]);
}

#[test]
fn refuses_a_subject_outside_of_the_paths_that_no_entry_may_use() {
    for subject in ["/ci/acme/shop/deploy", "/rp", "/rpx/shop", "/{ci.repo_id}/shop"] {
        assert!(
            shaped(subject).problems().contains(&"config.subject_not_reserved"),
            "{subject}"
        );
    }
}

#[test]
fn refuses_a_placeholder_that_is_not_in_the_spiffe_id() {
    let problem = shaped("/rp/{ci.ref}").problem();

    assert_eq!(problem.code, "config.subject_unpinned");
    assert_eq!(
        problem.found,
        "`{ci.ref}`, which is not in the SPIFFE ID of entry `shop-deploy`"
    );
}

#[test]
fn a_templated_entry_must_repeat_every_placeholder() {
    let with = |subject: &str| shaped(subject).with(|it| it.entries = vec![templated()]);

    assert!(with("/rp/{ci.job}/{ci.repo_id}").compile().is_ok());
    assert_eq!(with("/rp/{ci.repo_id}").problems(), ["config.subject_shared"]);
    let shared = with("/rp/{ci.repo_id}").with(|it| it.relying_parties[0].shared_subject = true);
    assert!(shared.compile().is_ok());
}

#[test]
fn refuses_one_subject_for_two_workloads_unless_it_is_said() {
    let two = shaped("/rp/aws/shop").with(|it| {
        it.entries
            .push(entry(1, "cart", &[("ci.repo_id", &["1"])], "/ci/acme/cart"));
        it.grants[0].entries.push(it.entries[1].name().clone());
    });
    assert_eq!(two.problem().code, "config.subject_shared");

    let said = two.with(|it| it.relying_parties[0].shared_subject = true);
    assert!(said.compile().is_ok());
}

#[test]
fn two_entries_of_one_spiffe_id_are_one_workload() {
    let two = shaped("/rp/aws/shop").with(|it| {
        it.entries
            .push(entry(1, "cart", &[("ci.repo_id", &["1"])], "/ci/acme/shop/deploy"));
        it.grants[0].entries.push(it.entries[1].name().clone());
    });

    assert!(two.compile().is_ok());
}

#[test]
fn placeholders_pinned_to_different_values_give_different_subjects() {
    let pinned = |nth: usize, name: &str, repo: &str| {
        let stated: [(&str, &[&str]); 2] = [("ci.repo_id", &[&nth.to_string()]), ("ci.repo_name", &[repo])];
        entry(nth, name, &stated, "/ci/acme/{ci.repo_name}")
    };
    let two = shaped("/rp/aws/{ci.repo_name}").with(|it| {
        it.entries = vec![pinned(0, "shop-deploy", "shop"), pinned(1, "cart", "cart")];
        it.grants[0].entries.push(it.entries[1].name().clone());
    });

    assert!(two.compile().is_ok());
}

/// Two entries of one template, each pinned to a repository of its own.
fn pinned(nth: usize, name: &str, repo: &str, spiffe_id: &str) -> Entry {
    let stated: [(&str, &[&str]); 2] = [("ci.repo_id", &[&nth.to_string()]), ("ci.repo_name", &[repo])];
    let source = EntrySource {
        position: nth,
        conditions: conditions(&stated),
        ..entry_source(name, spiffe_id)
    };
    let facts = AttestorFacts {
        attributes: &GITHUB,
        immutable: &GITHUB,
    };
    Entry::new(source, facts).unwrap()
}

fn two_pinned(subject: &str, spiffe_id: &str) -> Sample {
    shaped(subject).with(|it| {
        it.entries = vec![
            pinned(0, "shop-deploy", "shop", spiffe_id),
            pinned(1, "cart", "cart", spiffe_id),
        ];
        it.grants[0].entries.push(it.entries[1].name().clone());
    })
}

#[test]
fn one_template_pinned_to_different_values_is_not_one_workload() {
    assert!(
        two_pinned("/rp/aws/{ci.repo_name}", "/ci/{ci.repo_name}")
            .compile()
            .is_ok()
    );
    assert_eq!(
        two_pinned("/rp/aws/x", "/ci/{ci.repo_name}").problems(),
        ["config.subject_shared"]
    );
}

#[test]
fn a_value_that_each_entry_pins_to_its_own_must_be_repeated_too() {
    let template = "/ci/{ci.repo_name}/{ci.job}";

    assert!(two_pinned("/rp/{ci.job}/{ci.repo_name}", template).compile().is_ok());
    assert_eq!(
        two_pinned("/rp/{ci.job}", template).problems(),
        ["config.subject_shared"]
    );
}

#[test]
fn an_open_subject_may_be_the_same_as_a_fixed_one() {
    let two = two_of_one_audience().with(|it| {
        it.relying_parties[0].terms.subject = Some("/rp/{ci.repo_id}/{ci.job}".to_owned());
        it.relying_parties[1].terms.subject = Some("/rp/1/deploy".to_owned());
        it.entries = vec![
            templated(),
            entry(1, "cart", &[("ci.repo_id", &["1"])], "/ci/acme/cart"),
        ];
        it.grants[0].relying_parties.pop();
        it.grants.push(grant("cart"));
        it.grants[1].entries = vec![it.entries[1].name().clone()];
        it.grants[1].relying_parties = vec![it.relying_parties[1].name.clone()];
    });

    assert_eq!(two.problems(), ["config.subject_shared"]);
    let apart = two.with(|it| it.relying_parties[1].terms.subject = Some("/rp/aws/1/deploy".to_owned()));
    assert!(apart.compile().is_ok());
}

#[test]
fn refuses_one_subject_across_relying_parties_of_one_audience() {
    let two = two_of_one_audience().with(|it| {
        it.relying_parties[0].terms.subject = Some("/rp/aws/x".to_owned());
        it.relying_parties[1].terms.subject = Some("/rp/aws/x".to_owned());
        it.entries
            .push(entry(1, "cart", &[("ci.repo_id", &["1"])], "/ci/acme/cart"));
        let cart = it.entries[1].name().clone();
        it.grants.push(grant("cart"));
        it.grants[1].entries = vec![cart];
        it.grants[1].relying_parties = vec![it.relying_parties[1].name.clone()];
        it.grants[0].relying_parties = vec![it.relying_parties[0].name.clone()];
    });

    assert_eq!(two.problems(), ["config.subject_shared"]);
}

#[test]
fn refuses_to_hand_out_an_svid_whose_holder_could_leave_the_session_policy_out() {
    let with = |release| {
        sample()
            .with_terms(|terms| terms.session_policy = true)
            .with(|it| it.grants[0].release = release)
    };

    assert!(with(Release::Credentials).compile().is_ok());
    assert_eq!(
        with(Release::CredentialsAndSvid).problem().code,
        "config.release_session_policy"
    );
}

#[test]
fn an_svid_that_is_the_credential_counts_as_handed_out() {
    let with = sample().with_terms(|terms| {
        terms.session_policy = true;
        terms.svid_is_credential = true;
    });

    assert_eq!(with.problems(), ["config.release_session_policy"]);
}

#[test]
fn hands_out_an_svid_that_opens_another_relying_party_under_the_same_grant_only() {
    let released = two_of_one_audience().with(|it| it.grants[0].release = Release::CredentialsAndSvid);
    assert!(released.compile().is_ok());

    let other_conditions = released.clone().with(|it| {
        it.grants.push(grant("dev"));
        it.grants[1].position = 1;
        it.grants[1].conditions = conditions(&[("ci.environment", &["dev"])]);
        it.grants[1].relying_parties = vec![it.grants[0].relying_parties.pop().unwrap()];
    });
    let problem = other_conditions.problem();
    assert_eq!(problem.code, "config.release_wider");
    assert_eq!(problem.at.to_string(), "grant[0].release");

    let same_conditions_without_release = other_conditions.with(|it| {
        it.grants[1].conditions = it.grants[0].conditions.clone();
    });
    assert_eq!(same_conditions_without_release.problems(), ["config.release_wider"]);
}

#[test]
fn an_svid_for_whoever_acts_opens_what_the_same_actors_may_have_only() {
    let id = |path: &str| SpiffeId::generate(&trust_domain(), path).unwrap();
    let (one, two) = (id("/agent/one"), id("/agent/two"));
    // The first grant hands the SVID of `aws-prod` out, which opens `aws-dev` too.
    let problems = |here: &[&SpiffeId], there: &[&SpiffeId]| {
        let actors = |ids: &[&SpiffeId]| ids.iter().map(|id| (*id).clone()).collect();
        let split = two_of_one_audience().with(|it| {
            it.grants[0].relying_parties.truncate(1);
            it.grants[0].release = Release::CredentialsAndSvid;
            it.grants[0].actors = actors(here);
            it.grants.push(Grant {
                position: 1,
                name: GrantName::parse("there").unwrap(),
                relying_parties: vec![it.relying_parties[1].name.clone()],
                actors: actors(there),
                ..it.grants[0].clone()
            });
        });
        let problems = split.compile().err().unwrap_or_default();
        problems
            .iter()
            .filter(|problem| problem.at.to_string().starts_with("grant[0]"))
            .count()
    };

    for (here, there, wider) in [
        (&[][..], &[][..], 0),
        (&[&one], &[&one], 0),
        (&[&one], &[&one, &two], 0),
        (&[&one, &two], &[&one], 1),
        (&[&one], &[], 1),
        (&[], &[&one], 1),
    ] {
        assert_eq!(problems(here, there), wider, "{here:?} {there:?}");
    }
}

#[test]
fn another_audience_is_not_opened() {
    let released = two_of_one_audience().with(|it| {
        it.grants[0].release = Release::CredentialsAndSvid;
        it.relying_parties[1].terms.audience = "https://id.acme.example/aws/2".to_owned();
        it.grants.push(grant("dev"));
        it.grants[1].conditions = conditions(&[]);
        it.grants[1].relying_parties = vec![it.grants[0].relying_parties.pop().unwrap()];
    });

    assert!(released.compile().is_ok());
}

#[test]
fn another_subject_is_not_opened() {
    let released = two_of_one_audience().with(|it| {
        it.grants[0].release = Release::CredentialsAndSvid;
        it.relying_parties[1].terms.subject = Some("/rp/aws/dev".to_owned());
        it.grants.push(grant("dev"));
        it.grants[1].conditions = conditions(&[]);
        it.grants[1].relying_parties = vec![it.grants[0].relying_parties.pop().unwrap()];
    });

    assert!(released.compile().is_ok());
}

#[test]
fn a_federated_token_that_opens_more_is_refused_without_any_release() {
    let google = two_of_one_audience().with(|it| {
        it.relying_parties[0].terms.svid_is_credential = true;
        it.grants.push(grant("impersonate"));
        it.grants[1].conditions = conditions(&[]);
        it.grants[1].relying_parties = vec![it.grants[0].relying_parties.pop().unwrap()];
    });

    assert_eq!(google.problems(), ["config.release_wider"]);
}

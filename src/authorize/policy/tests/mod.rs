use std::time::Duration;

use crate::{
    authorize::{
        Basis, Denial, GrantName, LifetimeMode, LifetimeNote, LockSet, Release, Wants,
        sample::{Ask, ask, aws, grant, sample},
    },
    identify::{
        EntryName,
        sample::{conditions, entry, github_job, now, trust_domain},
    },
    spiffe::SpiffeId,
};

fn rule(permission: &crate::authorize::Permission) -> Vec<&str> {
    permission.rule().iter().map(GrantName::as_str).collect()
}

fn job(job: crate::identify::sample::Job) -> Ask {
    Ask { job, ..ask() }
}

#[test]
fn permits_what_a_grant_names_and_tells_by_which_rule() {
    let permission = sample().decide(ask()).unwrap();

    assert_eq!(rule(&permission), ["shop-to-prod"]);
    assert_eq!(permission.relying_party().as_str(), "aws-prod");
    assert_eq!(permission.terms(), &aws("aws-prod").terms);
    assert_eq!(permission.lifetime(), Duration::from_mins(20));
    assert_eq!(permission.lifetime_note(), LifetimeNote::Within);
    assert_eq!(
        permission.subject().as_str(),
        "spiffe://prod.acme.example/ci/acme/shop/deploy"
    );
    assert_eq!(permission.policy_generation(), 7);
}

#[test]
fn refuses_a_relying_party_that_nobody_configured() {
    let denial = sample().decide(Ask {
        relying_party: "gcp-prod".to_owned(),
        ..ask()
    });

    assert_eq!(
        denial.unwrap_err(),
        Denial::RelyingPartyUnknown {
            found: "gcp-prod".to_owned()
        }
    );
}

#[test]
fn shows_no_more_of_an_unknown_relying_party_than_a_name_may_have() {
    let denial = sample().decide(Ask {
        relying_party: "x".repeat(65),
        ..ask()
    });

    assert_eq!(
        denial.unwrap_err(),
        Denial::RelyingPartyUnknown { found: "x".repeat(64) }
    );
}

#[test]
fn t_39_a_relying_party_has_one_name_and_no_other_form_of_it() {
    for name in [
        "AWS-prod",
        " aws-prod",
        "aws-prod ",
        "aws-prod\u{a0}",
        "aws\u{2010}prod",
        "aws-prod\u{200b}",
        "aws-prod\0",
    ] {
        let denial = sample().decide(Ask {
            relying_party: name.to_owned(),
            ..ask()
        });
        assert_eq!(
            denial.unwrap_err().code(),
            "authorize.relying_party_unknown",
            "{name:?}"
        );
    }
}

#[test]
fn tm_30_denies_where_no_grant_names_both() {
    let sample = sample().with(|it| it.relying_parties.push(aws("aws-dev")));

    let denial = sample.decide(Ask {
        relying_party: "aws-dev".to_owned(),
        ..ask()
    });

    assert_eq!(
        denial.unwrap_err().to_string(),
        "no grant lets entry `shop-deploy` hold credentials of `aws-dev`"
    );
}

#[test]
fn a_grant_for_another_entry_permits_nothing() {
    let sample = sample().with(|it| {
        it.entries
            .push(entry(1, "cart", &[("ci.repo_id", &["1"])], "/ci/acme/cart"));
        it.grants[0].entries = vec![EntryName::parse("cart").unwrap()];
    });

    assert_eq!(sample.decide(ask()).unwrap_err().code(), "authorize.no_grant");
}

#[test]
fn a_near_miss_names_the_closest_grant_and_the_condition_that_failed() {
    let sample = sample().with(|it| {
        it.grants.push(grant("far"));
        it.grants[1].conditions = conditions(&[("ci.environment", &["dev"]), ("ci.event", &["schedule"])]);
    });

    let denial = sample
        .decide(job(github_job().with("ci.environment", "staging")))
        .unwrap_err();

    assert_eq!(
        denial.to_string(),
        "grant `shop-to-prod` names this entry and relying party, \
         but `ci.environment` is `staging`, expected `production`"
    );
}

#[test]
fn tm_30_an_attribute_that_is_absent_meets_no_literal_and_an_empty_one_is_not_absent() {
    let absent = sample().with(|it| it.grants[0].conditions = conditions(&[("ci.environment", &[])]));

    assert!(sample().decide(job(github_job().without("ci.environment"))).is_err());
    assert!(absent.decide(job(github_job().without("ci.environment"))).is_ok());
    assert!(absent.decide(job(github_job().with("ci.environment", ""))).is_err());
}

#[test]
fn t_39_no_other_form_of_a_value_meets_a_condition() {
    for value in [
        "Production",
        " production",
        "production ",
        "production\u{a0}",
        "production\u{200b}",
        "pr\u{43e}duction",
    ] {
        let denial = sample().decide(job(github_job().with("ci.environment", value)));
        assert_eq!(denial.unwrap_err().code(), "authorize.condition_failed", "{value:?}");
    }
}

#[test]
fn a_list_admits_each_of_its_values() {
    let sample =
        sample().with(|it| it.grants[0].conditions = conditions(&[("ci.event", &["push", "workflow_dispatch"])]));

    assert!(sample.decide(ask()).is_ok());
    assert!(
        sample
            .decide(job(github_job().with("ci.event", "workflow_dispatch")))
            .is_ok()
    );
    assert!(
        sample
            .decide(job(github_job().with("ci.event", "pull_request")))
            .is_err()
    );
}

#[test]
fn a_grant_without_conditions_admits_its_entries() {
    let sample = sample().with(|it| it.grants[0].conditions = conditions(&[]));

    assert!(sample.decide(job(github_job().without("ci.environment"))).is_ok());
}

#[test]
fn of_several_matching_grants_the_shortest_decides_and_all_are_named() {
    let sample = sample().with(|it| {
        it.grants.push(grant("short"));
        it.grants.push(grant("a-longer"));
        it.grants.push(grant("not-matching"));
        it.grants[1].ttl = Duration::from_mins(15);
        it.grants[3].ttl = Duration::from_mins(15);
        it.grants[3].conditions = conditions(&[("ci.environment", &["dev"])]);
    });

    let permission = sample.decide(ask()).unwrap();

    assert_eq!(rule(&permission), ["short", "a-longer", "shop-to-prod"]);
    assert_eq!(permission.lifetime(), Duration::from_mins(15));
}

#[test]
fn a_lock_is_asked_before_any_grant() {
    let locked = crate::store::LockRow {
        id: "1".to_owned(),
        target: "relying_party".to_owned(),
        value: "aws-prod".to_owned(),
        reason: "incident".to_owned(),
        created_seconds: 0,
    };
    let sample = sample().with(|it| it.grants.clear());

    let denial = sample.decide(Ask {
        locks: LockSet::new([locked], now()),
        ..ask()
    });

    assert_eq!(denial.unwrap_err().code(), "authorize.locked");
}

#[test]
fn an_svid_is_handed_out_only_where_the_grant_releases_it() {
    let svid = || Ask {
        wants: Wants::Svid,
        ..ask()
    };
    let released = sample().with(|it| it.grants[0].release = Release::CredentialsAndSvid);

    assert_eq!(
        sample().decide(svid()).unwrap_err(),
        Denial::SvidNotReleased {
            grant: "shop-to-prod".to_owned(),
            relying_party: "aws-prod".to_owned()
        }
    );
    assert!(released.decide(svid()).is_ok());
    assert!(
        sample()
            .with_terms(|terms| terms.svid_is_credential = true)
            .decide(svid())
            .is_ok()
    );
}

#[test]
fn an_svid_rests_only_on_the_grants_that_release_it() {
    let sample = sample().with(|it| {
        it.grants.push(grant("releasing"));
        it.grants[1].release = Release::CredentialsAndSvid;
        it.grants[1].ttl = Duration::from_mins(30);
    });

    let permission = sample.decide(Ask {
        wants: Wants::Svid,
        ..ask()
    });

    assert_eq!(rule(&permission.unwrap()), ["releasing"]);
}

#[test]
fn a_lifetime_below_the_minimum_is_raised_for_evidence_and_refused_for_a_resume() {
    let short = || job(github_job().standing(Duration::from_mins(5)));
    let resumed = Ask {
        basis: Basis::Resumed,
        ..short()
    };

    let raised = sample().decide(short()).unwrap();
    assert_eq!(
        (raised.lifetime(), raised.lifetime_note()),
        (Duration::from_mins(15), LifetimeNote::Raised)
    );
    assert_eq!(
        sample().decide(resumed).unwrap_err(),
        Denial::LifetimeBelowMinimum {
            relying_party: "aws-prod".to_owned(),
            permitted_seconds: 300,
            minimum_seconds: 900
        }
    );
}

#[test]
fn expired_evidence_counts_as_a_resume_whatever_the_caller_says() {
    let short = || github_job().standing(Duration::from_mins(5));

    assert!(sample().decide(job(short())).is_ok());
    let denial = sample().decide(job(short().expired())).unwrap_err();
    assert_eq!(denial.code(), "authorize.lifetime_below_minimum");
}

#[test]
fn a_standing_in_the_past_permits_nothing() {
    let mut ended = job(github_job().standing(Duration::ZERO));
    ended.basis = Basis::Presented;

    assert_eq!(
        sample().decide(ended).unwrap_err().code(),
        "authorize.lifetime_below_minimum"
    );
}

#[test]
fn a_fixed_lifetime_that_the_grant_accepts_is_noted() {
    let sample = sample()
        .with_terms(|terms| {
            terms.lifetime_mode = LifetimeMode::Fixed;
            terms.maximum = Duration::from_mins(90);
        })
        .with(|it| it.grants[0].accept_lifetime = true);

    let permission = sample.decide(ask()).unwrap();

    assert_eq!(permission.lifetime(), Duration::from_mins(90));
    assert_eq!(permission.lifetime_note(), LifetimeNote::ExceedsStanding);
}

#[test]
fn refuses_a_subject_that_the_workloads_attributes_do_not_make() {
    let sample = sample().with_terms(|terms| terms.subject = Some("/rp/aws/{ci.repo_id}".to_owned()));
    let sample = sample.with(|it| {
        it.entries = vec![entry(
            0,
            "shop-deploy",
            &[("ci.environment", &["production"])],
            "/ci/{ci.repo_id}",
        )];
    });
    let long = job(github_job().with("ci.repo_id", &"7".repeat(200)));

    assert!(sample.decide(ask()).is_ok());
    assert!(sample.decide(long).is_ok());
    let unfit = super::Subject::Template(crate::identify::Template::parse("/rp/{ci.ref}").unwrap());
    let workload = github_job().workload("shop-deploy", "/ci/acme/shop/deploy");
    let reason = unfit.shape(&workload, &trust_domain()).unwrap_err();
    assert!(reason.contains("`ci.ref` cannot be a segment"), "{reason}");
}

#[test]
fn a_subject_of_more_than_512_bytes_is_refused_when_it_is_made() {
    let placeholders = "/{ci.repo_id}/{ci.owner_id}";
    let subject = format!("/rp/{}{placeholders}", "a".repeat(200));
    let sample = sample().with_terms(|terms| terms.subject = Some(subject)).with(|it| {
        it.entries = vec![entry(
            0,
            "shop-deploy",
            &[("ci.environment", &["production"])],
            placeholders,
        )];
    });
    let with = |length: usize| {
        job(github_job()
            .with("ci.repo_id", &"7".repeat(200))
            .with("ci.owner_id", &"1".repeat(length)))
    };
    let fits = 512 - "spiffe://prod.acme.example/rp/".len() - 200 - 1 - 200 - 1;

    assert_eq!(sample.decide(with(fits)).unwrap().subject().as_str().len(), 512);
    assert_eq!(
        sample.decide(with(fits + 1)).unwrap_err().code(),
        "authorize.subject_refused"
    );
}

#[test]
fn t_23_what_a_reload_no_longer_grants_is_denied_from_then_on() {
    let before = sample();
    let after = sample().with(|it| it.grants[0].conditions = conditions(&[("ci.environment", &["dev"])]));

    assert!(before.decide(ask()).is_ok());
    assert!(after.decide(ask()).is_err());
}

#[test]
fn every_denial_has_a_code_of_its_own() {
    let text = String::new;
    let denials = [
        Denial::ActorNotGranted {
            actor: text(),
            entry: text(),
            relying_party: text(),
        },
        Denial::ConditionFailed {
            grant: text(),
            condition: text(),
        },
        Denial::Forbidden { policy: text() },
        Denial::LifetimeBelowMinimum {
            relying_party: text(),
            permitted_seconds: 0,
            minimum_seconds: 0,
        },
        Denial::Locked {
            target: text(),
            value: text(),
            reason: text(),
        },
        Denial::LocksStale { age_seconds: 0 },
        Denial::NoGrant {
            entry: text(),
            relying_party: text(),
        },
        Denial::PolicyError { reason: text() },
        Denial::RelyingPartyUnknown { found: text() },
        Denial::SubjectRefused {
            relying_party: text(),
            reason: text(),
        },
        Denial::SvidNotReleased {
            grant: text(),
            relying_party: text(),
        },
    ];

    let codes: std::collections::BTreeSet<&str> = denials.iter().map(Denial::code).collect();

    assert_eq!(codes.len(), denials.len());
    assert!(codes.iter().all(|code| code.starts_with("authorize.")));
}

/// The sample with a second workload, `/agent/triage`, and its job.
fn with_agent(actors: &[&str]) -> (crate::authorize::sample::Sample, Ask) {
    let agent = github_job().with("ci.repo_id", "8");
    let id = |path: &&str| SpiffeId::generate(&trust_domain(), path).unwrap();
    let sample = sample().with(|it| {
        it.entries
            .push(entry(1, "triage", &[("ci.repo_id", &["8"])], "/agent/triage"));
        it.grants[0].actors = actors.iter().map(id).collect();
    });
    let asked = Ask {
        actor: Some(agent),
        ..ask()
    };
    (sample, asked)
}

#[test]
fn tx_18_a_grant_with_actors_is_for_these_alone() {
    let (sample, acted) = with_agent(&["/agent/triage"]);
    let (others, by_another) = with_agent(&["/agent/other"]);

    let permission = sample.decide(acted).unwrap();

    assert_eq!(permission.subject().path(), "/ci/acme/shop/deploy");
    assert_eq!(permission.workload().actors()[0].path(), "/agent/triage");
    for denied in [sample.decide(ask()), others.decide(by_another)] {
        assert_eq!(denied.unwrap_err().code(), "authorize.actor_not_granted");
    }
}

#[test]
fn tx_20_a_grant_without_actors_is_for_nobody_who_acts() {
    let (sample, acted) = with_agent(&[]);

    assert!(sample.decide(ask()).is_ok());
    assert_eq!(sample.decide(acted).unwrap_err().code(), "authorize.actor_not_granted");
}

/// The grant `shop-to-prod` for these actors, with one condition that fails; and `far` for those, with two.
fn with_two_that_fail(near: &[&str], far: &[&str]) -> (crate::authorize::sample::Sample, Ask) {
    let (sample, asked) = with_agent(near);
    let id = |path: &&str| SpiffeId::generate(&trust_domain(), path).unwrap();
    let sample = sample.with(|it| {
        it.grants.push(grant("far"));
        it.grants[1].actors = far.iter().map(id).collect();
        it.grants[1].conditions = conditions(&[("ci.environment", &["dev"]), ("ci.event", &["schedule"])]);
    });
    let job = github_job().with("ci.environment", "staging");
    (sample, Ask { job, ..asked })
}

#[test]
fn a_near_miss_is_of_the_actors_own_grants_however_close_anothers_came() {
    let (others, acted) = with_two_that_fail(&["/agent/other"], &["/agent/triage"]);
    let (workloads, by_agent) = with_two_that_fail(&[], &["/agent/triage"]);
    let (agents, asked) = with_two_that_fail(&["/agent/triage"], &[]);
    let by_nobody = Ask { actor: None, ..asked };

    for denied in [
        others.decide(acted),
        workloads.decide(by_agent),
        agents.decide(by_nobody),
    ] {
        let denied = denied.unwrap_err();
        assert_eq!(denied.code(), "authorize.condition_failed");
        assert!(denied.to_string().starts_with("grant `far` "), "{denied}");
    }
}

#[test]
fn where_no_grant_is_for_whoever_acts_no_condition_is_told() {
    let (others, acted) = with_two_that_fail(&["/agent/other"], &[]);
    let (agents, asked) = with_two_that_fail(&["/agent/triage"], &["/agent/other"]);
    let by_nobody = Ask { actor: None, ..asked };

    assert_eq!(
        others.decide(acted).unwrap_err().to_string(),
        "there are grants for entry `shop-deploy` and `aws-prod`, but none of them is for \
         `spiffe://prod.acme.example/agent/triage` to act"
    );
    assert_eq!(
        agents.decide(by_nobody).unwrap_err().to_string(),
        "there are grants for entry `shop-deploy` and `aws-prod`, but each is for an actor, and nobody acts"
    );
}

#[test]
fn an_actor_whose_own_grant_fails_hears_of_it_where_anothers_holds() {
    let (sample, acted) = with_agent(&["/agent/other"]);
    let sample = sample.with(|it| {
        it.grants.push(grant("own"));
        it.grants[1].actors = vec![SpiffeId::generate(&trust_domain(), "/agent/triage").unwrap()];
        it.grants[1].conditions = conditions(&[("ci.environment", &["dev"])]);
    });

    let denied = sample.decide(acted).unwrap_err();

    assert_eq!(
        denied.to_string(),
        "grant `own` names this entry and relying party, but `ci.environment` is `production`, expected `dev`"
    );
}

#[test]
fn tm_31_what_is_permitted_ends_with_the_standing_of_the_actor() {
    let (sample, acted) = with_agent(&["/agent/triage"]);
    let short = acted.actor.clone().unwrap().standing(Duration::from_mins(16));

    let permission = sample.decide(Ask {
        actor: Some(short),
        ..acted
    });

    assert_eq!(permission.unwrap().lifetime(), Duration::from_mins(16));
}

#[test]
fn a_forbid_sees_the_current_actor() {
    let (sample, acted) = with_agent(&["/agent/triage"]);
    let forbid = "forbid(principal, action, resource) \
                  when { context has actor && context.actor == \"spiffe://prod.acme.example/agent/triage\" };";
    let sample = sample.with_raw(forbid);

    assert_eq!(sample.decide(acted).unwrap_err().code(), "authorize.forbidden");
}

#[test]
fn a_forbid_makes_sure_that_somebody_acts() {
    let (sample, acted) = with_agent(&["/agent/triage"]);
    let alone = "forbid(principal in Entry::\"shop-deploy\", action, resource) unless { context has actor };";
    let sample = sample.with_raw(alone);

    assert!(sample.decide(acted).is_ok());
    assert_eq!(sample.decide(ask()).unwrap_err().code(), "authorize.forbidden");
}

mod whole_set;

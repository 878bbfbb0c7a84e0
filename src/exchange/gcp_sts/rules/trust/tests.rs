use serde_json::{Value, json};

use super::{
    super::provider::{Provider, ProviderName},
    Mapped, Rejected, Trust, Uncompilable,
};

fn compile(mapping: &Value, condition: Option<&str>) -> Result<Trust, Uncompilable> {
    let name = ProviderName::new(1, "prod", "cambio").unwrap();
    let settings = json!({
        "issuerUri": "https://id.acme.example", "attributeMapping": mapping, "attributeCondition": condition,
    });
    let provider = Provider::new(name, serde_json::from_value(settings).unwrap()).unwrap();
    Trust::compile(&provider)
}

fn judge(condition: &str, claims: &Value) -> Result<Mapped, Rejected> {
    compile(&json!({"google.subject": "assertion.sub"}), Some(condition))
        .unwrap()
        .evaluate(claims)
}

fn extract(template: &str, text: &str) -> String {
    let mapping = json!({"google.subject": format!("'x' + assertion.text.extract('{template}')")});
    let mapped = compile(&mapping, None)
        .unwrap()
        .evaluate(&json!({"text": text}))
        .unwrap();
    mapped.subject.strip_prefix('x').unwrap().to_owned()
}

#[test]
fn maps_subject_groups_and_attributes() {
    let mapping = json!({
        "google.subject": "assertion.sub", "google.groups": "assertion.groups", "attribute.ref": "assertion.ref",
    });
    let claims = json!({"sub": "s", "groups": ["a", "b"], "ref": "main"});

    let mapped = compile(&mapping, None).unwrap().evaluate(&claims).unwrap();

    assert_eq!(mapped.subject, "s");
    assert_eq!(mapped.groups, ["a", "b"]);
    assert_eq!(mapped.attributes["ref"], "main");
}

#[test]
fn extract_takes_what_stands_between_the_texts_of_the_template() {
    let name = "projects/_/buckets/acme-orders-aaa/data_lake/orders/order_date=2019-11-03/aef87g87ae0876";

    assert_eq!(extract("/order_date={date}/", name), "2019-11-03");
    assert_eq!(extract("buckets/{name}/", name), "acme-orders-aaa");
    assert_eq!(extract("/orders/{empty}order_date", name), "");
    assert_eq!(extract("{start}/data_lake", name), "projects/_/buckets/acme-orders-aaa");
    assert_eq!(extract("orders/{end}", name), "order_date=2019-11-03/aef87g87ae0876");
    assert_eq!(extract("{all}", name), name);
    assert_eq!(extract("/orders/{none}/order_date=", name), "");
    assert_eq!(extract("/absent/{id}/data_lake", name), "");
}

#[test]
fn extract_without_a_literal_template_is_refused_when_compiled() {
    for expression in [
        "assertion.sub.extract(assertion.template)",
        "assertion.sub.extract('none')",
        "assertion.sub.extract('{a}{b}')",
        "assertion.sub.extract('{}')",
        "assertion.sub.extract('{a}', '{b}')",
    ] {
        let refused = compile(&json!({"google.subject": expression}), None).unwrap_err();
        assert!(
            matches!(refused, Uncompilable::Template { .. }),
            "{expression}: {refused}"
        );
    }
}

#[test]
fn a_mapping_may_not_name_other_attributes() {
    let refused = compile(&json!({"google.subject": "google.groups[0]"}), None).unwrap_err();

    assert!(
        matches!(refused, Uncompilable::Reference { ref found, .. } if found == "google"),
        "{refused}"
    );
}

#[test]
fn an_unsupported_function_is_refused_when_compiled_also_behind_a_branch_never_taken() {
    let refused = compile(
        &json!({"google.subject": "assertion.sub"}),
        Some("true || assertion.sub.trim() == ''"),
    )
    .unwrap_err();

    assert!(
        matches!(refused, Uncompilable::Function { ref found, .. } if found == "trim"),
        "{refused}"
    );
}

#[test]
fn a_comprehension_may_name_its_own_variable_and_no_other() {
    let mapping = json!({"google.subject": "assertion.sub"});

    assert!(compile(&mapping, Some("assertion.groups.exists(g, g == 'a')")).is_ok());
    assert!(compile(&mapping, Some("assertion.groups.exists(g, h == 'a')")).is_err());
    assert!(compile(&mapping, Some("assertion.groups.exists(g, g == 'a') && g == 'a'")).is_err());
}

#[test]
fn brackets_nest_32_deep_and_not_33() {
    let nested = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    let mapping = json!({"google.subject": "assertion.sub"});

    assert!(compile(&mapping, Some(&nested(32))).is_ok());
    assert!(matches!(
        compile(&mapping, Some(&nested(33))),
        Err(Uncompilable::Nesting { .. })
    ));
}

#[test]
fn what_is_no_cel_is_refused_with_the_parsers_reason() {
    let refused = compile(&json!({"google.subject": "assertion."}), None).unwrap_err();

    assert!(std::error::Error::source(&refused).is_some(), "{refused}");
}

#[test]
fn a_false_condition_tells_which_part_and_both_sides() {
    let claims = json!({"sub": "s", "ref": "refs/heads/dev", "actor": "alice", "groups": ["a"]});
    let why = |condition: &str| judge(condition, &claims).unwrap_err().why();

    assert_eq!(
        why("assertion.sub == 's' && assertion.ref == 'refs/heads/main'"),
        "assertion.ref is \"refs/heads/dev\", expected \"refs/heads/main\""
    );
    assert_eq!(
        why("assertion.ref.endsWith('/main')"),
        "assertion.ref is \"refs/heads/dev\", expected endsWith(\"/main\")"
    );
    assert_eq!(
        why("assertion.actor in ['bob', 'carol']"),
        "assertion.actor is \"alice\", expected one of [\"bob\",\"carol\"]"
    );
    assert_eq!(why("has(assertion.env)"), "has(assertion.env) is not true");
    assert_eq!(
        why("assertion.actor == 'bob' || google.subject != 's'"),
        "assertion.actor is \"alice\", expected \"bob\"; and google.subject is \"s\", expected another than \"s\""
    );
    assert_eq!(why("assertion.env == 'prod'"), "No such key: env");
    assert_eq!(
        why("assertion.sub"),
        "the condition gives \"s\", expected true or false"
    );
}

#[test]
fn an_empty_subject_is_refused() {
    let refused = judge("true", &json!({"sub": ""})).unwrap_err();

    assert!(matches!(refused, Rejected::SubjectUnmapped { .. }), "{refused}");
}

#[test]
fn groups_must_be_a_list_of_strings() {
    let mapping = json!({"google.subject": "assertion.sub", "google.groups": "assertion.groups"});

    let refused = compile(&mapping, None)
        .unwrap()
        .evaluate(&json!({"sub": "s", "groups": ["a", 7]}))
        .unwrap_err();

    assert_eq!(
        refused.why(),
        "The mapped attribute google.groups is of type list, expected a list of strings."
    );
}

#[test]
fn an_absent_claim_of_another_attribute_is_refused_with_its_name() {
    let mapping = json!({"google.subject": "assertion.sub", "attribute.ref": "assertion.ref"});

    let refused = compile(&mapping, None)
        .unwrap()
        .evaluate(&json!({"sub": "s"}))
        .unwrap_err();

    assert!(matches!(refused, Rejected::Unmapped { ref attribute, .. } if attribute == "attribute.ref"));
}

#[test]
fn a_condition_of_full_length_without_brackets_does_not_exhaust_the_parser() {
    let mapping = json!({"google.subject": "assertion.sub"});
    for (part, times, end) in [
        ("true && ", 500, "true"),
        ("!", 4000, "true"),
        ("'a' + ", 600, "'a' != 'b'"),
        ("- ", 2000, "1 == 1"),
    ] {
        let judged = compile(&mapping, Some(&(part.repeat(times) + end)))
            .unwrap()
            .evaluate(&json!({"sub": "s"}));

        assert!(judged.is_ok(), "{part}: {judged:?}");
    }
}

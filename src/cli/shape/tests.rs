use std::process::Command;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn aws() -> Credential {
    let native = json!({
        "Version": 1, "AccessKeyId": "ASIA", "SecretAccessKey": "s'e$cret", "SessionToken": "t",
        "Expiration": "2026-01-16T15:00:00Z", "AccountId": "1",
    });
    Credential::new("aws_sts", "credential", None, &native)
}

fn bearer(kind: &str) -> Credential {
    Credential::new(
        kind,
        "credential",
        None,
        &json!({ "access_token": "bearer", "token_type": "Bearer", "expires_in": 9 }),
    )
}

fn written(shape: Shape, credential: &Credential) -> String {
    shape.write(credential).unwrap().expose().to_owned()
}

#[test]
fn aws_variables_are_those_that_its_tools_read() {
    insta::assert_snapshot!(written(Shape::Env, &aws()), @r"
    export AWS_ACCESS_KEY_ID='ASIA'
    export AWS_SECRET_ACCESS_KEY='s'\''e$cret'
    export AWS_SESSION_TOKEN='t'
    export AWS_CREDENTIAL_EXPIRATION='2026-01-16T15:00:00Z'
    ");
}

#[test]
fn google_azure_and_svid_have_their_variables() {
    insta::assert_snapshot!(written(Shape::Env, &bearer("gcp_sts")), @r"
    export CLOUDSDK_AUTH_ACCESS_TOKEN='bearer'
    export GOOGLE_OAUTH_ACCESS_TOKEN='bearer'
    ");
    assert_eq!(
        written(Shape::Env, &bearer("azure_entra")),
        "export AZURE_ACCESS_TOKEN='bearer'"
    );
    let svid = Credential::new("aws_sts", "svid", None, &json!({ "svid": "a.b.c" }));
    assert_eq!(written(Shape::Env, &svid), "export CAMBIO_SVID='a.b.c'");
}

#[test]
fn credential_process_is_what_aws_documents() {
    let written: Value = serde_json::from_str(&written(Shape::CredentialProcess, &aws())).unwrap();

    assert_eq!(
        written,
        json!({
            "Version": 1, "AccessKeyId": "ASIA", "SecretAccessKey": "s'e$cret", "SessionToken": "t",
            "Expiration": "2026-01-16T15:00:00Z",
        })
    );
}

#[test]
fn credential_process_refuses_other_clouds_and_an_svid() {
    let svid = Credential::new("aws_sts", "svid", None, &json!({ "svid": "a.b.c" }));
    for credential in [bearer("gcp_sts"), bearer("azure_entra"), svid] {
        let refused = Shape::CredentialProcess.write(&credential).unwrap_err();
        assert_eq!(refused.exit(), Exit::Usage, "{credential:?}");
    }
}

#[test]
fn json_is_the_native_json() {
    let written: Value = serde_json::from_str(&written(Shape::Json, &aws())).unwrap();

    assert_eq!(written["AccountId"], "1");
}

#[test]
fn an_unknown_kind_has_json_only() {
    let refused = Shape::Env.write(&bearer("vault")).unwrap_err();

    assert!(format!("{refused:?}").contains("`vault`"));
    assert!(Shape::Json.write(&bearer("vault")).is_ok());
}

#[test]
fn refuses_a_credential_without_a_member_or_with_an_empty_one() {
    for native in [
        json!({}),
        json!({ "access_token": "" }),
        json!({ "access_token": "a\u{0}b" }),
        json!([]),
    ] {
        let credential = Credential::new("gcp_sts", "credential", None, &native);
        assert!(Shape::Env.write(&credential).is_err(), "{native}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_shell_gives_back_what_was_quoted(value in "[^\u{0}]{0,40}") {
        let script = format!("V={}; printf %s \"$V\"", quoted(&value));

        let shell = Command::new("sh").args(["-c", &script]).output().unwrap();

        prop_assert!(shell.status.success());
        prop_assert_eq!(shell.stdout, value.into_bytes());
    }

    #[test]
    fn a_shell_runs_nothing_of_what_was_quoted(value in "['\"`$();&|<>\\\\ \n#*?~!a-c]{0,40}") {
        let script = format!("{}; printf %s \"$CAMBIO_SVID\"", exports(&[("CAMBIO_SVID", Secret::new(value.clone()))]).expose());

        let shell = Command::new("sh").args(["-c", &script]).output().unwrap();

        prop_assert!(shell.status.success() && shell.stderr.is_empty());
        prop_assert_eq!(shell.stdout, value.into_bytes());
    }
}

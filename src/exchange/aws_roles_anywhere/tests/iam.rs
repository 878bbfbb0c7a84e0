//! The account's IAM and STS: roles as Terraform makes them, and whose credentials are whose.

use axum::{body::Body, http::Request};

use super::{
    control::signed,
    ground::{self, AUTHORITY, Account, Answer, account, leaf},
};

async fn call(account: &Account, service: &str, form: &str) -> Answer {
    let administrator = account.sim.administrator();
    let keys = (
        &*administrator.access_key_id,
        administrator.secret_key.expose(),
        administrator.session_token.expose(),
    );
    account
        .send(signed(("POST", "/", form), (service, "us-east-1"), keys))
        .await
}

async fn iam(account: &Account, action: &str, more: &str) -> Answer {
    let form = format!("Action={action}&Version=2010-05-08&RoleName=made{more}");
    call(account, "iam", &form).await
}

fn policy() -> String {
    let policy = ground::trust_policy("arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/x").to_string();
    url::form_urlencoded::byte_serialize(policy.as_bytes()).collect()
}

#[tokio::test]
async fn a_role_is_made_read_changed_and_deleted() {
    let account = account();
    let made = iam(
        &account,
        "CreateRole",
        &format!("&Description=d&AssumeRolePolicyDocument={}", policy()),
    )
    .await;
    assert!(
        made.text.contains("<Arn>arn:aws:iam::123456789012:role/made</Arn>"),
        "{}",
        made.text
    );
    assert!(
        made.text
            .contains("xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"")
    );

    let again = iam(
        &account,
        "CreateRole",
        &format!("&AssumeRolePolicyDocument={}", policy()),
    )
    .await;
    assert!(
        again.text.contains("<Code>EntityAlreadyExists</Code>"),
        "{}",
        again.text
    );
    assert_eq!(
        iam(&account, "UpdateRole", "&MaxSessionDuration=7200").await.status,
        200
    );
    let read = iam(&account, "GetRole", "").await;
    assert!(
        read.text.contains("<MaxSessionDuration>7200</MaxSessionDuration>"),
        "{}",
        read.text
    );
    assert!(read.text.contains("%22rolesanywhere.amazonaws.com%22"), "{}", read.text);
    let bad = iam(&account, "UpdateAssumeRolePolicy", "&PolicyDocument=%7B%7D").await;
    assert!(
        bad.text.contains("<Code>MalformedPolicyDocument</Code>"),
        "{}",
        bad.text
    );
}

#[tokio::test]
async fn a_role_holds_no_policies_and_can_be_deleted_once() {
    let account = account();
    iam(
        &account,
        "CreateRole",
        &format!("&AssumeRolePolicyDocument={}", policy()),
    )
    .await;
    let listed = iam(&account, "ListAttachedRolePolicies", "").await;
    assert!(
        listed.text.contains("<AttachedPolicies></AttachedPolicies>"),
        "{}",
        listed.text
    );

    assert_eq!(iam(&account, "DeleteRole", "").await.status, 200);
    assert!(
        iam(&account, "GetRole", "")
            .await
            .text
            .contains("<Code>NoSuchEntity</Code>")
    );
    assert!(
        iam(&account, "DeleteRole", "")
            .await
            .text
            .contains("<Code>NoSuchEntity</Code>")
    );
}

#[tokio::test]
async fn whoever_holds_issued_credentials_is_told_who_that_is() {
    let account = account();
    let created = account.create(&AUTHORITY.certify(&leaf()), &account.wanted()).await;
    let credentials = &created.body["credentialSet"][0]["credentials"];
    let text = |name: &str| credentials[name].as_str().unwrap();
    let keys = (text("accessKeyId"), text("secretAccessKey"), text("sessionToken"));
    let form = "Action=GetCallerIdentity&Version=2011-06-15";

    let answer = account
        .send(signed(("POST", "/", form), ("sts", ground::REGION), keys))
        .await;
    let arn = "arn:aws:sts::123456789012:assumed-role/deploy/shop-deploy@0123456789ab";
    assert!(answer.text.contains(&format!("<Arn>{arn}</Arn>")), "{}", answer.text);

    let wrong = (keys.0, "other", keys.2);
    let answer = account
        .send(signed(("POST", "/", form), ("sts", ground::REGION), wrong))
        .await;
    assert!(
        answer.text.contains("<Code>SignatureDoesNotMatch</Code>"),
        "{}",
        answer.text
    );
    let role = "Action=DeleteRole&Version=2010-05-08&RoleName=deploy";
    let answer = account
        .send(signed(("POST", "/", role), ("iam", "us-east-1"), keys))
        .await;
    assert!(answer.text.contains("<Code>AccessDenied</Code>"), "{}", answer.text);
}

#[tokio::test]
async fn the_administrator_is_of_the_account() {
    let account = account();

    let answer = call(&account, "sts", "Action=GetCallerIdentity&Version=2011-06-15").await;

    assert!(
        answer.text.contains("<Account>123456789012</Account>"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn unknown_actions_and_unsigned_requests_are_refused() {
    let account = account();

    assert!(
        iam(&account, "CreateUser", "")
            .await
            .text
            .contains("<Code>InvalidAction</Code>")
    );
    assert!(
        call(&account, "sts", "Action=AssumeRole&Version=2011-06-15")
            .await
            .text
            .contains("<Code>InvalidAction</Code>")
    );
    let form = "Action=DeleteRole&Version=2010-05-08&RoleName=deploy";
    let unsigned = Request::post("/").body(Body::from(form)).unwrap();
    let answer = account.send(unsigned).await;
    assert!(
        answer.text.contains("<Code>MissingAuthenticationToken</Code>"),
        "{}",
        answer.text
    );
}

//! The control plane as Terraform and the AWS CLI call it, signed by the account's administrator.

use axum::{body::Body, http::Request};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::ground::{self, AUTHORITY, Account, Answer, NOW, ROLE, account, leaf};
use crate::secret::{Digest, hex};

/// Signs as AWS documents Signature Version 4; the tests' own, not the simulator's.
pub(super) fn signed(
    (method, path_and_query, body): (&str, &str, &str),
    (service, region): (&str, &str),
    keys: (&str, &str, &str),
) -> Request<Body> {
    use aws_lc_rs::hmac;
    let (access_key, secret_key, token) = keys;
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let date: String = NOW.chars().filter(|one| !"-:".contains(*one)).collect();
    let headers = format!("host:localhost\nx-amz-date:{date}\nx-amz-security-token:{token}\n");
    let names = "host;x-amz-date;x-amz-security-token";
    let request = format!(
        "{method}\n{path}\n{query}\n{headers}\n{names}\n{}",
        Digest::of(body.as_bytes())
    );
    let scope = format!("{}/{region}/{service}/aws4_request", date.get(..8).unwrap());
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", Digest::of(request.as_bytes()));
    let mac = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    let first = format!("AWS4{secret_key}").into_bytes();
    let key = scope
        .split('/')
        .fold(first, |key, part| mac(&key, part).as_ref().to_vec());
    let signature = hex(mac(&key, &to_sign).as_ref());
    Request::builder()
        .method(method)
        .uri(path_and_query)
        .header("host", "localhost")
        .header("x-amz-date", &date)
        .header("x-amz-security-token", token)
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"),
        )
        .body(Body::from(body.to_owned()))
        .unwrap()
}

async fn call(account: &Account, method: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let administrator = account.sim.administrator();
    let keys = (
        &*administrator.access_key_id,
        administrator.secret_key.expose(),
        administrator.session_token.expose(),
    );
    account
        .send(signed((method, path, &body), ("rolesanywhere", ground::REGION), keys))
        .await
}

fn source(pem: &str) -> Value {
    json!({ "sourceType": "CERTIFICATE_BUNDLE", "sourceData": { "x509CertificateData": pem } })
}

#[tokio::test]
async fn a_trust_anchor_is_created_read_changed_switched_and_deleted() {
    let account = account();
    let pem = AUTHORITY.root.pem();
    let new =
        json!({ "name": "cambio", "source": source(&pem), "enabled": true, "tags": [{ "key": "a", "value": "b" }] });

    let created = call(&account, "POST", "/trustanchors", new).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let anchor = &created.body["trustAnchor"];
    let (id, arn) = (
        anchor["trustAnchorId"].as_str().unwrap(),
        anchor["trustAnchorArn"].as_str().unwrap(),
    );
    assert!(arn.ends_with(&format!(":trust-anchor/{id}")));
    assert_eq!(anchor["source"], source(&pem));
    let path = format!("/trustanchor/{id}");

    let other = ground::Authority::new().root.pem();
    let changed = call(
        &account,
        "PATCH",
        &path,
        json!({ "name": "new", "source": source(&other) }),
    )
    .await;
    assert_eq!(changed.body["trustAnchor"]["source"], source(&other));
    let off = call(&account, "POST", &format!("{path}/disable"), Value::Null).await;
    assert_eq!(
        (&off.body["trustAnchor"]["enabled"], &off.body["trustAnchor"]["name"]),
        (&json!(false), &json!("new"))
    );
    let tags = format!(
        "/ListTagsForResource?resourceArn={}",
        arn.replace(':', "%3A").replace('/', "%2F")
    );
    let tags = call(&account, "GET", &tags, Value::Null).await;
    assert_eq!(tags.body["tags"], json!([{ "key": "a", "value": "b" }]));

    assert_eq!(call(&account, "DELETE", &path, Value::Null).await.status, 200);
    let gone = call(&account, "GET", &path, Value::Null).await;
    assert_eq!((gone.status.as_u16(), gone.code()), (404, "ResourceNotFoundException"));
}

#[tokio::test]
async fn a_profile_is_created_changed_and_its_mappings_with_it() {
    let account = account();
    let new = json!({ "name": "p", "roleArns": [ROLE], "durationSeconds": 900, "acceptRoleSessionName": true });

    let created = call(&account, "POST", "/profiles", new).await;
    let profile = &created.body["profile"];
    assert_eq!(
        (created.status.as_u16(), &profile["durationSeconds"]),
        (201, &json!(900)),
        "{}",
        created.text
    );
    assert_eq!(
        profile["attributeMappings"][0],
        json!({ "certificateField": "x509Issuer", "mappingRules": [{ "specifier": "*" }] })
    );
    let id = profile["profileId"].as_str().unwrap();

    let rules = json!({ "certificateField": "x509SAN", "mappingRules": [{ "specifier": "URI" }] });
    let mapped = call(&account, "PUT", &format!("/profiles/{id}/mappings"), rules.clone()).await;
    assert!(
        mapped.body["profile"]["attributeMappings"]
            .as_array()
            .unwrap()
            .contains(&rules),
        "{}",
        mapped.text
    );
    let path = format!("/profiles/{id}/mappings?certificateField=x509SAN");
    let unmapped = call(&account, "DELETE", &path, Value::Null).await;
    assert_eq!(
        unmapped.body["profile"]["attributeMappings"].as_array().unwrap().len(),
        2
    );

    let path = format!("/profile/{id}");
    let changed = call(
        &account,
        "PATCH",
        &path,
        json!({ "durationSeconds": 1800, "acceptRoleSessionName": false }),
    )
    .await;
    let profile = &changed.body["profile"];
    assert_eq!(
        (&profile["durationSeconds"], &profile["acceptRoleSessionName"]),
        (&json!(1800), &json!(false))
    );
    assert_eq!(profile["roleArns"], json!([ROLE]));
    let bad = call(&account, "PATCH", &path, json!({ "durationSeconds": 899 })).await;
    assert_eq!(bad.code(), "ValidationException");
}

#[tokio::test]
async fn an_imported_revocation_list_stops_new_sessions_until_it_is_disabled() {
    let account = account();
    let workload = AUTHORITY.certify(&leaf());
    let list = AUTHORITY.revocations(&[&ground::SERIAL], "2026-02-01T00:00:00Z");
    let new =
        json!({ "name": "c", "crlData": STANDARD.encode(&list), "trustAnchorArn": account.anchor, "enabled": true });

    let created = call(&account, "POST", "/crls", new).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let refused = account.create(&workload, &account.wanted()).await;
    assert_eq!(refused.message(), "Certificate revoked");

    let id = created.body["crl"]["crlId"].as_str().unwrap();
    let other = AUTHORITY.revocations(&[&[9]], "2026-02-01T00:00:00Z");
    let update = json!({ "crlData": STANDARD.encode(&other) });
    assert_eq!(call(&account, "PATCH", &format!("/crl/{id}"), update).await.status, 200);
    assert_eq!(account.create(&workload, &account.wanted()).await.status, 201);

    let back = json!({ "crlData": STANDARD.encode(&list) });
    call(&account, "PATCH", &format!("/crl/{id}"), back).await;
    assert_eq!(account.create(&workload, &account.wanted()).await.status, 403);
    call(&account, "POST", &format!("/crl/{id}/disable"), Value::Null).await;
    assert_eq!(account.create(&workload, &account.wanted()).await.status, 201);
}

#[tokio::test]
async fn a_third_list_of_one_anchor_and_one_of_no_anchor_are_refused() {
    let account = account();
    let list = STANDARD.encode(AUTHORITY.revocations(&[], "2026-02-01T00:00:00Z"));
    let new = |anchor: &str| json!({ "name": "c", "crlData": list, "trustAnchorArn": anchor });

    for status in [201, 201, 400] {
        assert_eq!(
            call(&account, "POST", "/crls", new(&account.anchor)).await.status,
            status
        );
    }
    let other = account.anchor.replace("trust-anchor/", "trust-anchor/x");
    assert_eq!(call(&account, "POST", "/crls", new(&other)).await.status, 404);
    let garbage = json!({ "name": "c", "crlData": STANDARD.encode("no list"), "trustAnchorArn": account.anchor });
    assert_eq!(
        call(&account, "POST", "/crls", garbage).await.code(),
        "ValidationException"
    );
}

#[tokio::test]
async fn a_list_that_its_issuer_did_not_sign_closes_and_never_opens() {
    let account = account();
    let forged = ground::Authority::new().revocations(&[], "2026-02-01T00:00:00Z");
    let new = json!({ "name": "c", "crlData": STANDARD.encode(forged), "trustAnchorArn": account.anchor });
    assert_eq!(call(&account, "POST", "/crls", new).await.status, 201);

    let answer = account.create(&AUTHORITY.certify(&leaf()), &account.wanted()).await;

    assert_eq!(answer.message(), "Certificate revoked");
}

#[tokio::test]
async fn tags_come_and_go() {
    let account = account();
    let new = json!({ "name": "p", "roleArns": [ROLE], "tags": [{ "key": "a", "value": "1" }] });
    let created = call(&account, "POST", "/profiles", new).await;
    let arn = created.body["profile"]["profileArn"].as_str().unwrap();

    let more = json!({ "resourceArn": arn, "tags": [{ "key": "b", "value": "2" }] });
    assert_eq!(call(&account, "POST", "/TagResource", more).await.status, 201);
    let less = json!({ "resourceArn": arn, "tagKeys": ["a"] });
    assert_eq!(call(&account, "POST", "/UntagResource", less).await.status, 200);

    let path = format!(
        "/ListTagsForResource?resourceArn={}",
        arn.replace(':', "%3A").replace('/', "%2F")
    );
    assert_eq!(
        call(&account, "GET", &path, Value::Null).await.body["tags"],
        json!([{ "key": "b", "value": "2" }])
    );
    let nothing = json!({ "resourceArn": "arn:x", "tags": [] });
    assert_eq!(
        call(&account, "POST", "/TagResource", nothing).await.code(),
        "ResourceNotFoundException"
    );
}

#[tokio::test]
async fn t_31_nobody_but_the_administrator_changes_anything() {
    let account = account();
    let body = json!({ "name": "evil", "source": source(&ground::Authority::new().root.pem()) }).to_string();
    let unsigned = Request::post("/trustanchors").body(Body::from(body.clone())).unwrap();
    assert_eq!(account.send(unsigned).await.code(), "AccessDeniedException");

    let administrator = account.sim.administrator();
    let token = administrator.session_token.expose();
    let wrong = (&*administrator.access_key_id, "guessed", token);
    let guessed = signed(
        ("POST", "/trustanchors", &body),
        ("rolesanywhere", ground::REGION),
        wrong,
    );
    assert_eq!(account.send(guessed).await.code(), "AccessDeniedException");

    let created = account.create(&AUTHORITY.certify(&leaf()), &account.wanted()).await;
    let credentials = &created.body["credentialSet"][0]["credentials"];
    let text = |name: &str| credentials[name].as_str().unwrap();
    let keys = (text("accessKeyId"), text("secretAccessKey"), text("sessionToken"));
    let workload = signed(
        ("POST", "/trustanchors", &body),
        ("rolesanywhere", ground::REGION),
        keys,
    );
    let answer = account.send(workload).await;
    assert!(answer.message().contains("is not authorized"), "{answer:?}");
}

#[tokio::test]
async fn what_is_not_supported_is_refused_and_never_ignored() {
    let account = account();
    for (method, path, body) in [
        ("PATCH", "/put-notifications-settings", json!({})),
        ("GET", "/subject/x", Value::Null),
        (
            "POST",
            "/trustanchors",
            json!({ "name": "a", "source": { "sourceType": "AWS_ACM_PCA", "sourceData": {} } }),
        ),
        (
            "POST",
            "/profiles",
            json!({ "name": "a", "roleArns": [], "aliasName": "b" }),
        ),
        ("POST", "/profiles", json!({ "name": "a" })),
        (
            "POST",
            "/profiles",
            json!({ "name": "a", "roleArns": ["arn:aws:iam::210987654321:role/other"] }),
        ),
    ] {
        let answer = call(&account, method, path, body.clone()).await;
        assert!(answer.status.is_client_error(), "{method} {path} {body}: {answer:?}");
    }
}

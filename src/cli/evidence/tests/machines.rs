//! Machines whose metadata service or role signs something, and metadata services that do not do what they should.

use std::{sync::Mutex, time::Duration};

use aws_lc_rs::hmac;
use axum::{
    Json, Router,
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::any,
};

use super::*;
use crate::{
    attest::challenge,
    clock::parse_rfc3339,
    secret::{Digest, hex},
    sim::{Listen as _, server::Loopback},
};

/// A challenge, as long as one is.
const CHALLENGE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA1";
/// `0x30 0x00`: an empty DER sequence, which this side takes for a signed document.
const DOCUMENT: &str = "MAA=";

/// What a metadata service does at the path that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Answers,
    Fails(u16),
    Garbage,
    Oversized,
    Slow,
}

type Seen = Arc<Mutex<Vec<String>>>;

/// A machine: its metadata service, and a gateway that gives challenges.
struct Machine {
    metadata: String,
    gateway: Gateway,
    seen: Seen,
    _running: (tempfile::TempDir, tokio::sync::watch::Sender<bool>),
}

/// Answers as EC2 and Azure do where nothing is wrong.
fn good(path: &str) -> Response {
    match path {
        "/latest/api/token" => "the-session".into_response(),
        "/latest/meta-data/iam/security-credentials/" => "deploy".into_response(),
        "/latest/meta-data/iam/security-credentials/deploy" => Json(
            json!({ "AccessKeyId": "ASIA0000000000000001", "SecretAccessKey": "canary+secret", "Token": "a+b/c==" }),
        )
        .into_response(),
        "/latest/meta-data/placement/region" => "eu-central-1".into_response(),
        "/" => UNREADABLE.into_response(),
        "/latest/dynamic/instance-identity/rsa2048" => "MA\nA=\n".into_response(),
        "/metadata/attested/document" => Json(json!({ "encoding": "pkcs7", "signature": DOCUMENT })).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// An answer of STS with a date that no SDK reads.
const UNREADABLE: &str = "<GetWebIdentityTokenResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetWebIdentityTokenResult>\
                          <WebIdentityToken>canary.canary.canary</WebIdentityToken><Expiration>never</Expiration>\
                          </GetWebIdentityTokenResult></GetWebIdentityTokenResponse>";

async fn answer((seen, at, behaviour): (Seen, &'static str, Behaviour), request: Request) -> Response {
    let header = |name: &str| {
        let value = request.headers().get(name).map(|value| value.to_str().unwrap());
        value.map(|value| format!(" {name}={value}")).unwrap_or_default()
    };
    let headers = [
        "x-aws-ec2-metadata-token-ttl-seconds",
        "x-aws-ec2-metadata-token",
        "metadata",
    ]
    .map(header);
    let asked = format!("{} {}{}", request.method(), request.uri(), headers.concat());
    seen.lock().unwrap().push(asked);
    let path = request.uri().path();
    if path != at {
        return good(path);
    }
    match behaviour {
        Behaviour::Answers => good(path),
        Behaviour::Fails(status) => (StatusCode::from_u16(status).unwrap(), "canary").into_response(),
        Behaviour::Garbage => "<html>canary</html>".into_response(),
        Behaviour::Oversized => "A".repeat(40_000).into_response(),
        Behaviour::Slow => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            good(path)
        }
    }
}

impl Machine {
    async fn that_answers() -> Self {
        Self::that("", Behaviour::Answers).await
    }

    async fn that(at: &'static str, behaviour: Behaviour) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let metadata = format!("http://{}", listener.local_addr().unwrap());
        let seen = Seen::default();
        let state = (Arc::clone(&seen), at, behaviour);
        let routes = Router::new().fallback(any(move |request: Request| answer(state.clone(), request)));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let (gateway, running) = gateway(json!({ "challenge": CHALLENGE, "expires_in": 60 }));
        Self {
            metadata,
            gateway,
            seen,
            _running: running,
        }
    }

    async fn finds(&self, attest: Attest, more: &[(&str, &str)]) -> Result<Evidence, Failure> {
        let variables = [
            &[
                ("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.metadata.as_str()),
                ("AZURE_POD_IDENTITY_AUTHORITY_HOST", self.metadata.as_str()),
            ],
            more,
        ]
        .concat();
        look((attest, platform::Machine::Other), &variables, &self.gateway)
            .await
            .0
    }

    async fn refuses(&self, attest: Attest) -> String {
        let failure = self.finds(attest, &[]).await.unwrap_err();
        shown(&failure).replace(&self.metadata, "<metadata>")
    }

    fn asked(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// Looks at one place, and returns what was noted as well.
async fn look(
    (attest, machine): (Attest, platform::Machine),
    variables: &[(&str, &str)],
    gateway: &Gateway,
) -> (Result<Evidence, Failure>, String) {
    let arguments = EvidenceArguments {
        attest,
        audience: Some("https://id.acme.example".to_owned()),
        ..EvidenceArguments::default()
    };
    let environment = environment(variables);
    let asked = Asked {
        arguments: &arguments,
        environment: &environment,
        gateway,
        machine,
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let found = asked.find(&mut Output::new(&mut stdout, &mut stderr)).await;
    (found, String::from_utf8(stderr).unwrap())
}

/// A gateway that answers whatever it is asked with this.
fn gateway(body: Value) -> (Gateway, (tempfile::TempDir, tokio::sync::watch::Sender<bool>)) {
    let directory = tempfile::tempdir().unwrap();
    let (loopback, files, stop) = Loopback::throw_away(directory.path(), crate::clock::system().now()).unwrap();
    let bound = loopback.bind().unwrap();
    let status = match body.get("status") {
        Some(_problem) => StatusCode::SERVICE_UNAVAILABLE,
        None => StatusCode::OK,
    };
    (bound.serve)(Router::new().fallback(any(move || async move { (status, Json(body)) })));
    let arguments = GatewayArguments {
        gateway: Some(bound.url),
        ca_file: Some(files.ca),
        ..GatewayArguments::default()
    };
    let gateway = Gateway::of(&arguments, &environment(&[])).unwrap();
    (gateway, (directory, stop))
}

#[tokio::test]
async fn an_instance_asks_for_its_document_in_a_session() {
    let machine = Machine::that_answers().await;

    let evidence = machine.finds(Attest::AwsInstance, &[]).await.unwrap();

    assert_eq!((evidence.token.expose(), evidence.holder), (DOCUMENT, Holder::Process));
    assert_eq!(
        machine.asked(),
        [
            "PUT /latest/api/token x-aws-ec2-metadata-token-ttl-seconds=60",
            "GET /latest/dynamic/instance-identity/rsa2048 x-aws-ec2-metadata-token=the-session",
        ]
    );
}

#[tokio::test]
async fn an_answer_of_sts_that_cannot_be_read_is_not_repeated() {
    let machine = Machine::that_answers().await;
    let sts = [("AWS_ENDPOINT_URL_STS", machine.metadata.as_str())];

    let failure = machine.finds(Attest::AwsIam, &sts).await.unwrap_err();

    let shown = shown(&failure);
    assert!(shown.contains("none of STS's"), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
    assert!(
        machine.asked().iter().any(|asked| asked == "POST /"),
        "{:?}",
        machine.asked()
    );
}

#[tokio::test]
async fn a_containers_endpoint_is_named_without_the_path_that_opens_it() {
    let machine = Machine::that_answers().await;
    let url = format!("{}/v2/credentials/canary", machine.metadata);
    let container = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_REGION", "eu-central-1"),
    ];

    let failure = machine.finds(Attest::AwsIam, &container).await.unwrap_err();

    let shown = shown(&failure);
    assert!(
        shown.contains(&machine.metadata) && shown.contains("found status 404"),
        "{shown}"
    );
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn takes_16_kib_that_open_a_containers_endpoint_and_refuses_one_byte_more() {
    let machine = Machine::that_answers().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let container = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", machine.metadata.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.path().to_str().unwrap()),
        ("AWS_REGION", "eu-central-1"),
    ];

    for (bytes, why, asked) in [
        (16 * 1024 + 1, "more than the 16384 bytes expected at most", 0),
        (16 * 1024, "found no JSON, expected credentials", 1),
    ] {
        std::fs::write(file.path(), "x".repeat(bytes)).unwrap();

        let failure = machine.finds(Attest::AwsIam, &container).await.unwrap_err();

        assert!(shown(&failure).contains(why), "{bytes}: {}", shown(&failure));
        assert_eq!(machine.asked().len(), asked, "{bytes}");
    }
}

#[tokio::test]
async fn takes_1_mib_of_authorities_for_sts_and_refuses_one_byte_more() {
    let machine = Machine::that_answers().await;
    for (bytes, why) in [
        (1024 * 1024, "none of STS's"),
        (1024 * 1024 + 1, "more than the 1048576 bytes expected at most"),
    ] {
        let file = crate::bounded_file::sample::authorities(bytes);
        let sts = [
            ("AWS_ENDPOINT_URL_STS", machine.metadata.as_str()),
            ("AWS_CA_BUNDLE", file.path().to_str().unwrap()),
        ];

        let failure = machine.finds(Attest::AwsIam, &sts).await.unwrap_err();

        assert!(shown(&failure).contains(why), "{bytes}: {}", shown(&failure));
    }
}

#[tokio::test]
async fn an_instances_document_is_never_asked_for_unless_it_is_named() {
    let machine = Machine::that("/latest/meta-data/iam/security-credentials/", Behaviour::Fails(404)).await;

    let failure = machine.finds(Attest::Auto, &[]).await.unwrap_err();

    assert_eq!(failure.exit(), Exit::Unattested);
    let document = |asked: &String| asked.contains("instance-identity");
    assert!(!machine.asked().iter().any(document), "{:?}", machine.asked());
}

#[tokio::test]
async fn a_metadata_service_that_gives_no_document_is_named_with_what_it_gave() {
    const DOCUMENT: &str = "/latest/dynamic/instance-identity/rsa2048";
    for (at, behaviour, why) in [
        (DOCUMENT, Behaviour::Fails(404), "found status 404, expected 200"),
        (DOCUMENT, Behaviour::Fails(401), "found status 401, expected 200"),
        (DOCUMENT, Behaviour::Fails(302), "found status 302, expected 200"),
        (DOCUMENT, Behaviour::Garbage, "no base64 of a signed document"),
        (DOCUMENT, Behaviour::Oversized, "found more than 32768 bytes"),
        (
            "/latest/api/token",
            Behaviour::Fails(403),
            "found status 403, expected 200",
        ),
    ] {
        let machine = Machine::that(at, behaviour).await;

        let shown = machine.refuses(Attest::AwsInstance).await;

        assert!(shown.starts_with("exit 4\n"), "{behaviour:?}: {shown}");
        assert!(
            shown.contains(why) && !shown.contains("canary"),
            "{behaviour:?}: {shown}"
        );
        assert!(shown.contains(&format!("`<metadata>{at}`")), "{behaviour:?}: {shown}");
    }
}

#[tokio::test]
async fn a_metadata_service_that_says_nothing_is_waited_for_5_s_and_named() {
    let machine = Machine::that("/latest/dynamic/instance-identity/rsa2048", Behaviour::Slow).await;

    let shown = machine.refuses(Attest::AwsInstance).await;

    insta::assert_snapshot!(shown, @r"
    exit 4
    error: the metadata service of EC2 gave no identity document

    Caused by:
      asked `<metadata>/latest/dynamic/instance-identity/rsa2048`
      error sending request
      operation timed out
    ");
}

#[tokio::test]
async fn a_metadata_service_that_is_not_there_is_named() {
    let (gateway, _running) = gateway(json!({ "challenge": CHALLENGE }));
    for (attest, variable, address) in [
        (
            Attest::AwsInstance,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            "`http://127.0.0.1:1/latest/api/token`",
        ),
        (
            Attest::AzureAttested,
            "AZURE_POD_IDENTITY_AUTHORITY_HOST",
            "`http://127.0.0.1:1/metadata/attested/document`",
        ),
    ] {
        let variables = [(variable, "http://127.0.0.1:1")];

        let (found, _noted) = look((attest, platform::Machine::Other), &variables, &gateway).await;

        let shown = shown(&found.unwrap_err());
        assert!(shown.starts_with("exit 4\n") && shown.contains(address), "{shown}");
    }
}

#[tokio::test]
async fn a_vm_has_its_document_signed_over_the_gateways_challenge() {
    let machine = Machine::that_answers().await;

    let evidence = machine.finds(Attest::AzureAttested, &[]).await.unwrap();

    let expected = format!("cambio-azure-v1.{CHALLENGE}.{DOCUMENT}");
    assert_eq!(
        (evidence.token.expose(), evidence.holder),
        (expected.as_str(), Holder::Process)
    );
    // The first 32 hex digits of the challenge's SHA-256.
    let nonce = hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, CHALLENGE.as_bytes()).as_ref());
    let nonce = nonce.split_at(32).0;
    assert_eq!(
        machine.asked(),
        [format!(
            "GET /metadata/attested/document?api-version=2025-04-07&nonce={nonce} metadata=true"
        )]
    );
}

#[tokio::test]
async fn a_vm_whose_metadata_service_signs_nothing_names_it() {
    const AT: &str = "/metadata/attested/document";
    for (behaviour, why) in [
        (Behaviour::Fails(404), "found status 404, expected 200"),
        (Behaviour::Fails(401), "found status 401, expected 200"),
        (Behaviour::Garbage, "found no `encoding` and `signature`"),
        (Behaviour::Oversized, "found more than 32768 bytes"),
    ] {
        let machine = Machine::that(AT, behaviour).await;

        let shown = machine.refuses(Attest::AzureAttested).await;

        assert!(shown.starts_with("exit 4\n"), "{behaviour:?}: {shown}");
        assert!(
            shown.contains(why) && !shown.contains("canary"),
            "{behaviour:?}: {shown}"
        );
        assert!(shown.contains(&format!("`<metadata>{AT}`")), "{behaviour:?}: {shown}");
    }
}

#[tokio::test]
async fn what_a_vm_takes_for_a_document_is_pkcs7_in_base64() {
    for (encoding, signature) in [("jws", DOCUMENT), ("pkcs7", ""), ("pkcs7", "canary canary")] {
        let refused = azure::attested::read(
            CHALLENGE,
            json!({ "encoding": encoding, "signature": signature })
                .to_string()
                .as_bytes(),
        );

        let refused = format!("{:#}", refused.unwrap_err());
        assert!(!refused.contains("canary"), "{refused}");
    }
}

#[tokio::test]
async fn no_question_is_signed_without_a_challenge() {
    let problem = json!({ "status": 503, "code": "key.unavailable", "title": "t", "detail": "d" });
    for (body, exit) in [
        (problem, Exit::Unreachable),
        (json!({ "challenge": "short" }), Exit::Failed),
        (
            json!({ "challenge": format!("{}\r\n", CHALLENGE.split_at(73).0) }),
            Exit::Failed,
        ),
        (json!({}), Exit::Failed),
    ] {
        let (gateway, _running) = gateway(body.clone());
        let variables = [
            ("AWS_ACCESS_KEY_ID", "ASIA0000000000000001"),
            ("AWS_SECRET_ACCESS_KEY", "canary"),
            ("AWS_REGION", "eu-central-1"),
        ];
        for attest in [Attest::AwsPresigned, Attest::AzureAttested] {
            let (found, _noted) = look((attest, platform::Machine::Other), &variables, &gateway).await;

            assert_eq!(found.unwrap_err().exit(), exit, "{attest:?} {body}");
        }
    }
}

fn url_of(evidence: &Evidence) -> String {
    let token = evidence.token.expose();
    let rest = token.strip_prefix(&format!("cambio-aws-v1.{CHALLENGE}.")).unwrap();
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(rest).unwrap()).unwrap()
}

fn mac(key: &[u8], message: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
}

#[tokio::test]
async fn an_instances_role_signs_a_question_over_the_gateways_challenge() {
    let machine = Machine::that_answers().await;

    let evidence = machine.finds(Attest::AwsPresigned, &[]).await.unwrap();

    assert_eq!(evidence.holder, Holder::Process);
    let url = url_of(&evidence);
    let (signed, signature) = url.split_once("&X-Amz-Signature=").unwrap();
    let query = "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=ASIA0000000000000001%2F20260116%2Feu-central-1%2Fsts%2Faws4_request&X-Amz-Date=20260116T144000Z\
        &X-Amz-Expires=60&X-Amz-Security-Token=a%2Bb%2Fc%3D%3D&X-Amz-SignedHeaders=host%3Bx-cambio-challenge";
    assert_eq!(signed, format!("https://sts.eu-central-1.amazonaws.com/?{query}"));
    // Signature version 4, written out.
    let request = format!(
        "GET\n/\n{query}\nhost:sts.eu-central-1.amazonaws.com\nx-cambio-challenge:{CHALLENGE}\n\nhost;x-cambio-challenge\n\
         e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n20260116T144000Z\n20260116/eu-central-1/sts/aws4_request\n{}",
        Digest::of(request.as_bytes())
    );
    let parts = ["20260116", "eu-central-1", "sts", "aws4_request"];
    let key = parts
        .iter()
        .fold(b"AWS4canary+secret".to_vec(), |key, part| mac(&key, part));
    assert_eq!(signature, hex(&mac(&key, &to_sign)));
    assert!(!url.contains("canary"));
}

#[tokio::test]
async fn whoever_has_a_roles_variables_signs_with_them_when_told_to() {
    let machine = Machine::that_answers().await;
    let variables = [
        ("AWS_ACCESS_KEY_ID", "ASIA0000000000000002"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
        ("AWS_SESSION_TOKEN", "token"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ];

    let evidence = machine.finds(Attest::AwsPresigned, &variables).await.unwrap();

    let url = url_of(&evidence);
    assert!(url.starts_with("https://sts.us-east-1.amazonaws.com/?"), "{url}");
    assert!(url.contains("ASIA0000000000000002%2F20260116%2Fus-east-1"), "{url}");
    assert!(!url.contains("canary") && machine.asked().is_empty());
}

#[tokio::test]
async fn a_region_whose_sts_is_not_known_is_named() {
    let machine = Machine::that_answers().await;

    let failure = machine
        .finds(Attest::AwsPresigned, &[("AWS_REGION", "eu-central-9")])
        .await;

    let shown = shown(&failure.unwrap_err());
    assert!(
        shown.starts_with("exit 4\nerror: found region `eu-central-9`"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_region_that_would_make_another_host_is_refused_before_anything_is_signed() {
    let machine = Machine::that_answers().await;
    let longer = "a".repeat(33);
    for region in [
        "evil.test/",
        "evil.test#",
        "u@evil.test:443/",
        "EU-central-1",
        "eu central 1",
        &longer,
    ] {
        for variable in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            for attest in [Attest::AwsIam, Attest::AwsPresigned] {
                let sts = ("AWS_ENDPOINT_URL_STS", machine.metadata.as_str());

                let failure = machine.finds(attest, &[(variable, region), sts]).await.unwrap_err();

                let shown = shown(&failure);
                let why = format!("found `{region}` in {variable}, expected the name of a region");
                assert!(shown.starts_with("exit 4\n") && shown.contains(&why), "{shown}");
            }
        }
    }
    assert!(!machine.asked().iter().any(|asked| asked == "POST /"));
}

#[tokio::test]
async fn a_region_of_32_characters_is_asked_about() {
    let machine = Machine::that_answers().await;
    let longest = "a".repeat(32);
    let variables = [
        ("AWS_REGION", longest.as_str()),
        ("AWS_ENDPOINT_URL_STS", machine.metadata.as_str()),
    ];

    let failure = machine.finds(Attest::AwsIam, &variables).await.unwrap_err();

    assert!(shown(&failure).contains("none of STS's"), "{}", shown(&failure));
    assert!(machine.asked().iter().any(|asked| asked == "POST /"));
}

#[tokio::test]
async fn a_region_of_the_metadata_service_that_none_is_called_is_refused_and_not_repeated() {
    let machine = Machine::that("/latest/meta-data/placement/region", Behaviour::Garbage).await;
    for attest in [Attest::AwsIam, Attest::AwsPresigned] {
        let shown = machine.refuses(attest).await;

        assert!(
            shown.contains("the metadata service names a region that none is called"),
            "{shown}"
        );
        assert!(!shown.contains("canary"), "{shown}");
    }
    assert!(!machine.asked().iter().any(|asked| asked == "POST /"));
}

#[tokio::test]
async fn a_role_whose_credentials_are_not_to_be_had_names_the_metadata_service() {
    for (at, behaviour, why) in [
        (
            "/latest/meta-data/iam/security-credentials/",
            Behaviour::Fails(404),
            "the instance has no role",
        ),
        (
            "/latest/meta-data/iam/security-credentials/deploy",
            Behaviour::Oversized,
            "found more than 32768 bytes",
        ),
        (
            "/latest/api/token",
            Behaviour::Fails(401),
            "the metadata service opens no session",
        ),
    ] {
        let machine = Machine::that(at, behaviour).await;

        let shown = machine.refuses(Attest::AwsPresigned).await;

        assert!(shown.starts_with("exit 4\n") && shown.contains(why), "{shown}");
        assert!(shown.contains(&format!("`<metadata>{at}`")), "{shown}");
    }
}

#[test]
fn the_nonce_of_a_challenge_is_what_the_attestor_expects() {
    let random = SystemRandom;
    let now = parse_rfc3339("2026-01-16T14:40:00Z").unwrap();
    let challenges = challenge::Challenges::derived(&[7; 32]).unwrap();
    let made = challenges.issue(&random, now).unwrap();

    assert_eq!(challenge::nonce(made.as_str()), made.nonce());
}

/// Answers STS's question for a web identity token with an error, or Azure's with one.
async fn platform_that_refuses(status: u16, kind: &'static str, body: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = move |request: Request| {
        let body = body.clone();
        async move {
            match request.uri().path() {
                "/" | "/metadata/identity/oauth2/token" => {
                    let status = StatusCode::from_u16(status).unwrap();
                    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
                }
                other => good(other),
            }
        }
    };
    let routes = Router::new().fallback(any(answer));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

async fn sts_that_refuses(code: &str) -> String {
    let body =
        format!("<ErrorResponse><Error><Code>{code}</Code><Message>no\u{202e}</Message></Error></ErrorResponse>");
    platform_that_refuses(403, "text/xml", body).await
}

#[tokio::test]
async fn where_aws_lets_a_role_have_no_token_auto_has_it_sign_a_question_and_says_so() {
    let (gateway, _running) = gateway(json!({ "challenge": CHALLENGE }));
    for code in ["OutboundWebIdentityFederationDisabledException", "AccessDenied"] {
        let url = sts_that_refuses(code).await;
        let variables = [
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str()),
            ("AWS_ENDPOINT_URL_STS", url.as_str()),
        ];

        let (found, noted) = look((Attest::Auto, platform::Machine::Other), &variables, &gateway).await;

        assert!(found.unwrap().token.expose().starts_with("cambio-aws-v1."), "{noted}");
        assert!(
            noted.starts_with("note: AWS gave no web identity token") && noted.contains(code),
            "{noted}"
        );
        assert!(
            noted.ends_with("; trying another way\n") && !noted.contains('\u{202e}'),
            "{noted}"
        );

        let (named, noted) = look((Attest::AwsIam, platform::Machine::Other), &variables, &gateway).await;

        let shown = shown(&named.unwrap_err());
        assert!(
            shown.starts_with("exit 4\n") && shown.contains("--attest aws_presigned"),
            "{shown}"
        );
        assert_eq!(noted, "");
    }
}

#[tokio::test]
async fn another_refusal_of_aws_is_the_answer_as_it_was() {
    let (gateway, _running) = gateway(json!({ "challenge": CHALLENGE }));
    let url = sts_that_refuses("ExpiredToken").await;
    let variables = [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str()),
        ("AWS_ENDPOINT_URL_STS", url.as_str()),
    ];

    let (found, noted) = look((Attest::Auto, platform::Machine::Other), &variables, &gateway).await;

    let shown = shown(&found.unwrap_err());
    assert!(
        shown.starts_with("exit 4\n") && shown.contains("ExpiredToken"),
        "{shown}"
    );
    assert_eq!(noted, "");
}

#[tokio::test]
async fn where_a_vm_has_no_identity_auto_takes_its_document_and_says_so() {
    let (gateway, _running) = gateway(json!({ "challenge": CHALLENGE }));
    let body = json!({ "error": "invalid_request", "error_description": "Identity not found" });
    let url = platform_that_refuses(400, "application/json", body.to_string()).await;
    let host = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", url.as_str())];

    let (found, noted) = look((Attest::Auto, platform::Machine::Other), &host, &gateway).await;
    let (named, _noted) = look((Attest::AzureInstance, platform::Machine::Other), &host, &gateway).await;

    assert!(found.unwrap().token.expose().starts_with("cambio-azure-v1."), "{noted}");
    assert!(
        noted.starts_with("note: Azure gave no token of a managed identity"),
        "{noted}"
    );
    let shown = shown(&named.unwrap_err());
    assert!(
        shown.starts_with("exit 4\n") && shown.contains("--attest azure_attested"),
        "{shown}"
    );
}

#[tokio::test]
async fn an_identity_that_was_named_and_is_not_there_is_an_error_as_it_was() {
    let (gateway, _running) = gateway(json!({ "challenge": CHALLENGE }));
    let missing = json!({ "error": "invalid_request", "error_description": "Identity not found" });
    let other = json!({ "error": "invalid_resource", "error_description": "AADSTS500011" });
    for (status, body, client) in [(400, &missing, "4f3c"), (400, &other, ""), (500, &missing, "")] {
        let url = platform_that_refuses(status, "application/json", body.to_string()).await;
        let variables = [
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", url.as_str()),
            ("AZURE_CLIENT_ID", client),
        ];

        let (found, noted) = look((Attest::Auto, platform::Machine::Other), &variables, &gateway).await;

        let shown = shown(&found.unwrap_err());
        assert!(
            shown.contains(&format!("found status {status}, expected 200")),
            "{shown}"
        );
        assert!(
            shown.contains(&format!("asked `{url}/metadata/identity/oauth2/token`")),
            "{shown}"
        );
        assert_eq!(noted, "", "{body}");
    }
}

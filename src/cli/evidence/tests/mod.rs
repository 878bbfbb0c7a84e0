use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::{mounted::from_reader, platform::Machine, *};
use crate::{
    cli::{
        client::GatewayArguments,
        environment::Environment,
        output::Output,
        proof_key::{self, KeyDirectory},
    },
    clock::FakeClock,
    secret::SystemRandom,
};

fn environment(variables: &[(&str, &str)]) -> Environment {
    let variables: Vec<(String, String)> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let clock = FakeClock::at("2026-01-16T14:40:00Z");
    Environment::new(clock, Arc::new(SystemRandom), variables.into_iter())
}

fn shown(failure: &Failure) -> String {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let exit = failure.report(&mut Output::new(&mut stdout, &mut stderr));
    assert!(stdout.is_empty());
    format!("exit {}\n{}", exit.number(), String::from_utf8(stderr).unwrap())
}

/// Looks on a machine that says nothing of itself, with a gateway that nobody must ask.
async fn found(arguments: EvidenceArguments, variables: &[(&str, &str)]) -> Result<Evidence, Failure> {
    let environment = environment(variables);
    let nobody = GatewayArguments {
        gateway: Some("https://127.0.0.1:1".to_owned()),
        ..GatewayArguments::default()
    };
    let gateway = Gateway::of(&nobody, &environment).unwrap();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut output = Output::new(&mut stdout, &mut stderr);
    if arguments.token_file.is_some() {
        return find(&arguments, &gateway, &environment, &mut output).await;
    }
    let asked = Asked {
        arguments: &arguments,
        environment: &environment,
        gateway: &gateway,
        machine: Machine::Other,
    };
    asked.find(&mut output).await
}

#[tokio::test]
async fn says_where_it_looked_when_it_finds_nothing() {
    let failure = found(EvidenceArguments::default(), &[]).await.unwrap_err();

    insta::assert_snapshot!(shown(&failure), @r"
    exit 4
    error: there is no evidence of who this workload is

    Caused by:
      looked for --token-file (not given)
      looked for CAMBIO_ID_TOKEN (is not set)
      looked for ACTIONS_ID_TOKEN_REQUEST_URL (is not set) with ACTIONS_ID_TOKEN_REQUEST_TOKEN (is not set)
      looked for TFC_WORKLOAD_IDENTITY_TOKEN (is not set)
      looked for BUILDKITE_AGENT_ENDPOINT (is not set) with BUILDKITE_AGENT_ACCESS_TOKEN (is not set) with BUILDKITE_JOB_ID (is not set)
      looked for SYSTEM_OIDCREQUESTURI (is not set) with SYSTEM_ACCESSTOKEN (is not set)
      looked for BITBUCKET_STEP_OIDC_TOKEN (is not set)
      looked for SPACELIFT_OIDC_TOKEN (is not set)
      looked for CAMBIO_TOKEN_FILE (is not set) or /var/run/secrets/cambio/token (is not there)
      looked for AWS_CONTAINER_CREDENTIALS_RELATIVE_URI (is not set) or AWS_CONTAINER_CREDENTIALS_FULL_URI (is not set) or AWS_LAMBDA_FUNCTION_NAME (is not set) or AWS_EC2_METADATA_SERVICE_ENDPOINT (is not set) or a machine of Amazon's (it is none)
      looked for GCE_METADATA_HOST (is not set) or a machine of Google's (it is none)
      looked for IDENTITY_ENDPOINT (is not set) with IDENTITY_HEADER (is not set) or AZURE_POD_IDENTITY_AUTHORITY_HOST (is not set) or a machine of Azure's (it is none)
      looked for CAMBIO_STATE_DIR (is not set) with a machine's key in it (is not there)

    hint: give the workload's token with --token-file PATH, or name the place with --attest SOURCE
    ");
}

/// Puts a key into a state directory, as `cambio bound-key register` does.
fn registered() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let key = proof_key::generate().unwrap().to_pkcs8().unwrap();
    let pkcs8 = BASE64_STANDARD.encode(key.as_slice());
    let kept = json!({ "audience": "https://id.acme.example", "issuer": "urn:cambio:bound-key:plant", "pkcs8": pkcs8 });
    let keys = KeyDirectory::at(directory.path()).unwrap();
    keys.replace("bound.json", kept.to_string().as_bytes(), &SystemRandom)
        .unwrap();
    directory
}

fn of_machine(evidence: &Evidence) -> Value {
    let claims = evidence.token.expose().split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[tokio::test]
async fn a_machines_key_makes_evidence_when_nothing_else_does() {
    let disk = registered();
    let state = ("CAMBIO_STATE_DIR", disk.path().to_str().unwrap());

    let made = found(EvidenceArguments::default(), &[state]).await.unwrap();
    let again = found(EvidenceArguments::default(), &[state]).await.unwrap();
    let other = found(EvidenceArguments::default(), &[state, ("CAMBIO_ID_TOKEN", "ours")]).await;

    assert_eq!(made.holder, Holder::Process);
    assert_eq!(of_machine(&made)["iss"], "urn:cambio:bound-key:plant");
    assert_ne!(of_machine(&made)["jti"], of_machine(&again)["jti"]);
    assert_eq!(other.unwrap().token.expose(), "ours");
}

#[tokio::test]
async fn a_machines_key_is_taken_before_all_else_when_it_is_named() {
    let disk = registered();
    let arguments = EvidenceArguments {
        attest: Attest::BoundKey,
        ..EvidenceArguments::default()
    };
    let variables = [
        ("CAMBIO_STATE_DIR", disk.path().to_str().unwrap()),
        ("CAMBIO_ID_TOKEN", "ours"),
    ];

    let made = found(arguments.clone(), &variables).await.unwrap();
    let nowhere = found(arguments.clone(), &[]).await.unwrap_err();
    let empty = tempfile::tempdir().unwrap();
    let nothing = found(arguments, &[("CAMBIO_STATE_DIR", empty.path().to_str().unwrap())]).await;

    assert_eq!(of_machine(&made)["aud"], "https://id.acme.example");
    assert_eq!(nowhere.exit(), Exit::Usage);
    assert_eq!(nothing.unwrap_err().exit(), Exit::Unattested);
}

#[tokio::test]
async fn looking_for_a_machines_key_makes_no_directory() {
    let empty = tempfile::tempdir().unwrap();
    let state = empty.path().join("state");

    let failure = found(
        EvidenceArguments::default(),
        &[("CAMBIO_STATE_DIR", state.to_str().unwrap())],
    )
    .await;

    assert_eq!(failure.unwrap_err().exit(), Exit::Unattested);
    assert!(!state.exists());
}

#[tokio::test]
async fn names_the_permission_that_a_github_job_lacks() {
    let variables = [("GITHUB_ACTIONS", "true"), ("ACTIONS_ID_TOKEN_REQUEST_URL", "")];

    let failure = found(EvidenceArguments::default(), &variables).await.unwrap_err();

    assert!(shown(&failure).ends_with("hint: let the job have a token: permissions: { id-token: write }\n"));
}

#[tokio::test]
async fn names_what_jobs_runs_and_pods_lack() {
    for (variable, hint) in [
        ("GITLAB_CI", "id_tokens: { CAMBIO_ID_TOKEN"),
        ("TFC_RUN_ID", "TFC_WORKLOAD_IDENTITY_AUDIENCE"),
        ("KUBERNETES_SERVICE_HOST", "a projected serviceAccountToken"),
        ("CIRCLECI", "circleci run oidc get"),
    ] {
        let failure = found(EvidenceArguments::default(), &[(variable, "x")])
            .await
            .unwrap_err();
        assert!(shown(&failure).contains(hint), "{variable}");
    }
}

#[tokio::test]
async fn a_token_for_us_goes_before_what_the_ci_system_could_make() {
    let variables = [
        ("CAMBIO_ID_TOKEN", "ours"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://127.0.0.1:1/?a=b"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "canary"),
        ("TFC_WORKLOAD_IDENTITY_TOKEN", "theirs"),
    ];

    let evidence = found(EvidenceArguments::default(), &variables).await.unwrap();

    assert_eq!((evidence.token.expose(), evidence.holder), ("ours", Holder::Job));
}

#[tokio::test]
async fn takes_the_token_of_a_terraform_run() {
    let evidence = found(EvidenceArguments::default(), &[("TFC_WORKLOAD_IDENTITY_TOKEN", "run")]).await;

    assert_eq!(evidence.unwrap().token.expose(), "run");
}

#[tokio::test]
async fn github_needs_an_audience() {
    let variables = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://127.0.0.1:1/?a=b"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "canary"),
    ];

    let failure = found(EvidenceArguments::default(), &variables).await.unwrap_err();

    insta::assert_snapshot!(shown(&failure), @r"
    exit 2
    error: GitHub's token needs an audience, and none is named

    hint: give --audience, or set CAMBIO_AUDIENCE: the gateway's issuer, unless the attestor has another
    ");
}

#[tokio::test]
async fn the_bearer_is_not_sent_over_plain_http_and_never_shown() {
    let variables = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "http://127.0.0.1:1/?a=b"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "canary"),
        ("CAMBIO_AUDIENCE", "https://id.acme.example"),
    ];

    let failure = found(EvidenceArguments::default(), &variables).await.unwrap_err();

    let shown = shown(&failure);
    assert!(shown.contains("has the scheme `http`, expected `https`"), "{shown}");
    assert!(shown.starts_with("exit 4") && !shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn reads_a_token_from_a_file_without_its_line_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "a.b.c\r\n").unwrap();
    let arguments = EvidenceArguments {
        token_file: Some(path),
        ..EvidenceArguments::default()
    };

    let evidence = found(arguments, &[("CAMBIO_ID_TOKEN", "other")]).await.unwrap();

    assert_eq!((evidence.token.expose(), evidence.holder), ("a.b.c", Holder::Job));
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let arguments = EvidenceArguments {
        token_file: Some("no/such/file".into()),
        ..EvidenceArguments::default()
    };

    let failure = found(arguments, &[]).await.unwrap_err();

    assert!(shown(&failure).contains("`no/such/file` holds no evidence"));
}

#[test]
fn takes_16384_bytes_and_refuses_16385() {
    let token = "x".repeat(16 * 1024);
    assert_eq!(from_reader(format!("{token}\n").as_bytes()).unwrap().expose(), token);
    assert_eq!(from_reader(format!("{token}\r\n").as_bytes()).unwrap().expose(), token);
    for one_more in [format!("{token}x"), format!("{token}x\n"), format!("{token}{token}")] {
        let refused = from_reader(one_more.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains("expected at most 16384"), "{refused}");
    }
}

#[test]
fn refuses_what_is_no_token_without_repeating_it() {
    for text in ["", "\n", "canary canary", "canary\ncanary", "canary\u{e9}"] {
        let refused = checked(text).unwrap_err();
        assert!(!format!("{refused:?}").contains("canary"), "{text}");
    }
}

#[test]
fn plain_http_reaches_this_machine_and_its_link_alone() {
    for near in [
        "http://127.0.0.1:41741/msi/token",
        "http://127.255.255.255",
        "http://localhost:42356/msi/token",
        "http://LOCALHOST/",
        "http://[::1]/",
        "http://169.254.0.0/",
        "http://169.254.255.255:8081/msi/token",
        "http://[fe80::1]/",
        "http://[febf::1]/",
        "https://sts.eu-central-1.amazonaws.com",
        "https://203.0.113.7/",
    ] {
        assert!(https::address_nearby("VARIABLE", near).is_ok(), "{near}");
    }

    for (far, host) in [
        ("http://sts.amazonaws.com/", "sts.amazonaws.com"),
        ("http://localhost.evil.test/", "localhost.evil.test"),
        ("http://localhost./", "localhost."),
        ("http://127.0.0.1.evil.test/", "127.0.0.1.evil.test"),
        ("http://127.0.0.1@evil.test/canary", "evil.test"),
        ("http://126.255.255.255/", "126.255.255.255"),
        ("http://128.0.0.0/", "128.0.0.0"),
        ("http://169.253.255.255/", "169.253.255.255"),
        ("http://169.255.0.0/", "169.255.0.0"),
        ("http://10.0.0.1/", "10.0.0.1"),
        ("http://0.0.0.0/", "0.0.0.0"),
        ("http://[fe7f::1]/", "[fe7f::1]"),
        ("http://[fec0::1]/", "[fec0::1]"),
        ("http://[fd00:ec2::23]/", "[fd00:ec2::23]"),
        ("http://[::ffff:127.0.0.1]/", "[::ffff:7f00:1]"),
    ] {
        let refused = https::address_nearby("VARIABLE", far).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!(
                "VARIABLE is plain `http` to the foreign host `{host}`, expected `https`, or this machine or its link"
            )
        );
    }
    for (other, expected) in [
        ("ftp://127.0.0.1/", "VARIABLE has the scheme `ftp`, expected `https`"),
        ("unix:/run/canary", "VARIABLE has the scheme `unix`, expected `https`"),
        ("canary", "VARIABLE is no URL"),
    ] {
        assert_eq!(
            https::address_nearby("VARIABLE", other).unwrap_err().to_string(),
            expected
        );
    }
}

#[tokio::test]
async fn nothing_goes_to_a_foreign_host_over_plain_http_and_no_secret_is_shown() {
    let aws = [
        ("AWS_ACCESS_KEY_ID", "ASIA0000000000000002"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
        ("AWS_SESSION_TOKEN", "canary"),
        ("AWS_REGION", "eu-central-1"),
    ];
    let foreign = "http://192.0.2.1:1/canary";
    for (attest, variable, more) in [
        (Attest::AwsIam, "AWS_ENDPOINT_URL_STS", &aws[..]),
        (Attest::AwsIam, "AWS_ENDPOINT_URL", &aws[..]),
        (
            Attest::AzureInstance,
            "IDENTITY_ENDPOINT",
            &[("IDENTITY_HEADER", "canary")][..],
        ),
        (
            Attest::AwsIam,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            &[("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary")][..],
        ),
    ] {
        let arguments = EvidenceArguments {
            attest,
            audience: Some("https://id.acme.example".to_owned()),
            ..EvidenceArguments::default()
        };

        let failure = found(arguments, &[&[(variable, foreign)][..], more].concat()).await;

        let shown = shown(&failure.unwrap_err());
        assert!(shown.starts_with("exit 4"), "{shown}");
        assert!(
            shown.contains("is plain `http` to the foreign host `192.0.2.1`, expected `https`"),
            "{variable}: {shown}"
        );
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[tokio::test]
async fn a_containers_endpoint_over_plain_http_is_its_own_agents_alone() {
    for (url, refused) in [
        ("http://169.254.170.22/canary", true),
        ("http://169.254.170.24/canary", true),
        ("http://localhost:1/canary", true),
        ("http://[fd00:ec2::24]/canary", true),
        ("http://127.0.0.1:1/canary", false),
        ("http://[::1]:1/canary", false),
    ] {
        let arguments = EvidenceArguments {
            attest: Attest::AwsIam,
            audience: Some("https://id.acme.example".to_owned()),
            ..EvidenceArguments::default()
        };

        let failure = found(arguments, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)]).await;

        let shown = shown(&failure.unwrap_err());
        assert_eq!(
            shown.contains("the container's endpoint is plain `http`"),
            refused,
            "{url}: {shown}"
        );
    }
}

#[cfg(feature = "dev")]
mod machines;

#[cfg(feature = "dev")]
mod platforms {
    use std::sync::Mutex;

    use axum::{
        Json, Router,
        extract::Request,
        http::{HeaderMap, StatusCode, header},
        response::{IntoResponse as _, Response},
        routing::any,
    };
    use reqwest::Client;
    use serde_json::json;

    use super::{
        super::{
            ci::{from_azure_devops, from_buildkite, from_github},
            https,
        },
        *,
    };
    use crate::sim::{Listen as _, documents, server::Loopback};

    /// What a platform was asked: method, path and query, headers, body.
    type Seen = Arc<Mutex<Vec<(String, HeaderMap, String)>>>;

    async fn answer(seen: Seen, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 65_536).await.unwrap();
        let asked = format!("{} {}", parts.method, parts.uri.path_and_query().unwrap());
        let path = parts.uri.path().to_owned();
        let body = String::from_utf8(body.to_vec()).unwrap();
        seen.lock().unwrap().push((asked, parts.headers, body));
        match path.as_str() {
            "/token" => Json(json!({ "value": "a.b.c", "count": 5 })).into_response(),
            "/v3/jobs/0190-job/oidc/tokens" => Json(json!({ "token": "build.kite.token" })).into_response(),
            "/devops" => Json(json!({ "oidcToken": "azure.devops.token" })).into_response(),
            "/computeMetadata/v1/instance/service-accounts/default/identity" => "of.an.instance".into_response(),
            "/metadata/identity/oauth2/token" | "/msi/token" => {
                Json(json!({ "access_token": "of.a.machine", "expires_in": "86400" })).into_response()
            }
            "/long" => Json(json!({ "value": "x".repeat(40_000) })).into_response(),
            "/moved" => (StatusCode::FOUND, [(header::LOCATION, "/token")]).into_response(),
            _ => (StatusCode::FORBIDDEN, "canary").into_response(),
        }
    }

    /// One server for all platforms.
    struct Platform {
        client: Client,
        url: String,
        seen: Seen,
        _running: (tempfile::TempDir, tokio::sync::watch::Sender<bool>),
    }

    fn routes(seen: &Seen) -> Router {
        let seen = Arc::clone(seen);
        Router::new().fallback(any(move |request: Request| answer(Arc::clone(&seen), request)))
    }

    /// By HTTPS, as CI systems' services are.
    fn platform() -> Platform {
        let directory = tempfile::tempdir().unwrap();
        let (loopback, files, stop) = Loopback::throw_away(directory.path(), crate::clock::system().now()).unwrap();
        let bound = loopback.bind().unwrap();
        let seen = Seen::default();
        (bound.serve)(routes(&seen));
        Platform {
            client: documents::client(&files.ca).unwrap(),
            url: bound.url,
            seen,
            _running: (directory, stop),
        }
    }

    /// By plain HTTP, as metadata services are; returns host and port.
    async fn neighbour() -> (String, Seen) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen = Seen::default();
        let routes = routes(&seen);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (host, seen)
    }

    impl Platform {
        async fn github(&self, path: &str) -> anyhow::Result<Secret> {
            let url = format!("{}{path}?api-version=2.0", self.url);
            from_github(&self.client, &url, ("the-bearer", "https://id.acme.example")).await
        }

        fn asked(&self) -> (String, Option<String>, String) {
            asked(&self.seen, "authorization")
        }
    }

    /// Returns the one question that was asked, one of its headers, and its body.
    fn asked(seen: &Seen, name: &str) -> (String, Option<String>, String) {
        let seen = seen.lock().unwrap();
        let [(asked, headers, body)] = &seen[..] else {
            panic!("{seen:?}");
        };
        let value = headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        (asked.clone(), value, body.clone())
    }

    async fn found_at(variables: &[(&str, &str)]) -> Evidence {
        found(EvidenceArguments::default(), variables).await.unwrap()
    }

    #[tokio::test]
    async fn asks_github_for_the_audience_with_the_bearer() {
        let github = platform();

        let token = github.github("/token").await.unwrap();

        assert_eq!(token.expose(), "a.b.c");
        let (asked, bearer, _) = github.asked();
        assert_eq!(
            asked,
            "GET /token?api-version=2.0&audience=https%3A%2F%2Fid.acme.example"
        );
        assert_eq!(bearer.unwrap(), "Bearer the-bearer");
    }

    #[tokio::test]
    async fn asks_buildkite_for_the_ids_beside_the_names() {
        let buildkite = platform();
        let url = format!("{}/v3", buildkite.url);

        let token = from_buildkite(
            &buildkite.client,
            &url,
            ("the-bearer", "0190-job"),
            "https://id.acme.example",
        )
        .await;

        assert_eq!(token.unwrap().expose(), "build.kite.token");
        let (asked, bearer, body) = buildkite.asked();
        assert_eq!(
            (asked.as_str(), bearer.unwrap().as_str()),
            ("POST /v3/jobs/0190-job/oidc/tokens", "Token the-bearer")
        );
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            body,
            json!({ "audience": "https://id.acme.example", "claims": ["organization_id", "pipeline_id"] })
        );
    }

    #[tokio::test]
    async fn a_job_id_never_becomes_another_path() {
        let buildkite = platform();

        for job in ["../../admin", "a/b", "a?b", "a%2fb"] {
            let refused = from_buildkite(&buildkite.client, &buildkite.url, ("the-bearer", job), "x").await;
            assert_eq!(
                refused.unwrap_err().to_string(),
                "BUILDKITE_JOB_ID is no job's id",
                "{job}"
            );
        }

        assert!(buildkite.seen.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn asks_azure_devops_without_a_service_connection() {
        let devops = platform();
        let url = format!("{}/devops", devops.url);

        let token = from_azure_devops(&devops.client, &url, "the-bearer").await.unwrap();

        assert_eq!(token.expose(), "azure.devops.token");
        let (asked, bearer, body) = devops.asked();
        assert_eq!((asked.as_str(), body.as_str()), ("POST /devops?api-version=7.1", "{}"));
        assert_eq!(bearer.unwrap(), "Bearer the-bearer");
    }

    #[tokio::test]
    async fn asks_googles_metadata_server_for_the_instance_as_well() {
        let (host, seen) = neighbour().await;

        let evidence = found_at(&[
            ("GCE_METADATA_HOST", &host),
            ("CAMBIO_AUDIENCE", "https://id.acme.example"),
        ])
        .await;

        assert_eq!(
            (evidence.token.expose(), evidence.holder),
            ("of.an.instance", Holder::Job)
        );
        let (asked, flavor, _) = asked(&seen, "metadata-flavor");
        assert_eq!(
            asked,
            "GET /computeMetadata/v1/instance/service-accounts/default/identity?audience=https%3A%2F%2Fid.acme.example&format=full"
        );
        assert_eq!(flavor.unwrap(), "Google");
    }

    #[tokio::test]
    async fn asks_azures_metadata_service_for_the_identity_that_is_named() {
        let (host, seen) = neighbour().await;
        let url = format!("http://{host}");
        let variables = [
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", url.as_str()),
            ("AZURE_CLIENT_ID", "4f3c"),
            ("CAMBIO_AUDIENCE", "api://cambio"),
        ];

        let evidence = found_at(&variables).await;

        assert_eq!(
            (evidence.token.expose(), evidence.holder),
            ("of.a.machine", Holder::Job)
        );
        let (asked, metadata, _) = asked(&seen, "metadata");
        assert_eq!(
            asked,
            "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=api%3A%2F%2Fcambio&client_id=4f3c"
        );
        assert_eq!(metadata.unwrap(), "true");
    }

    #[tokio::test]
    async fn asks_app_service_with_the_header_that_came_with_the_endpoint() {
        let (host, seen) = neighbour().await;
        let url = format!("http://{host}/msi/token");
        let variables = [
            ("IDENTITY_ENDPOINT", url.as_str()),
            ("IDENTITY_HEADER", "the-header"),
            ("CAMBIO_AUDIENCE", "api://cambio"),
        ];

        let evidence = found_at(&variables).await;

        assert_eq!(evidence.token.expose(), "of.a.machine");
        let (asked, header, _) = asked(&seen, "x-identity-header");
        assert_eq!(
            asked,
            "GET /msi/token?api-version=2019-08-01&resource=api%3A%2F%2Fcambio"
        );
        assert_eq!(header.unwrap(), "the-header");
    }

    #[tokio::test]
    async fn a_metadata_host_is_a_host_and_nothing_else() {
        for host in ["evil.test/?x=", "evil.test/a", "", "a b"] {
            let variables = [("GCE_METADATA_HOST", host), ("CAMBIO_AUDIENCE", "x")];
            let refused = found(EvidenceArguments::default(), &variables).await.unwrap_err();
            assert!(shown(&refused).contains("exit 4"), "{host}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let github = platform();

        let refused = github.github("/moved").await.unwrap_err();

        assert_eq!(refused.to_string(), "found status 302, expected 200");
        assert_eq!(github.seen.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_refusal_and_a_long_answer_are_refused_without_repeating_them() {
        let github = platform();

        let refused = github.github("/refused").await.unwrap_err();
        let long = github.github("/long").await.unwrap_err();

        assert_eq!(format!("{refused:#}"), "found status 403, expected 200");
        assert_eq!(format!("{long:#}"), "found more than 32768 bytes, expected a token");
    }

    #[tokio::test]
    async fn the_clients_are_made() {
        assert!(https::client().is_ok() && https::neighbour().is_ok());
    }
}

#[tokio::test]
async fn takes_the_token_that_the_kubelet_mounts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "of.a.pod").unwrap();

    let evidence = found(
        EvidenceArguments::default(),
        &[("CAMBIO_TOKEN_FILE", path.to_str().unwrap())],
    )
    .await;

    let evidence = evidence.unwrap();
    assert_eq!((evidence.token.expose(), evidence.holder), ("of.a.pod", Holder::Job));
}

#[tokio::test]
async fn a_token_that_is_named_and_not_there_is_not_passed_over() {
    let variables = [
        ("CAMBIO_TOKEN_FILE", "no/such/file"),
        ("SPACELIFT_OIDC_TOKEN", "theirs"),
    ];
    let arguments = EvidenceArguments {
        attest: Attest::Kubernetes,
        ..EvidenceArguments::default()
    };

    let failure = found(arguments, &variables).await.unwrap_err();

    assert!(shown(&failure).contains("`no/such/file` holds no evidence"));
}

#[tokio::test]
async fn looks_only_where_it_is_told_to() {
    let variables = [("CAMBIO_ID_TOKEN", "ours"), ("BITBUCKET_STEP_OIDC_TOKEN", "theirs")];
    let at = |attest| EvidenceArguments {
        attest,
        ..EvidenceArguments::default()
    };

    let bitbucket = found(at(Attest::Bitbucket), &variables).await.unwrap();
    let spacelift = found(at(Attest::Spacelift), &variables).await.unwrap_err();

    assert_eq!(bitbucket.token.expose(), "theirs");
    let shown = shown(&spacelift);
    assert!(
        shown.contains("looked for SPACELIFT_OIDC_TOKEN (is not set)\n"),
        "{shown}"
    );
}

#[test]
fn every_place_is_looked_at_but_the_one_that_would_be_spent_by_it() {
    for place in <Attest as clap::ValueEnum>::value_variants() {
        assert_eq!(PLACES.contains(place), *place != Attest::AwsInstance, "{place:?}");
    }
}

/// Returns how a command ends that takes this file for a machine's key.
async fn of_key_file(content: &str) -> String {
    let disk = registered();
    let path = disk.path().join("cambio/bound.json");
    std::fs::write(&path, content).unwrap();
    let arguments = EvidenceArguments {
        attest: Attest::BoundKey,
        ..EvidenceArguments::default()
    };
    let variables = [("CAMBIO_STATE_DIR", disk.path().to_str().unwrap())];
    let failure = found(arguments, &variables).await.unwrap_err();
    shown(&failure).replace(disk.path().to_str().unwrap(), "<disk>")
}

#[tokio::test]
async fn a_broken_file_of_a_machines_key_fails_attestation_and_is_not_repeated() {
    insta::assert_snapshot!(of_key_file("{ canary").await, @r"
    exit 4
    error: this machine's key cannot be used

    Caused by:
      `<disk>/cambio/bound.json` is broken
      found other content than `register` writes, expected `pkcs8`, `issuer` and `audience`

    hint: mend that, or register the machine anew: cambio bound-key register --replace --join-token-file PATH
    ");
    for content in [
        "",
        "[]",
        r#"{"pkcs8":"canary","issuer":"a"}"#,
        r#"{"pkcs8":"canary!","issuer":"a","audience":"b"}"#,
        r#"{"pkcs8":"Y2FuYXJ5","issuer":"a","audience":"b"}"#,
    ] {
        let shown = of_key_file(content).await;
        assert!(
            shown.starts_with("exit 4\nerror: this machine's key cannot be used\n"),
            "{content}: {shown}"
        );
        assert!(
            shown.contains("`<disk>/cambio/bound.json` is broken") && !shown.contains("canary"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_machines_key_that_others_could_read_fails_attestation() {
    let disk = registered();
    let path = disk.path().join("cambio/bound.json");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();

    let state = ("CAMBIO_STATE_DIR", disk.path().to_str().unwrap());
    let failure = found(EvidenceArguments::default(), &[state]).await.unwrap_err();

    assert_eq!(failure.exit(), Exit::Unattested, "{}", shown(&failure));
    assert!(shown(&failure).contains("bound.json"), "{}", shown(&failure));
}

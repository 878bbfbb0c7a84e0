use std::sync::Arc;

use super::*;
use crate::{
    cli::{environment::Environment, output::Output},
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

async fn found(arguments: EvidenceArguments, variables: &[(&str, &str)]) -> Result<Evidence, Failure> {
    find(&arguments, &environment(variables)).await
}

#[tokio::test]
async fn says_where_it_looked_when_it_finds_nothing() {
    let failure = found(EvidenceArguments::default(), &[]).await.unwrap_err();

    insta::assert_snapshot!(shown(&failure), @r"
    exit 4
    error: there is no evidence of who this workload is

    Caused by:
      looked for --token-file (not given), CAMBIO_ID_TOKEN (is not set), ACTIONS_ID_TOKEN_REQUEST_URL (is not set) with ACTIONS_ID_TOKEN_REQUEST_TOKEN (is not set), TFC_WORKLOAD_IDENTITY_TOKEN (is not set)

    hint: give the workload's token with --token-file PATH
    ");
}

#[tokio::test]
async fn names_the_permission_that_a_github_job_lacks() {
    let variables = [("GITHUB_ACTIONS", "true"), ("ACTIONS_ID_TOKEN_REQUEST_URL", "")];

    let failure = found(EvidenceArguments::default(), &variables).await.unwrap_err();

    assert!(shown(&failure).ends_with("hint: let the job have a token: permissions: { id-token: write }\n"));
}

#[tokio::test]
async fn names_what_a_gitlab_job_and_a_terraform_run_lack() {
    for (variable, hint) in [
        ("GITLAB_CI", "id_tokens: { CAMBIO_ID_TOKEN"),
        ("TFC_RUN_ID", "TFC_WORKLOAD_IDENTITY_AUDIENCE"),
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
        audience: None,
    };

    let evidence = found(arguments, &[("CAMBIO_ID_TOKEN", "other")]).await.unwrap();

    assert_eq!((evidence.token.expose(), evidence.holder), ("a.b.c", Holder::Job));
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let arguments = EvidenceArguments {
        token_file: Some("no/such/file".into()),
        audience: None,
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

#[cfg(feature = "dev")]
mod github {
    use axum::{
        Json, Router,
        extract::State,
        http::{HeaderMap, StatusCode, Uri, header},
        response::{IntoResponse as _, Response},
        routing::get,
    };
    use serde_json::json;
    use std::sync::Mutex;

    use super::*;
    use crate::{
        http::{listener::Stop, tls::Certificate},
        sim::{Listen as _, ca, documents, server::Loopback},
    };

    type Seen = Arc<Mutex<Vec<(String, Option<String>)>>>;

    async fn id_token(State(seen): State<Seen>, uri: Uri, headers: HeaderMap) -> Response {
        let bearer = headers
            .get(header::AUTHORIZATION)
            .map(|value| value.to_str().unwrap().to_owned());
        let asked = uri.path_and_query().unwrap().to_string();
        seen.lock().unwrap().push((asked, bearer));
        match uri.path() {
            "/token" => Json(json!({ "value": "a.b.c", "count": 5 })).into_response(),
            "/long" => Json(json!({ "value": "x".repeat(40_000) })).into_response(),
            "/moved" => (StatusCode::FOUND, [(header::LOCATION, "/token")]).into_response(),
            _ => (StatusCode::FORBIDDEN, "canary").into_response(),
        }
    }

    struct Github {
        client: Client,
        url: String,
        seen: Seen,
        _running: (tempfile::TempDir, tokio::sync::watch::Sender<bool>),
    }

    fn github() -> Github {
        let directory = tempfile::tempdir().unwrap();
        let files = ca::create(directory.path(), crate::clock::system().now()).unwrap();
        let certificate = Certificate::load(&files.certificate, &files.key).unwrap();
        let (stop, stopped) = Stop::switch();
        let bound = Loopback::new(certificate.server_config().unwrap(), stopped)
            .bind()
            .unwrap();
        let seen = Seen::default();
        (bound.serve)(Router::new().fallback(get(id_token)).with_state(Arc::clone(&seen)));
        Github {
            client: documents::client(&files.ca).unwrap(),
            url: bound.url,
            seen,
            _running: (directory, stop),
        }
    }

    impl Github {
        async fn asked(&self, path: &str) -> anyhow::Result<Secret> {
            let url = format!("{}{path}?api-version=2.0", self.url);
            from_github(&self.client, &url, ("the-bearer", "https://id.acme.example")).await
        }
    }

    #[tokio::test]
    async fn asks_github_for_the_audience_with_the_bearer() {
        let github = github();

        let token = github.asked("/token").await.unwrap();

        assert_eq!(token.expose(), "a.b.c");
        assert_eq!(
            *github.seen.lock().unwrap(),
            [(
                "/token?api-version=2.0&audience=https%3A%2F%2Fid.acme.example".to_owned(),
                Some("Bearer the-bearer".to_owned())
            )]
        );
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let github = github();

        let refused = github.asked("/moved").await.unwrap_err();

        assert_eq!(refused.to_string(), "found status 302, expected 200");
        assert_eq!(github.seen.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_refusal_and_a_long_answer_are_refused_without_repeating_them() {
        let github = github();

        let refused = github.asked("/refused").await.unwrap_err();
        let long = github.asked("/long").await.unwrap_err();

        assert_eq!(format!("{refused:#}"), "found status 403, expected 200");
        assert_eq!(format!("{long:#}"), "found more than 32768 bytes, expected a token");
    }
}

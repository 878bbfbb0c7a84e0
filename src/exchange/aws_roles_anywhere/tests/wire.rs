//! The client over TLS, against the simulator and against servers that misbehave.

use std::{net::TcpListener, sync::Arc, time::Duration};

use axum::Router;
use tokio::sync::watch;

use super::{
    super::{
        BUILTIN, Call,
        config::{Configuration, Settings},
        request::Sessions,
    },
    ground::{self, AUTHORITY, Account, NOW, ROLE, RSA, Workload, account, leaf},
};
use crate::{
    clock,
    exchange::{CloudCredential, CloudRefusal},
    sim::{Bound, Listen as _, Mutation, ca, server::Loopback},
    spiffe::TrustDomain,
};

struct Served {
    account: Account,
    sessions: Sessions,
    settings: Settings,
    _stop: watch::Sender<bool>,
    _directory: tempfile::TempDir,
}

fn serve(rest: &str) -> Served {
    let account = account();
    let router = Arc::clone(&account.sim).router();
    serve_router(account, router, rest)
}

fn serve_router(account: Account, router: Router, rest: &str) -> Served {
    let directory = tempfile::tempdir().unwrap();
    let (loopback, files, stop) = Loopback::throw_away(directory.path(), clock::system().now()).unwrap();
    let Bound { url, serve } = loopback.bind().unwrap();
    serve(router);
    let table = format!(
        "trust_anchor_arn = '{}'\nprofile_arn = '{}'\nrole_arn = '{ROLE}'\nendpoint = '{url}'\nca_file = '{}'\n{rest}",
        account.anchor,
        account.profile,
        files.ca.display()
    );
    let configuration = {
        let domain = TrustDomain::parse("prod.acme.example").unwrap();
        Configuration::read(&domain, toml::from_str(&table).unwrap()).unwrap()
    };
    let authorities = reqwest::Certificate::from_pem_bundle(&configuration.ca_pem.unwrap()).unwrap();
    Served {
        sessions: Sessions::new(configuration.endpoint, Some(authorities)).unwrap(),
        settings: configuration.settings,
        account,
        _stop: stop,
        _directory: directory,
    }
}

impl Served {
    async fn make(&self, workload: &Workload, session_name: Option<&str>) -> Result<CloudCredential, CloudRefusal> {
        self.make_for(workload, session_name, Duration::from_mins(20)).await
    }

    async fn make_for(
        &self,
        workload: &Workload,
        session_name: Option<&str>,
        duration: Duration,
    ) -> Result<CloudCredential, CloudRefusal> {
        let call = Call {
            chain: &workload.chain,
            serial: &workload.serial,
            session_name: session_name.map(str::to_owned),
            duration,
        };
        let now = clock::parse_rfc3339(NOW).unwrap();
        call.make(
            &self.sessions,
            &self.settings,
            (|message: &[u8]| Ok(workload.sign(message)), now),
        )
        .await
    }
}

#[tokio::test]
async fn a_named_session_is_the_one_asked_for() {
    let served = serve("");

    let credential = served
        .make(&AUTHORITY.certify(&leaf()), Some("shop@0123456789ab"))
        .await
        .unwrap();

    assert_eq!(clock::rfc3339(credential.expires()), "2026-01-16T15:00:00Z");
    assert_eq!(served.account.sim.sessions()[0].session_name, "shop@0123456789ab");
}

#[tokio::test]
async fn an_unnamed_session_is_called_by_the_serial_number() {
    let served = serve("");

    served.make(&AUTHORITY.certify(&leaf()), None).await.unwrap();

    assert_eq!(
        served.account.sim.sessions()[0].session_name,
        "400102030405060708090a0b0c0d0e0f"
    );
}

#[tokio::test]
async fn an_rsa_key_signs_as_well() {
    let served = serve("key = 'RSA-2048'");

    assert!(served.make(&AUTHORITY.certify_key(&leaf(), &RSA), None).await.is_ok());
}

#[tokio::test]
async fn a_refusal_keeps_the_clouds_own_code_and_text() {
    let served = serve("");
    let stranger = ground::Authority::new();

    let refusal = served.make(&stranger.certify(&leaf()), None).await.unwrap_err();

    let CloudRefusal::Refused {
        code, message, status, ..
    } = refusal
    else {
        panic!("{refusal:?}")
    };
    assert_eq!(
        (&*code, &*message, status),
        ("AccessDeniedException", "Untrusted Signing Certificate", 403)
    );
}

#[tokio::test]
async fn what_aws_would_refuse_is_not_sent() {
    let served = serve("");
    let mut ca = leaf();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let mut nameless = leaf();
    nameless.distinguished_name = rcgen::DistinguishedName::new();
    let mut late = leaf();
    late.not_before = ground::moment("2026-01-16T14:40:01Z");
    for params in [ca, nameless, late] {
        let refusal = served.make(&AUTHORITY.certify(&params), None).await.unwrap_err();
        assert!(matches!(refusal, CloudRefusal::Preflight { .. }), "{refusal:?}");
    }
    let good = AUTHORITY.certify(&leaf());
    for (name, minutes) in [(Some("a b"), 20), (None, 14), (None, 721)] {
        let duration = Duration::from_mins(minutes);
        let refusal = served.make_for(&good, name, duration).await.unwrap_err();
        assert!(matches!(refusal, CloudRefusal::Preflight { .. }), "{refusal:?}");
    }
    let mut deep = AUTHORITY.certify(&leaf());
    let intermediate = deep.chain[1].clone();
    deep.chain.extend(vec![intermediate; 4]);
    assert!(
        !matches!(served.make(&deep, None).await, Err(CloudRefusal::Preflight { .. })),
        "5 lie between"
    );
    deep.chain.push(deep.chain[1].clone());
    assert!(
        matches!(served.make(&deep, None).await, Err(CloudRefusal::Preflight { .. })),
        "6 lie between"
    );
    assert_eq!(served.account.sim.calls(), 1);
}

#[tokio::test]
async fn a_server_error_is_tried_again_once() {
    let served = serve("");
    let workload = AUTHORITY.certify(&leaf());

    served.account.sim.mutations().push(Mutation::ServerError);
    assert!(served.make(&workload, None).await.is_ok());
    assert_eq!(served.account.sim.calls(), 2);

    (0..2).for_each(|_| served.account.sim.mutations().push(Mutation::ServerError));
    let refusal = served.make(&workload, None).await.unwrap_err();
    assert!(matches!(refusal, CloudRefusal::Unavailable { .. }), "{refusal:?}");
    assert_eq!(served.account.sim.calls(), 4);
}

#[tokio::test]
async fn throttling_is_not_tried_again() {
    let served = serve("");
    served.account.sim.mutations().push(Mutation::Throttle);

    let refusal = served.make(&AUTHORITY.certify(&leaf()), None).await.unwrap_err();

    assert!(matches!(refusal, CloudRefusal::Throttled { .. }), "{refusal:?}");
    assert_eq!(served.account.sim.calls(), 1);
}

#[tokio::test]
async fn an_answer_of_64_kib_is_read_and_one_byte_more_is_not() {
    for (length, oversized) in [(64 * 1024, false), (64 * 1024 + 1, true)] {
        let body = " ".repeat(length);
        let router = Router::new().fallback(move || {
            let body = body.clone();
            async move { (axum::http::StatusCode::CREATED, body) }
        });
        let served = serve_router(account(), router, "");

        let refusal = served.make(&AUTHORITY.certify(&leaf()), None).await.unwrap_err();

        assert_eq!(
            matches!(refusal, CloudRefusal::Oversized { .. }),
            oversized,
            "{length}: {refusal:?}"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let router = Router::new().fallback(|| async {
        (
            axum::http::StatusCode::TEMPORARY_REDIRECT,
            [("location", "https://127.0.0.1:1/sessions")],
        )
    });
    let served = serve_router(account(), router, "");

    let refusal = served.make(&AUTHORITY.certify(&leaf()), None).await.unwrap_err();

    assert!(matches!(refusal, CloudRefusal::Garbage { .. }), "{refusal:?}");
}

#[tokio::test]
async fn a_server_whose_certificate_another_authority_issued_is_not_spoken_to() {
    let mut served = serve("");
    let other = tempfile::tempdir().unwrap();
    let files = ca::create(other.path(), clock::system().now()).unwrap();
    let authorities = reqwest::Certificate::from_pem_bundle(&std::fs::read(files.ca).unwrap()).unwrap();
    served.sessions = Sessions::new(served.sessions.endpoint().clone(), Some(authorities)).unwrap();

    let refusal = served.make(&AUTHORITY.certify(&leaf()), None).await.unwrap_err();

    assert!(matches!(refusal, CloudRefusal::Unavailable { .. }), "{refusal:?}");
    assert_eq!(served.account.sim.calls(), 0);
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let mut served = serve("");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = super::super::request::Endpoint::new(&format!("https://127.0.0.1:{port}"), ground::REGION).unwrap();
    served.sessions = Sessions::new(endpoint, None).unwrap();

    let refusal = served.make(&AUTHORITY.certify(&leaf()), None).await.unwrap_err();

    assert!(refusal.to_string().contains("no connection"), "{refusal}");
}

#[test]
fn the_sample_and_the_manual_are_of_this_kind() {
    assert!(BUILTIN.manual.starts_with("# Relying party `aws_roles_anywhere`"));
    assert!(BUILTIN.sample.contains("trust_anchor_arn"));
}

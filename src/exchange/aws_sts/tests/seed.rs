//! The seeded simulator is what a development world configures this kind with.

use std::{io, net::TcpListener, sync::Arc};

use serde_json::json;

use super::{
    client::{Authority, authority, serve_tls},
    ground::{self, AUDIENCE, ISSUER, NOW, NOW_SECONDS, RSA, SUBJECT},
};
use crate::{
    authorize::RelyingPartyName,
    clock::{self, FakeClock},
    exchange::{
        RelyingPartyContext,
        aws_sts::{BUILTIN, Call, config, request::Sts, sim::AwsSim},
    },
    secret::{Secret, SystemRandom},
    sim::{Bound, Ground, Listen},
    spiffe::TrustDomain,
};

#[derive(Debug)]
struct Loopback(rustls::ServerConfig);

impl Listen for Loopback {
    fn bind(&self) -> Result<Bound, io::Error> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let config = self.0.clone();
        let serve = move |router| {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            serve_tls(listener, router, Arc::new(config).into());
        };
        Ok(Bound {
            url,
            serve: Box::new(serve),
        })
    }
}

#[tokio::test]
async fn the_seeded_role_admits_the_workload_of_the_ground_as_configured() {
    let Authority { pem, config: tls } = authority();
    let ca_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca_file.path(), pem).unwrap();
    let clock = FakeClock::at(NOW);
    let ground = Ground {
        documents: ground::FakeDocuments::new(ground::discovery(), ground::jwks()),
        clock: Arc::clone(&clock) as _,
        random: Arc::new(SystemRandom),
        issuer: ISSUER.to_owned(),
        subject: SUBJECT.to_owned(),
        listen: Arc::new(Loopback(tls)),
        ca_file: ca_file.path().to_owned(),
        directory: std::path::PathBuf::new(),
    };

    let seeded = (BUILTIN.sim.unwrap())(ground).await.unwrap();

    let mut table = seeded.relying_party;
    assert_eq!(table.remove("kind").unwrap().as_str(), Some(BUILTIN.kind));
    let context = RelyingPartyContext {
        name: RelyingPartyName::parse(seeded.name).unwrap(),
        issuer: ISSUER.to_owned(),
        trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
        clock,
    };
    assert_eq!(
        (BUILTIN.configure)(context, table.clone()).unwrap().terms().audience,
        AUDIENCE
    );
    let (settings, _terms, endpoint) = config::read(ISSUER, table).unwrap();
    assert_eq!(
        seeded.ready,
        json!({"sts": endpoint.url.clone().unwrap(), "role_arn": settings.role_arn.clone()})
    );
    let mut claims = ground::claims(NOW_SECONDS);
    claims["https://aws.amazon.com/tags"] = json!({"principal_tags": {"exchange_id": ["0123"]}});
    claims["https://aws.amazon.com/source_identity"] = json!("shop.01234567");
    let token = Secret::new(RSA.sign(&ground::header(), &claims));
    let call = Call {
        session_name: "shop@0123456789ab",
        token: &token,
        duration: std::time::Duration::from_mins(15),
    };
    let now = clock::parse_rfc3339(NOW).unwrap();
    call.make(&Sts::new(&endpoint).unwrap(), &settings, (&AUDIENCE.to_owned(), now))
        .await
        .unwrap();
    assert_eq!(seeded.simulator.downcast::<AwsSim>().unwrap().calls(), 1);
}

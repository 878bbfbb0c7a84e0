//! The simulated instance: its metadata service, and the STS that AWS's own client asks for a token.

use aws_sdk_sts::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    error::ProvideErrorMetadata as _,
    types::Tag,
};
use aws_smithy_http_client::{
    Builder,
    tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode},
};

use super::*;
use crate::attest::aws_iam::sim::Federation;

struct Answer {
    status: u16,
    ttl: String,
    text: String,
}

const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";

async fn ask(method: &str, url: String, headers: &[(&str, &str)]) -> Answer {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.request(method.parse().unwrap(), url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let ttl = response.headers().get(TTL);
    Answer {
        status: response.status().as_u16(),
        ttl: ttl.map(|ttl| ttl.to_str().unwrap().to_owned()).unwrap_or_default(),
        text: response.text().await.unwrap(),
    }
}

impl Stage {
    /// Starts at the host's time, by which AWS's client signs.
    fn start_now() -> Self {
        let stage = Self::start();
        stage.place.clock.set(clock::system().now());
        stage
    }

    async fn session(&self, seconds: &str) -> Answer {
        let url = format!("{}/latest/api/token", self.aws.metadata());
        ask("PUT", url, &[(TTL, seconds)]).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        ask("GET", format!("{}{path}", self.aws.metadata()), &[(TOKEN, token)]).await
    }

    /// Returns what the metadata service says of the role's credentials.
    async fn credentials(&self) -> Value {
        let session = self.session("21600").await.text;
        let role = self.get(CREDENTIALS, &session).await.text;
        let found = self.get(&format!("{CREDENTIALS}{role}"), &session).await;
        serde_json::from_str(&found.text).unwrap()
    }

    /// Returns AWS's own client with these credentials, at the simulated STS.
    fn client(&self, credentials: &Value) -> Client {
        let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
        let pem = std::fs::read(self.file("ca.pem")).unwrap();
        let trust = TrustStore::empty().with_native_roots(false).with_pem_certificate(pem);
        let http = Builder::new()
            .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(TlsContext::builder().with_trust_store(trust).build().unwrap())
            .build_https();
        let signing = Credentials::new(
            text("AccessKeyId"),
            text("SecretAccessKey"),
            Some(text("Token")),
            None,
            "instance",
        );
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .endpoint_url(self.aws.sts())
            .credentials_provider(signing)
            .http_client(http)
            .build();
        Client::from_conf(config)
    }
}

#[tokio::test]
async fn a_session_comes_first_and_lasts_as_long_as_was_asked() {
    let stage = Stage::start();
    for seconds in ["1", "21600"] {
        let opened = stage.session(seconds).await;

        assert_eq!((opened.status, opened.ttl.as_str()), (200, seconds));
    }
    for seconds in ["0", "21601", "", "an hour"] {
        assert_eq!(stage.session(seconds).await.status, 400, "{seconds}");
    }
    let session = stage.session("60").await.text;
    assert_eq!(stage.get(CREDENTIALS, &session).await.status, 200);
    stage.place.clock.advance(seconds(60));
    assert_eq!(stage.get(CREDENTIALS, &session).await.status, 401);
}

#[tokio::test]
async fn wimse_wip_10_the_metadata_service_answers_nobody_without_a_session_or_sent_by_another() {
    let stage = Stage::start();
    let url = format!("{}/latest/api/token", stage.aws.metadata());

    let forwarded = ask("PUT", url, &[(TTL, "60"), ("X-Forwarded-For", "192.0.2.1")]).await;

    assert_eq!(forwarded.status, 400);
    for path in [CREDENTIALS, "/latest/meta-data/iam/security-credentials/deploy"] {
        assert_eq!(stage.get(path, "guessed").await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn the_metadata_service_gives_the_roles_credentials_and_no_others() {
    let stage = Stage::start();
    let session = stage.session("60").await.text;

    let credentials = stage.credentials().await;

    assert_eq!(stage.get(CREDENTIALS, &session).await.text, "deploy");
    assert_eq!(stage.get(&format!("{CREDENTIALS}admin"), &session).await.status, 404);
    assert_eq!(credentials["Code"], "Success");
    assert_eq!(credentials["Expiration"], "2026-01-16T20:40:00Z");
}

#[tokio::test]
async fn awss_own_client_gets_a_token_with_an_instances_credentials_and_it_attests() {
    let stage = Stage::start_now();
    let client = stage.client(&stage.credentials().await);
    let attestor = attestor(&stage.table());
    for algorithm in ["RS256", "ES384"] {
        let asked = client.get_web_identity_token().audience(AUDIENCE);
        let answer = asked
            .signing_algorithm(algorithm)
            .duration_seconds(60)
            .send()
            .await
            .unwrap();

        let attestation = attested(stage.judge(&attestor, answer.web_identity_token().unwrap()).await);

        assert_eq!(
            attestation.attributes().get("aws.role_name"),
            Some("deploy"),
            "{algorithm}"
        );
        let expires = u64::try_from(answer.expiration().unwrap().secs()).unwrap();
        assert_eq!(expires, unix_seconds(stage.now()) + 60, "{algorithm}");
    }
}

#[tokio::test]
async fn tags_that_awss_own_client_asks_for_are_in_the_token_and_no_attributes() {
    let stage = Stage::start_now();
    let client = stage.client(&stage.credentials().await);
    let table = format!("{}principal_tags = {{ job = \"job\" }}\n", stage.table());
    let tag = Tag::builder().key("job").value("7").build().unwrap();
    let asked = client.get_web_identity_token().audience(AUDIENCE).tags(tag);
    let answer = asked.signing_algorithm("RS256").send().await.unwrap();

    let attestation = attested(
        stage
            .judge(&attestor(&table), answer.web_identity_token().unwrap())
            .await,
    );

    assert_eq!(attestation.attributes().get("aws.tag_job"), None);
}

#[tokio::test]
async fn the_simulated_sts_signs_for_nobody_whose_signature_does_not_hold() {
    let stage = Stage::start_now();
    let good = stage.credentials().await;
    let mut other_secret = good.clone();
    other_secret["SecretAccessKey"] = json!("other");
    let mut other_session = good.clone();
    other_session["Token"] = json!("other");
    let mut unknown = good.clone();
    unknown["AccessKeyId"] = json!("ASIAUNKNOWN000000000");
    for (credentials, code) in [
        (other_secret, "SignatureDoesNotMatch"),
        (other_session, "InvalidClientTokenId"),
        (unknown, "InvalidClientTokenId"),
    ] {
        let client = stage.client(&credentials);
        let asked = client.get_web_identity_token().audience(AUDIENCE);

        let failed = asked.signing_algorithm("RS256").send().await.unwrap_err();

        assert_eq!(failed.code(), Some(code), "{failed:?}");
    }
    let unsigned = reqwest::Client::builder()
        .add_root_certificate(reqwest::Certificate::from_pem(&std::fs::read(stage.file("ca.pem")).unwrap()).unwrap())
        .no_proxy()
        .build()
        .unwrap();
    let body = "Action=GetWebIdentityToken&Version=2011-06-15&Audience.member.1=a&SigningAlgorithm=RS256";
    let answer = unsigned.post(stage.aws.sts()).body(body).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 403);
    assert!(answer.text().await.unwrap().contains("MissingAuthenticationToken"));
}

#[tokio::test]
async fn the_simulated_sts_refuses_what_the_real_one_refuses() {
    let stage = Stage::start_now();
    let client = stage.client(&stage.credentials().await);
    let asked = || client.get_web_identity_token().signing_algorithm("RS256");
    let many = |count: usize| (0..count).fold(asked(), |asked, at| asked.audience(format!("https://{at}.example")));

    assert!(many(10).send().await.is_ok());
    assert!(asked().audience("a").duration_seconds(3600).send().await.is_ok());
    for (request, code) in [
        (many(11), "ValidationError"),
        (many(0), "ValidationError"),
        (asked().audience("a").duration_seconds(59), "ValidationError"),
        (asked().audience("a").duration_seconds(3601), "ValidationError"),
        (asked().audience("a").signing_algorithm("HS256"), "ValidationError"),
    ] {
        let failed = request.send().await.unwrap_err();
        assert_eq!(failed.code(), Some(code), "{failed:?}");
    }
    stage.aws.set_federation(Federation::Disabled);
    let disabled = asked().audience("a").send().await.unwrap_err();
    assert_eq!(disabled.code(), Some("OutboundWebIdentityFederationDisabledException"));
}

#[tokio::test]
async fn the_simulated_sts_lets_no_token_outlive_the_credentials() {
    let stage = Stage::start_now();
    let now = stage.now();
    stage.place.clock.set(now - seconds(6 * 3600 - 60));
    let client = stage.client(&stage.credentials().await);
    stage.place.clock.set(now);
    let asked = |seconds| {
        let asked = client.get_web_identity_token().audience("a");
        asked.signing_algorithm("RS256").duration_seconds(seconds)
    };

    assert!(asked(60).send().await.is_ok());
    let longer = asked(61).send().await.unwrap_err();
    stage.place.clock.advance(seconds(60));
    let over = asked(60).send().await.unwrap_err();

    assert_eq!(longer.code(), Some("SessionDurationEscalationException"));
    assert_eq!(over.code(), Some("ExpiredToken"));
}

#[tokio::test]
async fn the_simulated_sts_knows_whose_credentials_they_are() {
    let stage = Stage::start_now();
    let client = stage.client(&stage.credentials().await);

    let caller = client.get_caller_identity().send().await.unwrap();

    assert_eq!(
        caller.arn(),
        Some("arn:aws:sts::123456789012:assumed-role/deploy/i-0123456789abcdef0")
    );
}

//! Questions that principals of a simulated AWS signed, each wrong in one point.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use tokio::sync::watch;

use super::{
    sim::{Principal, Question, StsSim},
    *,
};
use crate::{
    attest::{AttestorName, Evidence, Possession, Verdict},
    clock::{self, Clock as _, FakeClock},
    secret::SystemRandom,
    sim::{Listen as _, Mutation, server::Loopback},
    store::UseRule,
};

const HOST: &str = "sts.eu-central-1.amazonaws.com";

/// A service that answers, and one session of a role.
struct Stage {
    service: Arc<StsSim>,
    clock: Arc<FakeClock>,
    challenges: Challenges,
    session: Principal,
    url: String,
    ca: PathBuf,
    _directory: tempfile::TempDir,
    _stop: watch::Sender<bool>,
}

impl Stage {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (loopback, files, switch) = Loopback::throw_away(directory.path(), clock::system().now()).unwrap();
        let bound = loopback.bind().unwrap();
        let clock = FakeClock::at("2026-01-16T14:40:00Z");
        let told: Arc<dyn clock::Clock> = Arc::<FakeClock>::clone(&clock);
        let service = Arc::new(StsSim::new(told));
        (bound.serve)(Arc::clone(&service).router());
        let session = Principal {
            access_key_id: "ASIAEXAMPLEEXAMPLE01".to_owned(),
            secret_access_key: "secret/of+the=session".to_owned(),
            session_token: Some("FwoGZXIvYXdzEXAMPLE//+/token==".to_owned()),
            arn: "arn:aws:sts::123456789012:assumed-role/deploy/i-0123456789abcdef0".to_owned(),
            user_id: "AROAEXAMPLEEXAMPLEID1:i-0123456789abcdef0".to_owned(),
        };
        service.know(session.clone());
        Self {
            service,
            clock,
            challenges: Challenges::derived(&[7; 32]).unwrap(),
            session,
            url: bound.url,
            ca: files.ca,
            _directory: directory,
            _stop: switch,
        }
    }

    fn sts(&self, regions: &[&str]) -> Sts {
        let pem = std::fs::read(&self.ca).unwrap();
        let elsewhere = Elsewhere {
            url: &self.url,
            authorities_pem: Some(&pem),
            allow_addresses: &["127.0.0.0/8".parse().unwrap()],
        };
        let regions: Vec<String> = regions.iter().map(|region| (*region).to_owned()).collect();
        Sts::new(&Fetch::system(), &regions, Some(elsewhere)).unwrap()
    }

    fn question(&self) -> Question {
        let challenge = self.challenges.issue(&SystemRandom, self.clock.now()).unwrap();
        Question {
            host: HOST.to_owned(),
            region: "eu-central-1".to_owned(),
            signed: self.clock.now(),
            expires: 60,
            challenge: challenge.as_str().to_owned(),
        }
    }

    async fn judge(&self, evidence: &str) -> Result<Confirmed, AttestRefusal> {
        let sts = self.sts(&["eu-central-1", "us-east-1"]);
        sts.confirm(&Secret::new(evidence), &self.challenges, self.clock.now())
            .await
    }

    /// Judges a good question after a change of its URL.
    async fn judge_changed(&self, change: impl FnOnce(String) -> String) -> Result<Confirmed, AttestRefusal> {
        let question = self.question();
        let url = change(self.session.presign(&question));
        self.judge(&evidence(&question.challenge, &url)).await
    }

    /// Returns the reason of the refusal, which came before anybody was asked.
    async fn refused_unasked(&self, change: impl FnOnce(String) -> String) -> String {
        let before = self.service.questions().len();
        let refused = self.judge_changed(change).await.unwrap_err();
        assert_eq!(self.service.questions().len(), before, "{refused}");
        assert!(!refused.is_proven());
        refused.to_string()
    }
}

fn evidence(challenge: &str, url: &str) -> String {
    format!("cambio-aws-v1.{challenge}.{}", BASE64_URL_SAFE_NO_PAD.encode(url))
}

#[tokio::test]
async fn a_session_of_a_role_is_confirmed() {
    let stage = Stage::start();
    let question = stage.question();
    let url = stage.session.presign(&question);

    let confirmed = stage.judge(&evidence(&question.challenge, &url)).await.unwrap();

    assert_eq!(confirmed.arn().canonical(), "arn:aws:iam::123456789012:role/deploy");
    assert_eq!(confirmed.unique_id(), "AROAEXAMPLEEXAMPLEID1");
    assert_eq!(confirmed.region(), "eu-central-1");
    assert_eq!(confirmed.challenge().as_str(), question.challenge);
}

#[tokio::test]
async fn a_user_without_a_session_token_is_confirmed_at_each_host_of_a_region() {
    let stage = Stage::start();
    let alice = Principal {
        access_key_id: "AKIAEXAMPLEEXAMPLE01".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: None,
        arn: "arn:aws:iam::123456789012:user/team/alice".to_owned(),
        user_id: "AIDAEXAMPLEEXAMPLEID1".to_owned(),
    };
    stage.service.know(alice.clone());
    for host in [
        "sts.amazonaws.com",
        "sts.us-east-1.amazonaws.com",
        "sts-fips.us-east-1.amazonaws.com",
    ] {
        let question = Question {
            host: host.to_owned(),
            region: "us-east-1".to_owned(),
            ..stage.question()
        };
        let url = alice.presign(&question);

        let confirmed = stage.judge(&evidence(&question.challenge, &url)).await;

        let confirmed = confirmed.unwrap_or_else(|refused| panic!("{host}: {refused:?}"));
        assert_eq!(confirmed.arn().to_string(), alice.arn, "{host}");
    }
}

/// Signed by boto3 1.43.11 with these credentials, as the manual shows.
const BY_BOTO3: &str = "https://sts.eu-central-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15\
&X-Amz-Algorithm=AWS4-HMAC-SHA256\
&X-Amz-Credential=ASIAEXAMPLEEXAMPLE01%2F20261123%2Feu-central-1%2Fsts%2Faws4_request\
&X-Amz-Date=20261123T161621Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-cambio-challenge\
&X-Amz-Security-Token=FwoGZXIvYXdzEXAMPLE%2F%2F%2B%2Ftoken%3D%3D\
&X-Amz-Signature=9b2e832efbaea105ac89f7dbd27f2bcbae0cc13226fdd0f8b91b94f4f20a436b";

#[tokio::test]
async fn a_question_that_boto3_signed_is_read_and_signed_alike() {
    let stage = Stage::start();
    let signed = clock::parse_rfc3339("2026-11-23T16:16:21Z").unwrap();
    let challenge = "C".repeat(75);
    let question = Question {
        signed,
        challenge: challenge.clone(),
        ..stage.question()
    };

    let read = Request::read(&evidence(&challenge, BY_BOTO3), signed).unwrap();
    let ours = stage.session.presign(&question);

    assert_eq!(read.endpoint.host, HOST);
    assert_eq!(read.challenge_unverified, challenge);
    let signature = |url: &str| url.split_once("X-Amz-Signature=").unwrap().1.to_owned();
    assert_eq!(signature(&ours), signature(BY_BOTO3));
    let parameters = |query: &str| {
        let mut all: Vec<String> = query.split('&').map(str::to_owned).collect();
        all.sort_unstable();
        all
    };
    let asked = read.path_and_query.strip_prefix("/?").unwrap();
    assert_eq!(parameters(asked), parameters(BY_BOTO3.split_once('?').unwrap().1));
}

impl Stage {
    fn presigned(&self) -> Presigned {
        Presigned {
            sts: self.sts(&["eu-central-1"]),
            challenges: self.challenges.clone(),
            accounts: BTreeSet::from(["123456789012".to_owned()]),
            session_max: Duration::from_hours(1),
        }
    }

    /// Judges a good question of a principal as an attestor does.
    async fn verdict(&self, principal: &Principal, kind: Option<&str>) -> (String, Verdict) {
        let question = self.question();
        let text = evidence(&question.challenge, &principal.presign(&question));
        let evidence = Evidence::new(Secret::new(text), kind.map(str::to_owned), Possession::Bearer);
        let name = AttestorName::parse("roles").unwrap();
        let verdict = self.presigned().verdict(&name, &evidence, self.clock.now()).await;
        (question.challenge, verdict)
    }
}

#[tokio::test]
async fn t_44_an_attestation_of_a_role_uses_up_its_challenge() {
    let stage = Stage::start();
    let (challenge, verdict) = stage.verdict(&stage.session, None).await;
    let Verdict::Attested(attestation) = verdict else {
        panic!("{verdict:?}");
    };

    let attributes: Vec<_> = attestation.attributes().iter().collect();
    assert_eq!(
        attributes,
        [
            ("aws.account", "123456789012"),
            ("aws.role_arn", "arn:aws:iam::123456789012:role/deploy"),
            ("aws.role_id", "AROAEXAMPLEEXAMPLEID1"),
            ("aws.role_name", "deploy"),
            ("aws.session_name", "i-0123456789abcdef0"),
        ]
    );
    assert!(attributes.iter().all(|(name, _)| ATTRIBUTES.contains(name)));
    let ledger = attestation.ledger().unwrap();
    assert_eq!(ledger.rule, UseRule::Once);
    assert_eq!(
        attestation.session(),
        crate::secret::Digest::of_parts(&[b"sts:aws", crate::secret::Digest::of(challenge.as_bytes()).as_bytes()])
    );
    assert_eq!(attestation.stands_until(), stage.clock.now() + Duration::from_hours(1));
    let remembered = Duration::from_secs(60 + 35);
    assert_eq!(ledger.remember_until, stage.clock.now() + remembered);
}

#[tokio::test]
async fn t_46_roles_of_other_accounts_and_principals_whose_secrets_do_not_end_are_refused() {
    let stage = Stage::start();
    let other_account = Principal {
        access_key_id: "ASIAEXAMPLEEXAMPLE02".to_owned(),
        arn: stage.session.arn.replace("123456789012", "210987654321"),
        ..stage.session.clone()
    };
    let user = Principal {
        access_key_id: "AKIAEXAMPLEEXAMPLE01".to_owned(),
        arn: "arn:aws:iam::123456789012:user/alice".to_owned(),
        user_id: "AIDAEXAMPLEEXAMPLEID1".to_owned(),
        session_token: None,
        ..stage.session.clone()
    };
    let root = Principal {
        access_key_id: "AKIAEXAMPLEEXAMPLE02".to_owned(),
        arn: "arn:aws:iam::123456789012:root".to_owned(),
        user_id: "123456789012".to_owned(),
        ..user.clone()
    };
    for principal in [other_account, user, root] {
        stage.service.know(principal.clone());

        let (_, verdict) = stage.verdict(&principal, Some("aws_iam")).await;

        let Verdict::Refused(refusal) = verdict else {
            panic!("{}: {verdict:?}", principal.arn);
        };
        assert_eq!(refusal.code(), "attest.claim_invalid", "{}: {refusal}", principal.arn);
    }
}

#[tokio::test]
async fn evidence_of_another_kind_or_form_is_somebody_elses() {
    let stage = Stage::start();
    let (_, of_another_kind) = stage.verdict(&stage.session, Some("oidc")).await;
    let token = Evidence::new(Secret::new("eyJhbGciOiJSUzI1NiJ9.e30."), None, Possession::Bearer);
    let name = AttestorName::parse("roles").unwrap();
    let of_another_form = stage.presigned().verdict(&name, &token, stage.clock.now()).await;

    assert!(matches!(of_another_kind, Verdict::NotMine), "{of_another_kind:?}");
    assert!(matches!(of_another_form, Verdict::NotMine), "{of_another_form:?}");
    assert_eq!(stage.service.questions(), Vec::<String>::new());
}

#[tokio::test]
async fn thirty_two_questions_are_under_way_and_the_next_is_not_asked() {
    let stage = Stage::start();
    let sts = stage.sts(&["eu-central-1"]);
    let asked: Vec<Secret> = (0..33)
        .map(|_| {
            stage.service.mutations().push(Mutation::Delay(Duration::from_secs(1)));
            let question = stage.question();
            Secret::new(evidence(&question.challenge, &stage.session.presign(&question)))
        })
        .collect();

    let now = stage.clock.now();
    let all = asked.iter().map(|one| sts.confirm(one, &stage.challenges, now));
    let answers = futures_util::future::join_all(all).await;

    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0].code(), "issuer.unavailable");
    assert_eq!(stage.service.questions().len(), 32);
}

#[tokio::test]
async fn t_41_no_other_host_is_asked() {
    let stage = Stage::start();
    for host in [
        "evil.example",
        "sts.evil.amazonaws.com",
        "sts.us-east-1.amazonaws.com.evil",
        "sts.us-east-1.attacker.amazonaws.com",
        "sts..amazonaws.com",
        "sts.amazonaws.com:443",
        "sts.amazonaws.com@evil.example",
        "evil@sts.amazonaws.com",
        "169.254.169.254",
        "[::1]",
        "STS.EU-CENTRAL-1.AMAZONAWS.COM",
        "",
    ] {
        let reason = stage.refused_unasked(|url| url.replace(HOST, host)).await;
        assert!(reason.contains("host"), "{host}: {reason}");
    }
    let elsewhere = stage
        .refused_unasked(|url| {
            url.replace(HOST, "sts.eu-west-1.amazonaws.com")
                .replace("eu-central-1", "eu-west-1")
        })
        .await;
    assert!(elsewhere.contains("not of a configured region"), "{elsewhere}");
}

#[tokio::test]
async fn t_42_no_other_scheme_path_or_action_is_asked() {
    let stage = Stage::start();
    for (from, to, word) in [
        ("https://", "http://", "https"),
        ("https://", "", "https"),
        ("https://", "HTTPS://", "https"),
        ("https://", ":ab:cd.af:/", "https"),
        ("/?", "/abc?", "path"),
        ("/?", "//?", "path"),
        ("/?", "?", "path"),
        ("/?", "/%2f?", "path"),
        ("/?", "/#?", "path"),
        ("/?", "\\?", "path"),
        ("/?Action", "/", "path"),
        ("GetCallerIdentity", "AssumeRole", "Action"),
        ("GetCallerIdentity", "getcalleridentity", "Action"),
        ("GetCallerIdentity", "", "Action"),
        ("GetCallerIdentity", "GetCallerIdentity%20", "Action"),
        ("Action=GetCallerIdentity&", "", "Action"),
        ("2011-06-15", "2012-06-15", "Version"),
        ("Version=2011-06-15&", "", "Version"),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "Algorithm"),
    ] {
        let reason = stage.refused_unasked(|url| url.replacen(from, to, 1)).await;
        assert!(reason.contains(word), "{from} -> {to}: {reason}");
    }
}

#[tokio::test]
async fn t_43_no_other_parameter_and_none_twice_is_asked() {
    let stage = Stage::start();
    for more in [
        "&NoInAllowList=abc",
        "&RoleArn=x",
        "&x-amz-user-agent=a",
        "&",
        "&=",
        "&Action",
        "&action=GetCallerIdentity",
        "&Action=AssumeRole",
        "&X-Amz-Credential=eve",
        "&x-amz-credential=eve",
        "&X-AMZ-CREDENTIAL=eve",
        "&X-Amz-SignedHeaders=host",
        "&x%2damz-date=1",
        ";Action=AssumeRole",
        "#&Action=AssumeRole",
    ] {
        let reason = stage.refused_unasked(|url| format!("{url}{more}")).await;
        let told = ["parameter", "more than once", "signer"];
        assert!(told.iter().any(|word| reason.contains(word)), "{more}: {reason}");
    }
    let lower = stage
        .refused_unasked(|url| url.replace("X-Amz-Credential", "x-amz-credential"))
        .await;
    assert!(lower.contains("found parameter `x-amz-credential`"), "{lower}");
    for name in ["Credential", "Date", "Expires", "Signature", "SignedHeaders"] {
        let name = format!("X-Amz-{name}");
        let removed = |url: String| {
            let (head, query) = url.split_once('?').unwrap();
            let left: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with(&name)).collect();
            format!("{head}?{}", left.join("&"))
        };
        let reason = stage.refused_unasked(removed).await;
        assert!(reason.contains(&format!("found no `{name}`")), "{reason}");
    }
}

#[tokio::test]
async fn t_43_values_that_no_signer_writes_are_not_asked() {
    let stage = Stage::start();
    for (from, to) in [
        ("X-Amz-Expires=60", "X-Amz-Expires=901"),
        ("X-Amz-Expires=60", "X-Amz-Expires=9999999"),
        ("X-Amz-Expires=60", "X-Amz-Expires=-1"),
        ("X-Amz-Expires=60", "X-Amz-Expires=%2B60"),
        ("X-Amz-Expires=60", "X-Amz-Expires=6e1"),
        ("X-Amz-Date=20260116T144000Z", "X-Amz-Date=xxxxxxx"),
        ("X-Amz-Date=20260116T144000Z", "X-Amz-Date=20260116T144000"),
        ("X-Amz-Date=20260116T144000Z", "X-Amz-Date=20260116T246000Z"),
        ("X-Amz-Date=20260116T144000Z", "X-Amz-Date=2026-01-16T14:40:00Z"),
        ("%2Fsts%2F", "%2Fs3%2F"),
        ("%2Fsts%2F", "/sts/"),
        ("%2Feu-central-1%2F", "%2Feu-west-1%2F"),
        ("%2F20260116%2F", "%2F20260115%2F"),
        ("aws4_request", "aws4_request%2Fx"),
        ("ASIAEXAMPLEEXAMPLE01", "asiaexampleexample01"),
        ("ASIAEXAMPLEEXAMPLE01", "ASIA"),
        ("X-Amz-Security-Token=", "X-Amz-Security-Token=%00"),
        ("X-Amz-Security-Token=", "X-Amz-Security-Token=%0d%0aHost:x"),
        ("X-Amz-Security-Token=", "X-Amz-Security-Token=%zz"),
        ("X-Amz-Security-Token=", "X-Amz-Security-Token=a+b"),
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
        ("X-Amz-Signature=", "X-Amz-Signature=%20"),
    ] {
        let reason = stage.refused_unasked(|url| url.replacen(from, to, 1)).await;
        assert!(reason.contains("X-Amz-"), "{from} -> {to}: {reason}");
    }
    let empty = |url: String| {
        let (head, rest) = url.split_once("X-Amz-Security-Token=").unwrap();
        let (_, rest) = rest.split_once('&').unwrap();
        format!("{head}X-Amz-Security-Token=&{rest}")
    };
    assert!(stage.refused_unasked(empty).await.contains("X-Amz-Security-Token"));
}

#[tokio::test]
async fn t_43_a_signature_counts_for_900_s_at_most_and_30_s_ahead() {
    let stage = Stage::start();
    let judged = async |signed: SystemTime, expires: u64| {
        let question = Question {
            signed,
            expires,
            ..stage.question()
        };
        let url = stage.session.presign(&question);
        stage.judge(&evidence(&question.challenge, &url)).await
    };
    let now = stage.clock.now();
    let seconds = Duration::from_secs;

    assert!(judged(now - seconds(800), 900).await.is_ok());
    assert!(judged(now + seconds(30), 60).await.is_ok());
    for (signed, expires) in [
        (now + seconds(31), 60),
        (now - seconds(90), 60),
        (now - seconds(930), 900),
    ] {
        let refused = judged(signed, expires).await.unwrap_err();
        assert_eq!(refused.code(), "attest.evidence_unverifiable", "{refused}");
    }
}

#[tokio::test]
async fn t_43_takes_4096_bytes_and_refuses_one_more() {
    let stage = Stage::start();
    let of_length = |length: usize| {
        let mut session = stage.session.clone();
        let question = stage.question();
        session.session_token = Some(String::new());
        loop {
            let evidence = evidence(&question.challenge, &session.presign(&question));
            if evidence.len() >= length {
                return (session, evidence);
            }
            session.session_token.as_mut().unwrap().push('A');
        }
    };
    // Three characters are four of base64url, so that not every length can be met.
    let (fits, evidence) = (4090..=4096)
        .rev()
        .map(of_length)
        .find(|(_, evidence)| evidence.len() <= 4096)
        .unwrap();
    stage.service.know(fits);
    assert!(stage.judge(&evidence).await.is_ok(), "{}", evidence.len());

    for length in [4097, 16_384] {
        let refused = stage.judge(&"a".repeat(length)).await.unwrap_err();
        assert!(refused.to_string().contains("at most 4096"), "{refused}");
    }
    let refused = stage.judge(&"a".repeat(4096)).await.unwrap_err();
    assert!(refused.to_string().contains("does not begin"), "{refused}");
}

#[tokio::test]
async fn t_44_the_challenge_is_ours_signed_and_not_another() {
    let stage = Stage::start();
    for headers in [
        "host",
        "x-cambio-challenge",
        "host%3Bx-cambio-challeng",
        "host%3Bx-cambio-challenge%3Bx-cambio-challenge",
        "x-cambio-challenge%3Bhost",
        "abc%3Bhost%3Bx-cambio-challenge",
        "accept%3Bhost%3Bx-cambio-challenge",
        "Host%3BX-Cambio-Challenge",
        "",
    ] {
        let reason = stage
            .refused_unasked(|url| url.replace("host%3Bx-cambio-challenge", headers))
            .await;
        assert!(reason.contains("X-Amz-SignedHeaders"), "{headers}: {reason}");
    }
    let question = stage.question();
    let url = stage.session.presign(&question);
    let another = stage.question().challenge;

    let swapped = stage.judge(&evidence(&another, &url)).await.unwrap_err();

    assert!(swapped.to_string().contains("does not take"), "{swapped}");
    let cut = another.split_at(1).1;
    for challenge in ["", "x", &"A".repeat(75), cut] {
        let before = stage.service.questions().len();
        let refused = stage.judge(&evidence(challenge, &url)).await.unwrap_err();
        assert_eq!(refused.code(), "attest.evidence_unverifiable", "{challenge}");
        assert_eq!(stage.service.questions().len(), before, "{challenge}");
    }
}

#[tokio::test]
async fn t_44_a_challenge_older_than_a_minute_is_not_asked_about() {
    let stage = Stage::start();
    let question = Question {
        expires: 900,
        ..stage.question()
    };
    let evidence = evidence(&question.challenge, &stage.session.presign(&question));

    stage.clock.advance(Duration::from_secs(59));
    assert!(stage.judge(&evidence).await.is_ok());
    stage.clock.advance(Duration::from_secs(1));
    let refused = stage.judge(&evidence).await.unwrap_err();

    assert!(refused.to_string().contains("challenge ended"), "{refused}");
    assert_eq!(stage.service.questions().len(), 1);
}

#[tokio::test]
async fn a_url_for_another_service_is_of_no_use_here() {
    let stage = Stage::start();
    // What a cluster's authenticator takes: the same question over another header.
    let refused = stage
        .refused_unasked(|url| url.replace("x-cambio-challenge", "x-k8s-aws-id"))
        .await;

    assert!(refused.contains("X-Amz-SignedHeaders"), "{refused}");
}

#[tokio::test]
async fn what_aws_does_not_take_is_unverifiable() {
    let stage = Stage::start();
    let stranger = Principal {
        access_key_id: "ASIASTRANGERSTRANGE1".to_owned(),
        ..stage.session.clone()
    };
    let forger = Principal {
        secret_access_key: "guessed".to_owned(),
        ..stage.session.clone()
    };
    for principal in [stranger, forger] {
        let question = stage.question();
        let url = principal.presign(&question);

        let refused = stage.judge(&evidence(&question.challenge, &url)).await.unwrap_err();

        assert_eq!(refused.code(), "attest.evidence_unverifiable", "{principal:?}");
    }
}

#[tokio::test]
async fn t_45_no_answer_but_a_plain_one_is_believed() {
    let stage = Stage::start();
    for mutation in [
        Mutation::Garbage,
        Mutation::Oversized,
        Mutation::ServerError,
        Mutation::Throttle,
        Mutation::Delay(Duration::from_secs(6)),
    ] {
        stage.service.mutations().push(mutation.clone());

        let refused = stage.judge_changed(|url| url).await.unwrap_err();

        assert_eq!(refused.code(), "issuer.unavailable", "{mutation:?}: {refused:?}");
    }
    for answer in [
        "{}",
        "",
        "<GetCallerIdentityResponse/>",
        r#"{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":"","Arn":"","UserId":""}}}"#,
    ] {
        stage.service.answer_next(answer);

        let refused = stage.judge_changed(|url| url).await.unwrap_err();

        assert_eq!(refused.code(), "issuer.unavailable", "{answer}: {refused:?}");
    }
}

#[tokio::test]
async fn t_45_a_redirect_is_not_followed() {
    let stage = Stage::start();
    stage.service.redirect_next(&format!("{}/elsewhere", stage.url));

    let refused = stage.judge_changed(|url| url).await.unwrap_err();

    assert_eq!(refused.code(), "issuer.unavailable", "{refused}");
    assert_eq!(stage.service.questions().len(), 1);
}

#[tokio::test]
async fn t_46_an_answer_of_another_partition_is_not_believed() {
    let stage = Stage::start();
    stage.service.know(Principal {
        arn: stage.session.arn.replace("arn:aws:", "arn:aws-cn:"),
        ..stage.session.clone()
    });

    let refused = stage.judge_changed(|url| url).await.unwrap_err();

    assert_eq!(refused.code(), "issuer.unavailable", "{refused}");
}

#[test]
fn what_has_not_the_outer_form_is_malformed_and_not_repeated() {
    let url = |url: &str| evidence("challenge", url);
    for text in [
        String::new(),
        "canary".to_owned(),
        "k8s-aws-v1.canary".to_owned(),
        "cambio-aws-v2.canary.aaaa".to_owned(),
        "cambio-aws-v1.canary".to_owned(),
        "cambio-aws-v1.canary.a+b/".to_owned(),
        "cambio-aws-v1.canary.YQ==".to_owned(),
        "cambio-aws-v1.canary.YQ.YQ".to_owned(),
        url("https://canary\u{e9}"),
        url("https://canary\n"),
    ] {
        let refused = form(&Secret::new(text.clone())).unwrap_err();

        assert_eq!(refused.code(), "attest.evidence_malformed", "{text}");
        assert!(!refused.to_string().contains("canary"), "{text}: {refused}");
    }
    assert!(form(&Secret::new(url("https://example.com/"))).is_ok());
    assert!(is_announced(&Secret::new("cambio-aws-v1.x")));
    assert!(!is_announced(&Secret::new("eyJhbGciOiJSUzI1NiJ9.e30.")));
}

#[test]
fn a_region_that_is_not_known_makes_no_service() {
    for region in ["", "eu-central-9", "evil.example", "EU-CENTRAL-1", "*"] {
        let refused = Sts::new(&Fetch::system(), &[region.to_owned()], None).unwrap_err();
        assert!(matches!(refused, StsRefused::Region { .. }), "{region}: {refused}");
    }
}

/// Configures the kind with the service as AWS, and judges a good question.
#[tokio::test]
async fn the_kind_takes_both_ways_and_only_what_is_configured() {
    let stage = Stage::start();
    let configured = |presigned: bool| {
        let table = format!(
            "accounts = [{{ account = \"123456789012\", issuer = \"https://a.example\" }}]\n{}",
            if presigned {
                format!(
                    "[presigned]\nregions = [\"eu-central-1\"]\nendpoint = \"{}\"\nca_file = \"{}\"\n\
                     allow_addresses = [\"127.0.0.0/8\"]\n",
                    stage.url,
                    stage.ca.display()
                )
            } else {
                String::new()
            }
        );
        let context = crate::attest::AttestorContext {
            name: AttestorName::parse("roles").unwrap(),
            issuer: "https://id.acme.example".to_owned(),
            trust_domain: crate::spiffe::TrustDomain::parse("prod.acme.example").unwrap(),
            own: crate::attest::OwnDocuments::default(),
            store: crate::attest::OwnStore::default(),
            fetch: Arc::new(Fetch::system()),
            clock: Arc::<FakeClock>::clone(&stage.clock),
            challenges: stage.challenges.clone(),
        };
        (crate::attest::aws_iam::BUILTIN.configure)(context, toml::from_str(&table).unwrap()).unwrap()
    };
    let question = stage.question();
    let token = evidence(&question.challenge, &stage.session.presign(&question));
    let evidence = Evidence::new(Secret::new(token), Some("aws_iam".to_owned()), Possession::Bearer);
    assert!((crate::attest::aws_iam::BUILTIN.form)(evidence.token_unverified()).is_ok());

    let (with, without) = (configured(true), configured(false));
    let Verdict::Attested(attestation) = with.judge(&evidence, stage.clock.now()).await else {
        panic!("not attested");
    };
    let refused = without.judge(&evidence, stage.clock.now()).await;

    assert_eq!(
        attestation.attributes().get("aws.role_id"),
        Some("AROAEXAMPLEEXAMPLEID1")
    );
    assert_eq!(attestation.ledger().unwrap().rule, UseRule::Once);
    assert!(!matches!(refused, Verdict::Attested(_)));
}

#[test]
fn questions_and_answers_that_were_found_are_judged_rightly() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/sts_request");
    let mut read = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        eprintln!("{}", path.display());
        let input = std::fs::read(&path).unwrap();
        fuzzing::hold(&input);
        read += usize::from(Request::read(&fuzzing::evidence(&input), fuzzing::now()).is_ok());
    }
    assert!(read >= 3, "{read} of the inputs are questions");
}

/// Returns the URL of a question, without the service that would answer it.
fn url_of_session() -> String {
    let session = Principal {
        access_key_id: "ASIAEXAMPLEEXAMPLE01".to_owned(),
        secret_access_key: "secret/of+the=session".to_owned(),
        session_token: Some("FwoGZXIvYXdzEXAMPLE//+/token==".to_owned()),
        arn: String::new(),
        user_id: String::new(),
    };
    session.presign(&Question {
        host: HOST.to_owned(),
        region: "eu-central-1".to_owned(),
        signed: fuzzing::now(),
        expires: 60,
        challenge: "challenge".to_owned(),
    })
}

proptest::proptest! {
    #[test]
    fn t_43_a_changed_url_is_sent_in_one_spelling_or_not_at_all(
        changed in crate::mutated::mutated(url_of_session().into_bytes()),
        whole in crate::mutated::mutated(evidence("challenge", &url_of_session()).into_bytes()),
    ) {
        fuzzing::hold(&changed);
        fuzzing::hold(&whole);
    }

    #[test]
    fn t_45_a_changed_answer_names_whom_it_says_or_nobody(
        changed in crate::mutated::mutated(ANSWER.as_bytes().to_vec()),
    ) {
        fuzzing::hold(&changed);
    }

    #[test]
    fn t_43_no_bytes_at_all_make_the_readers_panic(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..512),
    ) {
        fuzzing::hold(&bytes);
    }
}

const ANSWER: &str = r#"{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":"123456789012",
    "Arn":"arn:aws:sts::123456789012:assumed-role/deploy/i-0123456789abcdef0",
    "UserId":"AROAEXAMPLEEXAMPLEID1:i-0123456789abcdef0"},"ResponseMetadata":{"RequestId":"0"}}}"#;

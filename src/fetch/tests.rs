//! What the client does with hostile answers; the site is real TLS on loopback.

use std::{error::Error as _, net::Ipv4Addr, time::Instant};

use super::{
    fixture::{Answer, FakeResolver, HOST, Site, deserted},
    *,
};

const PATH: &str = "/.well-known/jwks";

fn loopback() -> Vec<AddressBlock> {
    vec!["127.0.0.0/8".parse().unwrap()]
}

fn origin(fetch: &Fetch, site: &Site, allow: &[AddressBlock]) -> Origin {
    let settings = OriginSettings {
        url: &site.url,
        authorities_pem: Some(site.ca_pem.as_bytes()),
        allow_addresses: allow,
    };
    fetch.origin(&settings).unwrap()
}

async fn get(site: &Site) -> Result<Document, FetchFailed> {
    let origin = origin(&Fetch::new(FakeResolver::loopback()), site, &loopback());
    origin.get(&format!("{}{PATH}", site.url), SizeLimit::Document).await
}

async fn answered(answer: Answer) -> Result<Document, FetchFailed> {
    let site = Site::start().await;
    site.answer(PATH, answer);
    get(&site).await
}

#[tokio::test]
async fn fetches_a_document_and_its_max_age() {
    let answer = Answer::head("200 OK", "Cache-Control: public, max-age=900\r\n", "{\"keys\":[]}");

    let document = answered(answer).await.unwrap();

    assert_eq!(document.bytes, b"{\"keys\":[]}");
    assert_eq!(document.max_age, Some(Duration::from_mins(15)));
}

#[tokio::test]
async fn tm_08_takes_100_kib_and_refuses_one_byte_more() {
    let limit = SizeLimit::Document.bytes();

    let whole = answered(Answer::Body(vec![b' '; limit])).await.unwrap();
    let more = answered(Answer::Body(vec![b' '; limit + 1])).await;

    assert_eq!(whole.bytes.len(), 102_400);
    assert!(
        matches!(more, Err(FetchFailed::Oversized { limit: 102_400, .. })),
        "{more:?}"
    );
}

#[tokio::test]
async fn takes_a_bundle_of_1_mib_and_refuses_one_byte_more() {
    let site = Site::start().await;
    let limit = SizeLimit::Bundle.bytes();
    site.answer("/whole", Answer::Body(vec![b' '; limit]));
    site.answer("/more", Answer::Body(vec![b' '; limit + 1]));
    let origin = origin(&Fetch::new(FakeResolver::loopback()), &site, &loopback());

    let whole = origin.get(&format!("{}/whole", site.url), SizeLimit::Bundle).await;
    let more = origin.get(&format!("{}/more", site.url), SizeLimit::Bundle).await;

    assert_eq!(whole.unwrap().bytes.len(), 1_048_576);
    assert!(matches!(more, Err(FetchFailed::Oversized { .. })), "{more:?}");
}

#[tokio::test]
async fn tm_08_refuses_an_oversized_body_that_announces_no_length() {
    let mut raw = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..101 {
        raw.extend_from_slice(b"400\r\n");
        raw.extend_from_slice(&[b' '; 1024]);
        raw.extend_from_slice(b"\r\n");
    }
    raw.extend_from_slice(b"0\r\n\r\n");

    let refused = answered(Answer::Raw(raw)).await;

    assert!(matches!(refused, Err(FetchFailed::Oversized { .. })), "{refused:?}");
}

#[tokio::test]
async fn tm_08_refuses_a_compressed_body() {
    for encoding in ["gzip", "br", "deflate", "zstd", "identity"] {
        let refused = answered(Answer::head(
            "200 OK",
            &format!("content-encoding: {encoding}\r\n"),
            "{}",
        ))
        .await;

        assert!(
            matches!(refused, Err(FetchFailed::Encoded { .. })),
            "{encoding}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn t_17_follows_no_redirect() {
    for status in [300, 301, 302, 303, 304, 305, 307, 308] {
        let elsewhere = Site::start().await;
        let site = Site::start().await;
        let head = format!("location: {}{PATH}\r\n", elsewhere.url);
        site.answer(PATH, Answer::head(&format!("{status} Elsewhere"), &head, ""));

        let refused = get(&site).await;

        assert!(
            matches!(refused, Err(FetchFailed::Redirected { status: found, .. }) if found == status),
            "{status}: {refused:?}"
        );
        assert_eq!(elsewhere.connections(), 0, "{status}");
        assert_eq!(site.connections(), 1, "{status}");
    }
}

#[tokio::test]
async fn t_17_follows_no_redirect_to_the_same_host() {
    let site = Site::start().await;
    site.answer(PATH, Answer::head("302 Found", "location: /other\r\n", ""));

    assert!(matches!(
        get(&site).await,
        Err(FetchFailed::Redirected { status: 302, .. })
    ));
    assert_eq!(site.requests("/other"), 0);
}

#[tokio::test]
async fn t_05_shows_nothing_of_an_answers_body() {
    for status in ["500 Oops", "404 Not Found", "302 Found", "201 Created"] {
        let refused = answered(Answer::head(status, "", "internal-canary")).await.unwrap_err();

        assert!(!format!("{refused} {refused:?}").contains("canary"), "{refused:?}");
        let mut cause = refused.source();
        while let Some(error) = cause {
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
            cause = error.source();
        }
    }
}

#[tokio::test]
async fn t_05_shows_nothing_of_an_answer_that_is_no_http() {
    let refused = answered(Answer::Raw(b"SSH-2.0-internal-canary\r\n\r\n".to_vec()))
        .await
        .unwrap_err();

    assert!(matches!(refused, FetchFailed::Transport { .. }), "{refused:?}");
    assert!(!format!("{refused:?}").contains("canary"), "{refused:?}");
}

#[tokio::test]
async fn tm_08_gives_up_on_a_body_that_drips() {
    let site = Site::start().await;
    site.answer(PATH, Answer::Drip);
    let fetch = Fetch::new(FakeResolver::loopback()).with_patience(Patience {
        connect: Duration::from_millis(500),
        total: Duration::from_millis(1_500),
    });
    let begun = Instant::now();

    let refused = origin(&fetch, &site, &loopback())
        .get(&format!("{}{PATH}", site.url), SizeLimit::Document)
        .await;

    assert!(matches!(refused, Err(FetchFailed::TimedOut { .. })), "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn tm_08_gives_up_on_an_origin_that_says_nothing() {
    let site = Site::start().await;
    site.answer(PATH, Answer::Silence);
    let fetch = Fetch::new(FakeResolver::loopback()).with_patience(Patience {
        connect: Duration::from_millis(300),
        total: Duration::from_millis(600),
    });

    let refused = origin(&fetch, &site, &loopback())
        .get(&format!("{}{PATH}", site.url), SizeLimit::Document)
        .await;

    assert!(matches!(refused, Err(FetchFailed::TimedOut { .. })), "{refused:?}");
}

#[test]
fn waits_two_seconds_for_a_connection_and_five_in_all() {
    let patience = Patience::default();

    assert_eq!(
        (patience.connect, patience.total),
        (Duration::from_secs(2), Duration::from_secs(5))
    );
}

#[tokio::test]
async fn tm_09_refuses_a_name_with_one_bad_address_among_good_ones() {
    for bad in [
        "127.0.0.1",
        "10.0.0.7",
        "169.254.169.254",
        "::1",
        "fe80::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
    ] {
        let site = Site::start().await;
        let resolver = FakeResolver::giving(&[&["1.1.1.1", "2606:4700::1111", bad]]);
        let origin = origin(&Fetch::new(resolver), &site, &[]);

        let refused = origin.get(&format!("{}{PATH}", site.url), SizeLimit::Document).await;

        assert!(
            matches!(refused, Err(FetchFailed::Address { .. })),
            "{bad}: {refused:?}"
        );
        assert_eq!(site.connections(), 0, "{bad}");
    }
}

#[tokio::test]
async fn tm_09_asks_once_and_connects_to_what_it_checked_though_the_answer_flips() {
    let site = Site::start().await;
    site.answer(PATH, Answer::Body(b"{}".to_vec()));
    // A second question within one fetch would be answered with the metadata address.
    let resolver = FakeResolver::giving(&[&["127.0.0.1"], &["169.254.169.254"]]);
    let origin = origin(
        &Fetch::new(Arc::clone(&resolver) as Arc<dyn Resolver>),
        &site,
        &loopback(),
    );
    let url = format!("{}{PATH}", site.url);

    let first = origin.get(&url, SizeLimit::Document).await;
    let asked = resolver.asked();
    let second = origin.get(&url, SizeLimit::Document).await;

    assert_eq!(first.unwrap().bytes, b"{}");
    assert_eq!(asked, 1);
    assert!(matches!(second, Err(FetchFailed::Address { .. })), "{second:?}");
    assert_eq!(site.requests(PATH), 1);
}

#[tokio::test]
async fn tm_09_refuses_private_literals_in_every_spelling() {
    let fetch = Fetch::new(FakeResolver::giving(&[&["1.1.1.1"]]));
    for host in [
        "127.0.0.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "127.1",
        "0x7f000001",
        "127.0.0.1.",
        "0",
        "0.0.0.0",
        "10.1",
        "0xa9fea9fe",
        "169.254.169.254",
        "2852039166",
        "0251.0376.0251.0376",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[0:0:0:0:0:ffff:7f00:1]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[::7f00:1]",
    ] {
        let url = format!("https://{host}{PATH}");
        let settings = OriginSettings {
            url: &url,
            authorities_pem: None,
            allow_addresses: &[],
        };
        let Ok(origin) = fetch.origin(&settings) else { continue };

        let refused = origin.get(&url, SizeLimit::Document).await;

        assert!(
            matches!(refused, Err(FetchFailed::Address { .. })),
            "{host}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn connects_to_a_literal_address_that_is_listed() {
    let site = Site::start().await;
    site.answer(PATH, Answer::Body(b"{}".to_vec()));
    let url = format!("https://{}:{}", Ipv4Addr::LOCALHOST, site.port());
    let settings = OriginSettings {
        url: &url,
        authorities_pem: Some(site.ca_pem.as_bytes()),
        allow_addresses: &loopback(),
    };
    let origin = Fetch::new(FakeResolver::giving(&[&[]])).origin(&settings).unwrap();

    assert!(origin.get(&format!("{url}{PATH}"), SizeLimit::Document).await.is_ok());
}

#[tokio::test]
async fn tm_10_asks_no_other_origin_than_the_configured_one() {
    let site = Site::start().await;
    let resolver = FakeResolver::loopback();
    let origin = origin(
        &Fetch::new(Arc::clone(&resolver) as Arc<dyn Resolver>),
        &site,
        &loopback(),
    );
    let port = site.port();
    for url in [
        format!("http://{HOST}:{port}{PATH}"),
        format!("https://{HOST}{PATH}"),
        format!("https://{HOST}:{}{PATH}", port ^ 1),
        format!("https://{HOST}.:{port}{PATH}"),
        format!("https://evil.test:{port}{PATH}"),
        format!("https://{HOST}.evil.test:{port}{PATH}"),
        format!("https://evil.test:{port}/?https://{HOST}:{port}"),
        format!("https://{HOST}:{port}@evil.test{PATH}"),
        format!("https://user@{HOST}:{port}{PATH}"),
        format!("https://@{HOST}:{port}{PATH}"),
        format!("https://{HOST}:{port}\\@evil.test{PATH}"),
        format!("https://{HOST}:{port}{PATH}#fragment"),
        format!("file:///etc/passwd?{HOST}:{port}"),
        format!("//{HOST}:{port}{PATH}"),
        format!(" https://{HOST}:{port}{PATH}"),
        format!("https://{HOST}:{port}/a\tb"),
        String::new(),
    ] {
        let refused = origin.get(&url, SizeLimit::Document).await;

        assert!(
            matches!(refused, Err(FetchFailed::ForeignOrigin { .. })),
            "{url}: {refused:?}"
        );
        assert!(!origin.covers(&url), "{url}");
    }
    assert_eq!(resolver.asked(), 0);
    assert_eq!(site.connections(), 0);
}

#[tokio::test]
async fn refuses_a_certificate_of_another_authority() {
    let site = Site::start().await;
    let other = Site::start().await;
    let settings = OriginSettings {
        url: &site.url,
        authorities_pem: Some(other.ca_pem.as_bytes()),
        allow_addresses: &loopback(),
    };
    let origin = Fetch::new(FakeResolver::loopback()).origin(&settings).unwrap();

    let refused = origin.get(&format!("{}{PATH}", site.url), SizeLimit::Document).await;

    assert!(matches!(refused, Err(FetchFailed::Transport { .. })), "{refused:?}");
    assert_eq!(site.requests(PATH), 0);
}

#[tokio::test]
async fn refuses_a_certificate_of_another_name() {
    let site = Site::start().await;
    let url = format!("https://other.test:{}", site.port());
    let settings = OriginSettings {
        url: &url,
        authorities_pem: Some(site.ca_pem.as_bytes()),
        allow_addresses: &loopback(),
    };
    let origin = Fetch::new(FakeResolver::loopback()).origin(&settings).unwrap();

    let refused = origin.get(&format!("{url}{PATH}"), SizeLimit::Document).await;

    assert!(matches!(refused, Err(FetchFailed::Transport { .. })), "{refused:?}");
}

#[tokio::test]
async fn says_that_a_host_has_no_address_or_nobody_listens() {
    let site = Site::start().await;
    let nowhere = origin(&Fetch::new(FakeResolver::giving(&[&[]])), &site, &loopback());
    let url = format!("https://{HOST}:{}", deserted().await.port());
    let settings = OriginSettings {
        url: &url,
        authorities_pem: None,
        allow_addresses: &loopback(),
    };
    let closed = Fetch::new(FakeResolver::loopback()).origin(&settings).unwrap();

    let unresolved = nowhere.get(&site.url, SizeLimit::Document).await;
    let unconnected = closed.get(&url, SizeLimit::Document).await;

    assert!(matches!(unresolved, Err(FetchFailed::Resolve { .. })), "{unresolved:?}");
    assert!(
        matches!(unconnected, Err(FetchFailed::Transport { .. })),
        "{unconnected:?}"
    );
}

#[test]
fn refuses_to_configure_what_is_no_https_origin() {
    let fetch = Fetch::new(FakeResolver::loopback());
    for url in [
        "http://ci.example",
        "https://",
        "https://user:pass@ci.example",
        "ci.example",
        "https://ci.example#a",
        "https://cí.example",
    ] {
        let settings = OriginSettings {
            url,
            authorities_pem: None,
            allow_addresses: &[],
        };
        assert!(
            matches!(fetch.origin(&settings), Err(OriginRefused::Url { .. })),
            "{url}"
        );
    }
}

#[test]
fn refuses_authorities_that_hold_no_certificate() {
    let fetch = Fetch::new(FakeResolver::loopback());
    for pem in [
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
    ] {
        let settings = OriginSettings {
            url: "https://ci.example",
            authorities_pem: Some(pem.as_bytes()),
            allow_addresses: &[],
        };
        assert!(
            matches!(fetch.origin(&settings), Err(OriginRefused::Authorities { .. })),
            "{pem:?}"
        );
    }
}

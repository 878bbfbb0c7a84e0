//! Which URLs and names are ours to have.

use super::*;
use crate::config::tests::{Case, at};

fn issuer_code(text: &str) -> &'static str {
    issuer(text, Profile::Production).map_or_else(|fault| fault.code, |_| "taken")
}

fn exchange_code(text: &str) -> &'static str {
    exchange_url(text, Profile::Production).map_or_else(|fault| fault.code, |_| "taken")
}

#[test]
fn takes_an_issuer_with_and_without_a_path() {
    assert_eq!(issuer_code("https://id.acme.example"), "taken");
    assert_eq!(issuer_code("https://id.acme.example/prod/1"), "taken");
}

#[test]
fn refuses_an_issuer_that_could_be_written_in_two_ways() {
    for text in [
        "id.acme.example",
        "http://id.acme.example",
        "https://id.acme.example/",
        "https://id.acme.example/prod/",
        "https://ID.acme.example",
        "https://id.acme.example/a/../b",
        "https://id.acme.example?",
        "https://id.acme.example?a=b",
        "https://id.acme.example#",
        "https://user@id.acme.example",
        "https://user:password@id.acme.example",
        " https://id.acme.example",
        "https://id.acme.example\t",
        "https://",
        "",
    ] {
        assert_eq!(issuer_code(text), "config.issuer_invalid", "{text:?}");
    }
}

#[test]
fn takes_an_issuer_of_255_characters_and_refuses_256() {
    let start = "https://id.acme.example/";

    assert_eq!(
        issuer_code(&format!("{start}{}", "a".repeat(255 - start.len()))),
        "taken"
    );
    assert_eq!(
        issuer_code(&format!("{start}{}", "a".repeat(256 - start.len()))),
        "config.issuer_invalid"
    );
}

#[test]
fn refuses_an_issuer_with_a_port_also_the_default_one() {
    assert_eq!(issuer_code("https://id.acme.example:8443"), "config.issuer_port");
    assert_eq!(issuer_code("https://id.acme.example:443"), "config.issuer_port");
    assert_eq!(issuer_code("https://127.0.0.1:8443"), "config.issuer_port");
    assert_eq!(issuer_code("https://[::1]:8443"), "config.issuer_port");
}

#[test]
fn takes_a_port_in_development_on_loopback_only() {
    for text in ["https://127.0.0.1:8443", "https://[::1]:8443", "https://localhost:8443"] {
        assert_eq!(issuer(text, Profile::Development), Ok(text.to_owned()));
    }
    for text in [
        "https://id.acme.test:8443",
        "https://10.0.0.1:8443",
        "https://127.0.0.1.acme.test:8443",
    ] {
        let fault = issuer(text, Profile::Development).unwrap_err();
        assert_eq!(fault.code, "config.issuer_port_loopback", "{text}");
    }
}

#[test]
fn takes_an_exchange_url_with_and_without_a_port() {
    assert_eq!(exchange_code("https://exchange.acme.example:9443"), "taken");
    assert_eq!(exchange_code("https://exchange.acme.example"), "taken");
}

#[test]
fn refuses_an_exchange_url_with_more_than_host_and_port() {
    for text in [
        "https://exchange.acme.example/",
        "https://exchange.acme.example/v1",
        "https://exchange.acme.example:443",
        "https://exchange.acme.example?a",
        "http://exchange.acme.example",
        "https://user@exchange.acme.example",
        "exchange.acme.example:9443",
    ] {
        assert_eq!(exchange_code(text), "config.exchange_url_invalid", "{text}");
    }
    let fault = exchange_url("https://exchange.acme.test:9443", Profile::Development).unwrap_err();
    assert_eq!(fault.code, "config.exchange_url_invalid");
}

#[test]
fn never_shows_the_password_of_a_url() {
    for text in [
        "https://u:hunter2@id.acme.example",
        "http://u:hunter2@id.acme.example",
        "https://u:hunter2@:x",
    ] {
        let fault = issuer(text, Profile::Production).unwrap_err();
        assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
    }
}

#[test]
fn refuses_a_name_that_is_no_trust_domain() {
    assert_eq!(
        trust_domain(&"a".repeat(255), Profile::Production).map(|name| name.as_str().len()),
        Ok(255)
    );
    for text in [
        "",
        "Prod.acme.example",
        "spiffe://acme.example",
        "acme.example/",
        "acme:1",
        &"a".repeat(256),
    ] {
        let fault = trust_domain(text, Profile::Production).unwrap_err();
        assert_eq!(fault.code, "config.trust_domain_invalid", "{text:?}");
    }
}

#[test]
fn development_keeps_to_a_test_trust_domain() {
    assert!(trust_domain("dev.cambio.test", Profile::Development).is_ok());
    let fault = trust_domain("prod.acme.example", Profile::Development).unwrap_err();

    assert_eq!(fault.code, "config.trust_domain_not_test");
}

#[test]
fn a_refused_issuer_is_shown_where_it_stands() {
    let case = Case::sample().with("https://id.acme.example\" ", "https://id.acme.example:8443\" ");

    assert_eq!(case.fault(), at("config.issuer_port", "issuer"));
}

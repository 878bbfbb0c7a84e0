//! Where we may listen.

use super::*;
use crate::config::tests::{Case, at};

#[test]
fn development_listens_on_loopback_only() {
    assert_eq!(Case::sample().development().settings().listen.metadata.port(), 8443);

    let case = Case::sample()
        .development()
        .with("\"127.0.0.1:8443\"", "\"0.0.0.0:8443\"");
    assert_eq!(case.fault(), at("config.listen_not_loopback", "listen.metadata"));
}

#[test]
fn refuses_one_port_for_both_listeners() {
    let case = Case::sample().with("0.0.0.0:9443", "[::]:8443");

    assert_eq!(case.fault(), at("config.listen_conflict", "listen.exchange"));
}

#[test]
fn refuses_a_port_of_the_systems_choice_in_production() {
    let case = Case::sample().with("0.0.0.0:9443", "0.0.0.0:0");

    assert_eq!(case.fault(), at("config.value_invalid", "listen.exchange"));
}

#[test]
fn refuses_a_name_where_an_address_belongs() {
    let case = Case::sample().with("0.0.0.0:9443", "localhost:9443");

    assert_eq!(case.fault(), at("config.value_invalid", "listen.exchange"));
}

#[test]
fn refuses_an_admin_listener_that_is_no_unix_socket() {
    for admin in ["0.0.0.0:7443", "unix:admin.sock", "/run/cambio/admin.sock", ""] {
        let case = Case::sample().with("unix:/run/cambio/admin.sock", admin);
        assert_eq!(case.fault(), at("config.admin_not_unix", "listen.admin"), "{admin}");
    }
}

#[test]
fn takes_a_socket_path_of_107_bytes_and_refuses_108() {
    let path = |bytes: usize| format!("unix:/{}", "a".repeat(bytes - 1));

    assert!(
        Case::sample()
            .with("unix:/run/cambio/admin.sock", &path(107))
            .load()
            .is_ok()
    );
    let case = Case::sample().with("unix:/run/cambio/admin.sock", &path(108));
    assert_eq!(case.fault(), at("config.out_of_range", "listen.admin"));
}

#[test]
fn takes_64_proxies_and_refuses_65() {
    let proxies = |count| format!("trusted_proxies = [{}]", "\"10.0.0.1\",".repeat(count));

    let settings = Case::sample().with("trusted_proxies = []", &proxies(64)).settings();
    assert_eq!(settings.listen.trusted_proxies.len(), 64);
    let case = Case::sample().with("trusted_proxies = []", &proxies(65));
    assert_eq!(case.fault(), at("config.out_of_range", "listen.trusted_proxies"));
}

#[test]
fn refuses_to_trust_everybody() {
    for everybody in ["0.0.0.0/0", "::/0"] {
        let case = Case::sample().with("trusted_proxies = []", &format!("trusted_proxies = [\"{everybody}\"]"));
        assert_eq!(
            case.fault(),
            at("config.proxy_range_too_wide", "listen.trusted_proxies[0]")
        );
    }
}

#[test]
fn refuses_what_is_no_network() {
    for text in [
        "10.0.0.0/33",
        "::/129",
        "10.0.0.1/8",
        "10.0.0/8",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "name",
    ] {
        assert!(proxy(text).is_err(), "{text}");
    }
}

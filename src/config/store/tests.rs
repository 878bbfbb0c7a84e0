//! Which stores are taken.

use super::*;
use crate::config::tests::{Case, at};

fn code(url: &str) -> &'static str {
    read(url).map_or_else(|fault| fault.code, |_| "taken")
}

#[test]
fn takes_an_absolute_sqlite_file() {
    let store = read("sqlite:///var/lib/cambio/cambio.db").unwrap();

    assert_eq!(store.directory(), Some(Path::new("/var/lib/cambio")));
    assert_eq!(store.url().expose(), "sqlite:///var/lib/cambio/cambio.db");
}

#[test]
fn refuses_what_is_no_durable_store() {
    for url in [
        "sqlite::memory:",
        "sqlite://cambio.db",
        "sqlite:///",
        "sqlite:///a?mode=memory",
        "sqlite:cambio.db",
        "mysql://localhost/a",
        "/var/lib/cambio.db",
        "",
    ] {
        assert_eq!(code(url), "config.store_invalid", "{url}");
    }
}

#[test]
fn refuses_postgres_over_a_connection_that_others_can_read() {
    for url in [
        "postgres://u:p@db.acme.example/cambio",
        "postgres://u:p@db.acme.example/cambio?sslmode=prefer",
        "postgresql://u:p@10.0.0.1/cambio?sslmode=require",
    ] {
        assert_eq!(code(url), "config.store_unencrypted", "{url}");
    }
}

#[test]
fn takes_postgres_with_verified_tls_or_on_this_machine() {
    for url in [
        "postgres://u:p@db.acme.example/cambio?sslmode=verify-full",
        "postgres://u:p@localhost/cambio",
        "postgres://u:p@127.0.0.1:5432/cambio?sslmode=disable",
        "postgres://u:p@[::1]/cambio",
        "postgres:///cambio?host=/run/postgresql",
    ] {
        assert_eq!(code(url), "taken", "{url}");
    }
}

#[test]
fn refuses_a_host_that_the_parameters_move_elsewhere() {
    for url in [
        "postgres://localhost/cambio?host=db.acme.example",
        "postgres://localhost/cambio?hostaddr=10.0.0.1",
        "postgres://db.acme.example/cambio?sslmode=verify-full&sslmode=disable",
    ] {
        assert_eq!(code(url), "config.store_unencrypted", "{url}");
    }
}

#[test]
fn never_shows_the_url() {
    for url in [
        "postgres://u:hunter2@db/cambio",
        "mysql://u:hunter2@db",
        "postgres://u:hunter2@:x/",
    ] {
        let fault = read(url).unwrap_err();
        assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
    }
    let store = read("postgres://u:hunter2@localhost/cambio").unwrap();
    assert!(!format!("{store:?}").contains("hunter2"));
}

#[test]
fn several_replicas_need_postgres() {
    let case = Case::sample().variable("CAMBIO_REPLICAS", "2");
    assert_eq!(case.fault(), at("config.replicas_need_postgres", "store.url"));

    let settings = case
        .variable(
            "CAMBIO_STORE__URL",
            "postgres://db.acme.example/cambio?sslmode=verify-full",
        )
        .settings();
    assert_eq!(settings.replicas.get(), 2);
}

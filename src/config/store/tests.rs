//! Which stores are taken.

use super::*;
use crate::config::tests::{Case, at};

fn store(url: &str) -> Result<Store, Fault> {
    let raw = RawStore {
        url: Some(url.to_owned()),
        ..RawStore::default()
    };
    place(url, Network::Verified)?;
    let mut problems = Problems::default();
    Ok(read(raw, Path::new("/"), &KeyPath::root().key("store"), &mut problems).unwrap())
}

fn code(url: &str) -> &'static str {
    store(url).map_or_else(|fault| fault.code, |_| "taken")
}

#[test]
fn takes_an_absolute_sqlite_file() {
    let store = store("sqlite:///var/lib/cambio/cambio.db").unwrap();

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
        let fault = store(url).unwrap_err();
        assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
    }
    let store = store("postgres://u:hunter2@localhost/cambio").unwrap();
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

#[test]
fn refuses_a_parameter_that_the_driver_does_not_know_without_its_value() {
    for url in [
        "postgres://localhost/cambio?passwrod=hunter2",
        "postgres://localhost/cambio?password=hunter2",
        "postgres://localhost/cambio?options=-csynchronous_commit%3Doff",
    ] {
        let fault = store(url).unwrap_err();

        assert_eq!(fault.code, "config.store_invalid", "{url}");
        assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
    }
}

fn on_postgres(rest: &str) -> Case {
    store_at("postgres://cambio@localhost/cambio", rest)
}

fn store_at(url: &str, rest: &str) -> Case {
    Case::sample()
        .variable("CAMBIO_STORE__URL", url)
        .with("[store]", &format!("[store]\n{rest}"))
}

#[test]
fn the_password_comes_from_a_file_that_only_the_owner_reads() {
    let case = on_postgres("password_file = \"password\"");
    case.write("password", 0o600, "hunter2\n");

    let Store::Postgres(postgres) = case.settings().store else {
        panic!("a postgres store");
    };

    assert_eq!(
        postgres
            .password
            .map(|password| password.expose().to_owned())
            .as_deref(),
        Some("hunter2")
    );
    case.write("password", 0o644, "hunter2\n");
    assert_eq!(case.fault(), at("config.file_mode", "store.password_file"));
    case.write("password", 0o600, "\n");
    assert_eq!(case.fault(), at("config.store_password", "store.password_file"));
}

#[test]
fn refuses_two_passwords_and_one_for_a_file() {
    for url in [
        "postgres://cambio:other@localhost/cambio",
        "sqlite:///var/lib/cambio/cambio.db",
    ] {
        let case = store_at(url, "password_file = \"password\"");
        case.write("password", 0o600, "hunter2\n");

        assert_eq!(
            case.fault(),
            at("config.store_password", "store.password_file"),
            "{url}"
        );
    }
}

#[test]
fn takes_3_to_100_connections_and_not_2_or_101() {
    for (asked, taken) in [(2, false), (3, true), (100, true), (101, false)] {
        let case = on_postgres(&format!("connections = {asked}"));

        assert_eq!(case.load().is_ok(), taken, "{asked}");
        if !taken {
            assert_eq!(case.fault(), at("config.out_of_range", "store.connections"));
        }
    }
}

#[test]
fn an_open_network_must_be_called_dangerous() {
    let remote = "postgres://db.acme.example/cambio";

    let taken = store_at(remote, "dangerous_unverified_connection = true");

    let Store::Postgres(postgres) = taken.settings().store else {
        panic!("a postgres store");
    };
    assert_eq!(postgres.network, Network::DangerousOpen);
    let refused = store_at(remote, "dangerous_unverified_connection = false");
    assert_eq!(refused.fault(), at("config.store_unencrypted", "store.url"));
}

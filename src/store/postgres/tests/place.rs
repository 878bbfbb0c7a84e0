//! Which databases are taken, and what is shown of them.

use super::*;
use crate::store::postgres::{place::Found, schema};

/// Returns the place that `options` lead to.
pub(super) fn at(options: &PostgresOptions) -> Place {
    Place::new(options, Access::Write).unwrap()
}

fn options(url: &str) -> PostgresOptions {
    PostgresOptions::new(Secret::new(url))
}

fn refusal(url: &str) -> Option<String> {
    match Place::new(&options(url), Access::Write) {
        Ok(_) => None,
        Err(StoreError::Open { reason, .. }) => Some(reason),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn another_machine_is_reached_only_with_its_name_verified() {
    for url in [
        "postgres://db.acme.example/cambio",
        "postgres://db.acme.example/cambio?sslmode=require",
        "postgres://db.acme.example/cambio?sslmode=verify-ca",
        "postgres://localhost/cambio?host=10.0.0.1",
        "postgres://localhost/cambio?hostaddr=10.0.0.1",
    ] {
        let reason = refusal(url).expect(url);
        assert!(reason.contains("expected `verify-full`"), "{url}: {reason}");
        let dangerous = PostgresOptions {
            encryption: Encryption::DangerousAny,
            ..options(url)
        };
        assert!(Place::new(&dangerous, Access::Write).is_ok(), "{url}");
    }
    for url in [
        "postgres://db.acme.example/cambio?sslmode=verify-full",
        "postgres://localhost/cambio",
        "postgres://127.0.0.1/cambio",
        "postgresql://[::1]/cambio",
        "postgres:///cambio?host=/run/postgresql",
        "postgres://%2Frun%2Fpostgresql/cambio",
    ] {
        assert_eq!(refusal(url), None, "{url}");
    }
}

#[test]
fn refuses_a_url_of_another_form() {
    for url in [
        "",
        "cambio",
        "sqlite:///a",
        "mysql://localhost/a",
        "postgres://localhost:x/a",
    ] {
        assert!(refusal(url).is_some(), "{url}");
    }
}

#[tokio::test]
async fn neither_errors_nor_debug_show_the_password() {
    // Nobody listens there.
    let with_url = options("postgres://cambio:hunter2@127.0.0.1:1/cambio");
    let with_file = PostgresOptions {
        password: Some(Secret::new("hunter2")),
        ..options("postgres://cambio@127.0.0.1:1/cambio")
    };
    for options in [with_url, with_file] {
        let place = at(&options);
        let store = PostgresStore::over(&place, &options, Bounds::default());
        let error = PostgresStore::open(&options).await.unwrap_err();

        let shown = format!("{options:?} {place:?} {store:?} {error:?} {error}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("127.0.0.1:1/cambio"), "{shown}");
    }
}

fn sound() -> Found {
    Found {
        synchronous_commit: "on".to_owned(),
        fsync: "on".to_owned(),
        read_only: "off".to_owned(),
        recovering: false,
        encoding: "UTF8".to_owned(),
    }
}

fn refused(found: &Found) -> Option<&'static str> {
    match found.judge() {
        Ok(()) => None,
        Err(StoreError::Setting { setting, .. }) => Some(setting),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_setting_that_durability_rests_on_is_judged() {
    let changed = |change: fn(&mut Found)| {
        let mut found = sound();
        change(&mut found);
        refused(&found)
    };
    assert_eq!(refused(&sound()), None);
    assert_eq!(
        changed(|found| found.synchronous_commit = "remote_apply".to_owned()),
        None
    );
    for weaker in ["off", "local", "remote_write"] {
        let mut found = sound();
        weaker.clone_into(&mut found.synchronous_commit);
        assert_eq!(refused(&found), Some("synchronous_commit"), "{weaker}");
    }
    assert_eq!(changed(|found| found.fsync = "off".to_owned()), Some("fsync"));
    assert_eq!(
        changed(|found| found.read_only = "on".to_owned()),
        Some("default_transaction_read_only")
    );
    assert_eq!(changed(|found| found.recovering = true), Some("pg_is_in_recovery"));
    assert_eq!(
        changed(|found| found.encoding = "SQL_ASCII".to_owned()),
        Some("server_encoding")
    );
}

#[tokio::test]
async fn a_commit_waits_for_the_flush_whatever_the_database_says() {
    let database = database!();
    let name = database.name().to_owned();
    database.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = off"));

    let mut connection = at(&database.options()).connect().await.unwrap();

    let found: String = sqlx::query_scalar("SHOW synchronous_commit")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(found, "on");
}

#[tokio::test]
async fn a_session_has_deadlines_of_its_own_whatever_the_url_says() {
    let database = database!();
    let url = format!(
        "{}&options=-c%20lock_timeout%3D0%20-c%20search_path%3Dpublic",
        database.url
    );

    let mut connection = at(&options(&url)).connect().await.unwrap();

    for (setting, expected) in [
        ("lock_timeout", "1500ms"),
        ("statement_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "2s"),
        ("search_path", "cambio"),
        ("default_transaction_isolation", "read committed"),
    ] {
        let found: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(found, expected, "{setting}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_flush_is_refused() {
    if server().is_none() {
        return;
    }
    let server = Server::start("off", false).unwrap();

    let refused = PostgresStore::open(&options(&server.url("postgres"))).await;

    assert!(matches!(refused, Err(StoreError::Setting { setting: "fsync", found, expected: "on" }) if found == "off"));
}

#[tokio::test]
async fn a_standby_is_refused_for_writing_and_will_do_for_reading() {
    if server().is_none() {
        return;
    }
    let server = Server::start("on", false).unwrap();
    let options = options(&server.url("postgres"));
    PostgresStore::open(&options).await.unwrap().close().await;
    server.ctl(&["-m", "fast", "stop"]).unwrap();
    std::fs::write(server.data().join("standby.signal"), "").unwrap();
    server.ctl(&["start"]).unwrap();

    let refused = PostgresStore::open(&options).await;

    assert!(matches!(
        refused,
        Err(StoreError::Setting {
            setting: "pg_is_in_recovery",
            ..
        })
    ));
    let reader = PostgresStore::open_read_only(&options).await.unwrap();
    assert_eq!(reader.heads().await.unwrap(), []);
}

#[tokio::test]
async fn refuses_a_newer_format_and_another_programs_schema() {
    let database = database!();
    database.open(Bounds::default()).await.close().await;
    database.sql("UPDATE cambio.fact SET value = '4' WHERE name = 'format'");
    for refused in [
        PostgresStore::open(&database.options()).await,
        PostgresStore::open_read_only(&database.options()).await,
    ] {
        assert!(matches!(refused, Err(StoreError::Format { found, expected: schema::CURRENT }) if found == "4"));
    }

    let database = database!();
    database.sql("CREATE SCHEMA cambio; CREATE TABLE cambio.recipes (id int)");
    let refused = PostgresStore::open(&database.options()).await;
    assert!(matches!(refused, Err(StoreError::Format { .. })));
    assert_eq!(
        database.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'cambio'"),
        "1"
    );
}

#[tokio::test]
async fn a_database_of_the_first_format_keeps_its_facts_and_takes_join_tokens() {
    let database = database!();
    let role = "SET search_path = cambio;";
    database.sql(&format!("CREATE SCHEMA cambio; {role} {}", schema::FIRST));
    database.sql("INSERT INTO cambio.fact (name, value) VALUES ('format', '1'), ('profile', 'production')");
    assert!(matches!(
        PostgresStore::open_read_only(&database.options()).await,
        Err(StoreError::Format { found, .. }) if found == "1"
    ));

    let store = database.open(Bounds::default()).await;

    assert_eq!(store.fact("profile").await.unwrap().as_deref(), Some("production"));
    assert!(store.add_join_tokens(&[join_token(1)], moment(0)).await.unwrap());
    assert_eq!(store.join_tokens().await.unwrap(), [join_token(1)]);
    assert_eq!(store.bound_keys().await.unwrap(), []);
    assert!(PostgresStore::open_read_only(&database.options()).await.is_ok());
}

#[tokio::test]
async fn a_reader_does_not_make_what_is_missing() {
    let database = database!();

    let refused = PostgresStore::open_read_only(&database.options()).await;

    assert!(matches!(refused, Err(StoreError::Format { found, .. }) if found == "0"));
    assert_eq!(
        database.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'cambio'"),
        "0"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_at_once_make_the_tables_once() {
    let database = database!();

    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let options = database.options();
            tokio::spawn(async move { PostgresStore::open(&options).await.map(drop) })
        })
        .collect();

    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(database.sql("SELECT value FROM cambio.fact WHERE name = 'format'"), "3");
    assert_eq!(database.sql("SELECT count(*) FROM cambio.authority_generation"), "1");
}

#[tokio::test]
async fn a_user_who_may_only_use_the_schema_is_enough_once_it_is_made() {
    let database = database!();
    let role = format!("{}_user", database.name());
    database.sql(&format!(
        "CREATE ROLE {role} LOGIN; CREATE SCHEMA cambio AUTHORIZATION {role}; REVOKE CREATE ON DATABASE {} FROM PUBLIC",
        database.name()
    ));
    let url = database.url.replace("user=cambio", &format!("user={role}"));

    PostgresStore::open(&options(&url)).await.unwrap();
}

#[cfg(feature = "dev")]
mod tls {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_server_is_taken_by_its_name_and_authority_only() {
        if server().is_none() {
            return;
        }
        let server = Server::start("on", false).unwrap();
        let (ours, other) = (authority(), authority());
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &ours)
            .unwrap();
        server.serve_tls(&certificate.pem(), &key.serialize_pem());
        let directory = tempfile::tempdir().unwrap();
        let open = async |host: &str, authority: &CertifiedIssuer<'static, KeyPair>| {
            let file = directory.path().join("ca.pem");
            std::fs::write(&file, authority.pem()).unwrap();
            let url = format!(
                "postgres://cambio@{host}:{}/postgres?sslmode=verify-full&sslrootcert={}",
                server.port(),
                file.display()
            );
            PostgresStore::open(&options(&url)).await
        };

        let store = open("localhost", &ours).await.unwrap();
        let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'cambio'";
        assert_ne!(server.sql("postgres", encrypted), "0");
        store.close().await;
        for refused in [open("localhost", &other).await, open("127.0.0.1", &ours).await] {
            assert!(matches!(refused, Err(StoreError::Open { .. })), "{refused:?}");
        }
    }
}

//! What the table admits, and how each answer of Entra is read.

pub(super) mod vectors;
#[cfg(feature = "dev")]
mod wire;

use std::time::{Duration, SystemTime};

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};

use super::*;
use crate::{
    bounded_file::sample,
    clock::{self, FakeClock},
    exchange::{
        azure_entra::response::{Answer, Granted, read, shown},
        credential::Field,
    },
    spiffe::TrustDomain,
};

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const CLIENT: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";

fn context() -> RelyingPartyContext {
    RelyingPartyContext {
        name: RelyingPartyName::parse("azure-prod").unwrap(),
        issuer: "https://id.acme.example".to_owned(),
        trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
        clock: FakeClock::at("2026-01-16T14:40:00Z"),
    }
}

fn now() -> SystemTime {
    clock::parse_rfc3339("2026-01-16T14:40:00Z").unwrap()
}

fn table(more: &str) -> toml::Table {
    let mut table: toml::Table = format!("tenant = '{TENANT}'\nclient_id = '{CLIENT}'").parse().unwrap();
    table.extend(more.parse::<toml::Table>().unwrap());
    table
}

fn refused(more: &str) -> Misconfigured {
    configured(context(), table(more)).unwrap_err()
}

#[test]
fn the_sample_configures() {
    let table: toml::Table = BUILTIN.sample.parse().unwrap();

    let relying_party = (BUILTIN.configure)(context(), table).unwrap();

    assert_eq!(relying_party.terms().subject.as_deref(), Some("/rp/azure/shop"));
}

#[test]
fn the_audience_is_the_issuers_own_for_this_application_by_default() {
    let relying_party = configured(context(), table("")).unwrap();

    assert_eq!(
        relying_party.terms().audience,
        format!("https://id.acme.example/azure/{CLIENT}")
    );
    assert_eq!(relying_party.scope(), Some("https://management.azure.com/.default"));
    assert_eq!(relying_party.upstream().unwrap().key, format!("azure_entra/{TENANT}"));
    assert_eq!(relying_party.upstream().unwrap().per_second, 50);
}

#[test]
fn the_lifetime_is_the_clouds_alone() {
    let relying_party = configured(context(), table("")).unwrap();

    assert_eq!(relying_party.terms().lifetime_mode, LifetimeMode::Fixed);
    assert_eq!(relying_party.terms().minimum, Duration::from_hours(1));
    assert_eq!(relying_party.terms().maximum, Duration::from_mins(90));
}

#[test]
fn each_key_that_is_wrong_is_named_with_what_was_found() {
    for (key, table) in [
        ("tenant", "tenant = 'common'"),
        ("tenant", "tenant = 'organizations'"),
        ("tenant", "tenant = 'Acme.onmicrosoft.com'"),
        ("tenant", "tenant = '../evil.example'"),
        ("client_id", "client_id = 'shop'"),
        ("client_id", "client_id = 'AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE'"),
        ("scope", "scope = 'https://management.azure.com'"),
        (
            "scope",
            "scope = 'https://a.example/.default https://b.example/.default'",
        ),
        ("authority", "authority = 'http://login.microsoftonline.com'"),
        ("authority", "authority = 'https://login.microsoftonline.com/'"),
        ("authority", "authority = 'https://login.microsoftonline.com/tenant'"),
        ("authority", "authority = 'https://user@login.microsoftonline.com'"),
        ("audience", "audience = ''"),
        ("audience", "audience = ' api://AzureADTokenExchange'"),
        ("subject", "subject = '/ci/acme'"),
        ("subject", "subject = '/rp/'"),
        ("subject", "subject = '/rp/a/../b'"),
        ("ca_file", "ca_file = '/nonexistent/ca.pem'"),
    ] {
        let refused = refused(table);

        assert_eq!(refused.key, key, "{table}: {refused}");
        assert_eq!(refused.code, "config.azure_entra_invalid");
        let found = table.split('\'').nth(1).unwrap();
        assert!(refused.problem.contains(&format!("`{found}`")), "{table}: {refused}");
    }
}

#[test]
fn takes_1_mib_of_authorities_and_refuses_one_byte_more() {
    for (bytes, key) in [(1024 * 1024, None), (1024 * 1024 + 1, Some("ca_file"))] {
        let file = sample::authorities(bytes);
        let named = format!("ca_file = '{}'", file.path().display());

        let refused = configured(context(), table(&named)).err().map(|refused| refused.key);

        assert_eq!(refused.as_deref(), key, "{bytes}");
    }
}

#[test]
fn an_unknown_key_is_an_error() {
    let refused = refused("client_secret = 'x'");

    assert!(refused.problem.contains("client_secret"), "{refused}");
}

#[test]
fn a_domain_and_a_custom_audience_are_admitted() {
    let custom = "tenant = 'acme.onmicrosoft.com'\naudience = 'api://AzureADTokenExchange'";

    let relying_party = configured(context(), table(custom)).unwrap();

    assert_eq!(relying_party.terms().audience, "api://AzureADTokenExchange");
}

#[test]
fn dec_11_an_audience_of_600_characters_loads_and_601_does_not() {
    let audience = |length: usize| format!("audience = '{}'", "a".repeat(length));

    assert!(configured(context(), table(&audience(600))).is_ok());
    assert_eq!(refused(&audience(601)).key, "audience");
}

#[test]
fn dec_11_a_shaped_subject_is_refused_at_load_when_it_is_too_long() {
    let prefix = "spiffe://prod.acme.example/rp/".len();
    let subject = |length: usize| format!("subject = '/rp/{}'", "s".repeat(length - prefix));

    assert!(configured(context(), table(&subject(512))).is_ok());
    assert_eq!(refused(&subject(601)).key, "subject");
}

fn answer(status: u16, retry_after: Option<&str>, body: &Value) -> Answer {
    Answer {
        status,
        retry_after: retry_after.map(str::to_owned),
        body: body.to_string().into_bytes(),
    }
}

fn token(expires_in: u64) -> Answer {
    let body = json!({"token_type": "Bearer", "expires_in": expires_in, "access_token": "canary"});
    answer(200, None, &body)
}

fn error(number: u32, text: &str) -> Value {
    json!({
        "error": "invalid_client",
        "error_description": format!("AADSTS{number}: {text}\r\nTrace ID: t\r\nCorrelation ID: c"),
        "error_codes": [number],
    })
}

#[test]
fn a_token_of_90_minutes_is_taken_and_a_second_more_is_not() {
    let life = Duration::from_mins(90);

    assert_eq!(read(&token(5_400), now()), Ok(Granted { life }));
    let refused = read(&token(5_401), now()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Entra answered a token of 5401 s, expected 1 to 5400 s"
    );
    assert!(read(&token(0), now()).is_err());
}

#[test]
fn a_refusal_keeps_the_clouds_code_and_text_without_its_trace() {
    let refused = read(&answer(401, None, &error(700_213, "No match.")), now()).unwrap_err();

    assert_eq!(
        refused,
        CloudRefusal::Refused {
            cloud: "Entra",
            code: "AADSTS700213".to_owned(),
            message: "No match.".to_owned(),
            status: 401,
        }
    );
}

#[test]
fn a_refusal_without_a_number_keeps_the_oauth_error() {
    let refused = read(&answer(400, None, &json!({"error": "invalid_request"})), now()).unwrap_err();

    assert_eq!(refused.cloud_code(), Some("invalid_request"));
}

#[test]
fn a_pause_is_read_in_seconds_and_as_a_date() {
    let pause = |retry_after: Option<&str>| match read(&answer(429, retry_after, &error(50_196, "Loop.")), now()) {
        Err(CloudRefusal::Throttled { code, retry_after, .. }) => {
            assert_eq!(code, "AADSTS50196");
            retry_after
        }
        other => panic!("not throttled: {other:?}"),
    };

    assert_eq!(pause(Some("60")), Some(Duration::from_mins(1)));
    assert_eq!(
        pause(Some("Fri, 16 Jan 2026 14:40:30 GMT")),
        Some(Duration::from_secs(30))
    );
    assert_eq!(pause(Some("Fri, 16 Jan 2026 14:39:30 GMT")), Some(Duration::ZERO));
    assert_eq!(pause(Some("soon")), None);
    assert_eq!(pause(None), None);
}

#[test]
fn a_server_error_is_unavailable_and_with_a_pause_throttled() {
    let failed = read(&answer(503, None, &error(90_033, "Down.")), now()).unwrap_err();
    let paused = read(&answer(503, Some("5"), &error(90_033, "Down.")), now()).unwrap_err();

    assert_eq!(failed.to_string(), "Entra is unavailable: status 503 with AADSTS90033");
    assert!(matches!(paused, CloudRefusal::Throttled { .. }), "{paused:?}");
}

#[test]
fn what_is_no_answer_of_the_protocol_is_garbage() {
    for answer in [
        answer(200, None, &json!({"access_token": "canary"})),
        answer(
            200,
            None,
            &json!({"token_type": "mac", "expires_in": 60, "access_token": "canary"}),
        ),
        answer(
            200,
            None,
            &json!({"token_type": "Bearer", "expires_in": "60", "access_token": "canary"}),
        ),
        answer(200, None, &Value::Null),
        answer(204, None, &Value::Null),
        answer(302, None, &Value::Null),
        answer(400, None, &json!({"message": "canary"})),
    ] {
        let refused = read(&answer, now()).unwrap_err();

        assert!(matches!(refused, CloudRefusal::Garbage { .. }), "{refused:?}");
        assert!(!refused.to_string().contains("canary"), "{refused}");
    }
}

#[test]
fn foreign_text_is_escaped_and_cut_to_an_audit_field() {
    assert_eq!(shown("a\r\n\u{202e}b"), "a\\u{d}\\u{a}\\u{202e}b");
    assert_eq!(shown(&"x".repeat(512)).len(), 512);
    assert_eq!(shown(&"x".repeat(513)).len(), 512);
    assert!(shown(&"\u{10ffff}".repeat(100)).len() <= 512);
}

proptest! {
    #[test]
    fn any_body_with_any_status_is_read_without_a_panic_and_shown_in_bounds(
        status in 0_u16..1_000,
        retry_after in proptest::option::of(".{0,40}"),
        body in proptest::collection::vec(any::<u8>(), 0..256),
    ) {
        let read = read(&Answer { status, retry_after, body }, now());

        if let Err(refusal) = read {
            prop_assert!(refusal.to_string().len() < 2 * 512);
        }
    }

    #[test]
    fn any_refusal_text_is_shown_without_control_characters(text in any::<String>(), number in any::<u32>()) {
        let body = json!({"error": text, "error_description": text, "error_codes": [number]});
        let refused = read(&answer(400, None, &body), now()).unwrap_err();

        let CloudRefusal::Refused { code, message, .. } = refused else {
            panic!("not refused: {refused:?}");
        };
        prop_assert_eq!(code, format!("AADSTS{number}"));
        prop_assert!(message.len() <= 512);
        prop_assert!(!message.chars().any(char::is_control), "{message:?}");
    }
}

#[test]
fn a_credential_shows_no_token_and_ends_when_the_token_does() {
    let life = Duration::from_secs(3_599);

    let credential = response::credential("canary", Granted { life }, now()).unwrap();

    assert_eq!(credential.expires(), now() + life);
    assert_eq!(credential.bearer().unwrap().expose(), "canary");
    assert!(!format!("{credential:?}").contains("canary"));
    assert!(
        matches!(credential.fields()[2], ("expires_in", Field::SecondsLeft)),
        "{credential:?}"
    );
    assert!(response::credential("", Granted { life }, now()).is_err());
}

#[test]
fn the_manual_lists_each_code_that_it_explains_as_it_is_known() {
    for code in rules::code::CODES {
        assert!(BUILTIN.manual.contains(&format!("| {} |", code.number)), "{code:?}");
    }
}

#[test]
fn the_manual_names_each_option() {
    for option in [
        "tenant",
        "client_id",
        "scope",
        "audience",
        "subject",
        "authority",
        "ca_file",
    ] {
        assert!(BUILTIN.manual.contains(&format!("| `{option}` |")), "{option}");
    }
}

//! Tables that load, and those that do not.

use super::*;

fn refused(table: &Table) -> (&'static str, String) {
    let refused = table.configured().unwrap_err();
    assert!(!refused.problem.is_empty());
    (refused.code, refused.key)
}

fn without(line: &str) -> Table {
    let mut table = Table::good();
    assert!(table.text.contains(line), "{line}");
    table.text = table.text.replace(line, "");
    table
}

fn accounts(list: &str) -> Table {
    let mut table = Table::good();
    table.text = table.text.replace(&format!("[\"{ACCOUNT}\"]"), list);
    table
}

#[test]
fn accounts_are_required_and_are_twelve_digits_each_once() {
    assert_eq!(
        refused(&without(&format!("accounts = [\"{ACCOUNT}\"]\n"))).0,
        "config.attestor_table"
    );
    assert_eq!(
        refused(&accounts("[]")),
        ("config.accounts_required", "accounts".to_owned())
    );
    for account in ["12345678901", "1234567890123", "12345678901a", "*", ""] {
        assert_eq!(
            refused(&accounts(&format!("[\"{ACCOUNT}\", \"{account}\"]"))),
            ("config.account_id", "accounts[1]".to_owned()),
            "{account}"
        );
    }
    assert_eq!(
        refused(&accounts(&format!("[\"{ACCOUNT}\", \"{ACCOUNT}\"]"))),
        ("config.account_twice", "accounts[1]".to_owned())
    );
}

#[test]
fn a_certificate_of_each_region_is_required() {
    let mut none = Table::good();
    let at = none.text.find("eu-central-1").unwrap();
    none.text.truncate(at);
    assert_eq!(
        refused(&none),
        ("config.certificates_required", "certificate_files".to_owned())
    );

    for region in ["EU-CENTRAL-1", "frankfurt", "eu--central", "-eu-1", "eu_central_1", ""] {
        let mut table = Table::good();
        table.text = table.text.replacen("\neu-central-1 =", &format!("\n\"{region}\" ="), 1);
        assert_eq!(refused(&table).0, "config.region_form", "{region}");
    }
}

#[test]
fn a_certificate_file_holds_one_to_four_certificates_with_good_keys() {
    let pem = FRANKFURT.certificate_pem();
    let with_file = |content: &str| {
        let table = Table::good();
        std::fs::write(table.directory.path().join("eu-central-1.pem"), content).unwrap();
        table
    };

    assert!(with_file(&pem.repeat(4)).configured().is_ok());
    let padded = |length: usize| format!("{pem}{}", "#\n".repeat((length - pem.len()) / 2));
    assert!(with_file(&padded(64 * 1024)).configured().is_ok());
    let key = rcgen::KeyPair::generate().unwrap();
    let elliptic = crate::sim::signed_data::parameters("x", 1)
        .self_signed(&key)
        .unwrap()
        .pem();
    for content in [
        String::new(),
        "no PEM".to_owned(),
        pem.repeat(5),
        format!("{}##", padded(64 * 1024)),
        pem.replacen("MII", "MIA", 1),
        elliptic,
    ] {
        assert_eq!(
            refused(&with_file(&content)),
            (
                "config.instance_certificate",
                "certificate_files.eu-central-1".to_owned()
            ),
            "{content:.80}"
        );
    }
    let missing = Table::good();
    std::fs::remove_file(missing.directory.path().join("eu-central-1.pem")).unwrap();
    assert_eq!(refused(&missing).0, "config.instance_certificate");
}

#[test]
fn a_document_counts_for_5_minutes_at_most_and_a_session_for_12_hours() {
    let loads = |line: &str| Table::good().with(line).configured().is_ok();

    assert!(loads("max_age = \"5m\"") && loads("max_age = \"1s\""));
    assert!(loads("dangerous_max_age = \"366d\"") && loads("session_max = \"12h\""));
    for (line, key) in [
        ("max_age = \"301s\"", "max_age"),
        ("max_age = \"0s\"", "max_age"),
        ("dangerous_max_age = \"367d\"", "dangerous_max_age"),
        ("max_age = \"5m\"\ndangerous_max_age = \"1h\"", "dangerous_max_age"),
        ("session_max = \"43201s\"", "session_max"),
    ] {
        assert_eq!(
            refused(&Table::good().with(line)),
            ("config.duration_range", key.to_owned()),
            "{line}"
        );
    }
}

#[test]
fn no_other_key_is_taken() {
    for line in ["colour = \"red\"", "certificate_file = \"/x\"", "max_age = 5"] {
        assert_eq!(refused(&Table::good().with(line)).0, "config.attestor_table", "{line}");
    }
}

#[test]
fn one_account_is_pinned_by_the_attestor_and_of_several_an_entry_pins_one() {
    let several = accounts(&format!("[\"{ACCOUNT}\", \"210987654321\"]"))
        .configured()
        .unwrap();

    assert_eq!(attestor().pins(), None);
    let pins = several.pins().unwrap();
    assert!(pins.ids.contains(&vec!["aws.account"]), "{pins:?}");
    assert!(pins.names.is_empty(), "{pins:?}");
    for name in pins.ids.iter().flatten() {
        assert!(several.immutable().contains(name), "{name}");
    }
}

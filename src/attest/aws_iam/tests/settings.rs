//! Tables that load, and those that do not.

use super::*;

const ISSUER: &str = "https://0f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f.tokens.sts.global.api.aws";
const OTHER: &str = "https://1f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f.tokens.sts.global.api.aws";

fn table(accounts: &[(&str, &str)]) -> String {
    let accounts: Vec<String> = accounts
        .iter()
        .map(|(account, issuer)| format!("{{ account = \"{account}\", issuer = \"{issuer}\" }}"))
        .collect();
    format!("accounts = [{}]\n", accounts.join(", "))
}

fn one() -> String {
    table(&[("123456789012", ISSUER)])
}

fn problem(table: &str) -> (&'static str, String) {
    let refused = configured(table).unwrap_err();
    (refused.code, refused.key)
}

#[test]
fn the_smallest_table_names_an_account_and_its_issuer() {
    assert!(configured(&one()).is_ok());
    assert!(configured(&table(&[("123456789012", ISSUER), ("999999999999", OTHER)])).is_ok());

    for table in ["", "accounts = [{ issuer = \"https://a.example\" }]\n"] {
        assert_eq!(problem(table).0, "config.attestor_table", "{table}");
    }
    assert_eq!(
        problem("accounts = []\n"),
        ("config.accounts_required", "accounts".to_owned())
    );
}

#[test]
fn an_unknown_key_is_refused() {
    for table in [
        format!("{}colour = \"red\"\n", one()),
        one().replace("account =", "colour = \"red\", account ="),
    ] {
        assert_eq!(problem(&table).0, "config.attestor_table", "{table}");
    }
}

#[test]
fn t_46_an_account_has_twelve_digits() {
    for account in [
        "",
        "12345678901",
        "1234567890123",
        "1234-5678-9012",
        "*",
        "12345678901x",
        "shop",
    ] {
        assert_eq!(
            problem(&table(&[("123456789012", ISSUER), (account, OTHER)])),
            ("config.account_id", "accounts[1].account".to_owned()),
            "{account}"
        );
    }
}

#[test]
fn t_46_neither_an_account_nor_an_issuer_stands_twice() {
    for (accounts, key) in [
        (
            [("123456789012", ISSUER), ("123456789012", OTHER)],
            "accounts[1].account",
        ),
        (
            [("123456789012", ISSUER), ("999999999999", ISSUER)],
            "accounts[1].issuer",
        ),
    ] {
        assert_eq!(problem(&table(&accounts)), ("config.account_twice", key.to_owned()));
    }
}

#[test]
fn an_issuer_of_aws_names_one_account() {
    for issuer in [
        "https://tokens.sts.global.api.aws",
        "https://.tokens.sts.global.api.aws",
        "https://a.b.tokens.sts.global.api.aws",
        "https://*.tokens.sts.global.api.aws",
        "https://0F9E8D7C.tokens.sts.global.api.aws",
        "https://0f9e8d7c.tokens.sts.global.api.aws/",
        "https://0f9e8d7c.tokens.sts.global.api.aws.evil.example",
        "https://0f9e8d7c.tokens.sts.global.api.aws:8443",
        "https://sts.amazonaws.com",
        "https://sts.eu-central-1.sts.amazonaws.com",
    ] {
        assert_eq!(
            problem(&table(&[("123456789012", issuer)])),
            ("config.issuer_form", "accounts[0].issuer".to_owned()),
            "{issuer}"
        );
    }
    for issuer in ["http://a.example", "a.example", "https://user@a.example"] {
        assert_eq!(
            problem(&table(&[("123456789012", issuer)])).0,
            "config.issuer_invalid",
            "{issuer}"
        );
    }
    for issuer in ["https://a.example?a=b", "https://a.example#a"] {
        assert_eq!(
            problem(&table(&[("123456789012", issuer)])),
            ("config.issuer_invalid", "accounts[0].issuer".to_owned()),
            "{issuer}"
        );
    }
}

#[test]
fn ages_are_bounded() {
    for (key, most, over) in [("max_age", "3600s", "3601s"), ("session_max", "12h", "43201s")] {
        let with = |value: &str| format!("{}{key} = \"{value}\"\n", one());

        assert!(configured(&with(most)).is_ok(), "{key}");
        for value in ["0s", over] {
            assert_eq!(
                problem(&with(value)),
                ("config.duration_range", key.to_owned()),
                "{value}"
            );
        }
    }
}

#[test]
fn a_tag_becomes_an_attribute_under_the_name_that_the_table_gives_it() {
    let with = |tags: &str| format!("{}principal_tags = {{ {tags} }}\n", one());

    let attestor = attestor(&with("team = \"CostCenter\""));

    assert!(attestor.attributes().contains(&"aws.tag_team"));
    assert_eq!(
        problem(&with("Team = \"CostCenter\"")),
        ("config.principal_tags", "principal_tags.Team".to_owned())
    );
}

#[test]
fn what_cannot_be_read_is_refused_at_load() {
    for (extra, code) in [
        ("ca_file = \"/nonexistent/ca.pem\"\n", "config.ca_file"),
        ("allow_addresses = [\"everywhere\"]\n", "config.allow_addresses"),
    ] {
        assert_eq!(problem(&format!("{}{extra}", one())).0, code, "{extra}");
    }
}

#[test]
fn an_account_without_an_issuer_is_asked_about_by_presigned_questions_alone() {
    let account = "accounts = [{ account = \"123456789012\" }]\n";
    let with = |presigned: &str| format!("{account}[presigned]\n{presigned}\n");

    let attestor = configured(&with("regions = [\"eu-central-1\"]")).unwrap();

    assert!(attestor.attributes().contains(&"aws.role_id"));
    let at = |table: &str| problem(table);
    assert_eq!(at(account), ("config.account_issuer", "accounts[0].issuer".to_owned()));
    assert_eq!(
        at(&with("regions = []")),
        ("config.regions_required", "presigned.regions".to_owned())
    );
    assert_eq!(
        at(&with("regions = [\"mars-1\"]")),
        ("config.sts_unknown", "presigned.regions".to_owned())
    );
    assert_eq!(
        at(&with("regions = [\"eu-central-1\"]\nendpoint = \"http://127.0.0.1\"")),
        ("config.sts_unknown", "presigned.endpoint".to_owned())
    );
    assert_eq!(
        at(&with(
            "regions = [\"eu-central-1\"]\nendpoint = \"https://127.0.0.1\"\nca_file = \"no/such\""
        )),
        ("config.ca_file", "presigned.ca_file".to_owned())
    );
    assert!(!configured(&one()).unwrap().attributes().contains(&"aws.role_id"));
}

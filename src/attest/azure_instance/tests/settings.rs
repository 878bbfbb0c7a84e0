//! Tables that load, and those that do not.

use super::*;

fn table(tenant: &str, audience: &str) -> String {
    format!("tenants = [\"{tenant}\"]\naudience = \"{audience}\"\n")
}

fn one() -> String {
    table(TENANT, AUDIENCE)
}

fn problem(table: &str) -> (&'static str, String) {
    let refused = configured(table).unwrap_err();
    (refused.code, refused.key)
}

#[test]
fn the_smallest_table_names_a_tenant_and_an_audience() {
    assert!(configured(&one()).is_ok());

    for table in [
        String::new(),
        format!("tenants = [\"{TENANT}\"]\n"),
        format!("audience = \"{AUDIENCE}\"\n"),
        format!("{}colour = \"red\"\n", one()),
    ] {
        assert_eq!(problem(&table).0, "config.attestor_table", "{table}");
    }
    assert_eq!(
        problem(&format!("tenants = []\naudience = \"{AUDIENCE}\"\n")),
        ("config.tenants_required", "tenants".to_owned())
    );
}

#[test]
fn t_48_what_stands_for_many_tenants_is_refused() {
    for tenant in [
        "common",
        "organizations",
        "consumers",
        "{tenantid}",
        "{TenantId}",
        "COMMON",
        "9188040d-6c67-4c5b-b112-36a304b66dad",
    ] {
        assert_eq!(
            problem(&table(tenant, AUDIENCE)),
            ("config.issuer_pseudo_tenant", "tenants".to_owned()),
            "{tenant}"
        );
    }
}

#[test]
fn a_tenant_goes_by_its_guid_alone() {
    for tenant in [
        "",
        "acme.onmicrosoft.com",
        "*",
        "0F9E8D7C-6B5A-4C3D-8E1F-0A1B2C3D4E5F",
        "0f9e8d7c6b5a4c3d8e1f0a1b2c3d4e5f",
        "0f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f/",
    ] {
        assert_eq!(
            problem(&table(tenant, AUDIENCE)),
            ("config.tenant_id", "tenants".to_owned()),
            "{tenant}"
        );
    }
}

#[test]
fn wimse_wip_1_an_audience_that_a_service_of_azure_takes_is_refused() {
    for audience in [
        "",
        "https://management.azure.com",
        "https://management.azure.com/",
        "https://MANAGEMENT.azure.com//",
        "https://graph.microsoft.com/",
        "https://vault.azure.net",
        "api://AzureADTokenExchange",
        "00000003-0000-0000-c000-000000000000",
    ] {
        assert_eq!(
            problem(&table(TENANT, audience)),
            ("config.audience_of_azure", "audience".to_owned()),
            "{audience}"
        );
    }
    assert!(configured(&table(TENANT, "3f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f")).is_ok());
}

#[test]
fn a_clouds_addresses_are_hosts_without_a_tenant() {
    for key in ["authority", "v1_issuer"] {
        let with = |value: &str| format!("{}{key} = \"{value}\"\n", one());

        for value in ["https://login.microsoftonline.us", "https://login.microsoftonline.us/"] {
            assert!(configured(&with(value)).is_ok(), "{key} {value}");
        }
        for value in [
            "",
            "https://",
            "http://login.microsoftonline.us",
            "login.microsoftonline.us",
            "https://login.microsoftonline.com/common",
            "https://login.microsoftonline.com/{tenantid}/v2.0",
            "https://login.microsoftonline.com?a=b",
            "https://user@login.microsoftonline.com",
        ] {
            assert_eq!(
                problem(&with(value)),
                ("config.issuer_invalid", key.to_owned()),
                "{value}"
            );
        }
    }
}

#[test]
fn a_tenants_keys_are_where_the_configuration_says() {
    let made = attestor(&one());
    let sovereign = attestor(&format!(
        "{}authority = \"https://login.partner.microsoftonline.cn/\"\nv1_issuer = \"https://sts.chinacloudapi.cn\"\n",
        one()
    ));

    let tenant = &made.managed_identity.tenants()[0];
    let keys = format!("{:?}", tenant.keys);
    assert!(
        keys.contains(&format!(
            "https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"
        )),
        "{keys}"
    );
    assert_eq!(tenant.v1_issuer, format!("https://sts.windows.net/{TENANT}/"));
    assert_eq!(
        tenant.v2_issuer,
        format!("https://login.microsoftonline.com/{TENANT}/v2.0")
    );
    let tenant = &sovereign.managed_identity.tenants()[0];
    assert_eq!(tenant.v1_issuer, format!("https://sts.chinacloudapi.cn/{TENANT}/"));
    assert_eq!(
        tenant.v2_issuer,
        format!("https://login.partner.microsoftonline.cn/{TENANT}/v2.0")
    );
}

#[test]
fn a_tenant_that_stands_twice_counts_once() {
    let table = format!("tenants = [\"{TENANT}\", \"{TENANT}\"]\naudience = \"{AUDIENCE}\"\n");

    assert_eq!(attestor(&table).managed_identity.tenants().len(), 1);
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
fn takes_1_mib_of_authorities_and_refuses_one_byte_more() {
    for (bytes, taken) in [(1024 * 1024, true), (1024 * 1024 + 1, false)] {
        let file = crate::bounded_file::sample::authorities(bytes);
        let table = format!("{}ca_file = \"{}\"\n", one(), file.path().display());

        let refused = configured(&table).map(|_attestor| ());

        let expected = (!taken).then_some("config.ca_file");
        assert_eq!(refused.err().map(|refused| refused.code), expected, "{bytes}");
    }
}

#[test]
fn attested_documents_need_subscriptions_and_authorities() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let authority = |count: usize| {
        let one = crate::sim::signed_data::Signer::with(&crate::sim::signed_data::parameters("root", 1), None).unwrap();
        crate::mint::pem::written("CERTIFICATE", one.certificate()).repeat(count)
    };
    let padded = |bytes: usize| {
        let one = authority(1);
        let room = bytes - one.len();
        one + &"\n".repeat(room)
    };
    for (name, content) in [
        ("one", authority(1)),
        ("most", authority(32)),
        ("more", authority(33)),
        ("none", String::new()),
        ("longest", padded(100 * 1024)),
        ("long", padded(100 * 1024 + 1)),
    ] {
        std::fs::write(path(name), content).unwrap();
    }
    let table = |subscriptions: &str, roots: &str| {
        format!(
            "{}[attested]\nsubscriptions = [{subscriptions}]\nroots_file = \"{}\"\nintermediates_file = \"{}\"\n",
            one(),
            path(roots),
            path("one")
        )
    };
    let good = "\"8d10da13-8125-4ba9-a717-bf7490507b3d\"";

    for roots in ["one", "most", "longest"] {
        assert!(configured(&table(good, roots)).is_ok(), "{roots}");
    }
    for roots in ["more", "none", "long", "missing"] {
        let found = problem(&table(good, roots));
        assert_eq!(
            found,
            ("config.attested_authorities", "attested.roots_file".to_owned()),
            "{roots}"
        );
    }
    let at = "attested.subscriptions".to_owned();
    assert_eq!(
        problem(&table("", "one")),
        ("config.subscriptions_required", at.clone())
    );
    assert_eq!(problem(&table("\"shop\"", "one")), ("config.subscription_id", at));
    for (span, loads) in [("12h", true), ("721m", false), ("0s", false)] {
        let table = format!("{}session_max = \"{span}\"\n", table(good, "one"));
        assert_eq!(configured(&table).is_ok(), loads, "{span}");
    }
}

//! Real clouds: a gateway of yours, a job's token of yours, credentials that the cloud itself judges.
//!
//! Ignored by default, and never run by this project: it has no accounts. README.md says what to set and what it costs.
#![cfg(test)]

use std::process::{Command, Output};

#[test]
#[ignore = "needs a gateway, a job's token and an AWS role; see tests/live/README.md"]
fn aws_takes_the_credential_and_names_the_role_session() {
    let told = exec(
        "CAMBIO_LIVE_AWS",
        &["aws", "sts", "get-caller-identity", "--output", "json"],
    );

    let arn = told
        .split('"')
        .find(|word| word.starts_with("arn:"))
        .unwrap_or_default();
    // The session is `<entry>@<first 12 of the exchange id>`.
    assert!(
        arn.contains(":assumed-role/") && arn.contains('@'),
        "AWS names the caller `{arn}`"
    );
}

#[test]
#[ignore = "needs a gateway, a job's token and an Entra application; see tests/live/README.md"]
fn entra_gives_a_token_that_azure_takes() {
    let ask = "curl -sS -o /dev/null -w '%{http_code}' -H @- https://management.azure.com/subscriptions?api-version=2022-12-01";
    let status = exec(
        "CAMBIO_LIVE_AZURE",
        &["sh", "-c", &with_bearer("AZURE_ACCESS_TOKEN", ask)],
    );

    // An application without any role sees an empty list, which is 200 as well; a token that is none is 401.
    assert_eq!(status.trim(), "200");
}

#[test]
#[ignore = "needs a gateway, a job's token and a Google provider; see tests/live/README.md"]
fn google_takes_the_token() {
    let ask = "curl -sS -o /dev/null -w '%{http_code}' -H @- https://cloudresourcemanager.googleapis.com/v1/projects?pageSize=1";
    let status = exec(
        "CAMBIO_LIVE_GCP",
        &["sh", "-c", &with_bearer("GOOGLE_OAUTH_ACCESS_TOKEN", ask)],
    );

    // 403 is an account without permission or a disabled API: Google knows the caller. A token that is none is 401.
    assert!(["200", "403"].contains(&status.trim()), "Google answers {status}");
}

/// Gives the token to curl by stdin, so that it stands in no list of processes.
fn with_bearer(variable: &str, ask: &str) -> String {
    format!("printf 'Authorization: Bearer %s' \"${variable}\" | {ask}")
}

/// Runs `command` with the credential of the relying party that `variable` names.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs these tests names the relying parties"
)]
fn exec(variable: &str, command: &[&str]) -> String {
    let relying_party = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} names no relying party"));
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_cambio"))
        .args(["exec", &relying_party, "--"])
        .args(command)
        .output()
        .expect("cambio runs");
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{status}\n{stderr}");
    String::from_utf8(stdout).expect("text")
}

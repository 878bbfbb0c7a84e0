//! What `cambio dev` shows: one job's token becomes every cloud's credential, and a job that must be refused is.
//!
//! It goes through the network like any caller, and shows of a credential only what is no secret.

use std::{fmt::Write as _, time::Duration};

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::development::Development;
use crate::sim::{documents, world};

/// Runs the demonstration and returns what to print.
pub(super) async fn run(development: &Development) -> anyhow::Result<String> {
    let client = documents::client(&development.world.files.ca).map_err(|failed| anyhow::anyhow!(failed))?;
    let caller = Caller { client, development };
    let parties: Vec<&str> = development.world.clouds.iter().map(|cloud| cloud.name).collect();
    let job = world::example_job();
    let admitted = caller.exchange(job.clone(), &parties).await?;
    let mut refused_job = job;
    refused_job.insert("event_name".to_owned(), json!("pull_request"));
    let refused = caller
        .exchange(refused_job, &parties.iter().copied().take(1).collect::<Vec<_>>())
        .await?;
    let mut out = String::new();
    told(&mut out, development, &admitted, &refused)?;
    Ok(out)
}

struct Caller<'a> {
    client: reqwest::Client,
    development: &'a Development,
}

impl Caller<'_> {
    async fn exchange(&self, job: Map<String, Value>, parties: &[&str]) -> anyhow::Result<Value> {
        let url = format!("{}/token", self.development.world.ci_url);
        let token: Value = self.client.post(&url).json(&job).send().await?.json().await?;
        let token = token.get("token").context("the CI issuer gave no token")?;
        let body = json!({ "evidence": { "token": token }, "relying_parties": parties });
        let url = format!("{}/v1/exchange", self.development.exchange_url);
        let request = self.client.post(&url).json(&body).timeout(Duration::from_secs(30));
        Ok(request.send().await?.json().await?)
    }
}

fn told(out: &mut String, development: &Development, admitted: &Value, refused: &Value) -> std::fmt::Result {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    writeln!(out, "One CI job's token, exchanged once for each cloud:\n")?;
    writeln!(out, "  exchange  {}", text(admitted, "exchange_id"))?;
    writeln!(out, "  workload  {}\n", text(admitted, "spiffe_id"))?;
    writeln!(out, "  {:<14}{:<20}{:<60}UNTIL", "RELYING PARTY", "KIND", "RESULT")?;
    for cloud in &development.world.clouds {
        let detail = admitted
            .pointer(&format!("/details/{}", cloud.name))
            .cloned()
            .unwrap_or_default();
        let credential = admitted.pointer(&format!("/credentials/{}", cloud.name));
        let refusal = admitted.pointer(&format!("/refusals/{}", cloud.name));
        let result = match (credential, refusal) {
            (Some(credential), _) => shape(credential),
            (None, Some(refusal)) => format!("{}: {}", text(refusal, "code"), text(refusal, "detail")),
            (None, None) => "no answer".to_owned(),
        };
        let (kind, expires) = (text(&detail, "kind"), text(&detail, "expires"));
        writeln!(out, "  {:<14}{kind:<20}{result:<60}{expires}", cloud.name)?;
    }
    writeln!(out, "\nThe same job, started by a pull request, is refused:\n")?;
    writeln!(out, "  {}: {}\n", text(refused, "code"), text(refused, "detail"))?;
    writeln!(out, "Try next, in another terminal, as that job:\n")?;
    for (name, value) in job(development) {
        writeln!(out, "  export {name}=\"{value}\"")?;
    }
    // A token of the README's job would be taken before this one, with a key that this directory does not have.
    writeln!(out, "  unset CAMBIO_ID_TOKEN\n  cambio whoami")?;
    for command in development.world.clouds.iter().flat_map(|cloud| &cloud.try_next) {
        writeln!(out, "  {command}")?;
    }
    writeln!(
        out,
        "  cambio audit tail\n  cambio check --dev --config {}\n\n\
         `--ready-file PATH` writes down every address, and what the workloads of the other platforms find.",
        development.place.configuration().display()
    )
}

/// Returns the variables of the demonstrated job, and of the operator beside it.
fn job(development: &Development) -> Vec<(&'static str, String)> {
    let ca_file = development.world.files.ca.display().to_string();
    let mut variables = vec![
        ("CAMBIO_GATEWAY", development.exchange_url.clone()),
        ("CAMBIO_CA_FILE", ca_file.clone()),
        ("CAMBIO_AUDIENCE", development.issuer.clone()),
        ("CAMBIO_ADMIN", development.place.admin().display().to_string()),
        ("CAMBIO_STATE_DIR", "$(mktemp -d)".to_owned()),
        ("SSL_CERT_FILE", ca_file),
    ];
    let program = std::env::current_exe().ok();
    let programs = program.as_deref().and_then(std::path::Path::parent);
    variables.extend(programs.map(|directory| ("PATH", format!("{}:$PATH", directory.display()))));
    let platforms = development.world.platforms.iter();
    variables.extend(
        platforms
            .filter(|platform| platform.name == "github_actions")
            .flat_map(|job| job.variables.clone()),
    );
    variables
}

/// Names what came back without showing it.
fn shape(credential: &Value) -> String {
    if let Some(id) = credential.get("AccessKeyId").and_then(Value::as_str) {
        return format!("access key {id}, secret and session token");
    }
    match credential.get("token_type").and_then(Value::as_str) {
        Some(kind) => {
            let seconds = credential.get("expires_in").and_then(Value::as_u64).unwrap_or_default();
            format!("{kind} access token, {seconds} s left")
        }
        None => "a credential of another shape".to_owned(),
    }
}

//! Where a workload's evidence comes from: a file, stdin, or what the CI system gives its jobs.
//!
//! Never shows a token, and never sends the CI system's own bearer token anywhere but to the URL that came with it.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use reqwest::{Client, redirect};
use serde_json::Value;
use url::Url;

use crate::cli::{client::read, environment::Environment, exit::Exit, failure::Failure};
use crate::secret::Secret;

/// What evidence to present.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct EvidenceArguments {
    /// The evidence, a JWT in a file; `-` reads it from stdin. Else CAMBIO_ID_TOKEN (GitLab's `id_tokens`), GitHub's
    /// ID token request, or TFC_WORKLOAD_IDENTITY_TOKEN is taken, in this order.
    #[arg(long, value_name = "PATH")]
    pub token_file: Option<PathBuf>,
    /// The audience to ask GitHub for: the attestor's `audience`, by default the gateway's issuer [env: CAMBIO_AUDIENCE].
    #[arg(long, value_name = "AUDIENCE")]
    pub audience: Option<String>,
}

/// Evidence as it was found.
#[derive(Debug)]
pub struct Evidence {
    /// The token.
    pub token: Secret,
    /// Whether another process can come to present it as well.
    pub holder: Holder,
}

/// Who can present a piece of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Every process of the job: it lies in the environment or in a file.
    Job,
    /// This process only: it was made for it.
    Process,
}

/// The variables that hold evidence or can get some.
pub const VARIABLES: [&str; 4] = [ID_TOKEN, GITHUB_URL, GITHUB_BEARER, TERRAFORM];

/// Finds evidence.
///
/// # Errors
/// Ends with 4 and says where it looked, with 2 where an audience is missing.
pub async fn find(arguments: &EvidenceArguments, environment: &Environment) -> Result<Evidence, Failure> {
    if let Some(path) = &arguments.token_file {
        return of_job(from_file(path));
    }
    if let Some(token) = environment.variable(ID_TOKEN) {
        return of_job(checked(token).context("CAMBIO_ID_TOKEN holds no evidence"));
    }
    let github = (environment.variable(GITHUB_URL), environment.variable(GITHUB_BEARER));
    if let (Some(url), Some(bearer)) = github {
        let audience = arguments
            .audience
            .as_deref()
            .or(environment.variable("CAMBIO_AUDIENCE"));
        let audience = audience.ok_or_else(|| {
            Failure::saying(Exit::Usage, "GitHub's token needs an audience, and none is named")
                .hint("give --audience, or set CAMBIO_AUDIENCE: the gateway's issuer, unless the attestor has another")
        })?;
        let token = match client() {
            Ok(client) => from_github(&client, url, (bearer, audience)).await,
            Err(failed) => Err(failed),
        };
        return taken(token.context("GitHub gave no ID token"), Holder::Process);
    }
    if let Some(token) = environment.variable(TERRAFORM) {
        return of_job(checked(token).context("TFC_WORKLOAD_IDENTITY_TOKEN holds no evidence"));
    }
    Err(nothing_found(environment))
}

fn of_job(token: anyhow::Result<Secret>) -> Result<Evidence, Failure> {
    taken(token, Holder::Job)
}

fn taken(token: anyhow::Result<Secret>, holder: Holder) -> Result<Evidence, Failure> {
    match token {
        Ok(token) => Ok(Evidence { token, holder }),
        Err(failed) => Err(Failure::new(Exit::Unattested, failed)),
    }
}

fn from_file(path: &Path) -> anyhow::Result<Secret> {
    if path == Path::new("-") {
        return from_reader(io::stdin().lock()).context("stdin holds no evidence");
    }
    let unreadable = || format!("`{}` holds no evidence", path.display());
    let file = std::fs::File::open(path).with_context(unreadable)?;
    from_reader(file).with_context(unreadable)
}

fn from_reader(reader: impl Read) -> anyhow::Result<Secret> {
    let mut text = zeroize::Zeroizing::new(String::new());
    // One more than is taken, and a line end.
    reader.take(MAX_TOKEN_BYTES as u64 + 3).read_to_string(&mut text)?;
    checked(&text)
}

/// Takes a token without the line end that editors and `echo` add.
fn checked(text: &str) -> anyhow::Result<Secret> {
    let token = text.trim_end_matches(['\r', '\n']);
    match token.len() {
        0 => bail!("found nothing, expected a token"),
        found if found > MAX_TOKEN_BYTES => bail!("found {found} bytes or more, expected at most {MAX_TOKEN_BYTES}"),
        _ if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            bail!("found spaces or other characters that no JWT has, expected a token and nothing else")
        }
        _ => Ok(Secret::new(token)),
    }
}

fn client() -> anyhow::Result<Client> {
    let builder = Client::builder()
        .https_only(true)
        .redirect(redirect::Policy::none())
        .referer(false)
        .timeout(GITHUB_TIME);
    builder.build().context("the HTTPS client cannot be made")
}

/// Asks GitHub for an ID token (clouds.md 6: `GET $ACTIONS_ID_TOKEN_REQUEST_URL&audience=..`).
async fn from_github(client: &Client, url: &str, (bearer, audience): (&str, &str)) -> anyhow::Result<Secret> {
    let mut url = Url::parse(url).context("ACTIONS_ID_TOKEN_REQUEST_URL is no URL")?;
    if url.scheme() != "https" {
        bail!(
            "ACTIONS_ID_TOKEN_REQUEST_URL has the scheme `{}`, expected `https`",
            url.scheme()
        );
    }
    url.query_pairs_mut().append_pair("audience", audience);
    let response = client.get(url).bearer_auth(bearer).send().await;
    let response = response.map_err(reqwest::Error::without_url)?;
    let status = response.status();
    let body = read(response, MAX_ANSWER_BYTES)
        .await
        .map_err(reqwest::Error::without_url)?;
    if status != 200 {
        bail!("found status {}, expected 200", status.as_u16());
    }
    let body = body.ok_or_else(|| anyhow!("found more than {MAX_ANSWER_BYTES} bytes, expected a token"))?;
    let value: Option<Value> = serde_json::from_slice(&body).ok();
    let token = value
        .as_ref()
        .and_then(|body| body.get("value"))
        .and_then(Value::as_str);
    checked(token.ok_or_else(|| anyhow!("found no `value`, expected the token in it"))?)
}

fn nothing_found(environment: &Environment) -> Failure {
    let state = |name: &str| match environment.variable(name) {
        Some(_) => "is set",
        None => "is not set",
    };
    let looked = format!(
        "looked for --token-file (not given), {ID_TOKEN} ({}), {GITHUB_URL} ({}) with {GITHUB_BEARER} ({}), {TERRAFORM} ({})",
        state(ID_TOKEN),
        state(GITHUB_URL),
        state(GITHUB_BEARER),
        state(TERRAFORM)
    );
    let set = |name: &str| environment.variable(name).is_some();
    let hint = if set("GITHUB_ACTIONS") {
        "let the job have a token: permissions: { id-token: write }"
    } else if set("GITLAB_CI") {
        "let the job have a token: id_tokens: { CAMBIO_ID_TOKEN: { aud: <the gateway's issuer> } }"
    } else if set("TFC_RUN_ID") {
        "let the run have a token: set TFC_WORKLOAD_IDENTITY_AUDIENCE to the gateway's issuer in the workspace"
    } else {
        "give the workload's token with --token-file PATH"
    };
    Failure::saying(Exit::Unattested, looked)
        .context("there is no evidence of who this workload is")
        .hint(hint)
}

const ID_TOKEN: &str = "CAMBIO_ID_TOKEN";
const GITHUB_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const GITHUB_BEARER: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
const TERRAFORM: &str = "TFC_WORKLOAD_IDENTITY_TOKEN";

/// LIMITS.md: an evidence token has at most 16 KiB.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// A token and its member names.
const MAX_ANSWER_BYTES: usize = 2 * MAX_TOKEN_BYTES;
/// As long as the gateway waits for an issuer's document.
const GITHUB_TIME: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;

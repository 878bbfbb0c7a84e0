//! Where a workload's evidence comes from: a file, a variable, its CI system, its pod, its cloud's metadata
//! service, or a key of its own.
//!
//! Never shows a token, and never sends what a platform gave its workload anywhere but to the address that came with it.

mod aws;
mod azure;
mod ci;
mod gce;
mod https;
mod machine_key;
mod mounted;
mod platform;

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::cli::{
    client::Gateway,
    environment::Environment,
    exit::Exit,
    failure::{Failure, plain},
    output::Output,
};
use crate::secret::Secret;

/// What evidence to present.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct EvidenceArguments {
    /// The evidence in a file; `-` reads it from stdin.
    #[arg(long, value_name = "PATH", conflicts_with = "attest")]
    pub token_file: Option<PathBuf>,
    /// Where to find evidence; `auto` looks at one place after the other, in the order of this list.
    #[arg(long, value_name = "SOURCE", value_enum, default_value_t)]
    pub attest: Attest,
    /// The audience of evidence that is made for this call: the attestor's `audience`, by default the gateway's issuer
    /// [env: CAMBIO_AUDIENCE].
    #[arg(long, value_name = "AUDIENCE")]
    pub audience: Option<String>,
}

/// Where evidence may be; the names are those of attestors and presets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Attest {
    /// The first of the places below that has some.
    #[default]
    Auto,
    /// The variable CAMBIO_ID_TOKEN: GitLab, Jenkins, CircleCI, or whoever sets it.
    IdToken,
    /// The ID token request of a GitHub Actions job.
    GithubActions,
    /// The workload identity token of an HCP Terraform run.
    HcpTerraform,
    /// The OIDC token request of a Buildkite job.
    Buildkite,
    /// The OIDC token request of an Azure DevOps job.
    AzureDevops,
    /// The token of a Bitbucket Pipelines step.
    Bitbucket,
    /// The token of a Spacelift run.
    Spacelift,
    /// A projected service-account token: CAMBIO_TOKEN_FILE, or /var/run/secrets/cambio/token.
    Kubernetes,
    /// A web identity token for the IAM role of an EC2 instance, a container or a Lambda function.
    AwsIam,
    /// A question to AWS that the same role signs over a challenge of the gateway; `auto` asks so where AWS lets the role
    /// have no web identity token.
    AwsPresigned,
    /// The identity document of an EC2 instance, which serves once for each start of it; never found by `auto`.
    AwsInstance,
    /// The identity token of a Google Compute Engine instance.
    GcpInstance,
    /// The managed identity of an Azure VM.
    AzureInstance,
    /// The document that an Azure VM's metadata service signs over a challenge of the gateway; `auto` takes it where the VM
    /// has no managed identity.
    AzureAttested,
    /// The key that this machine registered with `cambio bound-key`, in CAMBIO_STATE_DIR.
    BoundKey,
}

/// The places of [`Attest::Auto`]: what somebody set for Cambio before what a platform has for everybody, and the better
/// way before the other.
///
/// [`Attest::AwsInstance`] is none of them: the document serves once for each start of an instance, and who looks for
/// something else must not spend it.
const PLACES: [Attest; 15] = [
    Attest::Auto,
    Attest::IdToken,
    Attest::GithubActions,
    Attest::HcpTerraform,
    Attest::Buildkite,
    Attest::AzureDevops,
    Attest::Bitbucket,
    Attest::Spacelift,
    Attest::Kubernetes,
    Attest::AwsIam,
    Attest::AwsPresigned,
    Attest::GcpInstance,
    Attest::AzureInstance,
    Attest::AzureAttested,
    Attest::BoundKey,
];

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
    /// Every process of the job: it lies in the environment or in a file, or is handed out again.
    Job,
    /// This process only: it was made for it.
    Process,
}

/// The variables that hold evidence or can get some, and are for nothing else.
pub const VARIABLES: [&str; 6] = [
    ci::ID_TOKEN,
    ci::GITHUB_URL,
    ci::GITHUB_BEARER,
    ci::TERRAFORM,
    ci::BITBUCKET,
    ci::SPACELIFT,
];

/// What a place is asked with.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    arguments: &'a EvidenceArguments,
    environment: &'a Environment,
    /// Who gives challenges.
    gateway: &'a Gateway,
    /// What the machine says of itself; a metadata service is asked without being named only where it is that cloud's.
    machine: platform::Machine,
}

/// What is at a place.
#[derive(Debug)]
enum Found {
    Evidence(Evidence),
    /// Nothing; what was looked for, and how it was.
    Nothing(String),
    /// Nothing, because the platform does not let this workload have any: there may be another way.
    Unavailable(Failure),
}

/// Reads the token in a file.
///
/// # Errors
/// Ends with 4 where there is none.
pub fn from_file(path: &Path) -> Result<Secret, Failure> {
    held(mounted::from_file(path))
}

/// Finds evidence; asks `gateway` for a challenge where the platform signs one.
///
/// # Errors
/// Ends with 4 and says where it looked, with 2 where an audience is missing, and as the gateway's refusal does.
pub async fn find(
    arguments: &EvidenceArguments,
    gateway: &Gateway,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<Evidence, Failure> {
    if let Some(path) = &arguments.token_file {
        return Ok(Evidence {
            token: from_file(path)?,
            holder: Holder::Job,
        });
    }
    let asked = Asked {
        arguments,
        environment,
        gateway,
        machine: platform::Machine::this(),
    };
    asked.find(output).await
}

impl Attest {
    async fn look(self, asked: &Asked<'_>) -> Result<Found, Failure> {
        match self {
            // A file that was named has gone before.
            Self::Auto => Ok(Found::Nothing("--token-file (not given)".to_owned())),
            Self::IdToken => ci::variable(asked, ci::ID_TOKEN),
            Self::GithubActions => ci::github(asked).await,
            Self::HcpTerraform => ci::variable(asked, ci::TERRAFORM),
            Self::Buildkite => ci::buildkite(asked).await,
            Self::AzureDevops => ci::azure_devops(asked).await,
            Self::Bitbucket => ci::variable(asked, ci::BITBUCKET),
            Self::Spacelift => ci::variable(asked, ci::SPACELIFT),
            Self::Kubernetes => mounted::look(asked),
            Self::AwsIam => aws::web_identity::look(asked).await,
            Self::AwsPresigned => aws::presigned::look(asked).await,
            Self::AwsInstance => aws::instance::look(asked).await,
            Self::GcpInstance => gce::look(asked).await,
            Self::AzureInstance => azure::managed_identity::look(asked).await,
            Self::AzureAttested => azure::attested::look(asked).await,
            Self::BoundKey => machine_key::look(asked),
        }
    }
}

impl<'a> Asked<'a> {
    async fn find(&self, output: &mut Output<'_>) -> Result<Evidence, Failure> {
        let named = [self.arguments.attest];
        let places = if self.names(Attest::Auto) {
            &PLACES[..]
        } else {
            &named[..]
        };
        let mut looked = Vec::new();
        for place in places {
            match place.look(self).await? {
                Found::Evidence(evidence) => return Ok(evidence),
                Found::Nothing(found) if looked.last() == Some(&found) => {}
                Found::Nothing(found) => looked.push(found),
                Found::Unavailable(failure) if self.names(*place) => return Err(failure),
                Found::Unavailable(failure) => {
                    let why = plain(&failure.to_string());
                    output.note(format_args!("note: {why}; trying another way"));
                }
            }
        }
        Err(nothing_found(&looked, self.environment))
    }

    fn variable(&self, name: &str) -> Option<&'a str> {
        self.environment.variable(name)
    }

    /// Tells whether this place was named, so that it is to be asked whatever the machine says.
    fn names(&self, place: Attest) -> bool {
        self.arguments.attest == place
    }

    /// Returns the audience for which `whose` token is to be made.
    fn audience(&self, whose: &str) -> Result<&'a str, Failure> {
        let named = self.arguments.audience.as_deref();
        named.or_else(|| self.variable("CAMBIO_AUDIENCE")).ok_or_else(|| {
            let missing = format!("{whose} token needs an audience, and none is named");
            Failure::saying(Exit::Usage, missing)
                .hint("give --audience, or set CAMBIO_AUDIENCE: the gateway's issuer, unless the attestor has another")
        })
    }

    /// Says of each variable whether it is set, and never to what.
    fn states(&self, variables: &[&str]) -> String {
        let states: Vec<String> = variables
            .iter()
            .map(|name| match self.variable(name) {
                Some(_) => format!("{name} (is set)"),
                None => format!("{name} (is not set)"),
            })
            .collect();
        states.join(" with ")
    }
}

/// Evidence that is there, and cannot be had: what a place says of itself is not passed over.
fn held<T>(had: anyhow::Result<T>) -> Result<T, Failure> {
    had.map_err(|failed| Failure::new(Exit::Unattested, failed))
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

fn nothing_found(looked: &[String], environment: &Environment) -> Failure {
    let set = |name: &str| environment.variable(name).is_some();
    let hint = if set("GITHUB_ACTIONS") {
        "let the job have a token: permissions: { id-token: write }"
    } else if set("GITLAB_CI") {
        "let the job have a token: id_tokens: { CAMBIO_ID_TOKEN: { aud: <the gateway's issuer> } }"
    } else if set("TFC_RUN_ID") {
        "let the run have a token: set TFC_WORKLOAD_IDENTITY_AUDIENCE to the gateway's issuer in the workspace"
    } else if set("KUBERNETES_SERVICE_HOST") {
        "let the pod have a token: a projected serviceAccountToken with the gateway's issuer as audience, at /var/run/secrets/cambio/token"
    } else if set("CIRCLECI") {
        "let the job have a token: CAMBIO_ID_TOKEN=$(circleci run oidc get --claims '{\"aud\": \"<the gateway's issuer>\"}')"
    } else {
        "give the workload's token with --token-file PATH, or name the place with --attest SOURCE"
    };
    let looked = looked.iter().rev().map(|place| format!("looked for {place}"));
    let looked = looked.reduce(|below, place| format!("{place}\n  {below}"));
    Failure::saying(Exit::Unattested, looked.unwrap_or_default())
        .context("there is no evidence of who this workload is")
        .hint(hint)
}

/// LIMITS.md: an evidence token has at most 16 KiB.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;

//! One request of a workload: find evidence, find its key, prove possession, exchange.
//!
//! Never presents evidence without a proof or a client certificate: bare evidence would serve exactly one request.

use std::path::{Path, PathBuf};

use super::{
    answer::{Answer, Credential},
    client::{Gateway, GatewayArguments, Means, Presented},
    environment::Environment,
    evidence::{self, Evidence, EvidenceArguments, Holder},
    exit::Exit,
    failure::Failure,
    output::Output,
    proof_key::{self, KeyDirectory},
};
use crate::{attest::dpop, jose::SigningKey, secret::Secret};

/// Who asks whom.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct WorkloadArguments {
    #[command(flatten)]
    gateway: GatewayArguments,
    #[command(flatten)]
    evidence: EvidenceArguments,
    /// The token of whoever acts for the workload, in a file: an SVID of its own [env: CAMBIO_ACTOR_TOKEN_FILE].
    #[arg(long, value_name = "PATH")]
    actor_token_file: Option<PathBuf>,
}

/// What to ask for.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// The native credentials of these relying parties.
    Credentials(&'a [String]),
    /// The SVID for this relying party itself.
    Svid(&'a str),
}

/// A workload's evidence and what binds it, for requests to one gateway.
#[derive(Debug)]
pub struct Session {
    /// The gateway.
    pub gateway: Gateway,
    /// The evidence.
    pub evidence: Evidence,
    /// The token of whoever acts for the workload.
    actor: Option<Secret>,
    key: Option<SigningKey>,
}

impl Session {
    /// Finds gateway, evidence, and the evidence's key.
    ///
    /// # Errors
    /// Fails without a gateway, evidence or key.
    pub async fn open(
        arguments: &WorkloadArguments,
        environment: &Environment,
        output: &mut Output<'_>,
    ) -> Result<Self, Failure> {
        let gateway = Gateway::of(&arguments.gateway, environment)?;
        let evidence = evidence::find(&arguments.evidence, &gateway, environment, output).await?;
        let key = match gateway.means() {
            Means::Certificate => None,
            Means::Proof => Some(key(&evidence, environment, output)?),
        };
        let actor = actor(arguments.actor_token_file.as_deref(), environment)?;
        Ok(Self {
            gateway,
            evidence,
            actor,
            key,
        })
    }

    /// Proves possession for one request to `url`.
    ///
    /// # Errors
    /// Fails where nothing can be signed.
    pub fn present(&self, url: &str, environment: &Environment) -> Result<Presented<'_>, Failure> {
        let (random, now) = (&*environment.random, environment.clock.now());
        let token = &self.evidence.token;
        let proof = self.key.as_ref().map(|key| dpop::prove(key, url, token, random, now));
        let proof = proof.transpose().map_err(|failed| Failure::new(Exit::Failed, failed))?;
        Ok(Presented {
            evidence: token,
            actor: self.actor.as_ref(),
            proof,
        })
    }
}

/// Returns the token of whoever acts; a variable that is set to nothing never lets the workload act by itself instead.
fn actor(file: Option<&Path>, environment: &Environment) -> Result<Option<Secret>, Failure> {
    if file.is_none() && environment.is_empty(ACTOR_TOKEN_FILE) {
        let text = format!("{ACTOR_TOKEN_FILE} is empty, expected a file, or no such variable where nobody acts");
        return Err(Failure::saying(Exit::Usage, text));
    }
    let file = file.or_else(|| environment.variable(ACTOR_TOKEN_FILE).map(Path::new));
    let token = file.map(evidence::from_file).transpose();
    token.map_err(|failure| failure.context("there is no actor token"))
}

const ACTOR_TOKEN_FILE: &str = "CAMBIO_ACTOR_TOKEN_FILE";

/// Obtains what is wanted.
///
/// # Errors
/// Fails without a gateway, evidence or key, and where the gateway gives nothing at all.
pub async fn obtain(
    arguments: &WorkloadArguments,
    wanted: Wanted<'_>,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<Answer, Failure> {
    let session = Session::open(arguments, environment, output).await?;
    let gateway = &session.gateway;
    match wanted {
        Wanted::Credentials(names) => {
            let presented = session.present(&gateway.exchange_url(), environment)?;
            gateway.exchange(&presented, names).await
        }
        Wanted::Svid(name) => {
            let presented = session.present(&gateway.token_url(), environment)?;
            gateway.svid(&presented, name, environment.clock.now()).await
        }
    }
}

/// Evidence that was made for this process alone needs no file: nobody else can ever present it.
fn key(evidence: &Evidence, environment: &Environment, output: &mut Output<'_>) -> Result<SigningKey, Failure> {
    if evidence.holder == Holder::Process {
        return Ok(proof_key::generate()?);
    }
    let directory = KeyDirectory::open(environment);
    let refused = |failed: anyhow::Error| {
        Failure::new(Exit::Failed, failed).hint("set CAMBIO_STATE_DIR to a directory of this user alone")
    };
    if let Some(directory) = directory.map_err(refused)? {
        directory.remove_past_use(environment.clock.now());
        return directory.key(&evidence.token, &*environment.random).map_err(refused);
    }
    output.note(
        "note: CAMBIO_STATE_DIR, RUNNER_TEMP and XDG_RUNTIME_DIR name no directory, so the evidence's key is not kept: \
         no other process can use this evidence again",
    );
    Ok(proof_key::generate()?)
}

/// Says what was given, without what is secret.
pub fn tell(name: &str, credential: &Credential, answer: &Answer, output: &mut Output<'_>) {
    let Credential { kind, expires, .. } = credential;
    let until = expires.as_deref().unwrap_or("an unknown moment");
    let whom = answer
        .spiffe_id
        .as_deref()
        .map(|id| format!(" for {id}"))
        .unwrap_or_default();
    let id = answer.exchange_id.as_deref().unwrap_or("-");
    output.note(format_args!("{name}: {kind}{whom} until {until}, exchange {id}"));
}

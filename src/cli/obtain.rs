//! One request of a workload: find evidence, find its key, prove possession, exchange.
//!
//! Never presents evidence without a proof or a client certificate: bare evidence would serve exactly one request.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    answer::{Answer, Credential},
    client::{Gateway, GatewayArguments, Means, Presented},
    environment::Environment,
    evidence::{self, Evidence, EvidenceArguments, Holder},
    exit::Exit,
    failure::{Failure, plain},
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
    origin: Origin,
}

/// Where the evidence's key is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Kept, or not needed.
    Kept,
    /// Made just now, in a state directory that had none for this evidence.
    Made,
    /// Made just now, for want of a state directory.
    Nowhere,
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
        let (key, origin) = match gateway.means() {
            Means::Certificate => (None, Origin::Kept),
            Means::Proof => {
                let (key, origin) = key(&evidence, environment, output)?;
                (Some(key), origin)
            }
        };
        let actor = actor(arguments.actor_token_file.as_deref(), environment)?;
        Ok(Self {
            gateway,
            evidence,
            actor,
            key,
            origin,
        })
    }

    /// Says what may be wrong on this side of a refusal.
    pub fn explained(&self, failure: Failure) -> Failure {
        if failure.code() != Some("attest.evidence_stolen") {
            return failure;
        }
        match self.origin {
            Origin::Kept => failure,
            Origin::Made => failure.hint_first(
                "this state directory had no key for this token: if another shell or step used the token first, set \
                 CAMBIO_STATE_DIR to its directory",
            ),
            Origin::Nowhere => failure.hint_first(
                "there is no state directory, so this token had no key here: if another shell or step used the token \
                 first, set CAMBIO_STATE_DIR to its directory",
            ),
        }
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
    named_once(wanted)?;
    let session = Session::open(arguments, environment, output).await?;
    let gateway = &session.gateway;
    let answer = match wanted {
        Wanted::Credentials(names) => {
            let presented = session.present(&gateway.exchange_url(), environment)?;
            gateway.exchange(&presented, names).await
        }
        Wanted::Svid(name) => {
            let presented = session.present(&gateway.token_url(), environment)?;
            gateway.svid(&presented, name, environment.clock.now()).await
        }
    };
    answer.map_err(|failure| session.explained(failure))
}

/// Refuses what no gateway could answer, before anything is sent.
fn named_once(wanted: Wanted<'_>) -> Result<(), Failure> {
    let names = match wanted {
        Wanted::Credentials(names) => names.iter().map(String::as_str).collect(),
        Wanted::Svid(name) => vec![name],
    };
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() {
            let why = "found an empty name, expected the name of a relying party";
            return Err(Failure::saying(Exit::Usage, why));
        }
        if !seen.insert(name) {
            let why = format!("found `{}` twice, expected each relying party once", plain(name));
            return Err(Failure::saying(Exit::Usage, why));
        }
    }
    Ok(())
}

/// Evidence that was made for this process alone needs no file: nobody else can ever present it.
fn key(
    evidence: &Evidence,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(SigningKey, Origin), Failure> {
    if evidence.holder == Holder::Process {
        return Ok((proof_key::generate()?, Origin::Kept));
    }
    let directory = KeyDirectory::open(environment);
    let refused = |failed: anyhow::Error| {
        Failure::new(Exit::Failed, failed).hint("set CAMBIO_STATE_DIR to a directory of this user alone")
    };
    if let Some(directory) = directory.map_err(refused)? {
        directory.remove_past_use(environment.clock.now());
        let known = directory.knows(&evidence.token);
        let key = directory.key(&evidence.token, &*environment.random).map_err(refused)?;
        return Ok((key, if known { Origin::Kept } else { Origin::Made }));
    }
    output.note(
        "note: CAMBIO_STATE_DIR, RUNNER_TEMP and XDG_RUNTIME_DIR name no directory, so the evidence's key is not kept: \
         no other process can use this evidence again",
    );
    Ok((proof_key::generate()?, Origin::Nowhere))
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

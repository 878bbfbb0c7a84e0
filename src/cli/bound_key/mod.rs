//! `cambio bound-key`: registers a machine's key and replaces it; lists and removes machines.
//!
//! The private key never leaves the state directory. Listing and removing go through the admin socket, so that every change
//! is in the trail.

mod kept;
mod machines;

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use self::kept::{Kept, State};
pub use self::kept::{STATE_DIR, is_there};
use super::{
    admin_socket::AdminArguments,
    client::{Gateway, GatewayArguments},
    environment::Environment,
    exit::Exit,
    failure::{Failure, plain},
    output::{Format, Output},
};
use crate::{
    attest::{dpop, joining::JoinToken},
    jose::SigningKey,
    secret::Secret,
};

/// Arguments of `cambio bound-key`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
    /// How to print.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub output: Format,
}

/// What to do with keys of machines.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Lists the machines that registered a key.
    List {
        /// Where the admin socket is.
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// Makes this machine's key and registers it with a join token.
    Register {
        /// The join token, in a file; `-` reads it from stdin.
        #[arg(long, value_name = "PATH")]
        join_token_file: PathBuf,
        /// Registers anew although this machine has a key, which is lost then.
        #[arg(long)]
        replace: bool,
        /// Where the key is.
        #[command(flatten)]
        state: StateArguments,
        /// Where the gateway is.
        #[command(flatten)]
        gateway: GatewayArguments,
    },
    /// Removes a machine with all its keys.
    Remove {
        /// The registration, as `list` shows it.
        id: String,
        /// Where the admin socket is.
        #[command(flatten)]
        admin: AdminArguments,
    },
    /// Puts a new key in the place of this machine's key, which stops at once.
    Rotate {
        /// Where the key is.
        #[command(flatten)]
        state: StateArguments,
        /// Where the gateway is.
        #[command(flatten)]
        gateway: GatewayArguments,
    },
}

/// Where this machine's key is.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct StateArguments {
    /// The directory that keeps this machine's key, on a disk and not in memory [env: CAMBIO_STATE_DIR].
    #[arg(long, value_name = "PATH")]
    pub state_dir: Option<PathBuf>,
}

/// Registers, replaces, lists or removes keys of machines.
pub async fn run(arguments: Arguments, environment: &Environment, output: &mut Output<'_>) -> ExitCode {
    match bound_key(&arguments, environment, output).await {
        Ok(()) => Exit::Done.into(),
        Err(failure) => failure.report(output).into(),
    }
}

/// Makes evidence with this machine's key, for one request.
///
/// # Errors
/// Ends with 4 where this machine has no key, a broken one, or one that others could read.
pub fn evidence(state: &StateArguments, environment: &Environment) -> Result<Secret, Failure> {
    let kept = State::open(state, environment).and_then(|state| state.kept());
    let made = kept.and_then(|kept| kept.evidence(environment));
    made.map_err(|failure| {
        if failure.exit() != Exit::Failed {
            return failure;
        }
        let failure = failure.exiting(Exit::Unattested);
        failure
            .context("this machine's key cannot be used")
            .hint("mend that, or register the machine anew: cambio bound-key register --replace --join-token-file PATH")
    })
}

async fn bound_key(arguments: &Arguments, environment: &Environment, output: &mut Output<'_>) -> Result<(), Failure> {
    let format = arguments.output;
    match &arguments.action {
        Action::List { admin } => machines::list((admin, format), environment, output).await,
        Action::Remove { id, admin } => machines::remove(id, admin, environment, output).await,
        Action::Register {
            join_token_file,
            replace,
            state,
            gateway,
        } => {
            let state = State::open(state, environment)?;
            if !*replace && state.is_registered()? {
                return Err(Failure::saying(Exit::Failed, "this machine has a key already")
                    .hint("replace it with: cambio bound-key rotate; or register anew with --replace"));
            }
            let gateway = Gateway::of(gateway, environment)?;
            let token = join_token(join_token_file)?;
            let key = kept::generate()?;
            let answer = send(&gateway, ("join_token", &token), &key, environment).await?;
            let kept = Kept::of(key, &answer)?;
            state.keep(&kept, environment)?;
            told("registered", format, &answer, output)
        }
        Action::Rotate { state, gateway } => {
            let state = State::open(state, environment)?;
            let gateway = Gateway::of(gateway, environment)?;
            let evidence = state.kept()?.evidence(environment)?;
            // On the disk before it is sent: whatever becomes of the answer, the next run asks for the same key again.
            let key = state.next(environment)?;
            let answer = send(&gateway, ("evidence", &evidence), &key, environment).await?;
            let kept = Kept::of(key, &answer)?;
            state.keep(&kept, environment)?;
            told("rotated", format, &answer, output)
        }
    }
}

async fn send(
    gateway: &Gateway,
    (name, token): (&str, &Secret),
    key: &SigningKey,
    environment: &Environment,
) -> Result<Value, Failure> {
    let url = gateway.bound_keys_url();
    let now = environment.clock.now();
    let proof = dpop::prove(key, &url, token, &*environment.random, now).context("no proof can be made")?;
    let jwk = key.public_jwk(&key.thumbprint().to_string());
    let body = json!({ name: token.expose(), "jwk": jwk, "proof": proof.expose() });
    gateway.keep_key(&body).await
}

fn told(done: &str, format: Format, answer: &Value, output: &mut Output<'_>) -> Result<(), Failure> {
    let text = |name: &str| plain(answer.get(name).and_then(Value::as_str).unwrap_or("-"));
    match format {
        Format::Json => output.result(answer)?,
        Format::Text => output.note(format_args!(
            "machine `{}` is {done}: registration {}, key {}, which ends {} unless it is rotated before",
            text("machine"),
            text("registration"),
            text("thumbprint"),
            text("ends")
        )),
    }
    Ok(())
}

/// Reads a join token, and says at once what is wrong with one that was cut off.
fn join_token(path: &Path) -> Result<Secret, Failure> {
    let mut text = String::new();
    let unreadable = || format!("the join token in `{}` cannot be read", path.display());
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_FILE_BYTES).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text))
    };
    read.with_context(unreadable)?;
    let token = Secret::new(text.trim());
    JoinToken::parse(&token).with_context(unreadable)?;
    Ok(token)
}

/// A join token has 60 characters.
const MAX_FILE_BYTES: u64 = 4096;

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests;

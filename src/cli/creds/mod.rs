//! `cambio creds`: one relying party's credential, on stdout.
//!
//! Never writes a secret anywhere else.

use std::process::ExitCode;

use super::{
    environment::Environment,
    exit::Exit,
    failure::Failure,
    obtain::{self, Wanted, WorkloadArguments},
    output::Output,
    shape::Shape,
};

/// Arguments of `cambio creds`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The relying party, as the gateway's configuration names it.
    #[arg(value_name = "RELYING_PARTY")]
    pub relying_party: String,
    /// How to write the credential.
    #[arg(long, value_enum, default_value_t)]
    pub shape: Shape,
    /// Takes the JWT-SVID itself instead of the credential; the grant must release it.
    #[arg(long)]
    pub svid: bool,
    #[command(flatten)]
    workload: WorkloadArguments,
}

/// Prints a credential.
pub async fn run(arguments: Arguments, environment: &Environment, output: &mut Output<'_>) -> ExitCode {
    match creds(&arguments, environment, output).await {
        Ok(()) => Exit::Done.into(),
        Err(failure) => failure.report(output).into(),
    }
}

async fn creds(arguments: &Arguments, environment: &Environment, output: &mut Output<'_>) -> Result<(), Failure> {
    let name = &arguments.relying_party;
    let wanted = if arguments.svid {
        Wanted::Svid(name)
    } else {
        Wanted::Credentials(std::slice::from_ref(name))
    };
    let answer = obtain::obtain(&arguments.workload, wanted, environment, output).await?;
    for (name, result) in &answer.results {
        let credential = result.as_ref().map_err(|refusal| {
            let refusal = refusal.failure();
            refusal.context(format!("the gateway gave no credential for `{name}`"))
        })?;
        let written = arguments.shape.write(credential)?;
        output.result(written.expose())?;
        obtain::tell(name, credential, &answer, output);
    }
    Ok(())
}

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests;

//! `cambio exec`: runs a command with credentials in its environment.
//!
//! Never leaves the command evidence it was not meant to have, and never swallows its exit code.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus},
};

use anyhow::Context as _;
use rustix::{
    fs::{Access, access},
    io::Errno,
    process::{Pid, Signal, getpgrp, kill_process},
    termios::tcgetpgrp,
};
use tokio::{
    process::{Child, Command},
    signal::unix::{self, SignalKind},
};

use crate::cli::{
    answer::{Answer, Refusal},
    environment::Environment,
    evidence,
    exit::Exit,
    failure::{Failure, plain},
    obtain::{self, Wanted, WorkloadArguments},
    output::Output,
    shape,
};
use crate::secret::Secret;

/// Arguments of `cambio exec`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The relying parties, at most 16 and no two of one cloud.
    #[arg(value_name = "RELYING_PARTY", required = true)]
    pub relying_parties: Vec<String>,
    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// Leaves the command the variables that hold evidence or are there to get some: CAMBIO_ID_TOKEN,
    /// ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN, TFC_WORKLOAD_IDENTITY_TOKEN, BITBUCKET_STEP_OIDC_TOKEN, SPACELIFT_OIDC_TOKEN.
    #[arg(long)]
    pub keep_evidence: bool,
    #[command(flatten)]
    workload: WorkloadArguments,
}

/// Runs a command with credentials.
pub async fn run(arguments: Arguments, environment: &Environment, output: &mut Output<'_>) -> ExitCode {
    let ended = match found(arguments.command.first(), environment) {
        Ok(()) => match prepared(&arguments, environment, output).await {
            Ok(command) => launched(command).await,
            Err(failure) => Err(failure.exiting(Exit::Launcher)),
        },
        Err(failure) => Err(failure),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(output).into(),
    }
}

/// Looks for the command as the system will, before a credential is asked for that nobody would use.
fn found(program: Option<&OsString>, environment: &Environment) -> Result<(), Failure> {
    let Some(program) = program.map(Path::new) else {
        return Ok(());
    };
    let candidates: Vec<PathBuf> = if program.as_os_str().as_encoded_bytes().contains(&b'/') {
        vec![program.to_owned()]
    } else if let Some(path) = environment.variable("PATH") {
        env::split_paths(path)
            .map(|directory| directory.join(program))
            .collect()
    } else {
        return Ok(()); // The system has a list of its own then.
    };
    let runs = |candidate: &PathBuf| candidate.is_file() && access(candidate, Access::EXEC_OK).is_ok();
    if candidates.iter().any(runs) {
        return Ok(());
    }
    let there = candidates.iter().any(|candidate| candidate.exists());
    let why = if there { Errno::ACCESS } else { Errno::NOENT };
    Err(not_started(program.as_os_str(), why.into()))
}

async fn prepared(
    arguments: &Arguments,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<Command, Failure> {
    let wanted = Wanted::Credentials(&arguments.relying_parties);
    let answer = obtain::obtain(&arguments.workload, wanted, environment, output).await?;
    granted(&answer, output)?;
    let variables = variables(&answer)?;
    for (name, result) in &answer.results {
        if let Ok(credential) = result {
            obtain::tell(name, credential, &answer, output);
        }
    }
    let mut words = arguments.command.iter();
    let program = words.next().context("there is no command to run")?;
    let mut command = Command::new(program);
    command.args(words);
    for name in STALE {
        command.env_remove(name);
    }
    if !arguments.keep_evidence {
        for name in evidence::VARIABLES {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().map(|(name, value)| (*name, value.expose())));
    Ok(command)
}

/// Refuses where any relying party gave nothing; says it of each, because all must be mended before the command runs.
fn granted(answer: &Answer, output: &mut Output<'_>) -> Result<(), Failure> {
    let mut failures = answer.results.iter().filter_map(|(name, result)| {
        let refusal = result.as_ref().err()?.failure();
        Some(refusal.context(format!("the gateway gave no credential for `{}`", plain(name))))
    });
    let Some(mut last) = failures.next() else {
        return Ok(());
    };
    for next in failures {
        last.report(output);
        output.note("");
        last = next;
    }
    Err(last)
}

/// Returns all variables; one relying party that gave nothing, or two that want the same variable, is a failure.
fn variables(answer: &Answer) -> Result<Vec<(&'static str, Secret)>, Failure> {
    let mut all: Vec<(&'static str, Secret, &str)> = Vec::new();
    for (name, result) in &answer.results {
        let credential = result.as_ref().map_err(Refusal::failure)?;
        for (variable, value) in shape::variables(credential)? {
            if let Some((_, _, other)) = all.iter().find(|(taken, _, _)| *taken == variable) {
                let why =
                    format!("`{other}` and `{name}` both set {variable}, expected one relying party of each cloud");
                return Err(Failure::saying(Exit::Usage, why)
                    .hint("name an AWS profile for each account, with `credential_process = cambio creds ..`"));
            }
            all.push((variable, value, name));
        }
    }
    Ok(all.into_iter().map(|(variable, value, _)| (variable, value)).collect())
}

async fn launched(command: Command) -> Result<Exit, Failure> {
    let failed = |failed: io::Error| Failure::new(Exit::Launcher, failed);
    // From here on signals are the command's; before, they end us as any program.
    let mut signals = Signals::new().map_err(|why| failed(why).context("signals cannot be received"))?;
    let mut child = started(command)?;
    loop {
        tokio::select! {
            ended = child.wait() => {
                let status = ended.map_err(|why| failed(why).context("the command cannot be waited for"))?;
                return Ok(exit_of(status));
            }
            signal = signals.next() => forward(&child, signal),
        }
    }
}

fn started(mut command: Command) -> Result<Child, Failure> {
    command
        .spawn()
        .map_err(|why| not_started(command.as_std().get_program(), why))
}

fn not_started(program: &OsStr, why: io::Error) -> Failure {
    let exit = match why.kind() {
        io::ErrorKind::NotFound => Exit::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ExecutableFileBusy | io::ErrorKind::IsADirectory => {
            Exit::NotExecutable
        }
        _ if why.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => Exit::NotExecutable,
        _ => Exit::Launcher,
    };
    Failure::new(exit, why).context(format!("`{}` cannot be run", plain(&program.to_string_lossy())))
}

fn exit_of(status: ExitStatus) -> Exit {
    let number = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => return Exit::Launcher,
    };
    u8::try_from(number).map_or(Exit::Launcher, Exit::Child)
}

/// Signals that end programs.
struct Signals {
    hang_up: unix::Signal,
    interrupt: unix::Signal,
    quit: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hang_up: unix::signal(SignalKind::hangup())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            quit: unix::signal(SignalKind::quit())?,
            terminate: unix::signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hang_up.recv() => Signal::HUP,
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.quit.recv() => Signal::QUIT,
            _ = self.terminate.recv() => Signal::TERM,
        }
    }
}

/// Passes a signal on, unless the terminal has sent it to the command already: a second interrupt makes Terraform give
/// up its state.
fn forward(child: &Child, signal: Signal) {
    if signal != Signal::TERM && in_foreground() {
        return;
    }
    let child = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(child) = child {
        let _ended = kill_process(child, signal);
    }
}

/// Tells whether the terminal sends its signals to our process group, which is the command's as well.
fn in_foreground() -> bool {
    let terminal = std::fs::File::open("/dev/tty");
    terminal.is_ok_and(|terminal| tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp()))
}

/// botocore takes the old name of the session token before the new one.
const STALE: [&str; 1] = ["AWS_SECURITY_TOKEN"];

#[cfg(test)]
mod tests;

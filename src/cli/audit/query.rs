//! `cambio audit query`: the entries that match.

use super::filter::{self, AskArguments, FilterArguments, Trail};
use crate::cli::{environment::Environment, failure::Failure, output::Output};

/// Arguments of `cambio audit query`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    filter: FilterArguments,
    /// Only from this moment: 2026-01-16T14:40:00Z, or 15m for 15 minutes ago.
    #[arg(long, value_name = "MOMENT")]
    since: Option<String>,
    /// Only before this moment.
    #[arg(long, value_name = "MOMENT")]
    until: Option<String>,
    /// Only intents that no outcome has closed.
    #[arg(long)]
    open: bool,
    /// The oldest entries that match instead of the newest.
    #[arg(long)]
    oldest: bool,
    /// At most so many entries, 1 to 10000.
    #[arg(long, value_parser = filter::count, default_value = "100")]
    limit: u32,
    #[command(flatten)]
    ask: AskArguments,
}

/// Prints the entries that match, oldest first.
///
/// # Errors
/// Fails where the gateway does not answer.
pub async fn run(arguments: &Arguments, environment: &Environment, output: &mut Output<'_>) -> Result<(), Failure> {
    let trail = Trail::of(&arguments.ask, environment)?;
    let now = environment.clock.now();
    let mut parameters = arguments.filter.parameters();
    for (name, text) in [("since", &arguments.since), ("until", &arguments.until)] {
        if let Some(text) = text {
            parameters.push((name, filter::moment(text, now)?.to_string()));
        }
    }
    parameters.push(("limit", arguments.limit.to_string()));
    parameters.push(("newest", (!arguments.oldest).to_string()));
    if arguments.open {
        parameters.push(("open", true.to_string()));
    }
    let lines = trail.ask(&parameters).await?;
    if lines.is_empty() {
        output.note("no entry matches");
    }
    if lines.len() as u64 == u64::from(arguments.limit) {
        output.note(format_args!(
            "there may be more than these {}, see --limit",
            arguments.limit
        ));
    }
    trail.print(lines.iter().map(String::as_str), output)
}
